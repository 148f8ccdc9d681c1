"""A simulated receiver process: carries out what ReceiverProtocol says, one step at a time.

It stands for receiver/main.py, gateway.py and the unit's journal-tail, whose steps it follows; the
machine and the ledger (SQLite, its lock, its outbox) are the real ones.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from sendrecv.core.lines import lines_of
from sendrecv.core.receiver import ReceiverProtocol
from sendrecv.core.receiver_events import (
    Admit,
    Answer,
    CutOff,
    Print,
    ReceiverCommand,
    Refuse,
    Row,
    Store,
)
from sendrecv.core.sender import SECOND
from sendrecv.core.wire import Refusal, Status
from sendrecv.errors import LedgerBroken
from sendrecv.receiver.ledger import Ledger
from tests.simulation.network import Connection, Message, Seat

if TYPE_CHECKING:
    from tests.simulation.world import World

OPEN_RETRY = SECOND
Event = tuple[str, Connection, tuple[Any, ...]]


class Phase(Enum):
    """What a receiver does next."""

    STARTING = "read the journal, and open the ledger"
    PREPARING = "make up for what an earlier one left"
    IDLE = "wait for an event"
    STORING = "commit a group"
    WRITING = "print its lines"
    ANSWERING = "answer"


class ReceiverProcess:
    """One process of the receiver.

    Each `yield` of its life is a point where it can be killed, and where the world may go on.
    `phase`: what it is about to do. `writing`: what it is about to write, or writing.
    """

    machine: ReceiverProtocol

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger: Ledger | None = None
        self.writing: list[str] = []
        self.phase = Phase.STARTING
        self.serving = False
        self.dead = False
        self._again = 0
        self._group: deque[Event] = deque()
        self._life = self._live()

    def ready(self) -> bool:
        """Whether it would do something now."""
        waits = self.phase is Phase.IDLE and not self._group
        return not self.dead and not waits and self.world.now >= self._again

    def deadline(self) -> int | None:
        """When it will be ready, if nothing comes before."""
        return self._again if self.world.now < self._again else None

    def step(self) -> None:
        """The next thing that it does."""
        try:
            ended = next(self._life, "ended") == "ended"
        except LedgerBroken:
            ended = True
        if ended:
            self.world.kill_receiver(0)  # what it leaves is the same

    def kill(self, written: int) -> None:
        """SIGKILL; of what it is about to write, so many lines have gone out."""
        if not self.dead:
            self.dead = True
            self._life.close()
            self.release(written)

    def wedge(self) -> None:
        """SIGKILL in mid-write: it stays, locks and all, until release()."""
        self.dead = True

    def release(self, written: int) -> None:
        """It is gone at last, and has written so many lines."""
        self.world.journal.write(self.writing[:written], self.world.now)
        self.writing = []
        if self.ledger:
            self.ledger.close()
            self.ledger = None

    # gateway.py's part.

    def arrived(self, connection: Connection, message: Message) -> None:
        """A message of a sender has arrived."""
        connection.receiver = self
        match message:
            case ("claim",):
                connection.seat = Seat.ASKED
                self._submit("claim", connection, connection.name, connection.claim)
            case ("resume",) if connection.seat is Seat.ADMITTED:
                self._submit("resume", connection, connection.name, connection.claim.app_id)
            case ("count", first, last) if connection.seat is Seat.ADMITTED:
                app_id = connection.claim.app_id
                self._submit("counts", connection, connection.name, app_id, first, last)
            case ("end",):
                self.closed(connection)

    def closed(self, connection: Connection) -> None:
        """A connection has ended, whoever ended it."""
        if connection.seat is Seat.ADMITTED:
            self._group.append(("closed", connection, (connection.name, connection.claim.app_id)))
        connection.seat = Seat.CLOSED

    def _submit(self, event: str, connection: Connection, *arguments: object) -> None:
        connection.busy = True
        self._group.append((event, connection, arguments))

    def _reply(self, event: Event, command: ReceiverCommand | None) -> None:
        kind, connection, _ = event
        if kind == "closed":
            return
        connection.busy = False
        if connection.seat is Seat.CLOSED:
            return
        if kind == "claim":
            connection.seat = Seat.ADMITTED if isinstance(command, Admit) else Seat.CLOSED
            verdict = _verdict(command)
            self.world.witness.saw(*verdict[:2])
            connection.to_sender.append(verdict)
        else:
            status, last = Status.UNAVAILABLE, None
            if isinstance(command, Answer):
                status, last = command.status, command.last
                self.world.witness.answered(self.ledger, connection.claim.app_id, last)
            self.world.witness.saw(kind, status)
            name = "resumed" if kind == "resume" else "answered"
            connection.to_sender.append((name, {"status": status.value, "last": last}))

    # receiver/main.py's part.

    def _live(self) -> Generator[None, None, None]:
        while not self._lock_is_free():
            yield from self._wait()
        printed = self._journal_tail()
        yield
        waited = False
        while (ledger := self._open()) is None:
            waited = True
            yield from self._wait()
        self.ledger = ledger
        self.phase = Phase.PREPARING
        yield
        if waited:
            return
        yield from self._prepare(ledger, printed)
        self.machine = self.world.parts.receiver(ledger.rows(), 100)
        self.serving = True
        while True:
            self.phase = Phase.IDLE
            yield
            group, self._group = list(self._group), deque()
            yield from self._process(ledger, group)

    def _wait(self) -> Iterator[None]:
        self._again = self.world.now + OPEN_RETRY
        yield

    def _lock_is_free(self) -> bool:
        lock = os.open(self.world.ledger_directory / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True

    def _journal_tail(self) -> list[str]:
        self.world.journal.sync()
        wanted = self.world.ledger_directory / "journal-lines"
        count = int(wanted.read_text(encoding="ascii")) if wanted.exists() else 0
        if not (self.world.ledger_directory / "ledger.db").exists():
            count = 100_000
        return self.world.journal.lines[-count:] if count else []

    def _open(self) -> Ledger | None:
        try:
            return self.world.parts.ledger(self.world.ledger_directory)
        except BlockingIOError:
            return None

    def _prepare(self, ledger: Ledger, printed: Sequence[str]) -> Iterator[None]:
        if ledger.is_new:
            ledger.commit(self.world.parts.rows_of(printed), [], self.world.now / SECOND)
            yield
        elif outbox := ledger.outbox():
            yield from self._empty_outbox(ledger, outbox, printed)

    def _empty_outbox(
        self, ledger: Ledger, outbox: Sequence[Print], printed: Sequence[str]
    ) -> Iterator[None]:
        orders = self.world.parts.missing(outbox, printed)
        yield
        ledger.replace_outbox(orders, self.world.now / SECOND)
        yield
        yield from self._print(orders)

    def _process(self, ledger: Ledger, group: Sequence[Event]) -> Iterator[None]:
        commands: list[ReceiverCommand] = []
        for ticket, (event, _, arguments) in enumerate(group):
            if event == "closed":
                self.machine.closed(*arguments)
            else:
                commands += getattr(self.machine, event)(ticket, *arguments)
        self.phase = Phase.STORING
        yield
        yield from self._carry_out(ledger, commands, group)

    def _carry_out(
        self, ledger: Ledger, commands: list[ReceiverCommand], group: Sequence[Event]
    ) -> Iterator[None]:
        durable = self._store(ledger, commands, group)
        yield
        if durable:
            yield from self._print([order for order in commands if isinstance(order, Print)])
            self.machine.committed()
        else:
            self.machine.rolled_back()
        yield from self._answer(commands if durable else [], group)

    def _store(
        self, ledger: Ledger, commands: Sequence[ReceiverCommand], group: Sequence[Event]
    ) -> bool:
        stores = [command for command in commands if isinstance(command, Store)]
        rows = {store.row.app_id: store.row for store in stores}
        orders = [command for command in commands if isinstance(command, Print)]
        if rows and not self._commit(ledger, list(rows.values()), orders):
            return False
        for command, following in zip(commands, commands[1:]):
            if isinstance(command, Print) and isinstance(following, Answer):
                self.world.witness.stored(command, group[following.ticket][1].claim)
        for command in commands:
            if isinstance(command, Admit):
                self.world.witness.admitted(command, group[command.ticket][1].claim)
        return True

    def _commit(self, ledger: Ledger, rows: Sequence[Row], orders: Sequence[Print]) -> bool:
        # An error of SQLite's own, as that of a full disk is.
        switch = "ON" if self.world.ledger_fails else "OFF"
        ledger._database.execute(f"PRAGMA query_only={switch}")
        try:
            ledger.commit(rows, orders, self.world.now / SECOND)
        except sqlite3.OperationalError:
            return False
        return True

    def _print(self, orders: Sequence[Print]) -> Iterator[None]:
        self.writing = "".join(map(lines_of, orders)).splitlines()
        self.phase = Phase.WRITING
        yield
        self.world.journal.write(self.writing, self.world.now)
        self.writing = []
        self.phase = Phase.ANSWERING
        yield

    def _answer(
        self, commands: Sequence[ReceiverCommand], group: Sequence[Event]
    ) -> Iterator[None]:
        left = dict(enumerate(group))
        self.phase = Phase.ANSWERING
        for command in commands:
            if isinstance(command, Admit | Answer | Refuse):
                self._reply(left.pop(command.ticket), command)
                yield
            elif isinstance(command, CutOff):
                self.world.cut_off(command.connection)
        for event in left.values():
            self._reply(event, None)


def _verdict(command: ReceiverCommand | None) -> Message:
    if isinstance(command, Admit):
        return ("connected",)
    if isinstance(command, Refuse):
        return ("refused", command.reason, command.epoch or 0)
    return ("refused", Refusal.UNAVAILABLE, 0)
