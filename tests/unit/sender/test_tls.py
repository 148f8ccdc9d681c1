"""A sender's connection by https, in an interpreter of its own, to a server that is real TLS."""

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

# Of nobody but this test: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes
# -days 36500 -subj /CN=localhost -addext subjectAltName=DNS:localhost
IDENTITY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgei0xU0WgDSnDTyIQ
huj4aicKPaLYh3Cy5m6iRuyYf76hRANCAATszyX0+/Px3evzbdeUOifAXHgwxdDw
qi/oITuYzuwVhm0XPIz58qyN2i4nlfUznRXSJvxL9l8ynijuLsFlnlo4
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUJlKD2bOJ/3BJZPaqcm8dVGUx4o0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTAzNDQxMloYDzIxMjYxMTAx
MDM0NDEyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATszyX0+/Px3evzbdeUOifAXHgwxdDwqi/oITuYzuwVhm0XPIz58qyN
2i4nlfUznRXSJvxL9l8ynijuLsFlnlo4o2kwZzAdBgNVHQ4EFgQUtGCg5HQGYp7X
pA8qBJO7FHfAZK0wHwYDVR0jBBgwFoAUtGCg5HQGYp7XpA8qBJO7FHfAZK0wDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIgPe3ljAKoANCQHB/fGrROK890bneiUSmeqQQTXWoBWBkCIQDjoAGyxmYZ
KmcTDKhQi4QcTCTx/sYbvhpWjchEP1UZAg==
-----END CERTIFICATE-----
"""
CLIENT = """
import sys
from sendrecv.sender.light_client import socketio_client
socketio_client(tls=True)
import websocket
connection = websocket.create_connection(f"wss://{sys.argv[1]}/", timeout=120)
print(type(connection.sock).__name__, connection.recv())
"""
SENDER = """
import sys
from queue import SimpleQueue
from sendrecv.core.wire import Claim
from sendrecv.sender.connection import Connection
events = SimpleQueue()
claim = Claim("a", "main", 1, "1" * 32)
connection = Connection(f"https://{sys.argv[1]}", "x", 1, claim, events.put)
print(events.get(timeout=120).reason)
connection.close()
"""
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """The port of a WebSocket server that says hello to whoever finishes the handshake."""
    identity = tmp_path / "identity.pem"
    identity.write_text(IDENTITY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_greet_one, args=(listener, context))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def _greet_one(listener: socket.socket, context: ssl.SSLContext) -> None:
    peer, _ = listener.accept()
    with contextlib.suppress(ssl.SSLError), context.wrap_socket(peer, server_side=True) as stream:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += stream.recv(4096)
        fields = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:-2])
        accept = base64.b64encode(hashlib.sha1(fields[b"Sec-WebSocket-Key"] + GUID).digest())
        stream.sendall(
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x05hello"
        )


def connect(
    port: int, host: str = "localhost", *, client: str = CLIENT, **environment: str
) -> tuple[str, str]:
    """What the client prints, and the last line of what it complains of."""
    done = subprocess.run(
        [sys.executable, "-c", client, f"{host}:{port}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip(), (done.stderr.splitlines() or [""])[-1]


def test_whom_the_machine_trusts_is_talked_to(server: int, tmp_path: Path) -> None:
    trusted = str(tmp_path / "identity.pem")
    assert connect(server, SSL_CERT_FILE=trusted) == ("SSLSocket hello", "")


def test_whom_it_does_not_trust_is_not(server: int) -> None:
    said, complaint = connect(server)
    assert not said and "CERTIFICATE_VERIFY_FAILED" in complaint


def test_nor_somebody_else_whom_it_trusts(server: int, tmp_path: Path) -> None:
    trusted = str(tmp_path / "identity.pem")
    said, complaint = connect(server, "127.0.0.1", SSL_CERT_FILE=trusted)
    assert not said and "CERTIFICATE_VERIFY_FAILED" in complaint


@pytest.mark.parametrize(
    ("host", "trusts", "cause"),
    [
        ("localhost", False, "self-signed certificate"),
        ("127.0.0.1", True, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
def test_a_sender_says_what_is_wrong_with_the_certificate(
    server: int, tmp_path: Path, host: str, trusts: bool, cause: str
) -> None:
    trusted = {"SSL_CERT_FILE": str(tmp_path / "identity.pem")} if trusts else {}
    said, _ = connect(server, host, client=SENDER, **trusted)
    start = f"cannot connect to https://{host}:{server} (its certificate is not trusted: "
    assert said.startswith(start) and cause in said


def test_a_sender_says_that_the_server_does_not_speak_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=_answer_plainly, args=(listener,))
        thread.start()
        said, _ = connect(port, "127.0.0.1", client=SENDER)
        thread.join()
    assert said == f"cannot connect to https://127.0.0.1:{port} (no TLS: 'WRONG_VERSION_NUMBER')"


def _answer_plainly(listener: socket.socket) -> None:
    peer, _ = listener.accept()
    with peer:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 400 x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(4096):
                pass
