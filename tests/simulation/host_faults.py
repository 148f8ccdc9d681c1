"""The faults of an App on several hosts, as Hypothesis chooses and shrinks them: see faults.py."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sendrecv.core.sender_events import Connect, Emit, Persist, Resume, VerifyLock
from sendrecv.core.values import SECOND
from tests.simulation.etcd import Get, Look, Put, Wait
from tests.simulation.faults import Tally, choices, phases
from tests.simulation.hosts import LEASE, RATES, Host, HostParts, HostProcess, HostsWorld
from tests.simulation.network import Connection
from tests.simulation.receiver import Phase

CALM = 900
"""Steps at most without a fault in between: some seconds."""
SOON = 400
"""Steps in which something that is waited for mostly comes."""

Kind = type | None
indexes = st.integers(0, 5)
moments = st.sampled_from((None, Look, Look, Put, Wait, Get, Emit, Emit, Persist, Connect))
rarer = st.sampled_from((Resume, VerifyLock))
before_what = moments | rarer
more = st.integers(0, 6)
tenths = st.sampled_from((3, 5, 6, 8, 11, 15, 30))
"""Of a lease."""


class HostFaults(RuleBasedStateMachine):
    """One run. A subclass sets the parts and the tally."""

    parts = HostParts()
    tally = Tally()
    world: HostsWorld

    @initialize(
        rates=st.lists(st.sampled_from(RATES), min_size=2, max_size=3),
        interval=st.sampled_from((SECOND, SECOND // 4)),
        continues=st.booleans(),
    )
    def begin(self, rates: list[int], interval: int, continues: bool = False) -> None:
        self.world = HostsWorld(rates, interval, self.parts, continues=continues)

    # No faults.

    @rule(choices=choices)
    def run(self, choices: bytes) -> None:
        self.world.run(choices)

    @rule(tenths=tenths)
    def calm(self, tenths: int) -> None:
        self.world.calm(tenths * LEASE // 10, CALM)

    @rule(tenths=tenths)
    def stall(self, tenths: int) -> None:
        """Nobody gets the processor."""
        self.world.stall(tenths * LEASE // 10)

    # Processes. Index 0 to 2: the holder, if there is one. `before`: what it is about to do.

    @rule(index=indexes, before=before_what, more=more)
    def kill(self, index: int, before: Kind, more: int) -> None:
        if process := self._process(index, before, more):
            self.world.kill(process)

    @rule(index=indexes, before=before_what, more=more)
    def hang(self, index: int, before: Kind, more: int) -> None:
        if process := self._process(index, before, more):
            self.world.hang(process, True)

    @rule(index=indexes, before=before_what, more=more, tenths=tenths, choices=choices)
    def hold_up(self, index: int, before: Kind, more: int, tenths: int, choices: bytes) -> None:
        """It hangs for some time, in which all others go on."""
        if process := self._process(index, before, more):
            self.world.hang(process, True)
            self.calm(tenths)
            self.world.hang(process, False)
            self._step(process, choices)

    @rule(index=indexes)
    def go_on(self, index: int) -> None:
        hung = [process for process in self.world.processes() if process.hung]
        if hung:
            self.world.hang(hung[index % len(hung)], False)

    @rule(index=indexes)
    def start_beside(self, index: int) -> None:
        self.world.start_on(self._host(index))

    @rule(index=indexes, before=before_what, more=more)
    def stop(self, index: int, before: Kind, more: int) -> None:
        """One half, not the App: the other one of that host goes on."""
        if process := self._process(index, before, more):
            self.world.stop(process)

    @rule(index=indexes)
    def remove_record(self, index: int) -> None:
        self._host(index).disk.remove(self.world.path("app0"))

    @rule(index=indexes, broken=st.none() | st.integers(0, 512))
    def spoil_disk(self, index: int, broken: int | None) -> None:
        """It is full; or broken, and leaves torn writes."""
        disk = self._host(index).disk
        disk.full, disk.broken = broken is None, broken

    # Hosts.

    @rule(index=indexes, before=before_what, more=more, tenths=tenths, choices=choices)
    def suspend(self, index: int, before: Kind, more: int, tenths: int, choices: bytes) -> None:
        """For some time, in which all others go on."""
        process = self._process(index, before, more)
        host = process.host if process else self._host(index)
        host.suspend()
        self.calm(tenths)
        host.resume()
        if process:
            self._step(process, choices)

    @rule(index=indexes, before=before_what, more=more, off=st.booleans(), choices=choices)
    def cut_power(self, index: int, before: Kind, more: int, off: bool, choices: bytes) -> None:
        process = self._process(index, before, more)
        host = process.host if process else self._host(index)
        host.off = off
        self.world.cut_power(host, choices)

    @rule(index=indexes, stopped=st.booleans())
    def stop_app(self, index: int, stopped: bool) -> None:
        host = self._host(index)
        if stopped:
            self.world.stop_on(host)
        host.stopped = stopped

    @rule(index=indexes, to=indexes, before=before_what)
    def move(self, index: int, to: int, before: Kind) -> None:
        self._process(index, before)
        self.world.move(self._host(index), self._host(to))

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        """A person pauses the App, or resumes it."""
        self.world.cluster.pause(paused)

    @rule()
    def mend(self) -> None:
        """All that keeps a host from going on ends; what hangs, hangs."""
        self.world.mend()

    # etcd.

    @rule(index=indexes, before=before_what, more=more, off=st.booleans())
    def cut_off_etcd(self, index: int, before: Kind, more: int, off: bool) -> None:
        process = self._process(index, before, more)
        (process.host if process else self._host(index)).without_etcd = off

    @rule(index=indexes, before=before_what, more=more, silent=st.booleans())
    def silence_etcd(self, index: int, before: Kind, more: int, silent: bool) -> None:
        self._process(index, before, more)
        self.world.cluster.silent = silent

    @rule(index=indexes, before=before_what, full=st.booleans())
    def fill_etcd(self, index: int, before: Kind, full: bool) -> None:
        """It answers, and writes nothing."""
        self._process(index, before)
        self.world.cluster.full = full

    @rule(index=indexes, before=st.sampled_from((Put, Put, Get)), number=st.integers(0, 2))
    def lose(self, index: int, before: Kind, number: int) -> None:
        """What has just been asked, or its answer, is lost."""
        if process := self._process(index, before, 1):
            self._answer_soon(process, number == 1)
            self.world.cluster.lose(number // 2)

    @rule(index=indexes, carried_out=st.booleans(), tenths=tenths, choices=choices)
    def delay(self, index: int, carried_out: bool, tenths: int, choices: bytes) -> None:
        """A write, or its answer, lingers; the process hangs for a while, and all others go on."""
        if process := self._process(index, Put, 1):
            self._answer_soon(process, carried_out)
            for request in self.world.cluster.requests:
                request.stuck = request.process is process
            self.calm(2)
            for request in self.world.cluster.requests:
                request.stuck = False
            self.world.until(lambda: process.dead or not process.about_to(Wait), SOON)
            self.hold_up(index, None, 0, tenths, choices)

    @rule(index=indexes)
    def linger(self, index: int) -> None:
        """A write lingers on its way, and arrives when it does."""
        if process := self._process(index, Put, 1):
            for request in self.world.cluster.requests:
                request.stuck |= request.process is process

    @rule(index=indexes)
    def hedge(self, index: int) -> None:
        """A write is carried out twice, and the answer is that to the second one."""
        if process := self._process(index, Put, 1):
            for request in self.world.cluster.requests:
                request.copies = 2 if request.process is process else 1

    @rule()
    def kill_watches(self) -> None:
        self.world.cluster.kill_watches()

    # The receiver, and the way to it.

    @rule(index=indexes, before=before_what, more=more, off=st.booleans())
    def cut_off_receiver(self, index: int, before: Kind, more: int, off: bool) -> None:
        process = self._process(index, before, more)
        self.world.cut_off_receiver(process.host if process else self._host(index), off)

    @rule(index=indexes, before=st.sampled_from((Emit, Connect)), arriving=st.integers(0, 3))
    def cut(self, index: int, before: Kind, arriving: int) -> None:
        self._process(index, before)
        if connection := self._connection(index):
            self.world.cut(connection, arriving)

    @rule(index=indexes, before=st.sampled_from((Emit, Resume)), choices=choices)
    def overtake(self, index: int, before: Kind, choices: bytes) -> None:
        """What a holder has just sent lingers until another host has taken the App."""
        if (process := self._process(index, before, 1)) and process.connection:
            connection = process.connection
            self.world.freeze(connection, True)
            self.world.hang(process, True)
            self.world.until(lambda: self._other_holds(process), 2 * CALM)
            self.calm(5)
            self.world.freeze(connection, False)
            self.world.hang(process, False)
            self.world.run(choices)

    @rule(phase=phases, written=st.integers(0, 3))
    def kill_receiver(self, phase: Phase, written: int) -> None:
        receiver = self.world.receiver
        self.world.until(lambda: (it := receiver()) is not None and it.phase is phase, SOON)
        self.world.kill_receiver(written)

    @rule()
    def spoil_ledger(self) -> None:
        self.world.ledger_fails = True

    def teardown(self) -> None:
        """The end of every run: no more faults, and all is well."""
        if hasattr(self, "world"):
            with self.world:
                settled = self.world.settle()
                self.tally.add(self.world, settled)

    def _host(self, index: int) -> Host:
        return self.world.hosts[index % len(self.world.hosts)]

    def _process(self, index: int, before: Kind = None, more: int = 0) -> HostProcess | None:
        """A process, about to do that, if it soon is, and `more` steps of it."""
        self.world.until(lambda: self.world.processes() != [], SOON)
        if not (alive := (self.world.holders() if index < 3 else []) or self.world.processes()):
            return None
        process = alive[index % len(alive)]
        if before:
            self.world.until(lambda: process.dead or process.about_to(before), SOON)
        for _ in range(more):
            process.step()
        return None if process.dead else process

    def _step(self, process: HostProcess, choices: bytes) -> None:
        """It is the first to go on."""
        for _ in range(choices[0] % 8):
            process.step()
        self.world.run(choices[1:])

    def _answer_soon(self, process: HostProcess, carried_out: bool) -> None:
        """What it has asked is carried out, before anything else; or is not yet."""
        for request in self.world.cluster.requests:
            if request.process is process and carried_out:
                self.world.cluster.carry_out(request)

    def _other_holds(self, process: HostProcess) -> bool:
        return any(other.host is not process.host for other in self.world.holders())

    def _connection(self, index: int) -> Connection | None:
        there = list(self.world.connections.values())
        return there[index % len(there)] if there else None
