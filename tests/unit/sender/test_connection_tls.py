"""A sender's connection by https, in an interpreter of its own, to a server that is real TLS."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.paths import TOP
from tests.peers.websocket import open_websocket, say

CERTIFICATES = TOP / "tests/lab/certificates"
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
from sendrecv.sender.connection import Connection, prepare
from sendrecv.sender.patched_websocket import trust
trust("".join(sys.argv[2:]))
prepare("https://a")
events = SimpleQueue()
claim = Claim("a", "main", 1, "1" * 32)
connection = Connection(f"https://{sys.argv[1]}", "x", 1, claim, events.put)
print(events.get(timeout=120).reason)
connection.close()
"""

AHEAD = """
import sys
from sendrecv.sender import patched_websocket
from sendrecv.sender.light_client import socketio_client
patched_websocket.trust(sys.argv[2])
opened = patched_websocket.opened(f"https://{sys.argv[1]}", 120)
socketio_client(tls=True)
import websocket
patched_websocket.hand_over(opened)
connection = websocket.create_connection(f"wss://{sys.argv[1]}/", timeout=120)
print(connection.sock is opened, connection.recv())
"""


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
        open_websocket(stream)
        say(stream, "hello")


def connect(
    port: int, host: str = "localhost", ca: str = "", *, client: str = CLIENT, **environment: str
) -> tuple[str, str]:
    """What the client prints, and the last line of what it complains of."""
    done = subprocess.run(
        [sys.executable, "-c", client, f"{host}:{port}", *filter(None, [ca])],
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


def test_a_connection_that_is_opened_ahead_is_as_safe(server: int, tmp_path: Path) -> None:
    trusted = str(tmp_path / "identity.pem")
    assert connect(server, ca=trusted, client=AHEAD) == ("True hello", "")


@pytest.mark.parametrize(
    ("host", "ca"),
    [
        ("localhost", str(CERTIFICATES / "ca.pem")),
        ("127.0.0.1", "identity.pem"),
        ("localhost", "no"),
    ],
)
def test_and_not_opened_to_whom_the_sender_does_not_trust(
    server: int, tmp_path: Path, host: str, ca: str
) -> None:
    """A second connection ends the server: it serves one."""
    said, complaint = connect(server, host, str(tmp_path / ca), client=AHEAD)
    assert not said and ("CERTIFICATE_VERIFY_FAILED" in complaint or "SENDRECV_CA" in complaint)
    if ca == "no":
        socket.create_connection(("127.0.0.1", server)).close()


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
    start = f"no receiver at https://{host}:{server} (its certificate is not trusted: "
    assert said.startswith(start) and cause in said


def test_a_sender_says_that_the_server_does_not_speak_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=_answer_plainly, args=(listener,))
        thread.start()
        said, _ = connect(port, "127.0.0.1", client=SENDER)
        thread.join()
    assert said == f"no receiver at https://127.0.0.1:{port} (no TLS: 'WRONG_VERSION_NUMBER')"


def _answer_plainly(listener: socket.socket) -> None:
    peer, _ = listener.accept()
    with peer:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 400 x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(4096):
                pass


# Of SENDRECV_CA=


class Server:
    """A TLS server with one of the test's certificates. heard: what it was told, decrypted."""

    def __init__(self, certificate: str, answer: bytes = b"", version: str = "TLSv1_3") -> None:
        self.heard = b""
        self.agreed: str | None = None
        self._answer = answer
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._context.set_ciphers("DEFAULT:@SECLEVEL=0")
            self._context.minimum_version = ssl.TLSVersion.TLSv1
            self._context.maximum_version = ssl.TLSVersion[version]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        peer, _ = self._listener.accept()
        with contextlib.suppress(OSError), self._context.wrap_socket(peer, server_side=True) as one:
            self.agreed = one.version()
            while not self.heard.endswith(b"\r\n\r\n") and (data := one.recv(4096)):
                self.heard += data
            one.sendall(self._answer)


CA, OTHER_CA = str(CERTIFICATES / "ca.pem"), str(CERTIFICATES / "other-ca.pem")
NOT = "its certificate is not trusted: "


@pytest.mark.parametrize(
    ("certificate", "host", "ca", "cause"),
    [
        ("expired", "localhost", CA, f"{NOT}certificate has expired"),
        ("wrong-name", "localhost", CA, f"{NOT}Hostname mismatch, certificate is not valid for"),
        ("wrong-name", "127.0.0.1", CA, f"{NOT}IP address mismatch, certificate is not valid for"),
        ("self-signed", "localhost", CA, f"{NOT}self-signed certificate; does SENDRECV_CA= name"),
        (
            "other",
            "localhost",
            CA,
            f"{NOT}unable to get local issuer certificate; does SENDRECV_CA=",
        ),
        ("good", "localhost", OTHER_CA, f"{NOT}unable to get local issuer certificate; does "),
        ("good", "localhost", "", f"{NOT}unable to get local issuer certificate; does "),
        (
            "good",
            "localhost",
            "/nonexistent",
            "SENDRECV_CA=/nonexistent: No such file or directory",
        ),
        ("good", "localhost", "/dev/null", "SENDRECV_CA=/dev/null: "),
        # The control: it is told of the handshake, and so much only.
        ("good", "localhost", CA, "not a receiver: HTTP 404"),
        ("good", "127.0.0.1", CA, "not a receiver: HTTP 404"),
    ],
)
def test_nobody_is_told_anything_before_the_certificate_was_checked(
    certificate: str, host: str, ca: str, cause: str
) -> None:
    with Server(certificate, b"HTTP/1.1 404 x\r\n\r\n") as server:
        said, _ = connect(server.port, host, ca, client=SENDER)
    assert said.startswith(f"no receiver at https://{host}:{server.port} ({cause}"), said
    assert server.heard.startswith(b"GET /socket.io/") == ("HTTP 404" in cause)
    assert server.heard or "HTTP 404" not in cause


@pytest.mark.parametrize(("version", "agreed"), [("TLSv1_2", "TLSv1.2"), ("TLSv1_1", None)])
def test_an_old_version_of_tls_is_not_spoken(version: str, agreed: str | None) -> None:
    with Server("good", b"HTTP/1.1 404 x\r\n\r\n", version) as server:
        said, _ = connect(server.port, "localhost", CA, client=SENDER)
    assert server.agreed == agreed and bool(server.heard) == bool(agreed)
    assert ("HTTP 404" in said) == bool(agreed) and ("no TLS: " in said) == (not agreed)


def test_a_redirection_to_a_plain_connection_is_not_followed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        plain.setblocking(False)
        there = f"ws://127.0.0.1:{plain.getsockname()[1]}/"
        answer = f"HTTP/1.1 302 x\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
        with Server("good", answer.encode()) as server:
            said, _ = connect(server.port, "localhost", CA, client=SENDER)
        assert said.startswith(f"no receiver at https://localhost:{server.port} (")
        assert server.heard
        with pytest.raises(BlockingIOError):
            plain.accept()
