"""The table in the header of the receiver's machine: each step of many walks is as its line says.

And each line is met.
"""

from collections.abc import Iterable, Iterator
from typing import get_args

import pytest

from sendrecv.core.receiver import AppState, ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    ConnectionClosed,
    ReceiverCommand,
    ReceiverEvent,
)
from tests.unit.core.receiver_table import LINES, Checker, Line, name_of
from tests.unit.core.receiver_walks import Step, copied, walks
from tests.unit.core.tables import parts


def check_rollback(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps. If an event is the first of its group, to roll the group back undoes it."""
    for step in steps:
        if not step.before._before:
            machine = copied(step.after)
            machine.rolled_back()
            assert machine.apps == step.before.apps, step
        yield step


@pytest.fixture(scope="module", name="met")
def _met() -> dict[Line, Step]:
    """A step of each line there is."""
    checker = Checker(LINES)
    checker.check(check_rollback(walks()))
    checker.check_that_all_are_met()
    return checker.met


def test_each_step_is_as_its_line_says_and_each_line_is_met(met: dict[Line, Step]) -> None:
    assert {*met} == {*LINES} and len({*LINES}) == len(LINES)


# Planted: what the checker has to find.


def is_found(met: dict[Line, Step], lines: Iterable[Line]) -> bool:
    """Whether a table of these lines is found to be wrong."""
    checker = Checker(lines)
    try:
        checker.check(met.values())
        checker.check_that_all_are_met()
    except AssertionError:
        return True
    return False


def wrong(line: Line) -> Iterator[Line]:
    """The line with another end; with a command less, or more, or of another kind."""
    for then in {it.then for it in LINES} - {line.then}:
        yield line._replace(then=then)
    words = parts(line.commands)
    yield line._replace(commands=" ".join([*words, "CutOff"]))
    for place, word in enumerate(words):
        yield line._replace(commands=" ".join([*words[:place], *words[place + 1 :]]) or "-")
        if word.endswith(")"):
            yield line._replace(commands=line.commands.replace(word, f"{word[:-1]}er)"))


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_planted_line_is_found(met: dict[Line, Step], line: Line) -> None:
    others = [it for it in LINES if it != line]
    assert not is_found(met, [*others, line]) and is_found(met, others)
    assert len([*wrong(line)]) > 5
    for planted in wrong(line):
        assert is_found(met, [*others, planted]), planted


def test_a_planted_line_that_nothing_meets_is_found(met: dict[Line, Step]) -> None:
    assert is_found(met, [*LINES, Line("CountsSent", "no room", "Answer(gap)", "unchanged")])


def without(kind: type[ReceiverCommand]) -> type[ReceiverMachine]:
    """A machine that has no such commands."""

    class Without(ReceiverMachine):
        def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
            return [it for it in super().handle(event) if not isinstance(it, kind)]

    return Without


class AdmitsAnyRun(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        app = self.apps.get(name_of(event))
        if isinstance(event, AdmissionAsked) and app:
            event = event.replace(claim=event.claim.replace(run=app.row.run))
        return super().handle(event)


class StaysConnected(ReceiverMachine):
    def _close(self, event: ConnectionClosed) -> list[ReceiverCommand]:
        return []


class ForgetsWhatHasCounted(ReceiverMachine):
    def _set(self, app_id: str, state: AppState) -> None:
        super()._set(app_id, state.replace(current=False))


class LosesAnotherApp(ReceiverMachine):
    def _make_room(self) -> bool:
        for name in [*self.apps][:1]:
            self._before[name] = self.apps.pop(name)
        return True


class DoesNotRollBack(ReceiverMachine):
    def rolled_back(self) -> None:
        self.committed()


COMMANDS = get_args(ReceiverCommand)


@pytest.mark.parametrize(
    "kind",
    [
        *map(without, COMMANDS),
        *(AdmitsAnyRun, StaysConnected, ForgetsWhatHasCounted, LosesAnotherApp, DoesNotRollBack),
    ],
    ids=[
        *(f"without-{it.__name__}" for it in COMMANDS),
        *("admits", "stays", "forgets", "loses", "keeps"),
    ],
)
def test_a_planted_machine_is_found(kind: type[ReceiverMachine]) -> None:
    with pytest.raises(AssertionError):
        Checker(LINES).check(check_rollback(walks(kind)))
