"""The table in the header of the sender's machine: each step of many walks is as its row says.

And each row is met: in each of its states, with and without each of its commands in brackets.
"""

from collections.abc import Iterable, Iterator
from typing import get_args

import pytest

from sendrecv.core.errors import WARNING
from sendrecv.core.sender import SenderMachine, State
from sendrecv.core.sender_events import Answered, Closed, SenderCommand, SenderEvent
from tests.unit.core.sender_table import OPTIONS, ROWS, Checker, Row, steps_met
from tests.unit.core.sender_walks import walks
from tests.unit.core.tables import parts


def test_each_step_is_as_its_row_says_and_each_row_is_met() -> None:
    assert {row for row, _, _ in steps_met()} == {*ROWS} and len({*ROWS}) == len(ROWS)


# Planted: what the checker has to find.


def is_found(rows: Iterable[Row]) -> bool:
    """Whether a table of these rows is found to be wrong."""
    checker = Checker(rows)
    try:
        checker.check(steps_met().values())
        checker.check_that_all_are_met()
    except AssertionError:
        return True
    return False


def wrong(row: Row) -> Iterator[Row]:
    """The row with another next state; with a command less, or more; with a command that is always
    there, or is not.
    """
    for state in State:
        if state.name != row.following:
            yield row._replace(following=state.name)
    words = parts(row.commands)
    yield row._replace(commands=" ".join([*words, "Ready"]))
    for place, word in enumerate(words):
        option = f"[{word}]"
        for other in ([], [word.strip("[]")], [option] if option in OPTIONS else []):
            if other != [word]:
                changed = [*words[:place], *other, *words[place + 1 :]]
                yield row._replace(commands=" ".join(changed) or "-")


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_a_planted_row_is_found(row: Row) -> None:
    others = [it for it in ROWS if it != row]
    assert not is_found([*others, row]) and is_found(others)
    assert len([*wrong(row)]) >= len(State)
    for planted in wrong(row):
        assert is_found([*others, planted]), planted


def test_a_planted_row_that_nothing_meets_is_found() -> None:
    assert is_found([*ROWS, Row("DOWN", "StopAsked", "in flight", "DOWN", "-")])


def without(kind: type[SenderCommand]) -> type[SenderMachine]:
    """A machine that has no such commands."""

    class Without(SenderMachine):
        def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
            return [it for it in super().handle(event, now) if not isinstance(it, kind)]

    return Without


class StaysUp(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        before, commands = self.state, super().handle(event, now)
        self.state = before if isinstance(event, Closed) else self.state
        return commands


class RetriesAtOnce(SenderMachine):
    def _drop(self, now: int, retry: int) -> list[SenderCommand]:
        return super()._drop(now, min(retry, 0))


class ReportsAgain(SenderMachine):
    def _report(self, trouble: str, now: int, severity: int = WARNING) -> list[SenderCommand]:
        self._trouble = self._trouble.replace(told="")
        return super()._report(trouble, now, severity)


class HearsOlderConnections(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        if isinstance(event, Answered):
            event = event.replace(connection=self.connection)
        return super().handle(event, now)


COMMANDS = get_args(SenderCommand)


@pytest.mark.parametrize(
    "kind",
    [*map(without, COMMANDS), StaysUp, RetriesAtOnce, ReportsAgain, HearsOlderConnections],
    ids=[*(f"without-{it.__name__}" for it in COMMANDS), "stays", "retries", "reports", "hears"],
)
def test_a_planted_machine_is_found(kind: type[SenderMachine]) -> None:
    with pytest.raises(AssertionError):
        Checker(ROWS).check(walks(kind))
