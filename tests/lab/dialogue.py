"""A sender's real connection and a receiver that is none, in one process; what may come of it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from sendrecv.core.sender_events import Answered, Closed, Connected, Refused, Resumed
from sendrecv.core.wire import Claim, Refusal, Status
from sendrecv.sender.connection import Connection
from tests.lab.waiting import HANG, wait_until
from tests.peers.peer import CLOSE
from tests.peers.websocket import open_websocket, read_frame, receive, server_frame, until_left

CLAIM = Claim("one", "main", 3, "0123456789abcdef" * 2)
SECRET = "a-token-that-nobody-repeats"
LARGEST = 2**63 - 1
LONGEST = 300
"""Characters of a reason."""
ENDS = (Closed, Refused)
_uncaught: list[threading.ExceptHookArgs] = []


def text(*messages: str) -> bytes:
    """Messages, each in a frame."""
    return b"".join(server_frame(message.encode()) for message in messages)


class FakeReceiver:
    """Serves one connection: sends one part after the other, each once it is told something.

    Then it has nothing more to say, and waits for the sender to end the connection.

    reads: whether it reads what the sender says meanwhile.
    """

    def __init__(
        self, parts: Sequence[bytes], *, shakes_hands: bool = True, reads: bool = True
    ) -> None:
        self._parts = list(parts)
        self._shakes_hands = shakes_hands
        self._reads = reads
        self._done = threading.Event()
        self._peers: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> str:
        self._thread.start()
        return self.url

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)  # if it still sends, in vain
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        peer, _ = self._listener.accept()
        self._peers.append(peer)
        with peer, contextlib.suppress(OSError):
            peer.settimeout(HANG)
            first, *others = self._parts
            if self._shakes_hands:
                open_websocket(peer)
            else:
                receive(peer, b"\r\n\r\n")
            peer.sendall(first)
            for part in others:
                if read_frame(peer)[0] == CLOSE:
                    return
                peer.sendall(part)
            peer.shutdown(socket.SHUT_WR)
            if self._reads:
                until_left(peer)
            self._done.wait()


@contextlib.contextmanager
def uncaught_kept() -> Iterator[None]:
    """What ends a thread is kept for talk()."""
    before, threading.excepthook = threading.excepthook, _uncaught.append
    yield
    threading.excepthook = before


def talk(url: str, enough: Callable[[], bool] = lambda: False) -> list[object]:
    """What a connection posts that is used as the sender's loop uses it, to its end.

    enough: says that it is to be closed before, as the machine does it if there is no answer.
    (While engineio has a PING to answer, it may overlook that the peer has hung up.)
    """
    latest = time.monotonic() + HANG
    before = set(threading.enumerate())
    events: SimpleQueue[object] = SimpleQueue()
    connection = Connection(url, SECRET, 1, CLAIM, events.put)
    seen: list[object] = []
    while not seen or not isinstance(seen[-1], ENDS):
        try:
            seen.append(events.get(timeout=0.05))
        except Empty:
            if enough():
                break
            assert time.monotonic() < latest, seen
            continue
        if isinstance(seen[-1], Connected):
            connection.resume(-1)
        elif isinstance(seen[-1], Resumed):
            connection.emit(8, 9)
    connection.close()
    wait_until(lambda: set(threading.enumerate()) <= before, "the connection's threads end")
    assert not _uncaught, _uncaught.pop().exc_value
    return seen


def after(seconds: float) -> Callable[[], bool]:
    """Whether so long has passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def assert_known(events: Sequence[object]) -> None:
    """All are events of the machine, with values in range, and none comes after an end."""
    assert not any(isinstance(event, ENDS) for event in events[:-1])
    assert [type(event) for event in events].count(Connected) <= 1
    for event in events:
        assert isinstance(event, (Connected, Refused, Resumed, Answered, Closed)), event
        assert event.connection == 1
        if isinstance(event, Refused):
            assert isinstance(event.reason, Refusal)
            assert type(event.epoch) is int and 0 <= event.epoch <= LARGEST
        if isinstance(event, Answered):
            assert isinstance(event.status, Status)
        if isinstance(event, (Resumed, Answered)):
            assert type(event.last) is int and -1 <= event.last <= LARGEST
        if isinstance(event, Closed):
            assert event.reason.isprintable() and 0 < len(event.reason) <= LONGEST
            assert SECRET not in event.reason
