"""The past of an App, from the chain's lines, joined with what a verdict has of the time since."""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sendrecv.proof.evidence import statements
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED, Judge, Verdict
from sendrecv.proof.show.drawing import draw
from sendrecv.proof.show.history import HOUR, History, Remark, local, moment
from sendrecv.proof.show.past import ChainLine, whole
from tests.unit.proof.journals import Fields, World, export


def life(number: int) -> World:
    """A takeover each five hours."""
    world = World().up("x")
    for _ in range(number):
        world.wait(5 * 3600)
        world.take_over("x")
    return world


def fed(judge: Judge, entries: list[Fields]) -> Judge:
    for _, statement in statements(b"\n" + export([entry])[:-1] for entry in entries):
        judge.feed(statement)
    return judge


def audited(parts: list[list[Fields]]) -> tuple[Verdict, list[ChainLine]]:
    """Each part but the last is audited; the verdict joins the last one."""
    lines: list[ChainLine] = []
    state: Any = None
    known = 0
    for number, part in enumerate(parts, 1):
        judge = fed(Judge.resume(state) if state else Judge(alone=True), part)
        if number == len(parts):
            return judge.verdict(), lines
        state = judge.state()
        verdict = judge.verdict()
        app = verdict.apps[0]
        news = app.takeovers[len(app.takeovers) - (app.number_of_takeovers - known) :]
        known = app.number_of_takeovers
        lines += line_of(part, Counter(str(moment(one) // HOUR) for one in news))
    raise AssertionError


def line_of(part: list[Fields], hours: Counter[str]) -> list[ChainLine]:
    ends = {
        "from": int(part[0]["__REALTIME_TIMESTAMP"]),
        "at": int(part[-1]["__REALTIME_TIMESTAMP"]),
    }
    of_app = {"app": "x", **ends, "verdict": PROVEN, "counts": len(part), "hours": dict(hours)}
    return [of_app, {"machine": "a" * 32, **ends, "until": part[-1]["__CURSOR"]}]


def takeovers(history: History) -> Counter[int]:
    found: Counter[int] = Counter()
    for stretch in history.stretches:
        for hour, number in stretch.takeovers:
            found[hour] += number
    return found


@given(st.integers(0, 20), st.sets(st.integers(20, 150), max_size=3))
def test_each_takeover_is_there_once(number: int, cuts: set[int]) -> None:
    entries = life(20 + number).entries
    # Where the chain's hours are made of what is known then: between two counts.
    places = [place for place in sorted(cuts) if '"count"' in entries[place - 1]["MESSAGE"]]
    ends = [0, *places, len(entries)]
    verdict, lines = audited([entries[a:b] for a, b in zip(ends, ends[1:], strict=False)])
    once = fed(Judge(alone=True), entries).verdict()
    joined = whole(verdict.apps[0], verdict.boots, lines)
    assert takeovers(joined) == takeovers(whole(once.apps[0], once.boots, []))
    assert takeovers(joined).total() == 20 + number
    assert joined.counts == once.apps[0].tally.counts


@pytest.mark.parametrize("cut", [0, 30])
def test_what_the_chain_alone_knows_is_drawn_by_days(cut: int) -> None:
    """However short the life is: the verdict has no run of it any more."""
    entries = life(5).entries
    verdict, lines = audited([entries[:cut], entries[cut:]] if cut else [entries])
    assert ("takeovers, by the hour" in draw(verdict, lines)) is bool(cut)


@pytest.mark.parametrize("alone", [False, True])
def test_all_of_the_time_that_was_counted_is_drawn(alone: bool) -> None:
    """Also that of runs which the judge has settled."""
    entries = life(60).entries
    verdict = fed(Judge(alone=alone), entries).verdict()
    history = whole(verdict.apps[0], verdict.boots, [])
    assert sum(stretch.counts for stretch in history.stretches) == history.counts == 3 + 60 * 2
    counted = [entry for entry in entries if entry["MESSAGE"].startswith('{"count"')]
    walls = {local(int(entry["__REALTIME_TIMESTAMP"])).date() for entry in counted}
    assert walls == {local(one.first).date() for one in history.stretches if one.counts}


BEGIN = 1_790_000_000_000_000


def with_lines(*lines: ChainLine) -> History:
    verdict = fed(Judge(alone=True), life(2).entries).verdict()
    return whole(verdict.apps[0], verdict.boots, lines)


def test_doubts_and_violations_of_the_chain_are_where_they_were() -> None:
    doubt = {"check": "each count once", "text": "2 counts", "from": BEGIN, "to": BEGIN + 2}
    violation = {"text": "twice", "from": BEGIN, "to": BEGIN + 7}
    line = {"app": "x", "at": BEGIN + 9, "verdict": VIOLATED}
    history = with_lines({**line, "doubts": [doubt, {"text": "a hole"}], "witnesses": [violation]})
    assert set(history.remarks) == {
        Remark(False, BEGIN, BEGIN + 2, "2 counts"),
        Remark(False, BEGIN + 9, BEGIN + 9, "a hole"),
        Remark(True, BEGIN + 7, BEGIN + 7, "twice"),
    }


def test_boots_are_those_of_the_machine() -> None:
    history = with_lines({"machine": "m", "at": BEGIN, "boots": {"5": 2}}, {"app": "y", "at": 1})
    assert [stretch.boots for stretch in history.stretches if stretch.boots] == [((5, 2),)]


@pytest.mark.parametrize(
    "line",
    [
        {"at": "x"},
        {"at": -1, "from": True, "counts": 1.5, "silence": None},
        {"verdict": "<b>", "hours": [1], "doubts": {"a": 1}, "witnesses": [1, "x"]},
        {
            "hours": {"-1": 1, "x": 1, "99999999999": 1, "7": "x"},
            "doubts": [{"from": "x", "to": []}],
        },
    ],
)
def test_what_no_audit_writes_does_no_harm(line: ChainLine) -> None:
    history = with_lines({**line, "app": "x"}, {"machine": 1, "until": 7})
    assert history.stretches[0].status == INCONCLUSIVE
    assert all(hour >= 0 and n >= 0 for one in history.stretches for hour, n in one.takeovers)
