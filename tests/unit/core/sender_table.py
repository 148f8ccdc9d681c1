"""The table in the header of the sender's machine, and a checker that compares steps with it.

Which row a step must be like is decided here, from the machine before the step and from the event.
"""

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from sendrecv.core import sender
from sendrecv.core.sender import SenderMachine, State
from sendrecv.core.sender_events import Answered, Refused, Report, Resumed, SenderCommand
from sendrecv.core.wire import MAX_COUNT, MAX_EPOCH, Refusal, Status
from tests.unit.core.sender_walks import Step, walks
from tests.unit.core.tables import parts, table


class Row(NamedTuple):
    """As it is written."""

    state: str
    event: str
    condition: str
    following: str
    commands: str


ROWS = [Row(*cells) for cells in table(sender, *Row._fields[:3], "next", "commands")]
STATES = {
    **{state.name: [state] for state in State},
    **{"any": [*State], "open": [State.OPENING, State.RESUMING, State.UP]},
}
"""By the word in the table."""


NOT_BELIEVED, ACCEPTED = "not believed (rule 7)", "far back, accepted"

# What the conditions mean: which of them is that of a step, in the words of the table.


def of_start(step: Step) -> str:
    return "again" if step.before.connection else "the first"


def of_time(step: Step) -> str:
    machine, is_down = step.before, step.before.state is State.DOWN
    if is_over(machine._stop_deadline, step):
        return "stopping" if is_down else "stopping, no answer"
    if is_over(machine._deadline, step):
        if is_down:
            return "a retry is due"
        waits = machine._flight is not None or machine.state is not State.UP
        return "no answer in time" if waits else "ledger may be writable"
    if is_count_due(step):
        return "a count is due" if can_send(machine) else "a count is due, waits"
    return "nothing is due"


def of_refusal(step: Step) -> str:
    machine, event = step.before, step.event
    assert isinstance(event, Refused)
    if event.reason is not Refusal.STALE:
        return "for another reason"
    if event.epoch == MAX_EPOCH:
        return "stale, no epoch is left"
    if not machine.belief.in_epoch(event.epoch):
        return "stale, beyond our reach"
    if event.epoch < machine.epoch:
        return "stale, below our epoch"
    return "stale, first trouble" if machine._trouble.since is None else "stale, more trouble"


def of_resumed(step: Step) -> str:
    machine, event = step.before, step.event
    assert isinstance(event, Resumed)
    if machine._ledger.is_old(event, machine.acknowledged):
        return "its ledger is old"
    condition = of_last(step, event.last)
    is_first = condition == "the receiver is ahead" and not machine.belief.known
    return "ahead, we have no count" if is_first else condition


def of_answer(step: Step) -> str:
    machine, event = step.before, step.event
    assert isinstance(event, Answered)
    if machine._flight is None:
        return "nothing was in flight"
    if event.status is Status.UNAVAILABLE:
        return "unavailable"
    if event.status in (Status.FENCED, Status.INVALID):
        return "fenced or invalid"
    condition = of_last(step, event.last)
    is_stopping = machine._stop_deadline is not None
    is_adopted = condition not in (NOT_BELIEVED, ACCEPTED)
    return "stopping" if is_stopping and is_adopted else condition


def of_last(step: Step, last: int) -> str:
    """Of what the receiver says to be its last count."""
    machine, (count, acknowledged) = step.before, told(step)
    if not machine.belief.in_count(last, machine.count, machine.acknowledged, step.now):
        return NOT_BELIEVED
    if machine.belief.is_far_back(last, machine.acknowledged):
        return ACCEPTED if last == machine.belief.accepted.count else NOT_BELIEVED
    if count > machine.count:
        return "the receiver is ahead"
    return "nothing to send" if count == acknowledged else "counts to send"


def of_stop(step: Step) -> str:
    return "nothing in flight" if step.before._flight is None else "in flight"


CONDITIONS: dict[str, Callable[[Step], str]] = {
    "Started": of_start,
    "TimePassed": of_time,
    "Refused": of_refusal,
    "Resumed": of_resumed,
    "Answered": of_answer,
    "StopAsked": of_stop,
}
"""By the event. Every other event has no condition."""


def condition_of(step: Step) -> str:
    event = type(step.event).__name__
    return CONDITIONS[event](step) if event in CONDITIONS else "-"


def is_over(deadline: int | None, step: Step) -> bool:
    return deadline is not None and step.now >= deadline


def can_send(machine: SenderMachine) -> bool:
    return machine.state is State.UP and machine._flight is None and machine._deadline is None


def told(step: Step) -> tuple[int, int]:
    """The count and the acknowledged count, once the receiver has said its last count."""
    count, acknowledged = step.before.count, step.before.acknowledged
    if not isinstance(step.event, Resumed | Answered) or step.event.last < 0:
        return count, acknowledged
    return max(count, step.event.last), step.event.last


# Which commands in brackets are there.


def is_count_due(step: Step) -> bool:
    """After the event. If the interval is 0, it is when all counts are acknowledged."""
    machine, (count, acknowledged) = step.before, told(step)
    known = machine.belief.known or isinstance(step.event, Resumed)
    if not known or count == MAX_COUNT or machine._stop_deadline is not None:
        return False
    if machine.app.interval:
        return step.now >= machine._due
    return isinstance(step.event, Resumed | Answered) and count == acknowledged


def is_to_report(step: Step) -> bool:
    """The cause is what a machine reports which has not reported anything yet."""
    machine, trouble = copy.copy(step.before), step.before._trouble
    machine._trouble = trouble.replace(told="", reports=0)
    reports = [it for it in machine.handle(step.event, step.now) if isinstance(it, Report)]
    assert len(reports) == 1, f"{len(reports)} reports of one cause"
    return trouble.report(reports[0].text.rpartition("; ")[0], step.now) is not trouble


OPTIONS: dict[str, Callable[[Step], bool]] = {
    "[Persist]": is_count_due,
    "[Persist Emit]": is_count_due,
    "[Report]": is_to_report,
    "[Report over]": lambda step: step.before._trouble.told != "",
    "[Report most]": lambda step: told(step)[0] == MAX_COUNT,
}


# The checker.


class Met(NamedTuple):
    """A row in one of its states, with some of its commands in brackets."""

    row: Row
    state: State
    options: frozenset[str]


class Checker:
    """Compares steps with rows. met: the first step of each kind."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.met: dict[Met, Step] = {}
        self._rows: dict[tuple[State, str], list[Row]] = {}
        for row in rows:
            for state in STATES[row.state]:
                self._rows.setdefault((state, row.event), []).append(row)

    def check(self, steps: Iterable[Step]) -> None:
        """Each step is as its row says. Raises AssertionError."""
        for step in steps:
            event = type(step.event).__name__
            rows = self._rows.get((step.before.state, event), [])
            if not rows or is_of_another_connection(step):
                assert step.commands == [] and vars(step.after) == vars(step.before), step
                continue
            condition = condition_of(step)
            fitting = [row for row in rows if row.condition == condition]
            assert len(fitting) == 1, f"{condition}: {fitting} fit {step}"
            self._compare(fitting[0], step)

    def _compare(self, row: Row, step: Step) -> None:
        state = step.before.state
        options = frozenset(it for it in options_of(row) if OPTIONS[it](step))
        assert names(step.commands) == names_in(row, options), f"{row}: {step}"
        assert step.after.state.name == (state.name if row.following == "any" else row.following)
        self.met.setdefault(Met(row, state, options), step)

    def check_that_all_are_met(self) -> None:
        """Each row was met in each of its states, and with each choice of its options."""
        met = {(it.row, it.state) for it in self.met}
        assert met == {(row, state) for (state, _), rows in self._rows.items() for row in rows}
        for row in {row for row, _ in met}:
            seen = {it.options for it in self.met if it.row == row}
            assert seen == choices(row), f"{row}: {seen}"


def is_of_another_connection(step: Step) -> bool:
    number = step.before.connection
    return getattr(step.event, "connection", number) != number


def options_of(row: Row) -> list[str]:
    return [it for it in parts(row.commands) if it.startswith("[")]


def choices(row: Row) -> set[frozenset[str]]:
    """Of its options. At the largest count, none is due."""
    every = {frozenset[str]()}
    for option in options_of(row):
        every |= {choice | {option} for choice in every}
    return {it for it in every if not ("[Report most]" in it and "Persist" in " ".join(it))}


def names(commands: Iterable[SenderCommand]) -> list[str]:
    return [type(command).__name__ for command in commands]


def names_in(row: Row, options: frozenset[str]) -> list[str]:
    """The names of a row's commands, with these of its options. ("over" and "most" are none.)"""
    found = [it for it in parts(row.commands) if it in options or not it.startswith("[")]
    return re.findall(r"[A-Z]\w+", " ".join(found))


@cache
def steps_met() -> Mapping[Met, Step]:
    """A step of each kind there is. The walks are compared with the rows once for all tests."""
    checker = Checker(ROWS)
    checker.check(walks())
    checker.check_that_all_are_met()
    return checker.met
