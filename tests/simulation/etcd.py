"""A simulated etcd: one key-value store with revisions, requests and answers that may be late or
lost, and watches that may be late or die.

A request is carried out at some moment, if it is not lost, even if nobody waits for it any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sendrecv.core.record import Record, read_values
from sendrecv.sender.etcd import CompareFailed, EtcdError, EtcdKey, Written
from tests.simulation.verdict import require

if TYPE_CHECKING:
    from tests.simulation.hosts import HostProcess
    from tests.simulation.process import Thread


MOST_ASKED = 12
"""Requests between two pings of a watchdog."""
RECORD, PAUSED = "/sendrecv/app0/record", "/sendrecv/app0/paused"


class Look:
    """What a process does next: it looks at its clock."""


class Get:
    """What a process does next: it sends a request to read a key."""


class Put:
    """What a process does next: it sends a request to write a key."""


class Wait:
    """What a process does: it waits for an answer."""


@dataclass(eq=False)
class Request:
    """`act` carries it out, and returns the answer. stuck: it lingers on its way. copies: how often
    it will be carried out; the last answer is the one that arrives.
    """

    process: HostProcess
    act: Callable[[], object]
    stuck: bool = False
    copies: int = 1
    done: bool = False
    answer: object = None
    arrived: bool = False


@dataclass(eq=False)
class Watch:
    """One watch of one process."""

    process: HostProcess
    key: str
    wake: Callable[[EtcdKey | None], None]
    news: list[EtcdKey | None] = field(default_factory=list)
    dead: bool = False


@dataclass(frozen=True)
class Write:
    """A value of the record's key that says who holds the lease. revision: of the key."""

    revision: int
    place: str
    record: Record


class Cluster:
    """All of etcd. `silent`: it answers nobody. `full`: it writes nothing. sent: the greatest count
    that was sent.
    """

    def __init__(self) -> None:
        self.silent = False
        self.full = False
        self.requests: list[Request] = []
        self.writes: list[Write] = []
        self.revision = 0
        self.sent = -1
        self._keys: dict[str, EtcdKey] = {}
        self._watches: list[Watch] = []

    # What the world steps.

    def actions(self) -> list[Callable[[], None]]:
        """What can happen now."""
        if self.silent:
            return []
        actions: list[Callable[[], None]] = [
            partial(self._go_on, request)
            for request in self.requests
            if not request.stuck and request.process.host.reaches_etcd()
        ]
        self._watches = [watch for watch in self._watches if not watch.process.dead]
        for watch in self._watches:
            if watch.news and not watch.dead and watch.process.host.reaches_etcd():
                actions.append(partial(self._tell, watch))
        return actions

    def _can_go_on(self, request: Request) -> bool:
        return not request.stuck and request.process.host.reaches_etcd()

    def _go_on(self, request: Request) -> None:
        """It is carried out; then its answer arrives."""
        if self.silent or request not in self.requests or not self._can_go_on(request):
            return
        if not request.done:
            self.carry_out(request)
        else:
            request.arrived = True
            self.requests.remove(request)

    def carry_out(self, request: Request) -> None:
        """Now, and not again."""
        if not request.done:
            for _ in range(request.copies):
                request.answer = request.act()
            request.done = True

    def _tell(self, watch: Watch) -> None:
        if watch.news and not watch.dead and not watch.process.dead:
            watch.process.wake(watch.wake, watch.news.pop(0))

    # Faults.

    def lose(self, number: int) -> None:
        """The requests and answers on their way are lost, from that one on."""
        del self.requests[number:]

    def kill_watches(self) -> None:
        """They wake nobody any more, and do not say so."""
        for watch in self._watches:
            watch.dead = True

    def mend(self) -> None:
        """It answers, and what lingers goes on."""
        self.silent = self.full = False
        for request in self.requests:
            request.stuck = False

    # What it is asked.

    def watch(self, watch: Watch) -> None:
        """A watch begins, and says so."""
        watch.news.append(None)
        self._watches.append(watch)

    def get(self, key: str) -> EtcdKey | None:
        """See etcd.Etcd."""
        return self._keys.get(key)

    def put_if(
        self, key: str, revision: int, value: bytes, absent: str = "", *, was_out: bool = False
    ) -> Written | CompareFailed:
        """See etcd.Etcd. was_out: by a process that counted without etcd, so it takes nothing."""
        there = self._keys.get(key)
        if (there.revision if there else 0) != revision or absent in self._keys:
            return CompareFailed(there)
        if key.endswith("/record"):
            self._assert_may_take(json.loads(value), was_out)
            self._note(json.loads(value), self.revision + 1)
        self._change(key, value)
        return Written(self.revision)

    def pause(self, paused: bool) -> None:
        """A person pauses the App, or ends that."""
        if paused != (PAUSED in self._keys):
            self._change(PAUSED, b"{}" if paused else None)

    @property
    def is_paused(self) -> bool:
        """Whether the App is paused."""
        return PAUSED in self._keys

    def _change(self, key: str, value: bytes | None) -> None:
        self.revision += 1
        written = None if value is None else EtcdKey(self.revision, value)
        if written:
            self._keys[key] = written
        else:
            del self._keys[key]
        for watch in self._watches:
            if watch.key == key and not watch.dead:
                watch.news.append(written)

    def _assert_may_take(self, values: dict[str, Any], was_out: bool) -> None:
        """Here a person starts no process: what remains is to move the App."""
        there = self._keys.get(RECORD)
        if there is None or not self.is_paused or was_out:
            return
        before = json.loads(there.value)
        if values["record"]["run"] != before["record"]["run"]:
            is_moved = before["released"] and before["to"] == values["host"]
            require(is_moved, f"taken by {values['host']}, and the App is paused: {values}")

    def _note(self, values: dict[str, Any], revision: int) -> None:
        record = read_values(values["record"])
        require(record, f"the key has no record: {values}")
        assert record is not None
        before = self.writes[-1].record if self.writes else None
        if before:
            require(record.epoch >= before.epoch, f"{record} is written after {before}")
            is_same = record.run == before.run or record.epoch > before.epoch
            require(is_same, f"{record} has the epoch of {before}")
        require(record.count >= self.sent, f"{record}: but {self.sent} was sent")
        self.writes.append(Write(revision, values["place"], record))

    # What the verdict asks.

    def last_of(self, run: str) -> Write | None:
        """The last write of that run."""
        return next((it for it in reversed(self.writes) if it.record.run == run), None)


class Client:
    """Stands for etcd.Etcd, of one process."""

    is_proven = True

    def __init__(self, process: HostProcess, cluster: Cluster) -> None:
        self._process = process
        self._cluster = cluster
        self._asked = self._works = 0  # since it has pinged its watchdog
        self._is_shown_loss = False  # and may not have written that down yet

    def get(self, key: str, timeout: float) -> EtcdKey | None:
        """See etcd.Etcd."""
        asked: Any = self._ask(Get, lambda: self._cluster.get(key), timeout)
        found: EtcdKey | None = asked
        if found is None:
            return None
        if key.endswith("/record"):
            self._is_shown_loss = self._tells_loss(found)
        return found

    def put_if(
        self, key: str, revision: int, value: bytes, timeout: float, *, absent: str = ""
    ) -> Written | CompareFailed:
        """See etcd.Etcd."""
        is_record = key.endswith("/record")
        if is_record and json.loads(value)["released"]:
            self._is_shown_loss = True

        was_out = self._process.is_out

        def act() -> Written | CompareFailed | None:
            if self._cluster.full:
                return None
            done = self._cluster.put_if(key, revision, value, absent, was_out=was_out)
            if is_record and isinstance(done, Written) and not json.loads(value)["released"]:
                self._process.host.knows_loss = False
            return done

        answer: Any = self._ask(Put, act, timeout)
        if answer is None:
            raise EtcdError("etcd: mvcc: database space exceeded")
        done: Written | CompareFailed = answer
        if is_record:
            self._hear(done)
        return done

    def watch(self, key: str, wake: Callable[[EtcdKey | None], None]) -> None:
        """See etcd.Etcd."""
        self._cluster.watch(Watch(self._process, key, wake))

    def close(self) -> None:
        """See etcd.Etcd."""

    def _hear(self, done: Written | CompareFailed) -> None:
        if isinstance(done, CompareFailed) and done.key is not None:
            self._is_shown_loss = self._tells_loss(done.key)

    def _assert_pings(self, thread: Thread) -> None:
        """It must not ask so often that its watchdog is not pinged."""
        if thread is self._process.thread:
            works = self._process._notifier.works
            self._asked = self._asked + 1 if works == self._works else 0
            self._works = works
            require(self._asked < MOST_ASKED, f"{self._process.app}: asks, and pings no watchdog")

    def _tells_loss(self, key: EtcdKey) -> bool:
        """Whether another host has the lease, or may take it."""
        values = json.loads(key.value)
        is_elsewhere: bool = values["released"] or values["place"] != self._process.host.boot
        return is_elsewhere

    def _ask(self, about: type, act: Callable[[], object], timeout: float) -> object:
        host, thread = self._process.host, self._process.running
        if self._is_shown_loss and not host.disk.full and host.disk.broken is None:
            host.knows_loss = True
        self._is_shown_loss = False
        self._assert_pings(thread)
        thread.pause(about)
        request = Request(self._process, act)
        self._cluster.requests.append(request)
        thread.pause(Wait, lambda: request.arrived, thread.after(timeout))
        if not request.arrived:
            raise EtcdError("etcd does not answer")
        return request.answer
