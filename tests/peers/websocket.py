"""A WebSocket server's side of a connection, for receivers that are none (RFC 6455)."""

import base64
import hashlib
import socket
import struct

from tests.peers.peer import CLOSE, TEXT, frame

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3


def receive(peer: socket.socket, end: bytes) -> bytes:
    """What comes, up to that end; all of it, if the peer closes before."""
    data = b""
    while not data.endswith(end) or not end:
        received = peer.recv(65536)
        if not received:
            break
        data += received
    return data


def open_websocket(peer: socket.socket) -> None:
    """The server's half of the handshake."""
    request = receive(peer, b"\r\n\r\n")
    fields = dict(row.split(b": ", 1) for row in request.split(b"\r\n")[1:-2])
    accept = base64.b64encode(hashlib.sha1(fields[b"Sec-WebSocket-Key"] + GUID).digest())
    peer.sendall(
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


# Of Engine.IO (revision 4) and Socket.IO (revision 5), as a server sends them.
OPEN = '0{"sid":"e","upgrades":[],"pingTimeout":20000,"pingInterval":25000}'
ADMITTED = '40{"sid":"s"}'


def admit(peer: socket.socket) -> None:
    """All that a receiver says to a sender until that has asked for the last count."""
    open_websocket(peer)
    say(peer, OPEN)
    hear(peer)
    say(peer, ADMITTED)
    hear(peer)


def server_frame(
    data: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, length: int | None = None
) -> bytes:
    """A frame of a server, which is not masked. length, rsv: see frame() of a client."""
    masked = frame(b"", opcode, fin=fin, rsv=rsv, length=len(data) if length is None else length)
    return masked[:1] + bytes([masked[1] & 0x7F]) + masked[2:-4] + data


def say(peer: socket.socket, text: str) -> None:
    """One text frame."""
    peer.sendall(server_frame(text.encode()))


def read_frame(peer: socket.socket) -> tuple[int, str]:
    """Opcode and text of one frame, which a client masks; CLOSE if it has hung up."""
    head = peer.recv(2, socket.MSG_WAITALL)
    if len(head) < 2:
        return CLOSE, ""
    length = head[1] & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", peer.recv(2, socket.MSG_WAITALL))
    mask = peer.recv(4, socket.MSG_WAITALL)
    data = peer.recv(length, socket.MSG_WAITALL) if length else b""
    text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return head[0] & 0x0F, text.decode(errors="replace")


def hear(peer: socket.socket) -> str:
    """One text frame."""
    opcode, text = read_frame(peer)
    assert opcode == TEXT, opcode
    return text


def until_left(peer: socket.socket) -> None:
    """Until the client takes its leave."""
    while read_frame(peer)[0] != CLOSE:
        pass
