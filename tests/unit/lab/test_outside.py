"""The judge by an observer outside the journal, and what is excused: violations are planted."""

from collections.abc import Iterable, Sequence

import pytest

from tests.chaos.memory import Memory
from tests.chaos.silence import Strike
from tests.judges.checker import JOURNAL_STARTED, Entry, Fault, Kind, Session, Verdict, check
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


# What nobody could know.


def strike(kind: str, at: float, app: str = "") -> Strike:
    return Strike(0, kind, app, at, at + 0.1)


def excused(kind: Kind, *strikes: Strike, seen: Iterable[Seen] = tuple(WHOLE)) -> bool:
    """Of a fault at 9 about count 2, which was printed first at 3."""
    fault = Fault(kind, "x", "", 9.0, None, (2, 2), 3.0)
    sessions = [Session("x", 2, "r", "a", 3.0), Session("x", 1, "r", "a", 9.0)]
    return Memory(strikes, journal(seen).lines).could_not_know(fault, sessions)


def test_a_count_comes_again_only_if_state_and_journal_have_both_forgotten_it() -> None:
    vacuum = strike("vacuum", 5)
    for old in ("restore", "restore-all", "log-removed"):
        assert excused(Kind.DUPLICATE, vacuum, strike(old, 6))
        assert excused(Kind.CONFLICT, strike(old, 4), vacuum)
        assert not excused(Kind.DUPLICATE, strike(old, 6))
        assert excused(Kind.DUPLICATE, vacuum, strike(old, 2))  # the line was on its way
        assert not excused(Kind.DUPLICATE, vacuum, strike(old, 0.5))
    assert not excused(Kind.DUPLICATE, vacuum)
    assert not excused(Kind.DUPLICATE, vacuum, strike("restore", 9.5))
    assert not excused(Kind.DUPLICATE, strike("vacuum", 2), strike("restore", 6))
    assert not excused(Kind.GAP, vacuum, strike("restore", 6))


def test_a_vacuum_that_leaves_a_file_takes_what_is_older_than_the_rotation_before() -> None:
    strikes = strike("vacuum-files", 5), strike("restore", 6)
    assert not excused(Kind.DUPLICATE, *strikes)
    assert not excused(Kind.DUPLICATE, *strikes, strike("rotate", 2))
    assert not excused(Kind.DUPLICATE, *strikes, strike("rotate", 7))
    assert excused(Kind.DUPLICATE, *strikes, strike("rotate", 4.5))
    assert not excused(Kind.DUPLICATE, *strikes, strike("rotate", 4.5), seen=[*WHOLE, (4.8, 4)])


def test_a_line_since_the_vacuum_would_have_told() -> None:
    strikes = strike("vacuum", 5), strike("restore", 7)
    assert excused(Kind.DUPLICATE, *strikes, seen=[*WHOLE, (9.0, 2), (9.0, 3)])
    assert not excused(Kind.DUPLICATE, *strikes, seen=[*WHOLE, (6.0, 4)])
    assert not excused(Kind.DUPLICATE, *strikes, seen=[*WHOLE, (8.0, 3)])


def test_without_a_ledger_the_record_knows() -> None:
    strikes = strike("vacuum", 5), strike("ledger-deleted", 6)
    assert not excused(Kind.DUPLICATE, *strikes)
    assert not excused(Kind.DUPLICATE, *strikes, strike("lock-removed", 6, "y"))
    assert excused(Kind.DUPLICATE, *strikes, strike("lock-removed", 6, "x"))


def test_without_a_ledger_the_record_does_not_know_whether_the_last_batch_was_accepted() -> None:
    strikes = strike("vacuum", 5), strike("ledger-deleted", 6)
    assert excused(Kind.DUPLICATE, *strikes, seen=WHOLE[:3])
    assert excused(Kind.DUPLICATE, *strikes, seen=[*WHOLE[:3], (8.9, 2), (8.9, 3)])
    assert not excused(Kind.DUPLICATE, *strikes, seen=[*WHOLE, (8.9, 2)])


def test_an_epoch_comes_again_only_if_the_record_is_lost_too() -> None:
    assert not excused(Kind.EPOCH, strike("vacuum", 5), strike("restore", 6))
    assert excused(Kind.EPOCH, strike("vacuum", 5), strike("restore-all", 6))
    assert not excused(Kind.EPOCH, strike("restore-all", 6))
