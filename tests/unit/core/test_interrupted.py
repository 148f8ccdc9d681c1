"""Every list of commands is interrupted after each command, and resumed from what is durable.

From each of the first states everything that can come next is tried, breadth-first (world.py). At
each state the promises hold, and from each state counting goes on if nothing else happens.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sendrecv.core.reach import App
from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.receiver_events import (
    Answer,
    CountsSent,
    Print,
    ReceiverCommand,
    ReceiverEvent,
    ResumeAsked,
    Unproven,
)
from sendrecv.core.record import Record
from sendrecv.core.sender import SenderMachine
from sendrecv.core.sender_events import Connect, Emit, Resumed, SenderCommand, SenderEvent
from tests.unit.core.receiver_table import LINES
from tests.unit.core.sender_table import ROWS, choices, names_in
from tests.unit.core.tables import parts
from tests.unit.core.world import Explorer, Machines, World

BEGINNINGS, DEPTH = 12, 5
"""States to begin from: all up to the third count's emission, if nothing goes wrong. So many things
happen after each of them.
"""
AFTERWARDS, FEWER = 10, 3
"""The same after one thing has gone wrong: all until the next count is printed."""
ENOUGH = 60
"""Things that happen before the next count is printed, if nothing goes wrong."""


# The search.


class Search:
    """Visits each state once, from each kind of beginnings. lists: of commands, that were
    interrupted after each command, behind the name of their event.
    """

    def __init__(self, machines: Machines) -> None:
        self._every = Explorer(machines, cuts=True)
        self._calm = Explorer(machines, cuts=False)
        self._numbers: dict[object, int] = {}
        self._going: set[int] = set()
        self.lists = self._every.lists

    def explore(self) -> int:
        """The number of states. Raises AssertionError if a promise is broken in one of them."""
        worlds = self._calm.path(self._every.beginning(), BEGINNINGS)
        self._explore_from(worlds, DEPTH)
        for world in self._disturbed(worlds):
            self._explore_from(self._calm.path(world, AFTERWARDS), FEWER)
        return len(self._numbers)

    def _disturbed(self, worlds: list[World]) -> Iterator[World]:
        """The last of these worlds, and one thing that goes wrong."""
        world, early = worlds[-1], worlds[len(worlds) // 2]
        assert world.knows_better() and early.record != world.record
        dead = world.without_sender()
        yield dead
        yield dead.replace(record=None)
        yield dead.replace(record=early.record)  # from a backup
        yield self._calm.put_back(world)

    def _explore_from(self, worlds: list[World], depth: int) -> None:
        seen = {self._number(world) for world in worlds}
        for _ in range(depth):
            reached = []
            for following in (it for world in worlds for it in self._every.following(world)):
                if (number := self._number(following)) not in seen:
                    seen.add(number)
                    reached.append(following)
                    self._check_that_it_goes_on(following, number)
            worlds = reached

    def _check_that_it_goes_on(self, world: World, number: int) -> None:
        """If nothing goes wrong the next count is printed."""
        path: list[int] = []
        before = world.printed
        while world.printed == before and number not in self._going:
            path.append(number)
            assert len(path) < ENOUGH, f"nothing is printed any more: {world}"
            world = self._calm.undisturbed(world)
            number = self._number(world)
        self._going.update(path)

    def _number(self, world: World) -> int:
        return self._numbers.setdefault(world.key(), len(self._numbers))


NOT_MET = """
    Answered Disconnect
    Answered Disconnect Report
    Answered Disconnect VerifyLock Persist
    Answered Persist
    Answered Persist Emit
    Answered Persist Persist Emit
    Refused Disconnect VerifyLock Persist
    Refused Disconnect VerifyLock Persist Connect Persist
    Refused Disconnect VerifyLock Persist Persist
    Resumed Disconnect
    Resumed Disconnect Report
    Resumed Disconnect VerifyLock Persist
    Resumed VerifyLock Persist Persist Emit
    Resumed VerifyLock Persist Report
    Resumed VerifyLock Persist Report Report
    Resumed VerifyLock Persist Report Report Persist Emit
    Resumed VerifyLock Persist Report Report Report
    Resumed VerifyLock Report Persist Emit
    Resumed VerifyLock Report Report
    Resumed VerifyLock Report Report Emit
    TimePassed Connect Persist
    TimePassed Emit Persist
    AdmissionAsked Refuse(full)
    AdmissionAsked Refuse(invalid)
    ResumeAsked Answer(invalid)
    CountsSent Answer(duplicate)
    CountsSent Answer(gap)
    CountsSent Answer(invalid)
"""
"""Lists that take more than the search lets go wrong: those of a sender are interrupted in
test_interrupted_lists.py, and those of the receiver make nothing durable.
"""


def lists_of_the_tables() -> set[tuple[str, ...]]:
    """Each behind the name of its event."""
    senders = {(row.event, *names_in(row, choice)) for row in ROWS for choice in choices(row)}
    return senders | {(line.event, *parts(line.commands)) for line in LINES}


def test_interrupted_anywhere_it_keeps_its_promises_and_goes_on() -> None:
    search = Search(Machines())
    states = search.explore()
    print(f"{states} states")
    assert states > 50_000
    missed = lists_of_the_tables() - search.lists
    assert search.lists <= lists_of_the_tables()
    assert {it for it in missed if it[1:]} == {
        tuple(it.split()) for it in NOT_MET.split("\n") if it
    }


# Planted faults.


class EmitsBeforePersist(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        return sorted(commands, key=lambda command: not isinstance(command, Emit))


class ConnectsBeforePersist(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        return sorted(commands, key=lambda command: not isinstance(command, Connect))


class DoesNotAdopt(SenderMachine):
    def _adopt(self, last: int, now: int) -> list[SenderCommand]:
        return super()._adopt(last if last <= self.count else -1, now)


class TakesACountAgain(SenderMachine):
    def __init__(self, app: App, record: Record | None, epoch: int, now: int) -> None:
        super().__init__(app, record, epoch, now)
        self.count = max(self.count - 1, self.acknowledged)


class StoresAfterAnswer(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        return sorted(commands, key=lambda command: not isinstance(command, Answer))


class PrintsBeforeStore(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        return sorted(commands, key=lambda command: not isinstance(command, Print))


class AnswersBeforePrint(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        return sorted(commands, key=lambda command: isinstance(command, Print))


class DoesNotRollBack(ReceiverMachine):
    def rolled_back(self) -> None:
        self.committed()


class DoesNotFence(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        if isinstance(event, CountsSent):
            event = event.replace(connection=self.apps[event.app_id].connection or event.connection)
        return super().handle(event)


class DoesNotSayThatTheLedgerIsOld(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        return super().handle(
            event.replace(ledger="") if isinstance(event, Resumed) else event, now
        )


class PrintsWhatIsUnproven(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        return [it.order if isinstance(it, Unproven) else it for it in commands]


class RaisesToLess(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        if isinstance(event, ResumeAsked) and event.last > 0:
            event = event.replace(last=event.last - 1)
        return super().handle(event)


@pytest.mark.parametrize(
    "machines",
    [
        Machines(sender=EmitsBeforePersist),
        Machines(sender=ConnectsBeforePersist),
        Machines(sender=DoesNotAdopt),
        Machines(sender=TakesACountAgain),
        Machines(receiver=StoresAfterAnswer),
        Machines(receiver=PrintsBeforeStore),
        Machines(receiver=AnswersBeforePrint),
        Machines(receiver=DoesNotRollBack),
        Machines(receiver=DoesNotFence),
        Machines(sender=DoesNotSayThatTheLedgerIsOld),
        Machines(receiver=PrintsWhatIsUnproven),
        Machines(receiver=RaisesToLess),
    ],
    ids=lambda machines: "-".join(part.__name__ for part in machines),
)
def test_a_planted_fault_is_found(machines: Machines) -> None:
    with pytest.raises(AssertionError):
        Search(machines).explore()
