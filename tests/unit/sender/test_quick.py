"""A count and its answer past the libraries: on the Unix socket, and only there."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from sendrecv.core.sender_events import Answered, Closed, Connected, Resumed, SenderEvent
from sendrecv.core.wire import Claim, Status
from sendrecv.descriptors import Listener
from sendrecv.receiver.quick import QuickCounts
from sendrecv.sender import own_socket
from sendrecv.sender.connection import Connection
from sendrecv.sender.quick import Quick
from tests.lab.reception import TOKEN, Reception
from tests.lab.waiting import HANG, wait_until
from tests.peers.peer import CLOSE, PING
from tests.peers.websocket import admit, hear, say, server_frame
from tests.unit.sender.test_own_socket import playing

RUN = "0123456789abcdef" * 2
CLAIM = Claim("one", "main", 1, RUN)

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("sockets_left"),
]


@pytest.fixture(autouse=True)
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests is taken for root."""
    monkeypatch.setattr(own_socket, "ROOT", os.getuid())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each single count was sent past the libraries."""
    found: list[bool] = []
    ask = Quick.ask

    def noted(self: Quick, event: str, on_answer: Callable[..., None]) -> bool:
        found.append(ask(self, event, on_answer))
        return found[-1]

    monkeypatch.setattr(Quick, "ask", noted)
    return found


class Client:
    """A connection that has resumed."""

    def __init__(self, url: str, claim: Claim = CLAIM) -> None:
        self.events: SimpleQueue[SenderEvent] = SimpleQueue()
        self.connection = Connection(url, TOKEN, 1, claim, self.events.put)
        assert isinstance(event := self.next(), Connected), event
        self.connection.resume(-1)
        assert isinstance(event := self.next(), Resumed), event

    def next(self) -> SenderEvent:
        return self.events.get(timeout=HANG)

    def emitted(self, first: int, last: int) -> SenderEvent:
        self.connection.emit(first, last)
        return self.next()


@contextlib.contextmanager
def on_a_socket(tmp_path: Path) -> Iterator[tuple[Reception, str]]:
    """The real receiver, and where a sender finds it."""
    path = tmp_path / "socket"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    directory = tmp_path / "receiver"
    directory.mkdir()
    with Reception(directory, more=[Listener("receiver", server.detach())]) as reception:
        yield reception, f"unix://{path}"


def accepted(last: int) -> Answered:
    return Answered(1, Status.ACCEPTED, last)


def test_single_counts_and_batches_in_turn(
    tmp_path: Path, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    take = QuickCounts.take

    def noted(self: QuickCounts, data: bytes, answer: Callable[[bytes], None]) -> bool:
        taken.append(take(self, data, answer))
        return taken[-1]

    monkeypatch.setattr(QuickCounts, "take", noted)

    def work(url: str) -> list[SenderEvent]:
        client = Client(url)
        seen = [client.emitted(*counts) for counts in ((0, 0), (1, 1), (2, 5), (6, 6), (6, 6))]
        client.connection.close()
        return seen

    with on_a_socket(tmp_path) as (reception, url):
        seen = reception.do(work, url)
    duplicate = Answered(1, Status.DUPLICATE, 6)
    assert seen == [accepted(0), accepted(1), accepted(5), accepted(6), duplicate]
    assert asked == [True] * 4
    assert [one for one in taken if one] == asked  # the receiver has a way past its own, too


def test_a_long_name_takes_the_usual_way(tmp_path: Path, asked: list[bool]) -> None:
    def work(url: str) -> SenderEvent:
        client = Client(url, CLAIM.replace(app_id="l" * 64, node_id="n" * 64))
        seen = client.emitted(0, 0)
        client.connection.close()
        return seen

    with on_a_socket(tmp_path) as (reception, url):
        assert reception.do(work, url) == accepted(0)
    assert asked == [False]


def test_tcp_takes_the_usual_way(tmp_path: Path, asked: list[bool]) -> None:
    def work(port: int) -> SenderEvent:
        client = Client(f"http://127.0.0.1:{port}")
        seen = client.emitted(0, 0)
        client.connection.close()
        return seen

    with Reception(tmp_path) as reception:
        assert reception.do(work, reception.address[1]) == accepted(0)
    assert not asked


def answering(tmp_path: Path, *answers: bytes | str, size: int = 4096) -> SenderEvent:
    """What becomes of a count that somebody answers with those bytes or messages. # is its number,
    and so many bytes are sent at once.
    """

    def play(peer: socket.socket) -> None:
        admit(peer)
        say(peer, '431[{"status":"accepted","last":7}]')
        number = hear(peer).partition("[")[0][2:]
        data = b"".join(
            server_frame(it.replace("#", number).encode()) if isinstance(it, str) else it
            for it in answers
        )
        for at in range(0, len(data), size):
            peer.sendall(data[at : at + size])
        peer.recv(1)

    path = tmp_path / "socket"
    with playing(path, play):
        client = Client(f"unix://{path}")
        event = client.emitted(8, 8)
        client.connection.close()
    return event


ACCEPTED = '43#[{"status":"accepted","last":8}]'


@pytest.mark.parametrize(
    "before",
    ["", "2", '437[{"status":"gap","last":0}]', server_frame(b"", PING)],
    ids=["nothing", "ping", "another answer", "ping of WebSocket"],
)
@pytest.mark.parametrize("size", [1, 5, 4096])
def test_the_answer_is_found_among_other_messages(
    tmp_path: Path, before: bytes | str, size: int
) -> None:
    answers = [before, ACCEPTED] if before else [ACCEPTED]
    assert answering(tmp_path, *answers, size=size) == accepted(8)


def test_no_answer_is_a_lost_connection(tmp_path: Path) -> None:
    assert isinstance(answering(tmp_path, server_frame(b"", CLOSE)), Closed)


def test_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    answering(tmp_path, ACCEPTED)
    wait_until(lambda: threading.active_count() <= before, "the threads of a connection end")
