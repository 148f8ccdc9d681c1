"""A Socket.IO peer made by hand, of the standard library alone: it can send what no client would.

Runs on the host against a receiver of the test's own, and in a machine against the real one:

    python3 -m tests.peers.peer < SCRIPT       a list of steps, see play()
"""

import base64
import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""
RECEIVER = ("127.0.0.1", 3000)
RUN = "a" * 32
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def auth(app_id: str, token: str, **other: object) -> dict[str, object]:
    """An `auth` object that the receiver accepts, but for what `other` changes in it."""
    good = {"appID": app_id, "nodeID": "main", "epoch": 1, "run": RUN, "token": token}
    return {**good, **other}


def payload(count: object, app_id: object, node_id: object = "main") -> dict[str, object]:
    """A payload, right or wrong."""
    return {"count": count, "appID": app_id, "nodeID": node_id}


def frame(
    data: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, length: int | None = None
) -> bytes:
    """A WebSocket frame of a client (RFC 6455, 5.2), masked with zeros.

    `length`: what the header says, if it is not to be the truth. `rsv`: 4 says "compressed".
    """
    size = len(data) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        head = struct.pack(">BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + data


def upgrade(query: str = "EIO=4&transport=websocket", extra: str = "") -> bytes:
    """The request that opens a WebSocket. `extra`: more header lines, each with its line end."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /socket.io/?{query} HTTP/1.1\r\nHost: receiver\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"{extra}\r\n"
    ).encode()


class Peer:
    """One TCP connection to a receiver."""

    def __init__(
        self, address: Address = RECEIVER, timeout: float = 120, receive_buffer: int = 0
    ) -> None:
        """`receive_buffer`: bytes that the kernel keeps of what is not read, 0 for megabytes."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else family)
        self._socket.settimeout(timeout)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(address)
        if self._socket.family != socket.AF_UNIX:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        self._acknowledged = 0
        self.fields: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Without a word to the receiver."""
        self._stream.close()
        self._socket.close()

    # Bytes and HTTP

    def send(self, data: bytes) -> None:
        """These bytes, whatever they are."""
        self._socket.sendall(data)

    def request(self, head: str, body: bytes = b"") -> tuple[int, bytes]:
        """A plain HTTP request, its head without the empty line: status (0: none came) and body."""
        self.send(f"{head}\r\n\r\n".encode() + body)
        return self.response()

    def response(self) -> tuple[int, bytes]:
        """Status and body of an HTTP response; status 0 if the receiver has hung up.

        Its header fields are `fields` then, by their names in small letters.
        """
        self.fields.clear()
        with contextlib.suppress(ConnectionError, IndexError, ValueError):
            status = int(self._stream.readline().split()[1])
            while line := self._stream.readline().decode().strip():
                name, _, value = line.partition(":")
                self.fields[name.lower()] = value.strip()
            return status, self._stream.read(int(self.fields.get("content-length", 0)))
        return 0, b""

    # WebSocket

    def open(self, query: str = "EIO=4&transport=websocket", extra: str = "") -> int:
        """Opens a WebSocket; the status, 101 if it is open. Engine.IO's own greeting is read."""
        self.send(upgrade(query, extra))
        status, _ = self.response()
        if status == 101:
            self.read()
        return status

    def send_text(self, text: str) -> None:
        """One message."""
        self.send(frame(text.encode("utf-8", "surrogatepass")))

    def read(self) -> str | None:
        """The next message, Engine.IO's pings answered; None if the receiver has hung up."""
        while (text := self.read_raw()) == "2":
            self.send_text("3")
        return text

    def read_raw(self) -> str | None:
        """The next message, whatever it is; None if the receiver has hung up."""
        with contextlib.suppress(ConnectionError, struct.error):
            for opcode, data in self._frames():
                if opcode in {TEXT, CLOSE}:
                    return data.decode() if opcode == TEXT else None
        return None

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        while True:
            first, size = struct.unpack(">BB", self._stream.read(2))
            if size == 126:
                (size,) = struct.unpack(">H", self._stream.read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._stream.read(8))
            yield first & 15, self._stream.read(size)

    # Socket.IO

    def connect(self, auth: object) -> dict[str, Any] | None:
        """CONNECT: {"sid"} if admitted, {"message", "data": {"reason"}} if refused."""
        self.send_text(f"40{json.dumps(auth)}")
        while (text := self.read()) is not None:
            if text[:2] in {"40", "44"}:
                return dict(json.loads(text[2:]))
        return None

    def emit(self, event: object, *arguments: object, acknowledge: bool = True) -> None:
        """An event, whose acknowledgement is not waited for."""
        self._acknowledged += 1
        number = self._acknowledged if acknowledge else ""
        self.send_text(f"42{number}{json.dumps([event, *arguments])}")

    def call(self, event: object, *arguments: object) -> Any:
        """An event's acknowledgement; None if the receiver has hung up instead."""
        self.emit(event, *arguments)
        return self.answer()

    def answer(self) -> Any:
        """The acknowledgement of the last event emitted; None if the receiver has hung up."""
        start = f"43{self._acknowledged}["
        while (text := self.read()) is not None:
            if text.startswith(start):
                return json.loads(text[len(start) - 1 :])[0]
        return None


def admitted(app_id: str, token: str, **other: object) -> Peer:
    """A peer that the receiver has admitted."""
    peer = Peer()
    if peer.open() != 101 or "sid" not in (peer.connect(auth(app_id, token, **other)) or {}):
        raise ConnectionError(f"{app_id} was not admitted")
    return peer


def play(step: Mapping[str, Any], token: str) -> dict[str, Any]:
    """What the receiver says to a connection with this auth (and the right token, if it has none).

    After that are sent, as far as the step has them: `raw` messages, as they are; `binary` ones, in
    hexadecimal; a `large` payload of so many bytes; and `calls`, each of which gets an answer.
    """
    with Peer() as peer:
        peer.open()
        reply = peer.connect({"token": token, **step["auth"]}) or {}
        with contextlib.suppress(ConnectionError):
            for message in step.get("raw", ()):
                peer.send_text(message)
            for message in step.get("binary", ()):
                peer.send(frame(bytes.fromhex(message), BINARY))
            if "large" in step:
                peer.send_text(f'42["count","{"x" * step["large"]}"]')
        answers = [peer.call(*call) for call in step.get("calls", ())]
    return {"connect": reply.get("data", "sid" in reply), "answers": answers}


def main() -> None:
    """Plays the script, JSON on standard input, and prints the answers, JSON too."""
    token = Path("/etc/sendrecv/token").read_text(encoding="ascii").strip()
    json.dump([play(step, token) for step in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
