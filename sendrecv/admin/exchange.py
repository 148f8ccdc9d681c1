"""One question by HTTP/1.0, in which the answer ends with the connection.

By hand, since the import of http.client takes as long as all else that status does. Whoever answers
may be somebody else than the receiver: no answer is longer than MAX_ANSWER, none is unpacked, and
the whole of it has a deadline, however slowly it comes.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

TIMEOUT = 5.0
"""Seconds for a connection, and between two parts of the answer."""
WHOLE = 30.0
"""Seconds for all of it."""
MAX_ANSWER = 1 << 26
"""Bytes. 100,000 Apps are 30 MB."""


class NoAnswer(Exception):
    """The text says why there is none."""


def get(
    connection: socket.socket, path: str, fields: Iterable[str], deadline: float, most: int
) -> bytes:
    """What is there. fields: of the head of the request. deadline: of the monotonic clock. most:
    bytes, with the answer's head. Raises NoAnswer, and OSError.
    """
    lines = (f"GET {path} HTTP/1.0", *fields, "Accept-Encoding: identity", "", "")
    connection.settimeout(_patience(deadline))
    connection.sendall("\r\n".join(lines).encode("ascii"))
    head, blank, body = _all_of(connection, deadline, most).partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].split(maxsplit=2)
    if not blank or len(words) < 2 or len(words[1]) != 3 or not words[1].isdigit():
        raise NoAnswer("no answer")
    if words[1] != b"200":
        raise NoAnswer(f"HTTP {int(words[1])}")
    return body


def _all_of(connection: socket.socket, deadline: float, most: int) -> bytes:
    """What comes until the end."""
    answer = bytearray()
    while data := connection.recv(1 << 16):
        answer += data
        if len(answer) > most:
            raise NoAnswer(f"its answer has more than {most} bytes")
        connection.settimeout(_patience(deadline))
    return bytes(answer)


def _patience(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise NoAnswer("its answer takes too long")
    return min(left, TIMEOUT)
