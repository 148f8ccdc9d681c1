"""A program in the receiver's place, of whatever user. It admits everybody, and lies.

    python3 -m tests.peers.impostor ADDRESS HEARD

listens on a port of 127.0.0.1 or on [::1]:PORT, as soon as nobody else does, or on the path of a
Unix socket. What it is told goes to the file HEARD, each connection's first line being
"connection". It speaks the protocol: it admits each sender, says that its last count was some
billions, and acknowledges whatever is sent.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import struct
import sys
import threading
from typing import BinaryIO

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
OPEN = '0{"sid":"e","upgrades":[],"pingTimeout":20000,"pingInterval":25000}'
LAST = 7_777_777_777


def listen(address: str) -> socket.socket:
    """A socket on that port, as soon as nobody else has it, or at that path."""
    while address.isdigit():
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", int(address)))
    if address.startswith("[::1]:"):
        return socket.create_server(("::1", int(address[6:])), family=socket.AF_INET6)
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    os.chmod(address, 0o777)  # or a sender could not even connect
    server.listen()
    return server


def serve(peer: socket.socket, heard: BinaryIO) -> None:
    """One connection."""
    with peer, contextlib.suppress(OSError, ValueError, struct.error):
        stream = peer.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n") and (line := stream.readline()):
            head += line
            heard.write(line)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
        if not key:
            return
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest()).decode()
        peer.sendall(
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        say(peer, OPEN)
        while message := hear(stream):
            heard.write(message + b"\n")
            answer(peer, message.decode())


def say(peer: socket.socket, text: str) -> None:
    """One text frame."""
    data = text.encode()
    peer.sendall(struct.pack(">BBH", 0x81, 126, len(data)) + data)


def hear(stream: BinaryIO) -> bytes:
    """One frame of a client, which masks it."""
    size = stream.read(2)[1] & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", stream.read(2))
    mask = stream.read(4)
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(size)))


def answer(peer: socket.socket, message: str) -> None:
    """A lie."""
    number = re.match(r"42(\d+)", message)
    if message.startswith("40"):
        say(peer, '40{"sid":"s"}')
    elif number:
        counts = [int(count) for count in re.findall(r'"count": ?(\d+)', message)]
        reply = {"status": "accepted", "last": max(counts, default=LAST)}
        say(peer, f"43{number[1]}{json.dumps([reply])}")


def main() -> None:
    """See above."""
    address, path = sys.argv[1:]
    with open(path, "ab", buffering=0) as heard:
        server = listen(address)
        while True:
            peer, _ = server.accept()
            heard.write(b"connection\n")
            threading.Thread(target=serve, args=(peer, heard), daemon=True).start()


if __name__ == "__main__":
    main()
