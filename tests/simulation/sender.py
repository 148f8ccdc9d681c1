"""A simulated sender process: the real loop, machine and store, and what they need from outside.

Stands for sender/main.py and sender/connection.py. The store's system calls are those of kernel.py.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty
from typing import TYPE_CHECKING, Protocol

from sendrecv.core.record import Record
from sendrecv.core.reach import App
from sendrecv.core.sender_events import (
    Accepted,
    Closed,
    Connect,
    Connected,
    Emit,
    Persist,
    Resume,
    SenderCommand,
    SenderEvent,
    VerifyLock,
    answered_by,
    refused_by,
    resumed_by,
)
from sendrecv.core.wire import Claim, resume_arguments
from sendrecv.errors import LockLost, SendrecvError
from sendrecv.sender import store_file
from sendrecv.backoff import Backoff
from sendrecv.sender.loop import Ports, Sender
from sendrecv.sender.store_file import StateFile
from tests.simulation.kernel import Disk, System
from tests.simulation.network import Connection, Message
from tests.simulation.process import Notifier, Thread
from tests.simulation.verdict import require

if TYPE_CHECKING:
    from sendrecv.sender.store import Store
    from tests.simulation.world import World


class Machine(Protocol):
    """What a process runs on. boot: the ID of this boot."""

    boot: str
    disk: Disk

    def time(self) -> int:
        """Nanoseconds of its monotonic clock."""


class SenderProcess:
    """One process of one half of an App.

    acquired: it holds the lock, or has. stopped: SIGTERM has reached it.
    hung: it gets no processor.
    """

    def __init__(self, world: World, app_id: str, node_id: str, number: int) -> None:
        self.world = world
        self.number = number
        machine = self.machine()
        self.app = App(app_id, node_id, f"{number:032x}", machine.boot, world.interval)
        self.thread = Thread(machine.time, self._main)
        self.system = System(machine.disk, self.thread)
        self.events: deque[SenderEvent] = deque()
        self.connection: Connection | None = None
        self.acquired = self.stopped = self.hung = self.dead = False
        self._lock_lost = False
        self._notifier = Notifier(self.thread)
        self._loop = self._make_loop()

    def machine(self) -> Machine:
        """What it runs on."""
        return self.world

    def ready(self) -> bool:
        """Whether it would do something now, if it got the processor."""
        return not self.dead and not self.hung and self.thread.ready()

    def deadline(self) -> int | None:
        """When it will be ready, if nothing comes before."""
        return None if self.dead or self.hung else self.thread.deadline()

    def about_to(self, command: type) -> bool:
        """Whether such a command is the next thing that it does."""
        return self.thread.about is command

    def step(self) -> None:
        """The next thing that it does, if it would do any."""
        if not self.ready():
            return
        try:
            self._on_cpu(self.thread.step)
        except SendrecvError:  # the lock is lost, or another one has it for too long
            pass
        if self.thread.ended:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, or an end that is as sudden."""
        self.dead = True
        self._on_cpu(self.thread.kill)
        self.system.end()
        if self.connection:
            self.connection.close()

    def stop(self) -> None:
        """SIGTERM. It is handled only once the lock is held, see sender/main.py."""
        if not self.acquired:
            self.kill()
        elif not self.stopped:
            self.stopped = True
            self._loop.stop()

    def pause(self, command: type[SenderCommand]) -> None:
        """Something that the loop does to the world is about to happen."""
        self.thread.pause(command)
        require(not self._lock_lost, f"{self.app}: {command.__name__} after its lock was lost")

    def lose_lock(self) -> None:
        """The store has said that the lock is lost: nothing may follow."""
        self._lock_lost = True

    # The clock and the queue.

    def now(self) -> int:
        """See loop.Clock."""
        return self.machine().time()

    def sleep(self, seconds: float) -> None:
        """See loop.Clock."""
        self._wait(seconds)

    def put(self, event: SenderEvent) -> None:
        """See loop.Queue."""
        self.events.append(event)

    def get(self, *, timeout: float) -> SenderEvent:
        """See loop.Queue."""
        self._wait(timeout, self.events.__len__)
        if not self.events:
            raise Empty
        return self.events.popleft()

    def _wait(self, seconds: float, until: Callable[[], object] | None = None) -> None:
        """No wait is longer than the time to the next ping."""
        if self._notifier.is_ready:
            held = self._notifier.allows(seconds)
            require(held, f"{self.app}: waits {seconds} s for the watchdog to end it")
        self.thread.sleep(seconds, until)

    # The process.

    def _main(self) -> None:
        self._loop.acquire()
        self.acquired = True
        self._loop.run()

    def _on_cpu(self, act: Callable[[], None]) -> None:
        """The system calls that store_file.py makes now are made by this process."""
        before = store_file.os, store_file.fcntl
        store_file.os = store_file.fcntl = self.system  # type: ignore[assignment]
        try:
            act()
        finally:
            store_file.os, store_file.fcntl = before

    def _make_loop(self) -> Sender:
        parts = self.world.parts
        store = WatchedStore(self, parts.store(self.world.path(self.app.app_id)))
        return parts.sender_loop(self.app, self._ports(store), parts.sender)

    def _ports(self, store: Store) -> Ports:
        return Ports(
            store=store,
            connect=self._open_link,
            notifier=self._notifier,
            backoff=Backoff(""),
            clock=self,
            events=self,
        )

    # The connections.

    def claims(self, claim: Claim) -> None:
        """It is about to use that epoch."""
        self.world.witness.claimed(self.system.holds(), claim)

    def emits(self, last: int) -> None:
        """It is about to send counts up to that one."""
        self.world.witness.emitted(self.system.holds(), last)

    def _open_link(self, number: int, claim: Claim, post: Callable[[SenderEvent], None]) -> Link:
        self.pause(Connect)
        self.claims(claim)
        self.connection = self.world.connect(self, number, claim, post)
        return Link(self, self.connection)


class WatchedStore:
    """The real store. What it is asked for is seen, and so is that the lock is lost."""

    def __init__(self, process: SenderProcess, store: StateFile) -> None:
        self._process = process
        self._store = store
        self.path = store.path
        self.notices = store.notices

    def acquire(self) -> tuple[Record | None, int]:
        """See store.Store."""
        return self._store.acquire()

    def verify(self) -> None:
        """See store.Store."""
        self._process.pause(VerifyLock)
        with self._watched():
            self._store.verify()

    def commit(self, record: Record) -> None:
        """See store.Store."""
        self._process.pause(Persist)
        with self._watched():
            self._store.commit(record)

    def accepted(self) -> Accepted | None:
        """See store.Store."""
        return self._store.accepted()

    def release(self) -> None:
        """See store.Store."""
        self._store.release()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except LockLost:
            self._process.lose_lock()
            raise


class Link:
    """The sender's end of a connection."""

    def __init__(self, process: SenderProcess, connection: Connection) -> None:
        self._process = process
        self._connection = connection

    def resume(self, last: int) -> None:
        """See ports.SenderConnection."""
        self._process.pause(Resume)
        self._send(("resume", *resume_arguments(last)))

    def emit(self, first: int, last: int) -> None:
        """See ports.SenderConnection."""
        self._process.pause(Emit)
        self._process.emits(last)
        self._send(("count", first, last))

    def close(self) -> None:
        """See ports.SenderConnection."""
        self._connection.close()

    def _send(self, message: Message) -> None:
        if not self._connection.broken:
            self._connection.to_receiver.append(message)


def arrived(number: int, message: Message) -> SenderEvent:
    """What a message of the receiver is to the sender's connection `number`."""
    match message:
        case ("connected",):
            return Connected(number)
        case ("refused", reply):
            return refused_by(number, reply)
        case ("resumed", reply):
            return resumed_by(number, reply)
        case ("answered", reply):
            return answered_by(number, reply)
    return Closed(number, "connection lost")
