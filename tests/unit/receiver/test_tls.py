"""TLS: where other hosts can reach the receiver, it says nothing without it."""

import asyncio
import contextlib
import selectors
import shutil
import socket
import ssl
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sendrecv.core.wire import Claim
from sendrecv.descriptors import Listener
from sendrecv.receiver import gateway
from sendrecv.receiver.access import Access
from sendrecv.receiver.admission import Admission
from sendrecv.receiver.crowds import Limits
from sendrecv.receiver.patched_asyncio import HANDSHAKES_AT_ONCE, TlsProtocol
from sendrecv.receiver.tls import needs_tls
from tests.lab.paths import TOP
from tests.lab.reception import TOKEN, Reception

CERTIFICATES = TOP / "tests/lab/certificates"
ASK = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OLD = (
    "an address that other hosts can reach is not served without TLS: set SENDRECV_TLS_CERTIFICATE="
)


@pytest.fixture(name="listener")
def fixture_listener() -> Iterator[Listener]:
    """On all addresses."""
    with Listener("receiver-tcp", socket.create_server(("0.0.0.0", 0)).detach()) as one:
        yield one


@pytest.fixture(name="identity")
def fixture_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate and its key, looked at often."""
    monkeypatch.setattr(gateway, "SWEEP_INTERVAL", 0.02)
    path = tmp_path / "identity.pem"
    shutil.copy(CERTIFICATES / "good.pem", path)
    return path


def directory(tmp_path: Path) -> Path:
    (tmp_path / "ledger").mkdir()
    return tmp_path / "ledger"


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def connect(port: int, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """A TLS connection to the receiver, whose certificate is checked."""
    context = context or ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
    plain = socket.create_connection(("127.0.0.1", port), timeout=60)
    try:
        return context.wrap_socket(plain, server_hostname="receiver.example")
    except BaseException:
        plain.close()
        raise


def asked(stream: socket.socket, what: bytes = ASK) -> bytes:
    """What it answers to GET /healthz, or to what else is asked, to the end."""
    with closing(stream):
        answer = b""
        try:
            stream.sendall(what)
            while data := stream.recv(4096):
                answer += data
        except ConnectionError:
            pass
        return answer


def ended(stream: ssl.SSLSocket) -> bool:
    """Whether the receiver has hung up, which is waited for."""
    with closing(stream):
        try:
            return stream.recv(1) == b""
        except OSError:  # without TLS's own word
            return True


def serial(stream: ssl.SSLSocket) -> str:
    """Which certificate it was."""
    with closing(stream):
        return str((stream.getpeercert() or {})["serialNumber"])


@pytest.mark.parametrize(
    ("family", "address", "needs"),
    [
        (socket.AF_INET, "127.0.0.1", False),
        (socket.AF_INET, "127.9.9.9", False),
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET6, "::1", False),
        (socket.AF_INET6, "::", True),
        (socket.AF_INET6, "::ffff:127.0.0.1", False),
        (socket.AF_INET6, "::ffff:0.0.0.0", True),
    ],
)
def test_who_needs_tls(family: int, address: str, needs: bool) -> None:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        assert needs_tls(listener) is needs


def test_a_unix_socket_needs_none(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert not needs_tls(listener)


def test_both_are_served(tmp_path: Path, listener: Listener, identity: Path) -> None:
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        port = port_of(listener)
        assert reception.do(lambda: asked(connect(port))).endswith(b"ok\n")
        loopback = reception.address[1]
        plain = reception.do(lambda: asked(socket.create_connection(("127.0.0.1", loopback), 60)))
        assert plain.endswith(b"ok\n")
        # Nothing is said without TLS.
        plain = reception.do(lambda: asked(socket.create_connection(("127.0.0.1", port), 60)))
        assert b"HTTP" not in plain
        assert not [line for line in reception.said() if not line.startswith("<5>")]


def test_tls_alone_opens_nothing(tmp_path: Path, listener: Listener, identity: Path) -> None:
    """The token is needed, as on each TCP socket."""
    ask = ASK.replace(b"/healthz", b"/apps")
    with_token = ask.replace(b"Host: a", b"Host: a\r\nAuthorization: Bearer " + TOKEN.encode())
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        port = port_of(listener)
        assert reception.do(lambda: asked(connect(port), ask)).startswith(b"HTTP/1.1 401 ")
        assert reception.do(lambda: asked(connect(port), with_token)).startswith(b"HTTP/1.1 200 ")


def test_tls_1_2_at_least(tmp_path: Path, listener: Listener, identity: Path) -> None:
    old = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        for version, served in (("TLSv1_2", True), ("TLSv1_1", False)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.minimum_version = ssl.TLSVersion.TLSv1
                old.maximum_version = ssl.TLSVersion[version]

            def work() -> bytes:
                return asked(connect(port_of(listener), old))

            if served:
                assert reception.do(work).endswith(b"ok\n")
            else:
                with pytest.raises(ssl.SSLError):
                    reception.do(work)


def test_without_a_certificate_it_is_not_served_until_there_is_one(
    tmp_path: Path, listener: Listener, identity: Path
) -> None:
    kept = identity.rename(tmp_path / "kept.pem")
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        port = port_of(listener)

        def unserved() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=0.2) as stream:
                return asked(stream)

        with pytest.raises(TimeoutError):
            reception.do(unserved)
        said = [line for line in reception.said() if OLD in line]
        assert len(said) == 1 and said[0].startswith("<3>")
        kept.rename(identity)
        assert reception.do(lambda: asked(connect(port))).endswith(b"ok\n")


def test_a_new_certificate_is_taken_over_and_open_connections_stay(
    tmp_path: Path, listener: Listener, identity: Path
) -> None:
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        port = port_of(listener)

        def work() -> bytes:
            first = connect(port)
            before = serial(connect(port))
            identity.with_suffix(".new").write_bytes((CERTIFICATES / "renewed.pem").read_bytes())
            identity.with_suffix(".new").rename(identity)
            while serial(connect(port)) == before:
                time.sleep(0.01)
            return asked(first)

        assert reception.do(work).endswith(b"ok\n")
        assert "<5>TLS: new certificate taken over" in reception.said()


@pytest.mark.parametrize("content", ["", "garbage", "of another key"])
def test_a_file_that_does_not_fit_changes_nothing(
    tmp_path: Path, listener: Listener, identity: Path, content: str
) -> None:
    if content == "of another key":
        key = (CERTIFICATES / "good.pem").read_text().partition("-----BEGIN CERT")[0]
        certificate = (CERTIFICATES / "renewed.pem").read_text().partition("-----BEGIN CERT")
        content = key + certificate[1] + certificate[2]
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        port = port_of(listener)

        def work() -> tuple[str, str]:
            before = serial(connect(port))
            identity.write_text(content)
            while not any(str(identity) in line for line in reception.said()):
                time.sleep(0.01)
            return before, serial(connect(port))

        before, after = reception.do(work)
        assert before == after
        assert sum(str(identity) in line for line in reception.said()) == 1


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://receiver.example:1", b"101"),  # websocket-client 1.8
        ("http://receiver.example:1", b"101"),  # websocket-client 1.2.3
        ("https://elsewhere.example", b"400"),
    ],
)
def test_a_client_that_names_its_origin(
    tmp_path: Path, listener: Listener, identity: Path, origin: str, status: bytes
) -> None:
    head = (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: receiver.example:1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Origin: {origin}\r\n\r\n"
    )
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:

        def work() -> bytes:
            with closing(connect(port_of(listener))) as stream:
                stream.sendall(head.encode())
                return stream.recv(12)

        assert reception.do(work) == b"HTTP/1.1 " + status


def test_a_peer_that_does_not_finish_its_handshake_is_cut(
    tmp_path: Path, listener: Listener, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sendrecv.receiver.admission.AUTHENTICATION_TIMEOUT", 0.2)
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:

        def work() -> bytes:
            with socket.create_connection(("127.0.0.1", port_of(listener)), 60) as stream:
                stream.sendall(b"\x16\x03\x01")
                return stream.recv(100)

        assert reception.do(work) == b""
        monkeypatch.setattr("sendrecv.receiver.admission.AUTHENTICATION_TIMEOUT", 60)
        assert reception.do(lambda: asked(connect(port_of(listener)))).endswith(b"ok\n")


def test_handshakes_make_room_for_one_another(
    tmp_path: Path, listener: Listener, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are not finished, and those after which nothing came."""
    monkeypatch.setattr("sendrecv.receiver.crowds.PENDING", 3)
    monkeypatch.setattr("sendrecv.receiver.admission.AUTHENTICATION_TIMEOUT", 600)
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        port = port_of(listener)

        def work() -> None:
            finished = [connect(port) for _ in range(5)]
            assert [ended(stream) for stream in finished[:2]] == [True, True]
            assert all(asked(stream).endswith(b"ok\n") for stream in finished[2:])
            with contextlib.ExitStack() as stack:
                slow = [
                    stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
                    for _ in range(5)
                ]
                for stream in slow:
                    stream.sendall(b"\x16\x03\x01")
                assert [stream.recv(1) for stream in slow[:2]] == [b"", b""]
                assert asked(connect(port)).endswith(b"ok\n")
                assert slow[2].recv(1) == b""
                for stream in slow[3:]:
                    stream.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        stream.recv(1)

        reception.do(work)
        said = "<4>more than 3 TLS connections without a request, one closed, ignoring"
        # Of one kind, four are said in a minute.
        assert [line for line in reception.said() if line[:3] == "<4>"] == [said] * 4


class Closing(asyncio.Protocol):
    """Closes its transport twice, as aiohttp and engineio do together, once something comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.close()
        self._transport.close()


async def _closed_twice(listener: Listener) -> list[str]:
    """What the event loop says, when a peer ends a connection that is closed already."""
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(str(context)))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "good.pem")
    one = Admission(Closing, Limits(10, 10), lambda session, text: said.append(text))
    await one.open(listener, context)

    one.authenticated[""] = Claim("app", "main", 1, "0" * 32)  # it is served at once
    with await asyncio.to_thread(connect, port_of(listener)) as stream:
        stream.setblocking(False)
        # Both are there when the event loop looks for the first.
        stream.send(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            stream.unwrap()
        await asyncio.sleep(0.2)
    return said


def test_a_connection_that_was_closed_already_ends_without_an_error(listener: Listener) -> None:
    assert asyncio.run(_closed_twice(listener)) == []


def test_few_handshakes_go_on_in_one_turn(
    tmp_path: Path, listener: Listener, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the event loop would not reach the watchdog's pings in a flood of them."""
    turn, steps = 0, Counter[int]()
    select, step = selectors.EpollSelector.select, TlsProtocol.step

    def counted(selector: selectors.EpollSelector, timeout: float | None = None) -> Any:
        nonlocal turn
        turn += 1
        return select(selector, timeout)

    def stepped(protocol: TlsProtocol, nbytes: int) -> None:
        steps[turn] += 1
        step(protocol, nbytes)

    monkeypatch.setattr(selectors.EpollSelector, "select", counted)
    monkeypatch.setattr(TlsProtocol, "step", stepped)
    with Reception(directory(tmp_path), more=[listener], identity=identity) as reception:
        port = port_of(listener)

        def work() -> None:
            with ThreadPoolExecutor(40) as pool:
                for stream in pool.map(lambda _: connect(port), range(200)):
                    stream.close()

        reception.do(work)
        assert steps.total() >= 400 and max(steps.values()) <= HANDSHAKES_AT_ONCE


async def _cut_after_two_ends(listener: Listener) -> None:
    """Returns when a peer that does not answer the end of TLS is cut."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "good.pem")
    one = Admission(Closing, Limits(10, 10), lambda session, text: None)
    await one.open(listener, context)
    stream = await asyncio.to_thread(connect, port_of(listener))
    stream.send(b"GET / HTTP/1.1\r\n\r\n")
    with socket.socket(fileno=stream.detach()) as below:
        below.settimeout(60)
        await asyncio.to_thread(below.recv, 4096)  # TLS's own word
        (peer,) = one.crowds[Access.TOKEN].unauthenticated
        peer.abort()
        while await asyncio.to_thread(below.recv, 4096):
            pass


def test_a_connection_that_was_closed_twice_can_be_cut(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would have its memory until TLS's own time is over, and be in no limit."""
    monkeypatch.setattr("sendrecv.receiver.admission.AUTHENTICATION_TIMEOUT", 600)
    asyncio.run(_cut_after_two_ends(listener))
