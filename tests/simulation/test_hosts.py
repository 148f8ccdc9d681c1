"""The promises of an App on several hosts under every fault, and planted violations of them."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Callable
from dataclasses import fields

import pytest

from sendrecv.core.values import SECOND
from tests.simulation.faults import simulate
from tests.simulation.host_faults import HostFaults
from tests.simulation.host_planted import PLANTED
from tests.simulation.host_stories import STORIES
from tests.simulation.hosts import HostParts, HostsWorld
from tests.simulation.verdict import Violation

RUNS = int(os.environ.get("SIMULATION_RUNS", "50"))
RUNS_TO_FIND = 2000
SEEDS = {"CountsFromTheAnswer": 2}
"""See test_simulation.py."""


def test_each_count_once_in_order_and_for_ever() -> None:
    seed = int(os.environ.get("SIMULATION_SEED", secrets.randbelow(10**6)))
    tally = simulate(HostParts(), seed, lambda tally: tally.runs >= RUNS, faults=HostFaults)
    print(f"from seed {seed}: {tally}")


def _name(parts: HostParts) -> str:
    found = [getattr(parts, field.name) for field in fields(parts)]
    return "-".join(part.__name__ for part in found if part.__module__.endswith("planted"))


@pytest.mark.parametrize("parts", PLANTED, ids=_name)
def test_planted_violation_is_found(parts: HostParts) -> None:
    with pytest.raises(Violation):
        seed = SEEDS.get(_name(parts), 1)
        simulate(
            parts, seed, lambda tally: tally.runs >= RUNS_TO_FIND, shrink=False, faults=HostFaults
        )


def _tell(story: Callable[[HostFaults], None], parts: HostParts) -> None:
    faults = type("Told", (HostFaults,), {"parts": parts})()
    with contextlib.ExitStack() as held:
        held.callback(lambda: faults.world.__exit__(None, None, None))
        story(faults)


@pytest.mark.parametrize(("story", "parts", "found"), STORIES)
def test_story(story: Callable[[HostFaults], None], parts: HostParts, found: str) -> None:
    _tell(story, HostParts())
    with pytest.raises(Violation, match=found):
        _tell(story, parts)


def test_the_same_choices_give_the_same_run() -> None:
    choices = random.Random(7).randbytes(4000)
    seen = []
    for _ in range(2):
        with HostsWorld([1000, 850], SECOND // 4, HostParts()) as world:
            world.run(choices)
            world.settle()
            writes = [(it.revision, it.place, it.record.count) for it in world.cluster.writes]
            seen.append((world.journal.lines, world.steps, world.now, writes))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) > 1 and len(seen[0][3]) > 50
