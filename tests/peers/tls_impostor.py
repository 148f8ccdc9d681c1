"""A program in the place of a receiver that speaks TLS, of whatever user: it has not the right key.

    python3 -m tests.peers.tls_impostor ADDRESS PORT KIND HEARD

KIND is one of KINDS. The file HEARD gets a line of JSON for each event of a connection:
{"hello": N}, a ClientHello of N bytes came; {"told": TEXT}, what else came, as it is; {"read":
TEXT}, what of that could be decrypted.
"""

import contextlib
import json
import select
import socket
import ssl
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import BinaryIO

CERTIFICATES = Path(__file__).resolve().parents[1] / "lab/certificates"
CERTIFICATE = {"old TLS": "good", "slow": "other", "huge": "other"}
"""Of the kinds that are not named after theirs. That of "old TLS" is trusted, so that its version
alone is what is wrong."""
KINDS = (
    *("wrong-name", "expired", "self-signed", "other"),
    *("plain", "old TLS", "slow", "huge", "endless"),
)
COPIES = 5000
"""Certificates in a huge chain: two megabytes."""
HELLO_REQUEST = b"\x16\x03\x03\x00\x04" + bytes(4)
"""A record that a client has to skip while it waits for another one (RFC 5246, 7.4.1.1)."""


class Peer:
    """One connection."""

    def __init__(self, connection: socket.socket, heard: BinaryIO) -> None:
        self.connection = connection
        self._heard = heard

    def note(self, what: str, value: object) -> None:
        """One line in the file."""
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        self._heard.write(f"{json.dumps({what: text})}\n".encode())

    def hello(self) -> bytes:
        """The first record. Empty: the peer only looks whether somebody listens."""
        stream = self.connection.makefile("rb", buffering=0)
        head = stream.read(5) or b""
        size = int.from_bytes(head[3:], "big")
        data = head
        while head and len(data) < 5 + size and (more := stream.read(5 + size - len(data))):
            data += more
        if data:
            self.note("hello", len(data))
        return data

    def told(self, wait: float | None = None) -> bytes:
        """What comes next; nothing, if nothing does within that time or any more."""
        if not select.select([self.connection], [], [], wait)[0]:
            return b""
        data = self.connection.recv(4096)
        if data:
            self.note("told", data)
        return data


def speak_tls(peer: Peer, hello: bytes, context: ssl.SSLContext, kind: str) -> None:
    """As far as the peer likes it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with contextlib.suppress(ssl.SSLError):
        while True:
            try:
                tls.do_handshake()
                if not (data := tls.read(4096)):
                    break
                peer.note("read", data)
            except ssl.SSLWantReadError:
                say(peer, outgoing.read(), kind)
                if not (data := peer.told()):
                    break
                incoming.write(data)
    say(peer, outgoing.read(), kind)


def context_of(kind: str) -> ssl.SSLContext:
    """The server's side; nothing, of a kind that has no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if kind in {"plain", "endless"}:
        return context
    certificate = CERTIFICATES / f"{CERTIFICATE.get(kind, kind)}.pem"
    if kind == "huge":
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as chain:
            more = (CERTIFICATES / "other-ca.pem").read_text(encoding="ascii")
            chain.write(certificate.read_text(encoding="ascii") + COPIES * more)
            chain.flush()
            context.load_cert_chain(chain.name)
        return context
    context.load_cert_chain(certificate)
    if kind == "old TLS":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def say(peer: Peer, data: bytes, kind: str) -> None:
    """At once, or one byte a second."""
    if kind != "slow":
        peer.connection.sendall(data)
        return
    for byte in data:
        peer.connection.sendall(bytes([byte]))
        peer.told(1)


def serve(peer: Peer, context: ssl.SSLContext, kind: str) -> None:
    """One connection, to its end."""
    with peer.connection, contextlib.suppress(OSError):
        hello = peer.hello()
        if not hello:
            return
        if kind == "plain":
            peer.connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        elif kind == "endless":
            while True:
                peer.connection.sendall(1000 * HELLO_REQUEST)
                peer.told(0)
        else:
            speak_tls(peer, hello, context, kind)
        while peer.told():
            pass


def main() -> None:
    """See above."""
    address, port, kind, path = sys.argv[1:]
    context = context_of(kind)
    with open(path, "ab", buffering=0) as heard:
        server = socket.create_server((address, int(port)))
        while True:
            connection, _ = server.accept()
            peer = Peer(connection, heard)
            threading.Thread(target=serve, args=(peer, context, kind), daemon=True).start()


if __name__ == "__main__":
    main()
