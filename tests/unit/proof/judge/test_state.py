"""A judge that is cut: whatever is judged in pieces has the verdict of the whole."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from sendrecv.proof.judge import findings as f
from sendrecv.proof.judge.state import StateError
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED, Judge, Verdict
from sendrecv.proof.statements import Missing
from tests.unit.proof.journals import OTHER, Fields, World, without
from tests.unit.proof.judging import feed, figures, found, judge, outcome
from tests.unit.proof.several import Several
from tests.unit.proof.judge.test_hosts import HARMLESS as ON_SEVERAL
from tests.unit.proof.judge.test_verdict_random import (
    APPS,
    DOUBTFUL,
    HARMLESS,
    PLANTED,
    Act,
    counts,
    histories,
    is_killed,
    live,
    rests_on,
)

State = dict[str, Any]


def resumed(one: Judge) -> Judge:
    """The next audit knows no more than the state."""
    return Judge.resume(json.loads(json.dumps(one.state())))


def judge_cut(written: list[Fields], places: Iterable[int]) -> Verdict:
    """Each piece by a judge of its own."""
    one = Judge(alone=True)
    begin = 0
    for place in sorted({place % (len(written) + 1) for place in places}):
        feed(one, written[begin:place])
        one = resumed(one)
        begin = place
    feed(one, written[begin:])
    return one.verdict()


def judge_at_once(written: list[Fields]) -> Verdict:
    one = Judge(alone=True)
    feed(one, written)
    return one.verdict()


# What makes a judge forget, remember too much, or take one App for another.


def has_another_apps_run(world: World, app: str) -> None:
    """A holder of the token says so."""
    other = next(one for one in APPS if one != app)
    world.admit(world.senders[other], app, world.senders[app].role)
    counts(world, app)


def is_not_admitted_for_long(world: World, app: str) -> None:
    """More starts than wait until they are settled."""
    world.exit(world.senders[app])
    for place in range(30):
        role = "main" if place % 2 else "failover"
        world.exit(world.start(app, role, ready=False), "exit-code")
    world.admit(world.start(app, "main"))
    counts(world, app)


def waits_for_the_lock(world: World, app: str) -> None:
    before = world.senders[app]
    world.exit(world.start(app, OTHER[before.role], ready=False), "exit-code", "71")
    world.senders[app] = before
    world.epochs[app] = before.epoch
    counts(world, app)


def is_forgotten(world: World, app: str) -> None:
    world.forget(app)
    world.admit(world.start(app, "main"))
    counts(world, app)


def has_a_clock_that_goes_back(world: World, app: str) -> None:
    world.clock -= 86_400_000_000
    counts(world, app)


def is_renumbered(world: World, app: str) -> None:
    """As systemd 252 does after a power cut."""
    world.numbering = f"{int(world.numbering, 16) + 1:032x}"
    counts(world, app)


def leaves_counts_unproven(world: World, app: str) -> None:
    world.start_receiver()
    world.cannot_tell(app, world.senders[app].role, world.counts[app], world.counts[app] + 1)
    world.counts[app] += 2
    counts(world, app)


ODD: list[Act] = [
    has_another_apps_run,
    is_not_admitted_for_long,
    waits_for_the_lock,
    is_forgotten,
    has_a_clock_that_goes_back,
    is_renumbered,
    leaves_counts_unproven,
]
ANYTHING: list[Act] = [*HARMLESS, *DOUBTFUL, *ODD, *(act for act, _ in PLANTED)]
anything = st.lists(st.tuples(st.sampled_from(ANYTHING), st.sampled_from(APPS)), max_size=30)
in_order: list[Act] = [act for act in ANYTHING if act is not has_a_clock_that_goes_back]
anything_in_order = st.lists(
    st.tuples(st.sampled_from(in_order), st.sampled_from(APPS)), max_size=9
)
cuts = st.lists(st.integers(0, 1000), max_size=8)


@given(anything, cuts)
def test_cut_anywhere_the_verdict_is_that_of_the_whole(
    history: list[tuple[Act, str]], places: list[int]
) -> None:
    world = World().up(*APPS)
    live(history, world)
    at_once = judge_at_once(world.entries)
    assert figures(judge_cut(world.entries, places)) == figures(at_once)


@given(st.lists(st.sampled_from(ON_SEVERAL), max_size=12), cuts, st.sampled_from("abr"))
def test_of_one_host_of_several_too(
    history: list[Callable[[Several], None]], places: list[int], name: str
) -> None:
    """The receiver's has lines of runs on hosts that are not here, and the others no counts."""
    several = Several().up()
    for act in history:
        act(several)
    written = several.all[name].entries
    assert figures(judge_cut(written, places)) == figures(judge_at_once(written))


@given(histories, st.sampled_from(PLANTED), histories, st.sampled_from(APPS), cuts)
def test_what_may_not_happen_is_found_wherever_it_is_cut(
    before: list[tuple[Act, str]],
    planted: tuple[Act, str],
    after: list[tuple[Act, str]],
    app: str,
    places: list[int],
) -> None:
    world = World().up(*APPS)
    live(before, world)
    begins = len(world.entries)
    act, check = planted
    act(world, app)
    ends = len(world.entries)
    live(after, world)
    # One cut is in the midst of it.
    places = [*places, begins + sum(places) % (ends - begins)]
    verdict = judge_cut(world.entries, places)
    statuses = {one.app: one.status for one in verdict.apps}
    assert statuses == {**dict.fromkeys(APPS, PROVEN), app: VIOLATED}, found(verdict)
    assert outcome(verdict)[check] == VIOLATED, found(verdict)


@given(histories, st.data(), st.integers(-3, 3))
def test_without_a_line_at_a_cut_it_is_not_proven(
    history: list[tuple[Act, str]], data: st.DataObject, beside: int
) -> None:
    world = World().up(*APPS)
    live(history, world)
    needed = [place for place in range(len(world.entries)) if rests_on(world, place)]
    assume(needed)
    place = data.draw(st.sampled_from(needed))
    verdict = judge_cut(without(world.entries, place), [max(0, place + beside)])
    assert verdict.status in (INCONCLUSIVE, VIOLATED), world.entries[place]


# What a state has to have: for each part, a violation across the cut that is not found without it.


@dataclass(frozen=True)
class Planted:
    """`then`: what happens after the cut; a violation, with what happened before. `lost`: the part
    of the state without which it is not found.
    """

    check: str
    before: Act
    then: Act
    lost: str
    status: str = VIOLATED


def lines_are_removed(world: World, app: str) -> None:
    world.counts[app] += 2
    counts(world, app)


def a_count_comes_again_after_a_power_cut(world: World, app: str) -> None:
    last = (app, world.senders[app].role, world.counts[app] - 1)
    world.boot(clean=False)
    world.start_receiver([last])
    world.admit(world.start(app, "main"))
    counts(world, app)


def starts_beside_it(world: World, app: str) -> None:
    before = world.senders[app]
    world.start(app, OTHER[before.role])
    world.exit(before)
    world.admit(world.senders[app])
    counts(world, app)


def prints_for_the_older(world: World, app: str) -> None:
    world.print(app, OTHER[world.senders[app].role], world.counts[app])
    world.counts[app] += 1
    counts(world, app)


def ends(world: World, app: str) -> None:
    world.exit(world.senders[app])


def counts_without_a_process(world: World, app: str) -> None:
    world.wait(100)
    counts(world, app)


def has_the_epoch_again(world: World, app: str) -> None:
    world.epochs[app] -= 1
    is_killed(world, app)


def jumps(world: World, app: str) -> None:
    counts(world, app)
    world.print(app, world.senders[app].role, world.counts[app] + 1)


def falls_back(world: World, app: str) -> None:
    world.print(app, world.senders[app].role, world.counts[app])
    world.counts[app] += 2
    counts(world, app)


def loses_lines(world: World, app: str) -> None:
    dropped = {"OBJECT_SYSTEMD_UNIT": "receiver.service", "N_DROPPED": "2", "MESSAGE": "Suppressed"}
    world.write(
        {"MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e", "_TRANSPORT": "driver", **dropped}
    )
    counts(world, app)


ACROSS = [
    Planted(f.NO_GAP, counts, lines_are_removed, "tally._now"),
    Planted(f.NO_GAP, lines_are_removed, counts, "tally._now.holes"),
    Planted(f.ONCE, counts, a_count_comes_again_after_a_power_cut, "tally._now"),
    Planted(f.ONE, counts, starts_beside_it, "timeline.by_instance"),
    Planted(f.ONE, starts_beside_it, is_killed, "timeline.by_instance"),
    Planted(f.NEWER, is_killed, prints_for_the_older, "tally.owners.sessions.kept"),
    Planted(f.OWN, ends, counts_without_a_process, "timeline.runs"),
    Planted(f.EPOCHS, is_killed, has_the_epoch_again, "tally.owners._highest"),
    Planted(f.IN_ORDER, jumps, falls_back, "tally._now"),
    Planted(f.WHOLE, loses_lines, counts, "timeline.losses", INCONCLUSIVE),
]


def at_the_cut(planted: Planted, change: Callable[[State], None] = lambda state: None) -> Verdict:
    world = World().up("x")
    planted.before(world, "x")
    one = Judge(alone=True)
    feed(one, world.entries)
    state = one.state()
    change(state)
    place = len(world.entries)
    planted.then(world, "x")
    one = Judge.resume(json.loads(json.dumps(state)))
    feed(one, world.entries[place:])
    return one.verdict()


@pytest.mark.parametrize("planted", ACROSS, ids=lambda one: f"{one.then.__name__}-{one.lost}")
def test_across_a_cut_it_is_found_and_rests_on_that_part_of_the_state(planted: Planted) -> None:
    assert outcome(at_the_cut(planted))[planted.check] == planted.status

    def lose(state: State) -> None:
        name, *path = planted.lost.split(".")
        part = state["machine"][name] if name == "timeline" else state["apps"]["x"]["course"][name]
        for name in path[:-1]:
            part = part[name]
        del part[path[-1]]

    assert outcome(at_the_cut(planted, lose)).get(planted.check) != planted.status


def test_a_takeover_across_a_cut_is_counted() -> None:
    world = World().up("x")
    places = []
    before = world.senders["x"]
    for act in (
        lambda: world.exit(before),
        lambda: world.start("x", "failover"),
        lambda: world.admit(world.senders["x"]),
        lambda: world.count("x", "failover"),
    ):
        act()
        places.append(len(world.entries))
    for place in range(places[0] - 3, places[-1]):
        app = judge_cut(world.entries, [place]).apps[0]
        assert (app.status, app.number_of_takeovers) == (PROVEN, 1)
        assert app.figures.silence == judge(world).apps[0].figures.silence


def test_a_clock_that_goes_back_over_a_cut_changes_nothing() -> None:
    world = World().up("x")
    place = len(world.entries)
    world.clock -= 30 * 86_400_000_000
    is_killed(world, "x")
    assert judge_cut(world.entries, [place]).status == PROVEN
    starts_beside_it(world, "x")
    assert outcome(judge_cut(world.entries, [place]))[f.ONE] == VIOLATED


def test_what_was_lost_between_two_audits_is_a_doubt_with_its_period() -> None:
    world = World().up("x")
    place = len(world.entries)
    is_killed(world, "x")
    kept = len(world.entries)
    is_killed(world, "x")
    one = Judge(alone=True)
    feed(one, world.entries[:place])
    one = resumed(one)
    first = world.entries[kept]
    missing = Missing("rotated away", int(first["__REALTIME_TIMESTAMP"]), machine="a" * 32)
    one.limit([missing])
    feed(one, world.entries[kept:])
    one = resumed(one)
    verdict = one.verdict()
    assert verdict.status == INCONCLUSIVE and outcome(verdict)[f.NO_GAP] == INCONCLUSIVE
    gap = next(finding for check, finding in verdict.apps[0].doubts if check == f.NO_GAP)
    assert gap.counts == 2 and gap.period
    assert gap.period[0].wall <= missing.until <= gap.period[1].wall


@given(anything_in_order, st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 9)), max_size=5))
def test_what_was_lost_between_audits_makes_the_doubts_of_one_reading(
    history: list[tuple[Act, str]], lost: list[tuple[int, int]]
) -> None:
    """Before an audit came, the journal had removed some entries."""
    world = World().up(*APPS)
    live(history, world)
    at_once, in_pieces = Judge(alone=True), Judge(alone=True)
    kept: list[Fields] = []
    holes = []
    begin = 0
    for place, number in sorted((place % len(world.entries), number) for place, number in lost):
        end = min(place + number, len(world.entries) - 1)
        if place < begin:
            continue
        kept += world.entries[begin:place]
        feed(in_pieces, world.entries[begin:place])
        in_pieces = resumed(in_pieces)
        if end > place:
            until = int(world.entries[end]["__REALTIME_TIMESTAMP"])
            holes.append(Missing(f"{number} entries are gone", until, machine="a" * 32))
            in_pieces.limit(holes[-1:])
        begin = end
    at_once.limit(holes)
    feed(at_once, [*kept, *world.entries[begin:]])
    feed(in_pieces, world.entries[begin:])
    verdict = in_pieces.verdict()
    assert figures(verdict) == figures(at_once.verdict())
    assert not holes or verdict.status != PROVEN


NOT_READ = [Missing("journalctl was killed", somewhere=True)]


def test_what_an_audit_could_not_read_is_a_doubt_of_its_own_period() -> None:
    world = World().up("x")
    starts_beside_it(world, "x")
    is_killed(world, "x")
    place = len(world.entries)
    is_killed(world, "x")
    # The violation was found before:
    one = Judge(alone=True)
    feed(one, world.entries[:place])
    one = resumed(one)
    one.limit(NOT_READ)
    feed(one, world.entries[place:])
    assert outcome(resumed(one).verdict())[f.ONE] == VIOLATED
    # It may be one of that audit's own lines, and is looked at later:
    one = Judge(alone=True)
    one.limit(NOT_READ)
    feed(one, world.entries[:place])
    one = resumed(one)
    feed(one, world.entries[place:])
    assert outcome(one.verdict())[f.ONE] == INCONCLUSIVE
    # What comes after is read:
    one = Judge(alone=True)
    one.limit(NOT_READ)
    feed(one, world.entries)
    one = resumed(one)
    place = len(world.entries)
    is_killed(world, "x")
    starts_beside_it(world, "x")
    feed(one, world.entries[place:])
    assert outcome(one.verdict())[f.ONE] == VIOLATED


# The size


def sizes(world: World) -> dict[str, int]:
    one = Judge(alone=True)
    feed(one, world.entries)
    state = one.state()
    parts = {"machine": state["machine"], **state["apps"]}
    return {name: len(json.dumps(part, separators=(",", ":"))) for name, part in parts.items()}


@pytest.mark.parametrize("act", [is_killed, is_not_admitted_for_long, *HARMLESS[-3:]])
def test_a_state_does_not_grow_with_age(act: Act) -> None:
    world = World().up(*APPS)
    live([(act, app) for _ in range(30) for app in APPS], world)
    young = sizes(world)
    live([(act, app) for _ in range(200) for app in APPS], world)
    old = sizes(world)
    assert all(old[part] < 1.2 * young[part] for part in old), (young, old)
    assert max(old["x"], old["y"]) < 10_000, old


def test_of_an_app_on_several_hosts_too() -> None:
    for name in "ra":
        several = Several().up()
        worlds = []
        for number in (30, 200):
            for place in range(number):
                several.take("abc"[place % 3])
                several.count()
            worlds.append(sizes(several.all[name]))
        assert all(worlds[1][part] < 1.2 * worlds[0][part] for part in worlds[1]), worlds


# What is no state


def a_state() -> State:
    world = World().up(*APPS)
    live([(act, app) for act in (is_killed, *ODD) for app in APPS], world)
    one = Judge(alone=True)
    feed(one, world.entries)
    return dict(json.loads(json.dumps(one.state())))


A_STATE = json.dumps(a_state())
JUNK: list[Any] = [None, True, -1, 10**30, "", "x" * 5000, [], {}, [[]], {"x": 1}, 1.5]


@given(st.data())
def test_what_is_no_state_is_refused_or_judged(data: st.DataObject) -> None:
    state = json.loads(A_STATE)
    part: Any = state
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(part[key], (dict, list)) and part[key] and data.draw(st.integers(0, 9)):
            part = part[key]
            continue
        part[key] = data.draw(st.sampled_from(JUNK))
        break
    try:
        one = Judge.resume(state)
    except StateError:
        return
    one.verdict()


@pytest.mark.parametrize("state", [None, [], {}, {"machine": {}}, {"machine": {}, "apps": {}}, 7])
def test_that_is_no_state(state: Any) -> None:
    with pytest.raises(StateError):
        Judge.resume(state)


def test_a_state_of_another_version_is_refused() -> None:
    state = a_state()
    state["machine"]["version"] += 1
    with pytest.raises(StateError, match="version"):
        Judge.resume(state)
