"""A sender on the receiver's Unix socket: who listens is known before a byte is said."""

import contextlib
import errno
import gc
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from sendrecv.core.sender_events import Answered, Closed, Connected, Resumed, SenderEvent
from sendrecv.core.wire import Claim, Status
from sendrecv.descriptors import Listener
from sendrecv.sender import own_socket, patched_websocket
from sendrecv.sender.connection import Connection, cause_of
from tests.lab.reception import Reception
from tests.lab.waiting import HANG, wait_until
from tests.peers.websocket import admit, receive
from tests.unit.sender.test_connection import play_bytes

RUN = "0123456789abcdef" * 2
SECRET = "f" * 64
"""A token that the receiver does not have."""

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("sockets_left"),
]


@pytest.fixture(autouse=True)
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests is taken for root."""
    monkeypatch.setattr(own_socket, "ROOT", os.getuid())


@pytest.fixture
def impostor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests is not root."""
    monkeypatch.setattr(own_socket, "ROOT", os.getuid() + 1)


def connected(path: Path, number: int, post: Callable[[SenderEvent], None]) -> Connection:
    """A connection that has been begun."""
    claim = Claim("one", "main", number, RUN)
    return Connection(f"unix://{path}", SECRET, number, claim, post)


def first_event(path: Path, number: int = 1) -> SenderEvent:
    """What comes of a connection to that path."""
    events: SimpleQueue[SenderEvent] = SimpleQueue()
    connection = connected(path, number, events.put)
    event = events.get(timeout=HANG)
    connection.close()
    gc.collect()  # see sockets_left
    return event


@contextlib.contextmanager
def listening(path: Path) -> Iterator[list[bytes]]:
    """Somebody listens there; what the first one who connects says, until it hangs up."""
    heard: list[bytes] = []

    def play(peer: socket.socket) -> None:
        while data := peer.recv(65536):
            heard.append(data)
            if data.endswith(b"\r\n\r\n"):
                peer.shutdown(socket.SHUT_RDWR)

    with playing(path, play):
        yield heard


@contextlib.contextmanager
def playing(path: Path, play: Callable[[socket.socket], None]) -> Iterator[None]:
    """Somebody listens there, and plays a part with the first one who connects."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(HANG)
                play(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(HANG)
        assert not thread.is_alive()


def test_connect_resume_emit_without_the_token(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def work() -> list[SenderEvent]:
        events: SimpleQueue[SenderEvent] = SimpleQueue()
        seen = []
        for number, (first, last) in enumerate(((0, 1), (2, 5)), 1):
            connection = connected(path, number, events.put)
            seen.append(events.get(timeout=HANG))
            connection.resume(-1)
            seen.append(events.get(timeout=HANG))
            connection.emit(first, last)
            seen.append(events.get(timeout=HANG))
            connection.close()
        return seen

    with Reception(tmp_path, more=[Listener("receiver", server.detach())]) as reception:
        ledger = reception.receiver.ledger()
        assert reception.do(work) == [
            *(Connected(1), Resumed(1, -1, ledger), Answered(1, Status.ACCEPTED, 1)),
            *(Connected(2), Resumed(2, 1, ledger), Answered(2, Status.ACCEPTED, 5)),
        ]
        assert len(reception.printed()) == 6


def test_nothing_secret_is_said(tmp_path: Path) -> None:
    with listening(tmp_path / "socket") as heard:
        first_event(tmp_path / "socket")
    said = b"".join(heard)
    assert said.startswith(b"GET /socket.io/") and SECRET.encode() not in said


@pytest.mark.usefixtures("impostor")
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("through", ["itself", "a link"])
def test_an_impostor_is_told_nothing(tmp_path: Path, number: int, through: str) -> None:
    path = tmp_path / "socket"
    (tmp_path / "link").symlink_to(path)
    with listening(path) as heard:
        event = first_event(path if through == "itself" else tmp_path / "link", number)
    assert not heard and isinstance(event, Closed)
    cause = f"(not a receiver: user {os.getuid()} listens there, and not root)"
    assert event.reason.endswith(cause), event


def busy(path: Path) -> socket.socket:
    """A socket on which nobody accepts the connection that waits."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(0)
    with socket.socket(socket.AF_UNIX) as waits:
        waits.connect(str(path))
    return server


def bound(path: Path) -> socket.socket:
    """A socket on which nobody listens."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    return server


def datagrams(path: Path) -> socket.socket:
    """A socket of another type."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(path))
    return server


NOTHING: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, "nothing listens there: no such file"),
    "a directory": (Path.mkdir, "not a receiver: no socket"),
    "a file": (Path.touch, "not a receiver: no socket"),
    "a link to nothing": (
        lambda path: path.symlink_to("nowhere"),
        "nothing listens there: no such file",
    ),
    "a link to itself": (
        lambda path: path.symlink_to(path),
        "Too many levels of symbolic links",
    ),
    "nobody": (bound, "refused: nothing listens there"),
    "datagrams": (datagrams, "Protocol wrong type for socket"),
    "a full queue": (busy, "too many connections wait there"),
}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("name", NOTHING)
def test_what_is_there_in_the_receivers_place(tmp_path: Path, name: str, number: int) -> None:
    put, cause = NOTHING[name]
    path = tmp_path / "socket"
    there = put(path)
    event = first_event(path, number)
    assert event == Closed(number, f"no receiver at unix://{path} ({cause})")
    del there


def test_causes_in_words(tmp_path: Path) -> None:
    """The kernel says that about a directory, to whoever may not write into it."""
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert cause_of(denied, "/x") == "no right to open it: Permission denied"
    assert cause_of(denied, str(tmp_path)) == "not a receiver: no socket"
    assert cause_of(TimeoutError("timed out"), "/x") == "timed out"


def test_a_library_that_takes_no_connection_is_given_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not open one to another place."""
    monkeypatch.setattr(patched_websocket, "_patched", [])
    with listening(tmp_path / "socket") as heard:
        event = first_event(tmp_path / "socket")
    assert not heard and isinstance(event, Closed)
    assert event.reason.endswith(
        "(this python3-websocket or python3-engineio cannot be given an open connection)"
    )


# The limits of a connection by TCP hold here too: root's program may have a fault.


@pytest.mark.parametrize("frames", [1, 100])
def test_a_large_answer_is_not_read(tmp_path: Path, frames: int) -> None:
    """It would be a right one: without the limit, Resumed would come of it."""
    size = 5_000_000 // frames
    answer = b'431[{"status":"accepted","last":null' + b" " * 5_000_000 + b"}]"
    read: list[bool] = []
    pieces = [answer[at : at + size] for at in range(0, len(answer), size)]

    def play(peer: socket.socket) -> None:
        admit(peer)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for number, piece in enumerate(pieces):
                kind = (number == 0) | (0x80 if number == len(pieces) - 1 else 0)
                peer.sendall(struct.pack(">BBQ", kind, 127, len(piece)) + piece)
            read.append(True)  # or the kernel would not have taken so much
            receive(peer, b"")  # until the sender hangs up

    with playing(tmp_path / "socket", play):
        events: SimpleQueue[SenderEvent] = SimpleQueue()
        connection = connected(tmp_path / "socket", 1, events.put)
        assert events.get(timeout=HANG) == Connected(1)
        connection.resume(-1)
        assert events.get(timeout=HANG) == Closed(1, "connection lost")
        connection.close()
    assert not read


def test_a_redirection_to_a_port_is_not_followed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.setblocking(False)
        there = f"ws://127.0.0.1:{port.getsockname()[1]}/"
        answer = f"HTTP/1.1 302 x\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
        with playing(tmp_path / "socket", play_bytes(answer.encode())):
            assert isinstance(first_event(tmp_path / "socket"), Closed)
        with pytest.raises(BlockingIOError):
            port.accept()


def test_close_ends_a_handshake_that_does_not_end(tmp_path: Path) -> None:
    """No thread of the connection is left behind."""
    poured = threading.Event()

    def pour(peer: socket.socket) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                peer.sendall(b"HTTP/1.1 101 x\r\n" if not poured.is_set() else b"X: x\r\n" * 100)
                poured.set()

    before = threading.active_count()
    with playing(tmp_path / "socket", pour):
        connection = connected(tmp_path / "socket", 1, lambda event: None)
        assert poured.wait(HANG)
        connection.close()
        wait_until(lambda: threading.active_count() <= before, "its threads end")
