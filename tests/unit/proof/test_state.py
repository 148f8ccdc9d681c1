"""A judge that is cut: whatever is judged in pieces has the verdict of the whole."""

import json
from collections.abc import Iterable

import hypothesis.strategies as st
from hypothesis import given

from sendrecv.proof.judge.verdict import Judge, Verdict
from tests.unit.proof.journals import Fields, World
from tests.unit.proof.judging import feed, figures, judge
from tests.unit.proof.test_verdict_random import (
    APPS,
    DOUBTFUL,
    HARMLESS,
    PLANTED,
    Act,
    live,
)

ANYTHING: list[Act] = [*HARMLESS, *DOUBTFUL, *(act for act, _ in PLANTED)]
anything = st.lists(st.tuples(st.sampled_from(ANYTHING), st.sampled_from(APPS)), max_size=30)
cuts = st.lists(st.integers(0, 1000), max_size=8)


def judge_cut(written: list[Fields], places: Iterable[int]) -> Verdict:
    """Each piece by a judge that knows no more than the state of the one before."""
    one = Judge(alone=True)
    begin = 0
    for place in sorted({place % (len(written) + 1) for place in places}):
        feed(one, written[begin:place])
        one = Judge.resume(json.loads(json.dumps(one.state())))
        begin = place
    feed(one, written[begin:])
    return one.verdict()


@given(anything, cuts)
def test_cut_anywhere_the_verdict_is_that_of_the_whole(
    history: list[tuple[Act, str]], places: list[int]
) -> None:
    world = World().up(*APPS)
    live(history, world)
    assert figures(judge_cut(world.entries, places)) == figures(judge(world))
