"""The judge by an observer outside the journal: violations are planted."""

from collections.abc import Iterable, Sequence

import pytest

from tests.judges.checker import JOURNAL_STARTED, Entry, Kind, Verdict, check
from tests.judges.outside import judge, read, unseen

Seen = tuple[float, int]
"""A time and a count."""


def log(seen: Iterable[Seen], node: str = "main") -> str:
    """What the observer writes down."""
    return "".join(
        f"{at:.6f} <30>Nov 26 17:00:00 receiver[7]: "
        f'{{"count": {count}, "appID": "x", "nodeID": "{node}"}}\n'
        for at, count in seen
    )


def told(first: int, last: int) -> str:
    said = f'{{"appID": "x", "nodeID": "main", "first": {first}, "last": {last}}}'
    return f"9.000000 <29>Nov 26 17:00:00 receiver[7]: unproven {said}\n"


def entry(at: float, **fields: str) -> Entry:
    return {"_BOOT_ID": "a", "__MONOTONIC_TIMESTAMP": str(int(at * 1e6)), **fields}


def journal(seen: Iterable[Seen], *others: Entry) -> Verdict:
    """What the checker makes of a journal with those counts."""
    receiver = {"_SYSTEMD_UNIT": "receiver.service", "_TRANSPORT": "stdout", "PRIORITY": "6"}
    lines = [
        entry(at, MESSAGE=f'{{"count": {count}, "appID": "x", "nodeID": "main"}}', **receiver)
        for at, count in seen
    ]
    order = sorted([*lines, *others], key=lambda one: int(one["__MONOTONIC_TIMESTAMP"]))
    return check(order)


WHOLE: list[Seen] = [(1.0, 0), (2.0, 1), (3.0, 2), (4.0, 3)]


def kinds(text: str, seen: Iterable[Seen], cuts: Sequence[float] = ()) -> list[Kind]:
    return [fault.kind for fault in judge(read(text), journal(seen), cuts)]


def test_a_good_log_has_no_fault_and_both_have_been_seen() -> None:
    observed = read(log(WHOLE) + "some other line\n5.0 <30>x y[1]: {" + '"count": 4')
    assert [line.count for line in observed.lines["x"]] == [0, 1, 2, 3]
    assert not judge(observed, journal(WHOLE), [])
    assert unseen(observed, journal(WHOLE)) == 0
    assert unseen(read(log(WHOLE[:1])), journal(WHOLE)) == 3


@pytest.mark.parametrize("forgotten", [[], WHOLE[:2], WHOLE])
def test_planted_violations_are_found_though_the_journal_has_forgotten(
    forgotten: list[Seen],
) -> None:
    """Whatever was vacuumed: nothing, the first lines, all."""
    there = [one for one in WHOLE if one not in forgotten]
    assert not kinds(log(WHOLE), there)
    twice, late = [*WHOLE, (5.0, 1)], [WHOLE[0], WHOLE[2], (3.5, 1)]
    assert kinds(log(twice), there) == [Kind.DUPLICATE]
    assert kinds(log(WHOLE) + log([(5.0, 1)], "failover"), there) == [Kind.CONFLICT]
    assert kinds(log(late), []) == [Kind.DISORDER]


def test_a_planted_gap_is_found_and_a_count_that_one_of_the_two_has_is_none() -> None:
    gap = [WHOLE[0], *WHOLE[2:]]
    assert kinds(log(gap), gap) == kinds(log(gap), []) == [Kind.GAP]
    assert not kinds(log(gap), WHOLE)
    assert kinds(log(WHOLE[1:]), WHOLE[1:]) == [Kind.GAP]


def test_counts_that_the_receiver_could_not_tell_of_are_no_gap_and_the_others_are() -> None:
    gap = [WHOLE[0], WHOLE[3]]
    assert not kinds(log(gap) + told(1, 2), gap)
    assert kinds(log(gap) + told(1, 1), gap) == [Kind.GAP]
    assert kinds(log(gap) + told(2, 9), gap) == [Kind.GAP]
    assert not kinds(log(gap) + told(2, 2) + told(0, 1), gap)


def test_what_a_killed_journald_took_is_no_gap_there_and_nowhere_else() -> None:
    gap = [WHOLE[0], *WHOLE[2:]]
    for again, faults in ((2.5, 0), (3.5, 1)):
        starts = [entry(at, MESSAGE_ID=JOURNAL_STARTED, _TRANSPORT="driver") for at in (0.5, again)]
        assert len(judge(read(log(gap)), journal(gap, *starts), [])) == faults


def test_a_line_comes_again_only_if_a_loss_of_power_took_it_from_the_journal() -> None:
    text = log([*WHOLE, (6.0, 3)])
    lost = [*WHOLE[:3], (6.0, 3)]
    assert not kinds(text, lost, [5.0])
    # No power was lost then; the journal has it from before; has both; has neither.
    assert kinds(text, lost, [3.5]) == kinds(text, lost) == [Kind.DUPLICATE]
    assert kinds(text, WHOLE, [5.0]) == [Kind.DUPLICATE]
    assert kinds(text, [*WHOLE, (6.0, 3)], [5.0]) == [Kind.DUPLICATE]
    assert kinds(text, WHOLE[:3], [5.0]) == [Kind.DUPLICATE]
