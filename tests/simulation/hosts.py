"""The simulated world of one App on several hosts: hosts with clocks of their own, and etcd.

The receiver, its ledger and the journal are those of world.py, on a machine of their own. With
`continues`, all hosts have SENDRECV_ETCD_OUTAGE=continue.

Time is that of the world, which nobody can read. A host has two clocks, see Host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty
from time import gmtime, strftime
from typing import cast

from sendrecv.core.lease import Here, LeaseLost, Tenure
from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.receiver_events import Print
from sendrecv.core.record import Record
from sendrecv.core.sender import SenderMachine
from sendrecv.core.sender_events import Persist, SenderEvent, VerifyLock
from sendrecv.core.values import SECOND
from sendrecv.core.wire import Claim
from sendrecv.errors import LockLost
from sendrecv.sender import etcd_lease, store_etcd
from sendrecv.sender.etcd import Etcd, EtcdKey
from sendrecv.sender.loop import Sender
from sendrecv.sender.several_hosts import SenderOfSeveral
from sendrecv.sender.store_etcd import EtcdStore, Hooks
from sendrecv.sender.store_file import StateFile
from tests.simulation.etcd import Client, Cluster, Look, Wait
from tests.simulation.kernel import DIRECTORY, Disk
from tests.simulation.network import Connection
from tests.simulation.process import Thread
from tests.simulation.sender import Machine, SenderProcess
from tests.simulation.verdict import Witness, require
from tests.simulation.world import Action, Bytes, Parts, World

APP = "app0"
PATH = f"{DIRECTORY}/{APP}.record"
LEASE = 2 * SECOND
RATES = (850, 1000, 1190)
"""How much a clock shows while 1000 pass: no two differ by more than 40 %, see core/lease.py."""


@dataclass(frozen=True)
class HostParts:
    """What is tested. A planted violation replaces one of them."""

    machine: type[SenderMachine] = SenderMachine
    loop: type[SenderOfSeveral] = SenderOfSeveral
    store: type[EtcdStore] = EtcdStore
    here: Callable[[str, str, int], Here] = Here
    receiver: type[ReceiverMachine] = ReceiverMachine


@dataclass(eq=False)
class Host:
    """One host. boot: the ID of this boot, which also is the place. rate: see RATES. off: without
    power. stopped: a person has stopped the App here.

    Its monotonic clock stands still while it is suspended. The other one goes on (boot_time()).
    """

    world: HostsWorld
    name: str
    rate: int
    disk: Disk = field(default_factory=Disk)
    boot: str = ""
    boots: int = 0
    off: bool = False
    stopped: bool = False
    suspended: bool = False
    without_etcd: bool = False
    without_receiver: bool = False
    knows_loss: bool = False  # since it had the lease; and has had the time to write that down
    _base: int = SECOND  # what the monotonic clock showed
    _since: int = 0  # at that time of the world
    _slept: int = 0

    def __post_init__(self) -> None:
        self._boot()

    def time(self) -> int:
        """Its monotonic clock."""
        return self._base + (0 if self.suspended else self._passed())

    def boot_time(self) -> int:
        """Its clock that goes on while it is suspended."""
        return self._base + self._slept + self._passed()

    def when(self, due: int) -> int:
        """The time of the world at which its monotonic clock will show that."""
        return self._since - (self._base - due) * 1000 // self.rate + 1

    def reaches_etcd(self) -> bool:
        """Whether requests and answers get through."""
        return not (self.without_etcd or self.suspended)

    def suspend(self) -> None:
        """Its processes stop, and its monotonic clock."""
        if not self.suspended:
            self._base, self._since = self.time(), self.world.now
            self.suspended = True

    def resume(self) -> None:
        """It goes on."""
        if self.suspended:
            self._slept += self._passed()
            self._since = self.world.now
            self.suspended = False

    def lose_power(self, choices: bytes) -> None:
        """What was not synced may be lost. The next boot has another clock."""
        self.disk.lose_power(Bytes(choices))
        self.suspended = self.knows_loss = False
        self._boot()

    def _boot(self) -> None:
        self.boots += 1
        self.boot = f"{int(self.name.removeprefix('host')) + 1:016x}{self.boots:016x}"
        self._base, self._since, self._slept = SECOND, self.world.now, 0

    def _passed(self) -> int:
        return (self.world.now - self._since) * self.rate // 1000


class HostProcess(SenderProcess):
    """One process of one half, on one host."""

    world: HostsWorld
    store: EtcdStore

    def __init__(self, world: HostsWorld, host: Host, node_id: str, number: int) -> None:
        self.host = host
        self._is_woken = False
        self.outages: list[SimulatedOutage] = []
        super().__init__(world, APP, node_id, number)

    def machine(self) -> Machine:
        """See SenderProcess."""
        return self.host

    @property
    def holds(self) -> bool:
        """Whether it thinks that it has the lease."""
        return self.store.lease.record is not None

    def ready(self) -> bool:
        """See SenderProcess."""
        return not self.host.suspended and super().ready()

    def deadline(self) -> int | None:
        """See SenderProcess. In the time of the world."""
        if self.host.suspended or self.dead or self.hung:
            return None
        dues = [super().deadline(), *(outage.deadline() for outage in self.outages)]
        due = min((due for due in dues if due is not None), default=None)
        return None if due is None else self.host.when(due)

    @property
    def running(self) -> Thread:
        """The thread that has the CPU."""
        return next((it.thread for it in self.outages if it.thread and it.is_on_cpu), self.thread)

    @property
    def is_out(self) -> bool:
        """Whether it counts without etcd."""
        return self.store.lease._outage is not None

    def kill(self) -> None:
        """See SenderProcess. All of its threads end."""
        super().kill()
        for outage in self.outages:
            outage.kill()

    def act(self, act: Callable[[], None]) -> None:
        """A thread of this process does that."""
        self._on_cpu(act)

    def get(self, *, timeout: float) -> SenderEvent:
        """See loop.Queue. What does not wait needs no ping."""
        if timeout > 0:
            return super().get(timeout=timeout)
        self.thread.pause()
        if not self.events:
            raise Empty
        return self.events.popleft()

    def wake(self, wake: Callable[[EtcdKey | None], None], key: EtcdKey | None) -> None:
        """A watch's thread does."""
        self._is_woken = True
        wake(key)
        self._is_woken = False

    def asked(self) -> None:
        """SIGUSR1, which is handled only once the lock is held."""
        if self.acquired and not self.stopped:
            self._loop.asked()

    def claims(self, claim: Claim) -> None:
        """See SenderProcess. The epoch is in the key; or it is what it was, and on the disk."""
        if self.is_out:
            epoch = self.outages[-1].epoch
            require(claim.epoch == epoch, f"{claim}: fights without etcd, epoch was {epoch}")
            self.world.witness.claimed(self.system.holds(), claim)
            return
        write = self.world.cluster.last_of(self.app.run)
        require(write and write.record.epoch >= claim.epoch, f"{claim} is not in the key: {write}")

    def arrives_at_emit(self) -> None:
        """It has found that it has the lease, and has not been stopped since: no other host had
        taken it before. Or it may count without etcd.
        """
        if self.is_out:
            return
        mine = self.world.cluster.last_of(self.app.run)
        require(mine, f"{self.app} has no lease")
        for write in reversed(self.world.cluster.writes):
            if mine is None or write.revision <= mine.revision:
                return
            require(write.place == self.host.boot, f"{self.app} sends: {write} came after {mine}")

    def emits(self, last: int) -> None:
        """See SenderProcess. The counts are in the key; or on the disk."""
        if self.is_out:
            self.world.witness.emitted(self.system.holds(), last)
            return
        write = self.world.cluster.last_of(self.app.run)
        held = write and write.record.count >= last
        require(held, f"count {last} is not in the key: {write}")
        self.world.cluster.sent = max(self.world.cluster.sent, last)

    def pause(self, command: type) -> None:
        """See SenderProcess."""
        if command.__name__ == "Emit":
            self.arrives_at_emit()
        super().pause(command)

    def boot_time(self) -> int:
        """The clock of the lease. A watch's thread is not seen to look at it."""
        if not self._is_woken:
            self.running.pause(Look)
        return self.host.boot_time()

    def _make_loop(self) -> Sender:
        parts = self.world.host_parts
        local = StateFile(PATH)
        here = parts.here(self.host.name, self.host.boot, LEASE)
        etcd = cast(Etcd, Client(self, self.world.cluster))
        hooks = Hooks(
            *(lambda: self.host.stopped, lambda: None, lambda: None),
            *(APP, str(self.world.note(self.host)), lambda: False),
        )
        watched = type("Watched", (WatchedStore, parts.store), {"process": self})
        self.store = cast(
            EtcdStore,
            watched(
                *(self.app, here, local, etcd, hooks),
                clock=self.boot_time,
                continues=self.world.continues,
            ),
        )
        requests = str(self.world.requests(self.host))
        loop = parts.loop(self.app, self._ports(local), self.store, requests, parts.machine)
        etcd.watch(self.store.lease.path, loop.key_changed)
        etcd.watch(self.store.lease.move_path, loop.move_asked)
        etcd.watch(self.store.pauses.path, loop.pause_changed)
        return loop

    def _on_cpu(self, act: Callable[[], None]) -> None:
        """The clocks that the modules of the lease look at are those of this host, too."""
        before = store_etcd.time, etcd_lease.time, etcd_lease.Outage
        store_etcd.time = etcd_lease.time = HostTime(self)  # type: ignore[assignment]
        etcd_lease.Outage = partial(SimulatedOutage, self)  # type: ignore[assignment, misc]
        try:
            super()._on_cpu(act)
        finally:
            store_etcd.time, etcd_lease.time, etcd_lease.Outage = before  # type: ignore[misc]


class SimulatedOutage:
    """Stands for etcd_outage.Outage: a second thread of a process. epoch: with which it counts."""

    def __init__(
        self, process: HostProcess, attempt: Callable[[], Tenure | LeaseLost | None], pause: float
    ) -> None:
        record = process.store.lease.record
        assert record is not None
        require(
            not process.host.knows_loss, f"{process.app} counts without etcd: it has lost the lease"
        )
        self.epoch = record.epoch
        self.ended: Tenure | LeaseLost | None = None
        self.closed = self.is_on_cpu = False
        self.thread: Thread | None = None
        self._process = process
        self._attempt = attempt
        self._pause = pause
        self._is_asking = False
        process.outages = [it for it in process.outages if not it.closed] + [self]

    def close(self) -> None:
        """See etcd_outage.Outage."""
        self.closed = True
        self._process.thread.pause(Wait, lambda: not self._is_asking)

    def ready(self) -> bool:
        """Whether it would do something now."""
        process = self._process
        if self.thread is None:  # made here, for a thread belongs to who makes it
            self.thread = Thread(process.host.time, self._run)
        free = not (process.dead or process.hung or process.host.suspended or self.thread.ended)
        return free and self.thread.ready()

    def deadline(self) -> int | None:
        """When it will be ready, if nothing comes before."""
        return self.thread.deadline() if self.thread and not self.thread.ended else None

    def step(self) -> None:
        """The next thing that it does."""
        if self.ready() and self.thread:
            self.is_on_cpu = True
            try:
                self._process.act(self.thread.step)
            finally:
                self.is_on_cpu = False

    def kill(self) -> None:
        """With its process."""
        self.closed = True
        if self.thread and not self.thread.ended:
            self._process.act(self.thread.kill)

    def _run(self) -> None:
        thread = self.thread
        assert thread is not None
        while not self.closed:
            self._is_asking = True
            self.ended = self._attempt()
            self._is_asking = False
            if self.ended is not None:
                return
            thread.pause(None, lambda: self.closed, thread.after(self._pause))


class HostTime:
    """Stands for the module time, on a host."""

    strftime = staticmethod(strftime)
    gmtime = staticmethod(gmtime)

    def __init__(self, process: HostProcess) -> None:
        self.monotonic_ns = process.now

    def time(self) -> float:
        """See time. What it shows does not matter."""
        return 1.7e9


class WatchedStore(EtcdStore):
    """The real store. What it is asked for is seen, and so is that the lock is lost."""

    process: HostProcess

    def verify(self) -> None:
        self.process.pause(VerifyLock)
        try:
            super().verify()
        except LockLost:
            self.process.lose_lock()
            raise

    def commit(self, record: Record) -> None:
        self.process.pause(Persist)
        super().commit(record)


class HostsWitness(Witness):
    """A process may lose the lease and take it again: of each epoch its counts are in one piece."""

    def stored(self, order: Print, claim: Claim) -> None:
        super().stored(order, claim.replace(run=f"{claim.run} in epoch {claim.epoch}"))


class HostsWorld(World):
    """Some hosts, on which the App is to run."""

    def __init__(
        self, rates: list[int], interval: int, parts: HostParts, *, continues: bool = False
    ) -> None:
        self.continues = continues
        super().__init__(1, interval, Parts(receiver=parts.receiver))
        self.witness = HostsWitness()
        self.host_parts = parts
        self.cluster = Cluster()
        self.hosts = [Host(self, f"host{number}", rate) for number, rate in enumerate(rates)]

    def requests(self, host: Host) -> Path:
        """The file in which a person asks for a move, on that host."""
        return self.run_directory / f"{host.name}.move"

    def note(self, host: Host) -> Path:
        """The file in which that host keeps that it was told of a pause, until its next boot."""
        return self.run_directory / f"{host.name}-{host.boots}.paused"

    def processes(self, host: Host | None = None) -> list[HostProcess]:
        """Those that are alive, the oldest first; of that host."""
        alive = [it for it in self.senders if isinstance(it, HostProcess) and not it.dead]
        return [process for process in alive if host in (None, process.host)]

    def holders(self) -> list[HostProcess]:
        """Those that think that they have the lease."""
        return [process for process in self.processes() if process.holds]

    def connect(
        self, sender: SenderProcess, number: int, claim: Claim, post: Callable[[SenderEvent], None]
    ) -> Connection:
        connection = super().connect(sender, number, claim, post)
        connection.frozen = _host_of(connection).without_receiver
        return connection

    def repair_disks(self) -> None:
        super().repair_disks()
        for host in self.hosts:
            host.disk.full, host.disk.broken = False, None

    # Faults.

    def start_on(self, host: Host) -> None:
        """Its service manager starts the other half, whether one is alive or not."""
        self._runs += 1
        node_id = "failover" if self._runs % 2 else "main"
        if len(self.processes(host)) < 3:
            self.senders.append(HostProcess(self, host, node_id, self._runs))

    def cut_power(self, host: Host, choices: bytes) -> None:
        """The receiver and etcd do not notice."""
        self._freeze(host, True)
        for process in self.processes(host):
            process.kill()
        host.lose_power(choices)

    def cut_off_receiver(self, host: Host, is_off: bool) -> None:
        """What is sent lingers; and goes on."""
        host.without_receiver = is_off
        self._freeze(host, is_off)

    def stop_on(self, host: Host) -> None:
        """A person stops the App there."""
        host.stopped = True
        for process in self.processes(host):
            process.stop()

    def move(self, host: Host, to: Host) -> None:
        """A person asks that host to move the App to another one, or to itself."""
        self.requests(host).write_text(f"{to.name}\nasked for", "utf-8")
        for process in self.processes(host):
            process.asked()

    def mend(self) -> None:
        """All hosts are there and can do what they should."""
        self.repair_disks()
        self.cluster.mend()
        self.cluster.pause(False)
        for host in self.hosts:
            host.resume()
            host.off = host.stopped = host.without_etcd = False
            if host.without_receiver:
                self.cut_off_receiver(host, False)

    def settle(self) -> int:
        self.mend()
        return super().settle()

    def _freeze(self, host: Host, frozen: bool) -> None:
        for connection in self.connections.values():
            if _host_of(connection) is host:
                connection.frozen = frozen

    def _goes_on(self, before: dict[str, int]) -> bool:
        stand = all(any(it.acquired for it in self.processes(host)) for host in self.hosts)
        return stand and super()._goes_on(before)

    def _active(self, app_id: str) -> int:
        return len(self.holders())

    # The scheduler.

    def _actions(self) -> list[Action]:
        outages = [outage for process in self.processes() for outage in process.outages]
        more: list[Action] = [outage.step for outage in outages if outage.ready()]
        return super()._actions() + more + self.cluster.actions()

    def _starts(self) -> list[Action]:
        idle = [it for it in self.hosts if not (it.off or it.stopped or it.suspended)]
        counting = [process.host for process in self.processes()]
        starts: list[Action] = [partial(self.start_on, it) for it in idle if it not in counting]
        if self.receiver() is None:
            starts.append(self._start_receiver)
        return starts


def _host_of(connection: Connection) -> Host:
    process = connection.sender
    assert isinstance(process, HostProcess)
    return process.host
