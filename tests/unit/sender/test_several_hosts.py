"""The loop of an App on several hosts: it stands by, counts, loses the lease, and stands by again.

On an etcd of a few lines (hosts_of_etcd.py), and a receiver that accepts everything.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any, cast

import pytest

from sendrecv.backoff import Backoff
from sendrecv.core.lease import Taken, encode
from sendrecv.core.sender_events import Answered, Closed, Connected, Resumed, SenderEvent
from sendrecv.core.values import SECOND
from sendrecv.core.wire import Claim, Status
from sendrecv.sender import stopping
from sendrecv.sender.loop import Arrival, Departure, Ports
from sendrecv.sender.several_hosts import SHORTEST, WATCHES_AFTER, Leaving, SenderOfSeveral
from sendrecv.sender.store_etcd import RELEASED
from sendrecv.systemd import Notifier
from tests.unit.sender import hosts_of_etcd
from tests.unit.sender.hosts_of_etcd import LEASE, Cluster, Host

MOVE = "/sendrecv/one/move"


class Told:
    """A notifier that keeps what it is told."""

    ping_interval = 0.4

    def __init__(self) -> None:
        self.pings_apart = self.most_apart = 0.0
        self.events: list[str] = []
        self.log_lines: list[str] = []

    def status(self, text: str) -> None:
        """See Notifier."""

    def watchdog(self, seconds: float) -> None:
        """See Notifier."""
        self.ping_interval = seconds / 3

    @contextmanager
    def at_most(self, _seconds: float, _error: Exception) -> Iterator[None]:
        """See Notifier."""
        yield

    def ready(self) -> None:
        """See Notifier."""
        self.events.append("ready")

    def until_ping(self) -> float:
        """See Notifier."""
        return self.most_apart or self.ping_interval

    def working(self, status: str) -> None:
        """See Notifier."""
        what = status.partition(",")[0].partition(" since")[0]
        if self.events[-1:] != [what]:
            self.events.append(what)

    def log(self, _severity: int, text: str) -> None:
        """See Notifier."""
        self.log_lines.append(text.partition(" since")[0])

    def stopping(self) -> None:
        """See Notifier."""
        self.events.append("stopping")


class World(Host):
    """A host with its loop. Time passes when that waits. plan: what happens, one each second."""

    def __init__(self, cluster: Cluster, directory: Path, name: str) -> None:
        super().__init__(cluster, directory, name)
        self.told = Told()
        self.news: list[Arrival | Departure] = []
        self.sent: list[tuple[int, int]] = []
        self.closed = 0
        self.plan: deque[Callable[[], object]] = deque()
        self.requests = directory / "one.move"
        self._queue: deque[SenderEvent] = deque()
        self._next = cluster.now + SECOND
        ports = Ports(
            store=self.local,
            connect=self._connect,
            notifier=cast(Notifier, self.told),
            backoff=Backoff(""),
            clock=self,
            events=self,
            tell=lambda _app, news: self.news.append(news),
        )
        self.watches_since: list[int] = []
        self.loop = SenderOfSeveral(
            self.app,
            ports,
            self.store,
            str(self.requests),
            watch=lambda _several: self.watches_since.append(self.now()),
        )

    def run(self, *plan: Callable[[], object]) -> None:
        """The loop; after the plan it is told to stop."""
        self.plan += [*plan, self.loop.stop]
        self.loop.acquire()
        self.loop.run()

    # The clock and the queue.

    def now(self) -> int:
        """See Clock."""
        return self.cluster.now

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        self.cluster.now += int(seconds * SECOND)
        if self.cluster.now >= self._next:
            self._next += SECOND
            if self.plan:
                self.plan.popleft()()

    def put(self, event: SenderEvent) -> None:
        """See Queue."""
        self._queue.append(event)

    def get(self, *, timeout: float) -> SenderEvent:
        """See Queue."""
        if not self._queue:
            self.sleep(timeout)
        if not self._queue:
            raise Empty
        return self._queue.popleft()

    # The connection.

    def _connect(self, number: int, claim: Claim, post: Callable[[SenderEvent], None]) -> "World":
        assert claim.node_id == self.app.node_id
        self.number, self.post = number, post
        post(Connected(number))
        return self

    def resume(self, last: int) -> None:
        """See ports.SenderConnection."""
        assert last == -1
        self.post(Resumed(self.number, self.cluster.accepted))

    def emit(self, first: int, last: int) -> None:
        """See ports.SenderConnection."""
        assert first == self.cluster.accepted + 1 and last <= self.cluster.holding().record.count
        self.sent.append((first, last))
        self.cluster.accepted = last
        self.post(Answered(self.number, Status.ACCEPTED, last))

    def close(self) -> None:
        """See ports.SenderConnection."""
        self.closed += 1


@pytest.fixture(name="cluster")
def fixture_cluster() -> Cluster:
    return Cluster()


@pytest.fixture(name="a")
def fixture_a(cluster: Cluster, tmp_path: Path) -> Iterator[World]:
    host = World(cluster, tmp_path, "a")
    host.local.release()
    yield host
    host.local.release()


def test_it_counts_and_keeps_the_lease_for_the_other_half(cluster: Cluster, a: World) -> None:
    a.run(*[lambda: None] * 4)
    assert a.sent == [(count, count) for count in range(len(a.sent))] and len(a.sent) > 3
    assert a.told.events == ["ready", "counting here", "stopping"]
    assert a.told.log_lines == ["epoch 1, counting here: no host held the App"]
    assert cluster.holding().record.count == a.sent[-1][1] and not cluster.holding().released


def test_a_holder_begins_its_watches_once_and_when_it_counts(cluster: Cluster, a: World) -> None:
    started = cluster.now
    a.run(*[lambda: None] * 4)
    assert len(a.watches_since) == 1
    assert WATCHES_AFTER <= a.watches_since[0] - started <= WATCHES_AFTER + LEASE // 4


def test_a_stand_by_begins_its_watches_at_once(cluster: Cluster, a: World) -> None:
    started = cluster.now
    other = Host(cluster, Path(a.local.path).parents[1], "b")
    other.takes()
    a.run(*[other.store.lease.renew] * 2)
    assert a.watches_since == [started]
    other.local.release()


def test_it_pings_its_watchdog_between_two_counts(a: World) -> None:
    a.run(lambda: None)
    assert a.told.until_ping() == a.told.ping_interval
    assert a.told.pings_apart < a.told.ping_interval


@pytest.mark.parametrize("lease", [1, 2, 3, 10, 60])
def test_etcd_may_be_slow_between_two_pings(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease: int
) -> None:
    """Whatever the lease is: it wakes up for its lease or for a ping, and then has no answer."""
    monkeypatch.setattr(hosts_of_etcd, "LEASE", lease * SECOND)
    a = World(cluster, tmp_path, "a")
    a.local.release()
    a.run(lambda: None)
    a.local.release()
    limit = 3 * a.told.ping_interval
    assert limit >= SHORTEST
    wakes = min(lease / 8, a.told.ping_interval)
    apart = max(wakes, a.told.pings_apart)
    request = a.store.lease.answer + a.store.lease.again
    assert apart + request < 0.67 * limit


def test_it_stands_by_ready_until_it_is_told_to_stop(cluster: Cluster, a: World) -> None:
    other = Host(cluster, Path(a.local.path).parents[1], "b")
    other.takes()
    a.run(*[other.store.lease.renew] * 5)
    assert a.told.events == ["ready", "standing by", "stopping"] and not a.sent
    assert a.told.log_lines == ["standing by, b (b) counts"]
    other.local.release()


def test_a_holder_whose_lease_is_lost_stands_by_and_counts_again_when_it_may(
    cluster: Cluster, a: World
) -> None:
    def lose() -> None:
        there = cluster.holding()
        record = there.record.replace(epoch=5, node_id="b", run="b" * 32, boot="b" * 32)
        cluster.write(encode(there.replace(record=record, host="b", place="b" * 32)))

    a.run(lambda: None, lose, *[lambda: None] * 4)
    assert a.told.events == [
        *("ready", "counting here", "standing by", "ready", "counting here", "stopping"),
    ]
    assert a.told.log_lines == [
        "epoch 1, counting here: no host held the App",
        "the lease is lost",
        "standing by, b (b) counts",
        "epoch 6, counting here: b has not renewed its lease",
    ]
    assert a.closed >= 1
    assert [first for first, _ in a.sent] == [*range(len(a.sent))]
    first, second, end = a.news
    assert isinstance(first, Arrival) and first.before == Taken(None, "", "a")
    assert isinstance(second, Arrival) and isinstance(second.before, Taken)
    taken = second.before
    assert (taken.from_host, taken.host, taken.code) == ("b", "a", "lease-expired")
    assert taken.counted == -1  # it has seen one count only
    assert taken.record and taken.record.node_id == "b" and second.epoch == 6
    assert isinstance(end, Departure)


def test_a_process_that_is_stopped_past_its_deadline_sends_nothing(
    cluster: Cluster, a: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the write of a count and its sending, another host takes the App."""
    other = Host(cluster, Path(a.local.path).parents[1], "b")
    put_if = cluster.put_if

    def stopped_after_it(*given: Any, **named: Any) -> object:
        done = put_if(*given, **named)
        if cluster.holding().host == "a" and cluster.holding().record.count == 1:
            monkeypatch.undo()
            other.takes()
            a.loop.stop()
        return done

    monkeypatch.setattr(cluster, "put_if", stopped_after_it)
    a.run(*[lambda: None] * 4)
    assert a.sent == [(0, 0)]
    assert "the lease is lost" in a.told.log_lines
    other.local.release()


def test_what_an_older_connection_has_left_is_not_taken_for_news(
    cluster: Cluster, a: World
) -> None:
    """The machine after a takeover counts its connections from 1 again."""

    def lose() -> None:
        there = cluster.holding()
        record = there.record.replace(run="b" * 32)
        cluster.write(encode(there.replace(record=record, released=True, why="stopped")))
        cluster.before_write = lambda: a.put(Closed(1, "of long ago"))

    a.run(lambda: None, lose, lambda: None)
    assert a.told.log_lines[1:] == [
        "the lease is lost",
        "epoch 2, counting here: a released the App: stopped",
    ]


def test_it_renews_the_lease_between_two_counts(cluster: Cluster, a: World) -> None:
    a.run(*[lambda: None] * 6)
    writes = cluster.revision - 10
    assert writes >= 6 * SECOND // (LEASE // 8)


@pytest.mark.parametrize("text", ["b\nkernel update\n", "b\n", "b"])
def test_a_person_asks_for_a_move_on_the_host_that_counts(
    cluster: Cluster, a: World, text: str
) -> None:
    def ask() -> None:
        a.requests.write_text(text, encoding="utf-8")
        a.loop.asked()

    a.run(lambda: None, ask)
    why = "a released the App for b, which does not take it"
    assert cluster.holding().why == (f"{why}: kernel update" if "kernel" in text else why)
    assert a.told.log_lines[1:] == [
        "handed the App over to b",
        "standing by, a (a) has released the App for b",
        f"epoch 2, counting here: {cluster.holding().why}",
    ]
    assert not a.requests.exists()


@pytest.mark.parametrize("text", ["", "a b\n", "b\nx\ny\n", "b\n" + "x" * 201, "b\n\x1b[2J"])
def test_what_is_no_wish_is_not_obeyed(cluster: Cluster, a: World, text: str) -> None:
    def ask() -> None:
        a.requests.write_text(text, encoding="utf-8")
        a.loop.asked()

    a.run(lambda: None, ask, a.loop.asked)
    assert not cluster.holding().released and not a.requests.exists()


def test_a_person_asks_for_a_move_on_another_host(cluster: Cluster, a: World) -> None:
    other = Host(cluster, Path(a.local.path).parents[1], "b")

    def ask() -> None:
        other.store.ask_holder("b", "from there")
        a.loop.move_asked(cluster.others[MOVE])

    a.run(lambda: None, ask, lambda: a.loop.move_asked(None))
    assert cluster.holding().why == "a released the App for b, which does not take it: from there"
    other.local.release()


def test_a_stand_by_tells_the_holder_of_a_wish(cluster: Cluster, a: World) -> None:
    other = Host(cluster, Path(a.local.path).parents[1], "b")
    other.takes()

    def ask() -> None:
        other.store.lease.renew()
        a.requests.write_text("a\nback\n", encoding="utf-8")
        a.loop.asked()

    a.run(ask, other.store.lease.renew)
    move = other.store.lease.asked()
    assert move and (move.to, move.why) == ("a", "back")
    other.local.release()


def test_a_wish_of_which_no_answer_came_is_said(
    cluster: Cluster, a: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_if = cluster.put_if

    def unheard_release(*given: Any, **named: Any) -> object:
        cluster.unheard = int(RELEASED in given[2])
        return put_if(*given, **named)

    monkeypatch.setattr(cluster, "put_if", unheard_release)

    def ask() -> None:
        a.requests.write_text("b\n", encoding="utf-8")
        a.loop.asked()

    a.run(lambda: None, ask, lambda: None)
    assert "cannot hand the App over to b: no endpoint answers" in a.told.log_lines
    assert not cluster.holding().released


def test_a_change_of_the_key_wakes_a_stand_by_only(cluster: Cluster, a: World) -> None:
    wakes: list[bool] = []

    def look() -> None:
        before = len(a._queue)  # pylint: disable=protected-access
        a.loop.key_changed(cluster.key)
        a.loop.key_changed(None)
        wakes.append(len(a._queue) > before)  # pylint: disable=protected-access

    a.run(look)
    assert wakes == [False]
    a.loop.key_changed(None)
    assert len(a._queue) == 1  # pylint: disable=protected-access


def test_without_etcd_it_waits_says_so_and_can_be_stopped(cluster: Cluster, a: World) -> None:
    def silence() -> None:
        cluster.silent = True

    a.run(lambda: None, silence, *[lambda: None] * 3)
    assert a.told.log_lines[-1] == (
        "record: no endpoint answers, not counting until it can be written"
    )
    assert a.told.events[-2:] == ["waiting until the record can be written", "stopping"]


def test_systemd_is_asked_what_stops_before_the_last_count_is_written(
    cluster: Cluster, a: World
) -> None:
    a.run(*[lambda: None] * 3)
    assert len(a.ends) == 1 and a.ends[0] < cluster.revision


def test_a_stand_by_that_ends_asks_nobody(cluster: Cluster, a: World, tmp_path: Path) -> None:
    other = Host(cluster, tmp_path, "b")
    other.takes()
    a.run()
    assert not a.ends
    other.local.release()


@pytest.mark.parametrize("stops", [True, False])
def test_systemd_is_asked_once(monkeypatch: pytest.MonkeyPatch, stops: bool) -> None:
    asked = []

    class Question:
        def __init__(self, unit: str) -> None:
            asked.append(unit)

        def answer(self) -> bool:
            asked.append("answer")
            return stops

    monkeypatch.setattr(stopping, "Question", Question)
    leaving = Leaving("sendrecv@x.target")
    leaving.ask()
    assert [leaving.is_so(), leaving.is_so()] == [stops, stops]
    assert asked == ["sendrecv@x.target", "answer"]


@pytest.mark.parametrize("error", [OSError(0, "no bus"), ValueError("x"), struct.error("short")])
def test_a_process_that_is_not_told_keeps_the_lease_for_its_host(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Question:
        def __init__(self, _unit: str) -> None:
            pass

        def answer(self) -> bool:
            raise error

    monkeypatch.setattr(stopping, "Question", Question)
    assert not Leaving("sendrecv@x.target").is_so()


def test_a_process_that_cannot_ask_keeps_the_lease_for_its_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping.Question.__init__, "__defaults__", ("/nowhere",))
    assert not Leaving("sendrecv@x.target").is_so()
