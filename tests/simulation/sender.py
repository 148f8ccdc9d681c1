"""A simulated sender process: carries out what SenderProtocol says, one command at a time.

It stands for sender/main.py, whose loop it follows; the machine and the store are the real ones,
the store's system calls are those of kernel.py.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sendrecv.core.errors import PeerError
from sendrecv.core.record import Record
from sendrecv.core.sender import SECOND, App, SenderProtocol
from sendrecv.core.sender_events import (
    Connect,
    Disconnect,
    Emit,
    Exit,
    Persist,
    Resume,
    SenderCommand,
    VerifyLock,
)
from sendrecv.core.wire import parse_answer, parse_resumed
from sendrecv.errors import LockLost
from sendrecv.sender import store_file
from tests.simulation.kernel import Blocked, Killed, System
from tests.simulation.network import Connection, Message

if TYPE_CHECKING:
    from tests.simulation.world import World

DISK_RETRY = SECOND


@contextlib.contextmanager
def _on_cpu(system: System) -> Iterator[None]:
    """The system calls that store_file.py makes now are made by this process."""
    before = store_file.os, store_file.fcntl
    store_file.os = store_file.fcntl = system  # type: ignore[assignment]
    try:
        yield
    finally:
        store_file.os, store_file.fcntl = before


class SenderProcess:
    """One process of one half of an App. `trap`: what happens before its n-th next system call."""

    def __init__(self, world: World, app_id: str, node_id: str, number: int) -> None:
        self.world = world
        self.number = number
        self.app = App(app_id, node_id, f"{number:032x}", world.boot, world.interval)
        self.system = System(world.disk, self._before_call)
        self.store = world.parts.store(f"/state/{app_id}.record")
        self.machine: SenderProtocol | None = None
        self.events: deque[tuple[object, ...]] = deque()
        self.commands: deque[SenderCommand] = deque()
        self.connection: Connection | None = None
        self.hung = False
        self.suspended = False  # in mid-call, while the world goes on
        self.trap: tuple[int, Callable[[], None]] | None = None
        self._again = 0  # when to make a failed write again

    @property
    def dead(self) -> bool:
        """Whether the process has ended."""
        return self.system.dead

    def ready(self) -> bool:
        """Whether it would do something now, if it got the processor."""
        if self.dead or self.hung or self.suspended or self.world.now < self._again:
            return False
        if self.machine is None or self.commands or self.events:
            return self.machine is not None or not self._must_wait()
        deadline = self.machine.deadline()
        return deadline is not None and deadline <= self.world.now

    def deadline(self) -> int | None:
        """When it will be ready, if nothing comes before."""
        if self.dead or self.hung or self.suspended:
            return None
        if self.world.now < self._again:
            return self._again
        return self.machine.deadline() if self.machine else None

    def about_to(self, command: type[SenderCommand]) -> bool:
        """Whether such a command is the next thing that it does."""
        return bool(self.commands) and isinstance(self.commands[0], command)

    def step(self) -> None:
        """The next thing that it does."""
        try:
            with _on_cpu(self.system):
                self._step()
        except (Killed, Blocked):
            pass
        except LockLost:
            self.kill()

    def step_alone(self) -> None:
        """The next thing that it does, if it would do any."""
        if self.ready():
            self.step()

    def kill(self) -> None:
        """SIGKILL, or an end that is as sudden."""
        self.system.kill()
        if self.connection:
            self.connection.close()

    def arrived(self, connection: Connection, message: Message) -> None:
        """A message of the receiver has arrived: connection.py's part."""
        kind, *values = message
        event: tuple[object, ...]
        try:
            if kind == "resumed":
                event = ("resumed", connection.number, parse_resumed(values[0]))
            elif kind == "answered":
                event = ("answered", connection.number, *parse_answer(values[0]))
            elif kind == "end":
                event = ("lost", connection.number, "connection lost")
            else:
                event = (str(kind), connection.number, *values)
        except PeerError as error:
            event = ("lost", connection.number, str(error))
        self.events.append(event)

    def _must_wait(self) -> bool:
        inode = self.world.disk.names.get(self.store.path)
        waits_for = self.system.waits_for() or inode
        return bool(waits_for and waits_for.holder not in (None, self.system))

    def _step(self) -> None:
        if self.machine is None:
            self._acquire()
        elif self.commands:
            self._carry_out(self.commands[0])
        elif self.events:
            event, *values = self.events.popleft()
            self.commands += getattr(self.machine, str(event))(*values, self.world.now)
        else:
            self.commands += self.machine.wake(self.world.now)

    def _acquire(self) -> None:
        try:
            record, epoch = self.store.acquire()
        except OSError:
            self._again = self.world.now + DISK_RETRY
            return
        self.machine = self.world.parts.sender(self.app, record, epoch, self.world.now)
        self.commands += self.machine.start(self.world.now)

    def _carry_out(self, command: SenderCommand) -> None:
        match command:
            case Persist(record) if not self._persist(record):
                return
            case VerifyLock():
                self.store.verify()
            case Exit():
                self.store.release()
                self.kill()
            case _:
                self._speak(command)
        self.commands.popleft()

    def _persist(self, record: Record) -> bool:
        """It is tried until it can be written, or until the process is to stop."""
        try:
            self.store.commit(record)
        except OSError:
            self._again = self.world.now + DISK_RETRY
            if ("stop",) in self.events:
                self.kill()
            return False
        return True

    def _speak(self, command: SenderCommand) -> None:
        match command:
            case Connect(number, claim):
                self._close()
                self.world.witness.claimed(self.system.holds(), claim)
                self.connection = self.world.connect(self, number, claim)
            case Disconnect():
                self._close()
            case Resume():
                self._send(("resume",))
            case Emit(_, first, last):
                self.world.witness.emitted(self.system.holds(), last)
                self._send(("count", first, last))

    def _send(self, message: Message) -> None:
        if self.connection and not self.connection.broken:
            self.connection.to_receiver.append(message)

    def _close(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None

    def _before_call(self) -> None:
        if self.trap is None:
            return
        left, action = self.trap
        self.trap = (left - 1, action) if left else None
        if not left:
            self.suspended = True
            action()
            self.suspended = False
