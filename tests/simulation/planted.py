"""Planted violations: for each rule of the protocol a machine that does not keep it; and loops, a
start, a ledger and a store that do not do what they should.

The simulation must find each of them; what it would not find, it would not find in ours either.
"""

from __future__ import annotations

import contextlib
from functools import partial
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest import mock

from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Answer,
    CountsSent,
    CutOff,
    Print,
    ReceiverCommand,
    ReceiverEvent,
    Row,
    StoreRow,
)
from sendrecv.core.record import Record
from sendrecv.core.recovery import JournalReading, Reconciliation, Span
from sendrecv.core.sender import SenderMachine, State
from sendrecv.core.sender_events import (
    Closed,
    Emit,
    Exit,
    Persist,
    Refused,
    Resumed,
    SenderCommand,
    SenderEvent,
    Started,
    TimePassed,
    VerifyLock,
)
from sendrecv.core.wire import Status
from sendrecv.errors import LockLost
from sendrecv.receiver import files, ledger, start
from sendrecv.receiver.files import Stamp, WhenWritten
from sendrecv.receiver.journal import Journal, Unreadable
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.loop import Connections, Pending, Receiver
from sendrecv.receiver.mark import Mark, Progress, Standing
from sendrecv.sender.loop import Sender
from sendrecv.sender.store_file import StateFile
from tests.simulation.world import Parts

# The sender's machine.


class EmitsBeforePersist(SenderMachine):
    """Sends, then writes."""

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        return persist_last(commands) if isinstance(event, TimePassed) else commands


class ConnectsBeforePersist(SenderMachine):
    """Uses its epoch, then writes it."""

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        return persist_last(commands) if isinstance(event, Started) else commands


class SkipsTheRange(SenderMachine):
    """Sends the newest count only."""

    def _emit(self, now: int) -> list[SenderCommand]:
        return [
            command.replace(first=command.last) if isinstance(command, Emit) else command
            for command in super()._emit(now)
        ]


class ForgetsTheRange(SenderMachine):
    """Thinks that what it has sent has arrived."""

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        if isinstance(event, Closed) and self._flight is not None:
            self.acknowledged = self._flight
        return super().handle(event, now)


class DoesNotAdopt(SenderMachine):
    """Knows better than the receiver what the last count is."""

    def _adopt(self, last: int, now: int) -> list[SenderCommand]:
        return super()._adopt(last if last <= self.count else -1, now)


class ResumesWithoutLock(SenderMachine):
    """What was not acknowledged is sent at once, whoever has the lock."""

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        if not isinstance(event, Resumed):
            return commands
        return [command for command in commands if not isinstance(command, VerifyLock)]


class TellsNothing(SenderMachine):
    """It does not tell an old copy of the ledger what that has accepted."""

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        if isinstance(event, Resumed):
            event = event.replace(ledger="")
        return super().handle(event, now)


class IgnoresResumed(SenderMachine):
    """Sends again what may have arrived."""

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        if isinstance(event, Resumed):
            event = event.replace(last=min(event.last, self.acknowledged))
        return super().handle(event, now)


class NeverRaises(SenderMachine):
    """A stale epoch stays stale."""

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        return super().handle(event.replace(epoch=0) if isinstance(event, Refused) else event, now)


class WaitsForEver(SenderMachine):
    """An answer that does not come is waited for."""

    def _retry(self, now: int) -> list[SenderCommand]:
        self._deadline = None
        return [] if self.state is not State.DOWN else super()._retry(now)


# The sender's loop.


class EmitsFirst(Sender):
    """Carries out what is short first."""

    def _carry_out(self, commands: Iterable[SenderCommand]) -> None:
        super()._carry_out(persist_last(commands))


class IgnoresFailedCommit(Sender):
    """Goes on when the record could not be written."""

    def _persist(self, record: Record) -> None:
        self._try_to(partial(self._ports.store.commit, record), reported=False)


class GoesOnWithoutLock(Sender):
    """Survives that its lock is lost."""

    def _carry_out_one(self, command: SenderCommand) -> None:
        try:
            super()._carry_out_one(command)
        except LockLost:
            pass


class GoesOnAfterStop(Sender):
    """Carries out what is left, also when it was stopped while the record could not be written."""

    def _carry_out(self, commands: Iterable[SenderCommand]) -> None:
        for command in commands:
            self._carry_out_one(command)


class DoesNotExit(Sender):
    """Is told to stop, and counts on."""

    def _carry_out_one(self, command: SenderCommand) -> None:
        if not isinstance(command, Exit):
            super()._carry_out_one(command)


class DoesNotPing(Sender):
    """Waits for a disk that is full as if nobody watched it."""

    def _persist(self, record: Record) -> None:
        while not self._try_to(partial(self._ports.store.commit, record), reported=True):
            if self._stop_asked:
                self._done = True
                return
            self._clock.sleep(1)


# The receiver's machine.


class IgnoresEpochs(ReceiverMachine):
    """Whoever comes last is admitted."""

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        if isinstance(event, AdmissionAsked):
            app = self.apps.get(event.claim.app_id)
            if app and event.claim.epoch <= app.row.epoch:
                event = event.replace(claim=event.claim.replace(epoch=app.row.epoch + 1))
        return super().handle(event)


class IgnoresRuns(ReceiverMachine):
    """An epoch can be shared."""

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        if isinstance(event, AdmissionAsked):
            claim, app = event.claim, self.apps.get(event.claim.app_id)
            if app and claim.epoch == app.row.epoch:
                claim = claim.replace(run=app.row.run, node_id=app.row.node_id)
                event = event.replace(claim=claim)
        return super().handle(event)


class DoesNotFence(ReceiverMachine):
    """Whoever was admitted once is listened to for ever."""

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        if isinstance(event, CountsSent):
            now = self.apps[event.app_id].connection
            event = event.replace(connection=now or event.connection)
        return super().handle(event)


class TakesGaps(ReceiverMachine):
    """Any higher count will do."""

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        match event, commands:
            case CountsSent(_, app_id, first, _), [Answer(Status.GAP)]:
                app = self.apps[app_id]
                self._set(app_id, app.replace(row=app.row.replace(last=first - 1)))
                return super().handle(event)
        return commands


class TakesDuplicates(ReceiverMachine):
    """A batch of which something is new is printed whole."""

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        return [
            (
                command.replace(first=event.first)
                if isinstance(command, Print) and isinstance(event, CountsSent)
                else command
            )
            for command in super().handle(event)
        ]


class DoesNotRollBack(ReceiverMachine):
    """What could not be stored is remembered as if it had been."""

    def rolled_back(self) -> None:
        self.committed()


# The receiver's loop.


class AnswersBeforeCommit(Receiver):
    """Answers, then commits."""

    async def _process(self, group: Sequence[Pending], connections: Connections) -> None:
        answers = [(pending, self._machine.handle(pending.event)) for pending in group]
        for pending, commands in answers:
            self._deliver(pending, commands, connections)
        await self._make_durable([command for _, commands in answers for command in commands])
        self._machine.committed()


class AnswersBeforePrint(Receiver):
    """Commits and answers, then prints."""

    _left: Sequence[Print] = ()
    _serial = 0

    def _write(
        self, rows: Sequence[Row], orders: Sequence[Print], clock: Callable[[], float]
    ) -> float:
        self._serial = self._ledger.commit(rows, orders, clock())
        self._left = orders
        return 0.0

    async def _process(self, group: Sequence[Pending], connections: Connections) -> None:
        await super()._process(group, connections)
        self._writer.submit(self._printer.print_group, self._serial, self._left)


class DeliversAfterRollback(Receiver):
    """Answers as if the group were durable."""

    async def _process(self, group: Sequence[Pending], connections: Connections) -> None:
        answers = [(pending, self._machine.handle(pending.event)) for pending in group]
        if await self._make_durable([command for _, commands in answers for command in commands]):
            self._machine.committed()
        else:
            self._machine.rolled_back()
        for pending, commands in answers:
            self._deliver(pending, commands, connections)


class DropsCutOff(Receiver):
    """Leaves a connection alone whose place another one has taken."""

    def _deliver(
        self, pending: Pending, commands: Iterable[ReceiverCommand], connections: Connections
    ) -> None:
        left = [command for command in commands if not isinstance(command, CutOff)]
        super()._deliver(pending, left, connections)


class LosesTheFirstRow(Receiver):
    """Stores one App's row of each group."""

    async def _make_durable(self, commands: Sequence[ReceiverCommand]) -> bool:
        rows = [command for command in commands if isinstance(command, StoreRow)]
        left = [it for it in commands if not isinstance(it, StoreRow) or it is rows[-1]]
        return await super()._make_durable(left)


# The receiver's start, and its unit.


def knows_nothing(ports: start.StartPorts) -> Ledger:
    """A ledger that was lost is begun from nothing."""

    def opened() -> Ledger:
        found = ports.open_ledger()
        if found.is_new:
            found.commit([], [], ports.clock.monotonic())
            found.is_new = False
        return found

    return start.open_ledger(ports._replace(open_ledger=opened))


_REAL = {
    name: getattr(start, name)
    for name in (
        *("unprinted", "raised", "forgotten_since"),
        *("_forget", "_find_out", "_doubtful", "_assert_stored"),
    )
}


@contextlib.contextmanager
def _replaced(name: str, planted: object) -> Iterator[None]:
    """Not mock.patch: two receivers may be starting at once, and neither must restore what the
    other has planted.
    """
    setattr(start, name, planted)
    try:
        yield
    finally:
        setattr(start, name, _REAL[name])


def prints_again(ports: start.StartPorts) -> Ledger:
    """Whatever it is not sure of is printed again."""
    with _replaced("unprinted", all_of_them):
        return start.open_ledger(ports)


def all_of_them(spans: Iterable[Span], _reading: JournalReading, *_: object) -> Reconciliation:
    """None of the spans is printed."""
    return Reconciliation([span.order for span in spans], [])


def doubts_the_whole_boot(ports: start.StartPorts) -> Ledger:
    """All that the ledger has of this boot may not be printed."""
    with _replaced("_doubtful", lambda ledger: ledger.outbox()):
        return start.open_ledger(ports)


def believes_the_ledger(ports: start.StartPorts) -> Ledger:
    """A ledger that is older than what was printed is taken as it is."""
    with _replaced("raised", lambda *_: []):
        return start.open_ledger(ports)


def remembers_the_forgotten(ports: start.StartPorts) -> Ledger:
    """Nobody looks whether an App was forgotten since."""
    with _replaced("forgotten_since", lambda *_: {}):
        return start.open_ledger(ports)


def goes_on_unread(ports: start.StartPorts) -> Ledger:
    """A ledger that is known to be old is taken as it is, if the journal cannot be asked."""

    def find_out(ledger: Ledger, its: start.StartPorts) -> start.Recovered:
        try:
            return cast(start.Recovered, _REAL["_find_out"](ledger, its))
        except Unreadable:
            return start.Recovered()

    with _replaced("_find_out", find_out):
        return start.open_ledger(ports)


def forgets_without_a_sync(ports: start.StartPorts) -> Ledger:
    """Nobody cares whether the line that says that an App is forgotten is on disk."""
    journal = SimpleNamespace(sync=lambda: None, read_boots=ports.journal.read_boots)
    hasty = ports._replace(journal=cast(Journal, journal))
    with _replaced("_forget", lambda ledger, _: _REAL["_forget"](ledger, hasty)):
        return start.open_ledger(ports)


# The mark, and the printer.


class MarksTooEarly(Mark):
    """Says that a chunk is out before it is."""

    def intend(self, lines: int) -> None:
        super().intend(lines)
        self.done()


class MarksNoIntent(Mark):
    """Says only what is out."""

    def intend(self, lines: int) -> None:
        self._progress = self._progress._replace(intended=lines)


class NeverOld(Mark):
    """Takes each ledger for the one that it was written for."""

    def compare(self, identity: str, serial: int, database: Stamp) -> tuple[Standing, Progress]:
        standing, progress = super().compare(identity, serial, database)
        return (Standing.CONTINUES if standing is Standing.OLD else standing), progress


class LeavesAnOldMark(Mark):
    """Goes on without a mark, and leaves there what an earlier receiver wrote."""

    def _remove(self) -> None:
        pass


# The ledger.


class ForgetsTheLastGroup(Ledger):
    """Does not look at what was left to print."""

    def pending(self) -> list[Print]:
        return []


class KeepsNoOutbox(Ledger):
    """Commits the rows only."""

    def _write_spans(self, spans: object, gone: object) -> None:
        pass


class KeepsOutboxOnlyBriefly(Ledger):
    """Forgets a span before journald has synced it."""

    def _expired(self, now: float) -> list[int]:
        return super()._expired(now + ledger.SPAN_KEPT - 60)


class HasNoReceiverLock(Ledger):
    """Does not wait for a predecessor that is still there."""

    def __init__(
        self, directory: Path, boot: str, look: Callable[[], str], written: WhenWritten
    ) -> None:
        with mock.patch.object(files.fcntl, "flock"):
            super().__init__(directory, boot, look, written)


class StampsTooSoon(Ledger):
    """Takes itself for complete before the journal's rows are in it."""

    def __init__(
        self, directory: Path, boot: str, look: Callable[[], str], written: WhenWritten
    ) -> None:
        super().__init__(directory, boot, look, written)
        if self.is_new:
            with self._database:
                self._stamp()
            self._stored = (self.identity, self.serial + 1)


class TakesEachWayForTheSame(Ledger):
    """Does not see that another journald is given the lines."""

    def __init__(
        self, directory: Path, boot: str, look: Callable[[], str], written: WhenWritten
    ) -> None:
        super().__init__(directory, boot, lambda: look() and "the same", written)


class TakesNoWay(Ledger):
    """Is never sure that the journal stores anything."""

    def __init__(
        self, directory: Path, boot: str, look: Callable[[], str], written: WhenWritten
    ) -> None:
        super().__init__(directory, boot, lambda: look() and "", written)


# The store.


class DoesNotLook(StateFile):
    """Does not see that the file at the path is another one."""

    def verify(self) -> None:
        pass


def persist_last(commands: Iterable[SenderCommand]) -> list[SenderCommand]:
    """The same, but in an order that loses counts."""
    return sorted(commands, key=lambda command: isinstance(command, Persist))


PLANTED = (
    Parts(sender=EmitsBeforePersist),
    Parts(sender=ConnectsBeforePersist),
    Parts(sender=SkipsTheRange),
    Parts(sender=SkipsTheRange, receiver=TakesGaps),
    Parts(sender=ForgetsTheRange),
    Parts(sender=DoesNotAdopt),
    Parts(sender=NeverRaises),
    Parts(sender_loop=EmitsFirst),
    Parts(sender_loop=IgnoresFailedCommit),
    Parts(sender_loop=GoesOnWithoutLock),
    Parts(store=DoesNotLook),
    Parts(receiver=IgnoresEpochs),
    Parts(receiver=IgnoresRuns),
    Parts(receiver=DoesNotFence),
    Parts(sender=IgnoresResumed, receiver=TakesDuplicates),
    Parts(receiver=DoesNotRollBack),
    Parts(receiver_loop=AnswersBeforeCommit),
    Parts(receiver_loop=AnswersBeforePrint),
    Parts(receiver_loop=DeliversAfterRollback),
    Parts(receiver_loop=LosesTheFirstRow),
    Parts(open_ledger=prints_again),
    Parts(open_ledger=believes_the_ledger, mark=NeverOld),
    Parts(mark=MarksTooEarly),
    Parts(mark=MarksNoIntent),
    Parts(ledger=ForgetsTheLastGroup),
    Parts(ledger=KeepsNoOutbox),
    Parts(ledger=TakesEachWayForTheSame),
)
