"""Whatever part of a sound journal is missing, the verdict is never VIOLATED."""

from random import Random

import pytest

from sendrecv.proof.judge.verdict import VIOLATED
from sendrecv.proof.statements import Missing
from tests.unit.proof.journals import World
from tests.unit.proof.judging import found, judge, outcome


def of_several_runs(pause: float) -> World:
    """pause: seconds before each takeover and after the last one."""
    world = World().up("x")
    for role in ("failover", "main", "failover"):
        world.count("x", "failover" if role == "main" else "main", times=2)
        world.wait(pause)
        world.take_over("x", role=role)
        world.count("x", role, times=2)
    world.wait(pause)
    world.count("x", "failover", times=3)
    return world


def of_two_receivers(role: str, pause: float) -> World:
    """The first receiver is killed, with two lines that it could not print. The counts after that
    are from `role`.
    """
    world = World().up("x")
    world.take_over("x")
    world.wait(pause)
    world.take_over("x")
    if role == "failover":
        world.wait(pause)
        world.take_over("x")
    at = world.counts["x"]
    world.pid1("receiver.service", f"{world.receivers:032}", "exited", EXIT_CODE="killed")
    world.start_receiver([("x", role, at), ("x", role, at + 1)])
    world.counts["x"] += 2
    world.admit(world.senders["x"])
    for _ in range(3):
        world.count("x", role, times=2)
        world.wait(10)
    return world


@pytest.mark.parametrize("pause", [0, 5, 20])
@pytest.mark.parametrize("made", ["runs", "main", "failover"])
def test_no_hole_in_a_sound_journal_makes_a_violation(made: str, pause: float) -> None:
    """Whatever is missing in the middle: the life of a run, or the session line of the next one."""
    world = of_several_runs(pause) if made == "runs" else of_two_receivers(made, pause)
    assert outcome(judge(world)) == {}
    whole = list(world.entries)
    for first in range(1, len(whole) - 1):
        for after in range(first + 1, len(whole)):
            until = int(whole[after]["__REALTIME_TIMESTAMP"])
            hole = (Missing(f"entries {first} to {after - 1} are missing", until),)
            said = outcome(judge([*whole[:first], *whole[after:]], missing=hole))
            assert VIOLATED not in said.values(), (first, after, said)


def at_random(random: Random) -> World:
    """Takeovers, restarts of the receiver with what it could not print, reboots."""
    world = World().up("x")
    for _ in range(random.randint(2, 5)):
        if random.random() < 0.7:
            world.wait(random.choice([0, 1, 5, 10, 20]))
            active = world.senders["x"].role
            again = random.random() < 0.2
            world.take_over("x", random.choice(["signal", "success"]), active if again else "")
        if random.random() < 0.5:
            its, at = world.senders["x"], world.counts["x"]
            lost = [("x", its.role, at + more) for more in range(random.choice([0, 0, 1, 2]))]
            world.pid1("receiver.service", f"{world.receivers:032}", "exited", EXIT_CODE="killed")
            world.wait(random.choice([0, 0.3]))
            world.start_receiver(lost)
            world.counts["x"] += len(lost)
            world.admit(its)
        if random.random() < 0.15:
            world.boot(clean=random.random() < 0.5)
            world.start_receiver()
            world.admit(world.start("x", "main"))
        for _ in range(random.randint(1, 3)):
            world.count("x", world.senders["x"].role, times=random.randint(1, 2))
            world.wait(random.choice([0, 0, 3, 9, 16]))
    return world


@pytest.mark.parametrize("seed", range(40))
def test_no_hole_in_a_journal_of_random_events_makes_a_violation(seed: int) -> None:
    random = Random(seed)
    world = at_random(random)
    assert VIOLATED not in outcome(judge(world)).values(), found(judge(world))
    whole = list(world.entries)
    for _ in range(60):
        first, after = sorted(random.sample(range(1, len(whole)), 2))
        until = int(whole[after]["__REALTIME_TIMESTAMP"])
        hole = (Missing(f"entries {first} to {after - 1} are missing", until),)
        verdict = judge([*whole[:first], *whole[after:]], missing=hole)
        assert VIOLATED not in outcome(verdict).values(), (first, after, found(verdict))
