"""The long test of audits finds what is planted, in the chain's lines or in the observer's log."""

from typing import Any

import pytest

from tests.chaos.audits import Outcome, judged
from tests.judges import outside


def log(*counts: int) -> outside.Observed:
    lines = (f'5.0 r: {{"count": {n}, "appID": "x", "nodeID": "main"}}' for n in counts)
    return outside.read("\n".join(lines))


def line(first: int, last: int, whole: str = "PROVEN", **fields: Any) -> dict[str, Any]:
    counts = {"first": first, "last": last, "counts": last - first + 1}
    return {"app": "x", "whole": whole, **counts, **fields}


MISSING = {"doubts": [{"text": "the journal's entries 5 to 9 are missing"}]}
GOOD = [line(0, 4), line(5, 9)]


@pytest.mark.parametrize(
    ("lines", "observed", "wrong"),
    [
        (GOOD, range(10), ""),
        ([line(0, 4), line(7, 9, "INCONCLUSIVE", **MISSING)], range(10), ""),
        (GOOD, range(9), ""),  # the observer may miss one at a boot
        (GOOD, range(11), "the observer saw 10"),
        (GOOD, [*range(10), 9], "PROVEN"),
        ([line(0, 4), line(6, 9)], range(10), "PROVEN"),
        ([line(1, 9)], range(10), "PROVEN"),
        ([line(0, 9, "VIOLATED")], range(10), "saw nothing of it"),
        ([line(0, 9, "INCONCLUSIVE")], range(10), "no line names a doubt"),
        ([line(0, 9, "INCONCLUSIVE", doubts=[{"text": "?"}])], range(10), "nothing is missing"),
        ([], range(10), "the chain has 0 lines"),
        (GOOD, [], "the observer 0"),
        (GOOD, [9], "the observer saw 1 of 10"),
    ],
)
def test_what_is_planted_is_found(lines: list[Any], observed: Any, wrong: str) -> None:
    outcome = Outcome()
    found = [*judged("x", lines, log(*observed), outcome)]
    if not wrong:
        assert found == []
        assert outcome.counts == sum(one["counts"] for one in lines)
    else:
        assert any(wrong in text for text in found), found


@pytest.mark.parametrize(
    ("boot", "cuts", "count", "wrong"),
    [(9.0, 1, 5, False), (9.0, 0, 5, True), (9.0, 1, 8, True), (5.1, 1, 5, True)],
)
def test_what_a_power_cut_took_is_a_true_doubt(
    boot: float, cuts: int, count: int, wrong: bool
) -> None:
    """If there was one, and the observer saw that count only after a boot."""
    times = [5.0] * 5 + [boot + n / 5 for n in range(5)]
    texts = (
        f'{at} r: {{"count": {n}, "appID": "x", "nodeID": "main"}}' for n, at in enumerate(times)
    )
    lost = f"count {count} was lost as the machine went down, and printed again by the receiver"
    lines = [line(0, 9, "INCONCLUSIVE", doubts=[{"text": lost}])]
    outcome = Outcome(faults={"power cut": cuts} if cuts else {})
    found = [*judged("x", lines, outside.read("\n".join(texts)), outcome)]
    assert bool(found) is wrong, found
