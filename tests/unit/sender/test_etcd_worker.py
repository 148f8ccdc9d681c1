"""The thread of one endpoint of etcd: which request it asks, and what each comes to.

The client with several of them is in test_etcd.py and test_etcd_lost.py; certificates are in
test_etcd_tls.py.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty
from typing import Any

import pytest

from sendrecv.core.errors import PeerError
from sendrecv.sender.etcd_access import Credentials, EtcdAccess
from sendrecv.sender.etcd_messages import EtcdError, EtcdKey
from sendrecv.sender.etcd_worker import Request, RequestOutcome, Worker, words_of
from tests.lab.waiting import HANG, wait_until
from tests.peers.fake_etcd import Answer, Asked, FakeEtcd, silent
from tests.unit.sender.etcd_answers import GOOD, good

Said = Mapping[str, Any]
"""An answer, as JSON has it."""
FOUND = EtcdKey(5, b"what is there")


@contextmanager
def working(answer: Answer) -> Iterator[tuple[Worker, FakeEtcd]]:
    """A worker and its endpoint. In the end its thread is over."""
    before = threading.enumerate()
    with FakeEtcd(answer) as fake:
        worker = Worker(fake.endpoint, EtcdAccess(Credentials(), None))
        assert threading.active_count() == len(before) + 1  # the endpoint's: it has none yet
        try:
            yield worker, fake
        finally:
            worker.close()
            wait_until(lambda: not [one for one in threads() if one not in before], "it has ended")


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "etcd 127.0.0.1"]


def request(
    path: str = "/v3/kv/range",
    read: Callable[[Said], EtcdKey] = lambda _answer: FOUND,
    seconds: float = HANG,
) -> Request:
    return Request(path, b"{}", time.monotonic() + seconds, read)


def outcome(asked: Request) -> RequestOutcome:
    return asked.outcomes.get(timeout=HANG)


def test_what_is_read_from_the_answer_is_the_outcome() -> None:
    seen = []

    def read(answer: Said) -> EtcdKey:
        seen.append(answer)
        return FOUND

    with working(good) as (worker, fake):
        for path in ("/v3/kv/range", "/v3/kv/txn"):
            one = request(path, read)
            worker.ask(one)
            assert outcome(one) == RequestOutcome(worker, FOUND, None)
        assert seen == [GOOD, GOOD]
        assert fake.asked == [Asked("/v3/kv/range", {}, None), Asked("/v3/kv/txn", {}, None)]
        assert (len(threads()), fake.connections) == (1, 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EtcdError("no leader"), "no leader"),
        (PeerError("its answer is too long"), "its answer is too long"),
        (KeyError("kvs"), "not etcd: KeyError"),
        (RecursionError(), "not etcd: RecursionError"),
    ],
)
def test_no_answer_ends_the_thread(error: Exception, words: str) -> None:
    def fails(_answer: Said) -> EtcdKey:
        raise error

    with working(good) as (worker, _):
        bad, right = request(read=fails), request()
        worker.ask(bad)
        found = outcome(bad)
        assert (found.result, str(found.error)) == (None, words)
        assert type(found.error) is EtcdError
        worker.ask(right)
        assert outcome(right).result == FOUND


def test_a_new_request_ends_the_one_before_and_passes_over_those_between() -> None:
    """Who asks again waits neither for an endpoint that is silent, nor for what is old."""
    reached, go_on = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Iterable[bytes]:
        return silent(asked) if asked.path == "/first" else good(asked)

    def late(_answer: Said) -> EtcdKey:
        reached.set()
        assert go_on.wait(HANG)
        return FOUND

    with working(answer) as (worker, fake):
        first, second, third, last = (
            request("/first"),
            request("/second", late),
            request("/third"),
            request("/last"),
        )
        worker.ask(first)
        wait_until(lambda: fake.asked, "the first one is asked")
        worker.ask(second)
        assert outcome(first).error
        assert reached.wait(HANG)
        worker.ask(third)
        worker.ask(last)
        go_on.set()
        assert outcome(last).result == FOUND
        assert [asked.path for asked in fake.asked] == ["/first", "/second", "/last"]
        with pytest.raises(Empty):
            third.outcomes.get_nowait()


def test_what_waited_for_too_long_is_not_asked() -> None:
    with working(good) as (worker, fake):
        one = request(seconds=-1.0)
        worker.ask(one)
        assert str(outcome(one).error) == "no answer"
        assert not fake.connections


def test_close_waits_for_no_answer() -> None:
    with working(silent) as (worker, fake):
        one = request(seconds=3600)
        worker.ask(one)
        wait_until(lambda: fake.asked, "it is asked")
        worker.close()
        assert outcome(one).error
        wait_until(lambda: fake.ended, "its connection has ended")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PeerError("no cluster_id"), "no cluster_id"),
        (TimeoutError(), "no answer"),
        (ConnectionResetError(104, "Connection reset by peer"), "it has closed the connection"),
        (BrokenPipeError(32, "Broken pipe"), "it has closed the connection"),
        (ConnectionRefusedError(111, "Connection refused"), "refused: nothing listens there"),
        (ssl.SSLError(1, "no more is known"), "no TLS: closed in the handshake"),
        (ValueError("b'\x1b[2J'"), "not etcd: ValueError"),  # what a peer has said is not repeated
    ],
)
def test_why_an_endpoint_has_not_answered(error: Exception, words: str) -> None:
    assert words_of(error) == words
