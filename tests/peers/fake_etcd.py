"""An endpoint of etcd that is none: on a loopback socket, it says what it is told to say."""

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

from sendrecv.sender.etcd_access import Endpoint

HEADER = {"cluster_id": "14841639068965178418", "member_id": "1", "revision": "9", "raft_term": "2"}


class HangUp(Exception):
    """From an Answer: end the connection."""


@dataclass(frozen=True)
class Asked:
    """A request."""

    path: str
    body: Any
    token: str | None


Answer = Callable[[Asked], Iterable[bytes]]
"""What is sent after a request, part by part. The connection stays open then. An answer that sends
nothing is silence."""


def encoded(data: bytes) -> str:
    """As the gateway writes bytes."""
    return base64.b64encode(data).decode()


def http(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    """A whole answer."""
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def says(answer: object, status: str = "200 OK", head: str = "") -> Answer:
    """Always that, as JSON."""
    return lambda _asked: [http(json.dumps(answer).encode(), status, head)]


def error(text: str, code: int, status: str = "503 Service Unavailable") -> Answer:
    """Always that error, as the gateway writes it."""
    return says({"error": text, "message": text, "code": code}, status)


def silent(_asked: Asked) -> Iterable[bytes]:
    """Accepts, reads, and says nothing."""
    return ()


def hangs_up(_asked: Asked) -> Iterable[bytes]:
    """Ends the connection in place of an answer."""
    raise HangUp


def pair(key: str, value: bytes, revision: int = 5) -> dict[str, str]:
    """A key, as the gateway writes it."""
    numbers = {"create_revision": "3", "mod_revision": str(revision), "version": "2"}
    return {"key": encoded(key.encode()), **numbers, "value": encoded(value)}


class FakeEtcd:
    """A context. answer: what is said, which may be changed at any time. tls: to be spoken.

    asked: all requests. connections: how many there were. ended: how many the client has ended.
    """

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections = 0
        self.ended = 0
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint(*self._server.getsockname())
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._server)
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Ends all connections."""
        for connection in self._open:
            _shut(connection)

    def _accept(self) -> None:
        with self._server, contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                self._open.append(connection)
                serving = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(serving)
                serving.start()

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError, HangUp, ValueError):
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            self._open.append(connection)
            with connection, connection.makefile("rb") as stream:
                try:
                    while asked := _read(stream):
                        self.asked.append(asked)
                        for part in self.answer(asked):
                            connection.sendall(part)
                except OSError:
                    self.ended += 1
                    raise
                self.ended += 1


def _shut(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _read(stream: BinaryIO) -> Asked | None:
    """A request; None if there is no other one. Raises ValueError if it is none."""
    if not (first := stream.readline()):
        return None
    head = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(": ")
        head[name.lower()] = value
    body = stream.read(int(head.get("content-length", 0)))
    _method, path, _version = first.decode("latin-1").split()
    return Asked(path, json.loads(body), head.get("authorization"))
