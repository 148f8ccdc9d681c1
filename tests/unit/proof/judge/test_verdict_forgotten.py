"""The verdict on Apps that were forgotten: each incarnation is judged, and none excuses another."""

import json

from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED
from sendrecv.proof.show import report
from tests.unit.proof.journals import World
from tests.unit.proof.judging import found, judge, outcome


def begun_anew() -> World:
    """Counts 0 to 4, with a takeover; then it is forgotten, and counts 0 to 2."""
    world = World().up("x", "y")
    world.take_over("x")
    world.forget("x")
    world.admit(world.start("x", "main"))
    world.count("x", times=3)
    return world


def test_what_is_shown() -> None:
    verdict = judge(begun_anew())
    assert verdict.status == PROVEN
    lines = "\n".join(report.text(verdict))
    assert (
        lines.count("forgotten      ") == 1 and "in 2 incarnations: the App was forgotten" in lines
    )
    app = json.loads(json.dumps(report.as_json(verdict)))["apps"][0]
    assert [one["incarnation"] for one in app["forgotten"]] == [1]
    assert app["forgotten"][0]["cursor"].startswith("s=")
    assert app["counts"] == {"number": 8, "first": 0, "highest": 2}


def test_the_same_count_twice_is_found_in_each_incarnation() -> None:
    world = begun_anew()
    world.print("x", "main", 1)
    assert outcome(judge(world)) == {f.ONCE: VIOLATED}
    world = World().up("x")
    world.print("x", "main", 1)
    world.forget("x")
    world.admit(world.start("x", "main"))
    world.count("x", times=3)
    assert outcome(judge(world)) == {f.ONCE: VIOLATED}


def test_a_count_of_the_incarnation_before_is_out_of_line() -> None:
    """It is above all that came since, so that it skips some."""
    world = begun_anew()
    world.print("x", "main", 4)
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}


def test_a_gap_before_it_was_forgotten_stays_one() -> None:
    world = World().up("x")
    world.counts["x"] += 1
    world.count("x")
    world.forget("x")
    world.admit(world.start("x", "main"))
    world.count("x", times=9)
    assert outcome(judge(world)) == {f.NO_GAP: VIOLATED}


def test_epochs_grow_in_each_incarnation() -> None:
    world = begun_anew()
    sender = world.senders["x"]
    world.exit(sender)
    world.epochs["x"] = 0
    world.admit(world.start("x", "failover"))
    world.count("x", "failover")
    assert outcome(judge(world)) == {f.EPOCHS: VIOLATED}


def test_two_at_once_are_found_across_incarnations() -> None:
    """The process of the one before still runs."""
    world = World().up("x")
    before = world.senders["x"]
    world.start_receiver()
    world.receive('forgotten {"appID": "x", "incarnation": 1}', 5)
    world.counts["x"] = world.epochs["x"] = 0
    world.admit(world.start("x", "failover"))
    world.count("x", "failover", 3)
    world.exit(before)
    assert outcome(judge(world))[f.ONE] == VIOLATED


def test_no_other_app_is_excused() -> None:
    world = begun_anew()
    world.print("y", "main", 0)
    verdict = judge(world)
    assert [(app.app, app.status) for app in verdict.apps] == [("x", PROVEN), ("y", VIOLATED)]


def test_an_app_that_goes_on_all_the_same_is_a_doubt() -> None:
    """As one does whose record is on another machine."""
    world = begun_anew()
    world.forget("x")
    world.counts["x"] = 3
    world.admit(world.start("x", "main"))
    world.count("x", times=2)
    verdict = judge(world)
    assert outcome(verdict) == {f.NO_GAP: INCONCLUSIVE}
    assert "its counts before 3 were not printed since it was forgotten" in found(verdict)


def test_said_twice_it_is_forgotten_once() -> None:
    """The receiver was killed when it had said so."""
    world = World().up("x")
    said = world.forget("x")
    world.start_receiver()
    world.receive(said["MESSAGE"], 5)
    world.admit(world.start("x", "main"))
    world.count("x", times=3)
    verdict = judge(world)
    assert verdict.status == PROVEN and len(verdict.apps[0].tally.forgotten) == 1


def test_nobody_but_the_receiver_can_say_so() -> None:
    """Nor the receiver, where it prints payloads; nor what is not quite such a line."""
    for change in (
        {"_SYSTEMD_UNIT": "sender@x.service"},
        {"PRIORITY": "6"},
        {"MESSAGE": 'forgotten {"appID": "x"}'},
        {"MESSAGE": 'forgotten {"appID": "x", "incarnation": "1"}'},
        {"MESSAGE": 'forgotten {"appID": 7, "incarnation": 1}'},
        {"MESSAGE": "forgotten ["},
    ):
        world = World().up("x")
        world.forget("x").update(change)
        world.admit(world.start("x", "main"))
        world.count("x")
        assert outcome(judge(world))[f.ONCE] == VIOLATED, change
