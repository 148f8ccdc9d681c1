"""A sender's connection: to the real receiver, and to listeners that are none."""

import errno
import gc
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import pytest

from sendrecv.core.sender_events import Answered, Closed, Connected, Refused, Resumed, SenderEvent
from sendrecv.core.wire import LEDGER_NAME, Claim, Refusal, Status
from sendrecv.sender.connection import Connection, cause_of
from tests.lab.reception import TOKEN, Reception
from tests.lab.waiting import HANG, wait_until
from tests.peers.websocket import (
    ADMITTED,
    OPEN,
    admit,
    hear,
    open_websocket,
    receive,
    say,
    until_left,
)

RUN = "0123456789abcdef" * 2

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("sockets_left"),
]


def claim(epoch: int = 1, app_id: str = "one", run: str = RUN) -> Claim:
    return Claim(app_id, "main", epoch, run)


class Client:
    """A Connection, and the events that it posts."""

    def __init__(
        self, port: int, whom: Claim | None = None, *, token: str = TOKEN, number: int = 1
    ) -> None:
        self.events: SimpleQueue[SenderEvent] = SimpleQueue()
        address = f"http://127.0.0.1:{port}"
        self.connection = Connection(address, token, number, whom or claim(), self.events.put)

    def next(self) -> SenderEvent:
        """The next event."""
        return self.events.get(timeout=HANG)

    def resumed(self) -> SenderEvent:
        """The answer to `resume`, of a connection that has just been begun."""
        event = self.next()
        assert isinstance(event, Connected), event
        self.connection.resume(-1)
        return self.next()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever a connection has met, its threads end once it is closed."""
    before = threading.active_count()
    yield
    wait_until(lambda: threading.active_count() <= before, "the threads of a connection end")


# The real receiver


@pytest.fixture
def reception(tmp_path: Path) -> Iterator[Reception]:
    with Reception(tmp_path) as one:
        yield one


def test_connect_resume_emit(reception: Reception) -> None:
    def work() -> list[SenderEvent]:
        client = Client(reception.address[1])
        events = [client.resumed()]
        for first, last in ((0, 2), (1, 2), (3, 3), (7, 8)):
            client.connection.emit(first, last)
            events.append(client.next())
        client.connection.close()
        return events

    assert reception.do(work) == [
        Resumed(1, -1, reception.receiver.ledger()),
        Answered(1, Status.ACCEPTED, 2),
        Answered(1, Status.DUPLICATE, 2),
        Answered(1, Status.ACCEPTED, 3),
        Answered(1, Status.GAP, 3),
    ]
    assert reception.printed() == [
        f'{{"count": {count}, "appID": "one", "nodeID": "main"}}' for count in range(4)
    ]


def test_the_next_connection_resumes(reception: Reception) -> None:
    def work() -> list[SenderEvent]:
        first = Client(reception.address[1])
        first.resumed()
        first.connection.emit(0, 41)
        first.next()
        first.connection.close()
        second = Client(reception.address[1], claim(2), number=2)
        events = [second.resumed()]
        second.connection.close()
        return events

    ledger = reception.receiver.ledger()
    assert len(ledger) == LEDGER_NAME
    assert reception.do(work) == [Resumed(2, 41, ledger)]


def test_an_old_copy_is_told_what_it_may_have_printed(tmp_path: Path) -> None:
    """By the first sender that counts after the start of a receiver that has it."""

    def before() -> SenderEvent:
        client = Client(there.address[1])
        client.resumed()
        client.connection.emit(0, 1)
        event = client.next()
        client.connection.close()
        return event

    def work() -> list[SenderEvent]:
        client = Client(there.address[1])
        events = [client.resumed()]
        client.connection.resume(44)
        events.append(client.next())
        client.connection.emit(2, 45)
        events.append(client.next())
        client.connection.resume(2**62)
        events.append(client.next())
        client.connection.close()
        return events

    with Reception(tmp_path) as there:
        assert there.do(before) == Answered(1, Status.ACCEPTED, 1)
    with Reception(tmp_path) as there:
        name = there.receiver.ledger()
        assert there.do(work) == [
            Resumed(1, 1, name),
            Resumed(1, 44, name),
            Answered(1, Status.ACCEPTED, 45),
            Closed(1, "the receiver answers: invalid"),
        ]
        printed = [json.loads(line)["count"] for line in there.printed()]
    assert printed == [0, 1, 45]


def test_a_connection_that_is_closed_ends_at_the_receiver_too(reception: Reception) -> None:
    def work() -> bool:
        client = Client(reception.address[1])
        client.resumed()
        apps = reception.receiver.apps()
        assert apps["one"].connection
        client.connection.close()
        wait_until(lambda: not apps["one"].connection, "the receiver notices")
        return client.events.empty()

    assert reception.do(work)


@pytest.mark.parametrize(
    ("whom", "token", "refused"),
    [
        (claim(), "another", Refused(1, Refusal.TOKEN, 0)),
        (claim(), "", Refused(1, Refusal.TOKEN, 0)),
        (claim(app_id="no name"), TOKEN, Refused(1, Refusal.INVALID, 0)),
        (claim(epoch=4, app_id="known"), TOKEN, Refused(1, Refusal.STALE, 5)),
        (claim(epoch=5, app_id="known", run="f" * 32), TOKEN, Refused(1, Refusal.STALE, 5)),
    ],
)
def test_refused(reception: Reception, whom: Claim, token: str, refused: Refused) -> None:
    def work() -> SenderEvent:
        known = Client(reception.address[1], claim(epoch=5, app_id="known"))
        known.resumed()
        client = Client(reception.address[1], whom, token=token)
        event = client.next()
        for one in (known, client):
            one.connection.close()
        return event

    assert reception.do(work) == refused


def test_lost_to_a_newer_connection(reception: Reception) -> None:
    def work() -> list[SenderEvent]:
        older = Client(reception.address[1])
        older.resumed()
        newer = Client(reception.address[1], claim(epoch=2), number=2)
        newer.resumed()
        events = [older.next()]
        older.connection.emit(0, 0)  # its end need not have been noticed yet
        for client in (older, newer):
            client.connection.close()
        assert older.events.empty()
        return events

    assert reception.do(work) == [Closed(1, "connection lost")]
    assert reception.printed() == []


# Other listeners


class Listener:
    """Accepts one connection, and plays one part: that of a WebSocket server, or none at all.

    probes: connections that come before, and end at once.
    """

    def __init__(self, play: Callable[[socket.socket], None], probes: int = 0) -> None:
        self._probes = probes
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._play = play
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        for _ in range(self._probes):
            probe, _ = self._server.accept()
            with closing(probe):
                assert receive(probe, b"") == b""
        peer, _ = self._server.accept()
        with closing(peer):
            peer.settimeout(HANG)
            self._play(peer)


def play_protocol(*answers: str) -> Callable[[socket.socket], None]:
    """A server that admits, and says these messages after the client's first question."""

    def play(peer: socket.socket) -> None:
        open_websocket(peer)
        say(peer, OPEN)
        assert hear(peer).startswith("40{")
        say(peer, ADMITTED)
        assert hear(peer) == '421["resume"]'
        for answer in answers:
            say(peer, answer)
        until_left(peer)

    return play


def play_bytes(data: bytes) -> Callable[[socket.socket], None]:
    """A server that answers any request with these bytes, and hangs up."""

    def play(peer: socket.socket) -> None:
        receive(peer, b"\r\n\r\n")
        peer.sendall(data)

    return play


def play_messages(*messages: str) -> Callable[[socket.socket], None]:
    """A WebSocket server that says these, whatever it is told, and waits for the client to end."""

    def play(peer: socket.socket) -> None:
        open_websocket(peer)
        for message in messages:
            say(peer, message)
        until_left(peer)

    return play


def play_silence(peer: socket.socket) -> None:
    receive(peer, b"")


NOT_A_RECEIVER: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "silent": (play_silence, "timed out"),
    "closes": (lambda peer: None, "closed in the handshake"),
    "404": (play_bytes(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"), "not a receiver: HTTP 404"),
    "200": (
        play_bytes(b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok"),
        "not a receiver: HTTP 200",
    ),
    "ssh": (play_bytes(b"SSH-2.0-x\r\n"), "not a receiver: "),
    "no greeting": (play_messages(), "timed out"),
    "broken greeting": (play_messages("0{"), "not a receiver: "),
    "message first": (play_messages("4hello"), "not a receiver: "),
    "rubbish": (play_messages("hello"), "not a receiver: "),
}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("name", NOT_A_RECEIVER)
def test_a_listener_that_is_no_receiver(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    play, cause = NOT_A_RECEIVER[name]
    monkeypatch.setattr("sendrecv.sender.connection.HANDSHAKE_TIMEOUT", 0.3)
    with Listener(play, probes=number - 1) as listener:
        client = Client(listener.port, number=number)
        event = client.next()
        client.connection.close()
        del client
        gc.collect()  # see sockets_left
    assert isinstance(event, Closed) and event.connection == number
    assert event.reason.startswith(
        f"no receiver at http://127.0.0.1:{listener.port} ({cause}"
    ), event


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('431[{"status":"accepted","last":-5}]', "the receiver's last count is -5"),
        ('431[{"status":"fenced","last":3}]', "the receiver answers: fenced"),
        ("431[]", "the answer is None"),
        ('431["accepted"]', "the answer is 'accepted'"),
        ("41", "connection lost"),
        ("1", "connection lost"),
    ],
)
def test_an_answer_that_is_none(answer: str, reason: str) -> None:
    with Listener(play_protocol(answer)) as listener:
        client = Client(listener.port)
        event = client.resumed()
        client.connection.close()
    assert event == Closed(1, reason)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('44{"message":"no"}', "connect: refused with {'message': 'no'}"),
        ('44{"message":"no","data":{"reason":"mood"}}', "connect: refused for 'mood'"),
    ],
)
def test_a_refusal_that_is_none(answer: str, reason: str) -> None:
    with Listener(play_messages(OPEN, answer)) as listener:
        client = Client(listener.port)
        event = client.next()
        client.connection.close()
    assert event == Closed(1, reason)


def test_a_peer_that_never_admits_is_left_by_close() -> None:
    """That it has waited for too long is for the machine to say."""
    greeted = threading.Event()

    def play(peer: socket.socket) -> None:
        open_websocket(peer)
        say(peer, OPEN)
        assert json.loads(hear(peer)[2:]) == {
            **{"appID": "one", "nodeID": "main", "epoch": 1, "run": RUN, "token": TOKEN}
        }
        greeted.set()
        until_left(peer)

    with Listener(play) as listener:
        client = Client(listener.port)
        assert greeted.wait(HANG)
        client.connection.close()
    assert client.events.empty()


def test_after_close_nothing_is_posted() -> None:
    """Not even what was on its way."""
    asked, closed = threading.Event(), threading.Event()

    def play(peer: socket.socket) -> None:
        admit(peer)
        asked.set()
        assert closed.wait(HANG)
        say(peer, '431[{"status":"accepted","last":7}]')
        until_left(peer)

    before = threading.active_count()
    with Listener(play) as listener:
        client = Client(listener.port)
        assert isinstance(client.next(), Connected)
        client.connection.resume(-1)
        assert asked.wait(HANG)
        client.connection.close()
        closed.set()
    wait_until(lambda: threading.active_count() <= before, "the connection's threads end")
    assert client.events.empty()


@pytest.mark.parametrize("number", [1, 2])
def test_nobody_listens(number: int) -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))  # and does not listen
        port = reserved.getsockname()[1]
        client = Client(port, number=number)
        event = client.next()
        client.connection.close()
    cause = "refused: nothing listens there"
    assert event == Closed(number, f"no receiver at http://127.0.0.1:{port} ({cause})")


def test_a_receiver_that_hangs_up_before_it_has_admitted() -> None:
    def play(peer: socket.socket) -> None:
        open_websocket(peer)
        say(peer, OPEN)
        assert hear(peer).startswith("40{")

    with Listener(play) as listener:
        client = Client(listener.port)
        event = client.next()
        client.connection.close()
    cause = "closed in the handshake"
    assert event == Closed(1, f"no receiver at http://127.0.0.1:{listener.port} ({cause})")


@pytest.mark.parametrize("number", [1, 2])
def test_a_name_that_is_not_known(number: int) -> None:
    """Which of the two is said depends on whether this machine has a name server."""
    events: SimpleQueue[SenderEvent] = SimpleQueue()
    url = "http://nobody.invalid:3000"  # RFC 6761, section 6.4
    connection = Connection(url, TOKEN, number, claim(), events.put)
    event = events.get(timeout=HANG)
    connection.close()
    assert isinstance(event, Closed)
    assert event.reason.startswith(f"no receiver at {url} (its name "), event


def raised(*errors: BaseException) -> BaseException:
    """The last of these, each raised while the one before was handled."""
    for before, error in zip(errors, errors[1:], strict=False):
        error.__context__ = before
    return errors[-1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EPERM, "x"), "blocked by IPAddressDeny= of this unit: x"),
        (OSError(errno.ENETUNREACH, "no route"), "unreachable: no route"),
        (OSError(errno.EHOSTUNREACH, "no route"), "unreachable: no route"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "closed in the handshake"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "its name is not known"),
        (
            socket.gaierror(socket.EAI_AGAIN, "later"),
            "its name cannot be looked up: later; does IPAddressDeny= of this unit forbid it?",
        ),
        (
            OSError(errno.EAFNOSUPPORT, "no such family"),
            "this unit has no network: it needs the drop-in /usr/lib/sendrecv/network.conf",
        ),
    ],
)
def test_causes_in_words(error: Exception, words: str) -> None:
    assert cause_of(error) == words
    assert cause_of(raised(error, ValueError("of the library"))) == words


def test_a_cause_that_is_not_known() -> None:
    assert cause_of(ValueError("odd")) == "not a receiver: ValueError 'odd'"
