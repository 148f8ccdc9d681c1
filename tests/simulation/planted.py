"""Planted violations: for each rule of the protocol, a machine that does not keep it.

The simulation must find each of them; what it would not find, it would not find in ours either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from unittest import mock

from sendrecv.core.receiver import ReceiverProtocol
from sendrecv.core.receiver_events import Answer, Print, ReceiverCommand, Row
from sendrecv.core.sender import Link, SenderProtocol
from sendrecv.core.sender_events import Emit, Persist, SenderCommand, VerifyLock
from sendrecv.core.wire import Claim, Refusal, Status
from sendrecv.receiver import ledger
from sendrecv.receiver.ledger import Ledger
from sendrecv.sender.store_file import StateFile
from tests.simulation.receiver import Event, ReceiverProcess
from tests.simulation.world import Parts


class EmitsBeforePersist(SenderProtocol):
    """Sends, then writes."""

    def wake(self, now: int) -> list[SenderCommand]:
        return sorted(super().wake(now), key=lambda command: isinstance(command, Persist))


class ConnectsBeforePersist(SenderProtocol):
    """Uses its epoch, then writes it."""

    def start(self, now: int) -> list[SenderCommand]:
        return sorted(super().start(now), key=lambda command: isinstance(command, Persist))


class SkipsTheRange(SenderProtocol):
    """Sends the newest count only."""

    def _emit(self, now: int) -> list[SenderCommand]:
        return [
            command.replace(first=command.last) if isinstance(command, Emit) else command
            for command in super()._emit(now)
        ]


class ForgetsTheRange(SenderProtocol):
    """Thinks that what it has sent has arrived."""

    def lost(self, link: int, reason: str, now: int) -> list[SenderCommand]:
        if self._flight is not None:
            self.acknowledged = self._flight
        return super().lost(link, reason, now)


class DoesNotAdopt(SenderProtocol):
    """Knows better than the receiver what the last count is."""

    def _adopt(self, last: int) -> list[SenderCommand]:
        return super()._adopt(last if last <= self.count else -1)


class ResumesWithoutLock(SenderProtocol):
    """What was not acknowledged is sent at once, whoever has the lock."""

    def resumed(self, link: int, last: int, now: int) -> list[SenderCommand]:
        return _without_lock(super().resumed(link, last, now))


class IgnoresResumed(SenderProtocol):
    """Sends again what may have arrived."""

    def resumed(self, link: int, last: int, now: int) -> list[SenderCommand]:
        return super().resumed(link, min(last, self.acknowledged), now)


class NeverRaises(SenderProtocol):
    """A stale epoch stays stale."""

    def refused(self, link: int, reason: Refusal, epoch: int, now: int) -> list[SenderCommand]:
        return super().refused(link, reason, 0, now)


class WaitsForEver(SenderProtocol):
    """An answer that does not come is waited for."""

    def _retry(self, now: int) -> list[SenderCommand]:
        self._link_deadline = None
        return [] if self.link is not Link.DOWN else super()._retry(now)


class IgnoresEpochs(ReceiverProtocol):
    """Whoever comes last is let in."""

    def claim(self, ticket: int, connection: str, claim: Claim) -> list[ReceiverCommand]:
        app = self.apps.get(claim.app_id)
        if app and claim.epoch <= app.row.epoch:
            claim = claim.replace(epoch=app.row.epoch + 1)
        return super().claim(ticket, connection, claim)


class IgnoresRuns(ReceiverProtocol):
    """An epoch can be shared."""

    def claim(self, ticket: int, connection: str, claim: Claim) -> list[ReceiverCommand]:
        app = self.apps.get(claim.app_id)
        if app and claim.epoch == app.row.epoch:
            claim = claim.replace(run=app.row.run, node_id=app.row.node_id)
        return super().claim(ticket, connection, claim)


class DoesNotFence(ReceiverProtocol):
    """Whoever was let in once is listened to for ever."""

    def counts(
        self, ticket: int, connection: str, app_id: str, first: int, last: int
    ) -> list[ReceiverCommand]:
        now = self.apps[app_id].connection
        return super().counts(ticket, now or connection, app_id, first, last)


class TakesGaps(ReceiverProtocol):
    """Any higher count will do."""

    def counts(
        self, ticket: int, connection: str, app_id: str, first: int, last: int
    ) -> list[ReceiverCommand]:
        commands = super().counts(ticket, connection, app_id, first, last)
        have = self.apps[app_id].row.last
        if Answer(ticket, Status.GAP, have) in commands:
            app = self.apps[app_id]
            self._set(app_id, app.replace(row=app.row.replace(last=first - 1)))
            return super().counts(ticket, connection, app_id, first, last)
        return commands


class TakesDuplicates(ReceiverProtocol):
    """A batch of which something is new is printed whole."""

    def counts(
        self, ticket: int, connection: str, app_id: str, first: int, last: int
    ) -> list[ReceiverCommand]:
        commands = super().counts(ticket, connection, app_id, first, last)
        return [
            command.replace(first=first) if isinstance(command, Print) else command
            for command in commands
        ]


class DoesNotRollBack(ReceiverProtocol):
    """What could not be stored is remembered as if it had been."""

    def rolled_back(self) -> None:
        self.committed()


class PrintsBeforeStore(ReceiverProcess):
    """Prints, then commits."""

    def _carry_out(
        self, ledger: Ledger, commands: list[ReceiverCommand], group: Sequence[Event]
    ) -> Iterator[None]:
        orders = [order for order in commands if isinstance(order, Print)]
        yield from self._print(orders)
        durable = self._store(ledger, commands, group)
        yield
        if durable:
            self.machine.committed()
        else:
            self.machine.rolled_back()
        yield from self._answer(commands if durable else [], group)


class AnswersBeforeStore(ReceiverProcess):
    """Answers, then commits."""

    def _carry_out(
        self, ledger: Ledger, commands: list[ReceiverCommand], group: Sequence[Event]
    ) -> Iterator[None]:
        yield from self._answer(commands, group)
        self._store(ledger, commands, group)
        self.machine.committed()
        yield from self._print([order for order in commands if isinstance(order, Print)])


class PrintsTheOutboxAgain(ReceiverProcess):
    """Does not look at the journal."""

    def _journal_tail(self) -> list[str]:
        super()._journal_tail()
        return []


class ForgetsTheOutbox(ReceiverProcess):
    """Does not look at what was left to print."""

    def _empty_outbox(
        self, ledger: Ledger, outbox: Sequence[Print], printed: Sequence[str]
    ) -> Iterator[None]:
        return iter(())


class DoesNotWaitForPredecessor(ReceiverProcess):
    """Reads the journal before its predecessor is gone."""

    def _lock_is_free(self) -> bool:
        return True


class KeepsNoOutbox(Ledger):
    """Commits the rows only."""

    def _write_spans(self, spans: object) -> None:
        pass


class KeepsOutboxOnlyBriefly(Ledger):
    """Forgets a span before journald has synced it."""

    def _expired(self, now: float) -> list[int]:
        return super()._expired(now + ledger.SPAN_KEPT - 60)


class BoundsTooLittle(Ledger):
    """Has too little of the journal read."""

    def _lines_before_oldest(self, expired: int) -> int:
        return self._lines


class HasNoReceiverLock(Ledger):
    """Does not wait for a predecessor that is still there."""

    def __init__(self, directory: Path) -> None:
        with mock.patch.object(ledger.fcntl, "flock"):
            super().__init__(directory)


class StampsTooSoon(Ledger):
    """Takes itself for complete before the journal's rows are in it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._stamped = False
        self._stamp()


class DoesNotLook(StateFile):
    """Does not see that the file at the path is another one."""

    def verify(self) -> None:
        pass


def _without_lock(commands: Iterable[SenderCommand]) -> list[SenderCommand]:
    return [command for command in commands if not isinstance(command, VerifyLock)]


def knows_nothing(_printed: Iterable[str]) -> list[Row]:
    """A ledger that was lost is begun from nothing."""
    return []


PLANTED = (
    Parts(sender=EmitsBeforePersist),
    Parts(sender=ConnectsBeforePersist),
    Parts(sender=SkipsTheRange),
    Parts(sender=SkipsTheRange, receiver=TakesGaps),
    Parts(sender=ForgetsTheRange),
    Parts(sender=DoesNotAdopt),
    Parts(sender=NeverRaises),
    Parts(sender=WaitsForEver),
    Parts(receiver=IgnoresEpochs),
    Parts(receiver=IgnoresRuns),
    Parts(receiver=DoesNotFence),
    Parts(sender=IgnoresResumed, receiver=TakesDuplicates),
    Parts(receiver=DoesNotRollBack),
    Parts(receiver_process=PrintsBeforeStore),
    Parts(receiver_process=AnswersBeforeStore),
    Parts(receiver_process=PrintsTheOutboxAgain),
    Parts(receiver_process=ForgetsTheOutbox),
    Parts(ledger=KeepsNoOutbox),
    Parts(ledger=BoundsTooLittle),
    Parts(ledger=HasNoReceiverLock),
    Parts(store=DoesNotLook),
)
