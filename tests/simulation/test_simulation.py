"""The promises under every fault, and the simulation itself under planted violations."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Callable
from dataclasses import fields

import pytest

from sendrecv.core.values import SECOND
from sendrecv.core.wire import Refusal, Status
from tests.simulation.faults import Faults, simulate
from tests.simulation.planted import PLANTED
from tests.simulation.receiver import Phase
from tests.simulation.stories import STORIES
from tests.simulation.verdict import Lines, Violation
from tests.simulation.world import Parts, World

RUNS = int(os.environ.get("SIMULATION_RUNS", "200"))
RUNS_TO_FIND = 2000
RUNS_AT_MOST = 5000
SEEDS = {"MarksNoIntent": 3, "TakesEachWayForTheSame": 27}
"""With which Debian 13's Hypothesis finds them soon; others may take a thousand runs more."""

HAPPENED = {
    ("connected",),
    ("refused", Refusal.STALE),
    ("refused", Refusal.UNAVAILABLE),
    ("resumed", Status.ACCEPTED, "asked"),
    ("resumed", Status.FENCED, "asked"),
    ("answered", Status.ACCEPTED),
    ("answered", Status.FENCED),
    ("answered", Status.UNAVAILABLE),
}


def _name(parts: Parts) -> str:
    found = [getattr(parts, field.name) for field in fields(parts)]
    return "-".join(part.__name__ for part in found if part.__module__.endswith("planted"))


def test_each_count_once_in_order_and_for_ever() -> None:
    seed = int(os.environ.get("SIMULATION_SEED", secrets.randbelow(10**6)))
    tally = simulate(
        Parts(),
        seed,
        lambda tally: tally.runs >= (RUNS if HAPPENED <= tally.seen.keys() else RUNS_AT_MOST),
    )
    print(f"from seed {seed}: {tally}")
    assert HAPPENED <= tally.seen.keys()


@pytest.mark.parametrize("parts", PLANTED, ids=_name)
def test_planted_violation_is_found(parts: Parts) -> None:
    with pytest.raises(Violation):
        seed = SEEDS.get(_name(parts), 1)
        simulate(parts, seed, lambda tally: tally.runs >= RUNS_TO_FIND, shrink=False)


def test_the_same_choices_give_the_same_run() -> None:
    choices = random.Random(7).randbytes(4000)
    seen = []
    for _ in range(2):
        with World(2, SECOND // 4, Parts()) as world:
            world.run(choices)
            world.settle()
            seen.append((world.journal.lines, world.steps, world.now, world.witness.seen))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 10


def _tell(story: Callable[[Faults], None], parts: Parts) -> None:
    faults = type("Told", (Faults,), {"parts": parts})()
    with contextlib.ExitStack() as held:
        held.callback(lambda: faults.world.__exit__(None, None, None))
        story(faults)


@pytest.mark.parametrize(("story", "parts"), STORIES, ids=lambda it: getattr(it, "__name__", ""))
def test_story(story: Callable[[Faults], None], parts: Parts) -> None:
    _tell(story, Parts())
    with pytest.raises(Violation):
        _tell(story, parts)


def test_a_receiver_ends_when_its_ledger_is_written_over() -> None:
    """Into the same files, while it runs; the next one does not believe what is there."""

    def story(faults: Faults) -> None:
        faults.begin(apps=2, interval=SECOND)
        faults.calm(duration=3 * SECOND)
        faults.copy_ledger()
        faults.calm(duration=3 * SECOND)
        faults.write_over_ledger(phase=Phase.IDLE)
        old = [faults.world.ledger_is_old]
        faults.calm(duration=3 * SECOND)
        assert [*old, faults.world.ledger_is_old] == [True, False], "no other receiver has begun"
        faults.teardown()

    _tell(story, Parts())


WHOLE = '{"count": 0, "appID": "a", "nodeID": "main"}'


@pytest.mark.parametrize(
    "lines",
    [
        [WHOLE, WHOLE],
        [WHOLE.replace("0", "1")],
        [WHOLE, WHOLE.replace("0", "2")],
        [WHOLE, WHOLE.replace("main", "failover")],
        [WHOLE.replace("main", "other")],
        ["noise"],
        [WHOLE[:20]],
        ["[0]"],
        ['{"count": 0}'],
    ],
)
def test_lines_that_break_a_promise(lines: list[str]) -> None:
    with pytest.raises(Violation):
        Lines(lines)


def test_lines_that_keep_the_promises() -> None:
    of_failover = WHOLE.replace("0", "1").replace("main", "failover")
    lines = [WHOLE, WHOLE.replace('"a"', '"b"'), of_failover]
    assert Lines(lines).last == {"a": 1, "b": 0}
