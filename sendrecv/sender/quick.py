"""One count and its answer past the libraries, on the Unix socket of this machine's receiver.

A sender of a count a second does little else than to send one and to read its answer. The
libraries hand each message to a thread that sends it, and parse each answer three times, which is a
third of what a count costs. So the message of a single count is made here, byte for byte as they
make it, and sent by the thread that counts; and an answer to such a message is recognized as it is
read. All else goes through the libraries, which read from the same socket.
"""

from __future__ import annotations

import json
from socket import socket

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Lock
    from typing import Any

_TEXT, _MASKED, _SHORT = 0x81, 0x80, 125
"""RFC 6455, section 5.2: a frame that is a whole text, one of a client, and the longest payload
whose length is one byte."""
_NO_MASK = bytes(4)
"""A mask protects proxies from what a web page sends. There is none on a Unix socket."""
_PATIENCE = 0.05
"""Seconds. Another thread may just be sending, but perhaps to a peer that does not read."""
_FIRST = 1_000_000
"""The number of the first question. The libraries number theirs from 1."""


class Quick:
    """Of one WebSocket of websocket-client, which reads with recv() in place of its own."""

    def __init__(
        self, sock: Any, lock: Lock, recv: Callable[[], Any], timed_out: type[Exception]
    ) -> None:
        """sock: a QuickSocket. lock, recv: the WebSocket's, for who sends, and its own reading.
        timed_out: what the library raises if nothing comes for too long.
        """
        self._sock = sock
        self._lock = lock
        self._timed_out = timed_out
        self._recv = recv
        self._asked = _FIRST
        self._wanted = b""  # how the answer to the open question begins; b"" for no question
        self._on_answer: Callable[..., None]

    def ask(self, event: str, on_answer: Callable[..., None]) -> bool:
        """Send an event, a JSON array as text: its answer is what `on_answer` is called with. False
        if the libraries have to send it. Raises OSError if the connection is lost.
        """
        text = f"42{self._asked + 1}{event}".encode("ascii")
        if len(text) > _SHORT or not self._lock.acquire(timeout=_PATIENCE):
            return False
        try:
            self._asked += 1
            self._on_answer = on_answer
            self._wanted = f"43{self._asked}[".encode("ascii")
            frame = bytes((_TEXT, _MASKED | len(text))) + _NO_MASK + text
            if socket.send(self._sock, frame) != len(frame):
                raise ConnectionAbortedError("the receiver does not read")
        finally:
            self._lock.release()
        return True

    def recv(self) -> Any:
        """The next message that is for the libraries. Raises what theirs raises."""
        while True:
            if self._takes(self._short_text()):
                continue
            message = self._recv()
            # After a ping of WebSocket, the library itself reads on.
            if not isinstance(message, str) or not self._takes(message.encode(), read=True):
                return message

    def _takes(self, text: bytes, *, read: bool = False) -> bool:
        """Whether the message is the answer to the open question. read: it is read already."""
        if not self._wanted or not text.startswith(self._wanted):
            return False
        try:
            answer = json.loads(text[len(self._wanted) - 1 :])
        except ValueError:
            return False
        if not read:
            self._sock.skip(2 + len(text))
        self._wanted = b""
        self._on_answer(*answer)
        return True

    def _short_text(self) -> bytes:
        """The next message, if one short frame has all of it; else b""."""
        try:
            head = self._sock.ahead(2)[:2]
            if len(head) < 2 or head[0] != _TEXT or head[1] > _SHORT:
                return b""
            size = 2 + head[1]
            return bytes(self._sock.ahead(size)[2:size])
        except TimeoutError as error:
            raise self._timed_out(str(error)) from None
        except OSError:
            return b""  # the library meets it too, and has words for it
