"""Chaos without a machine: a seed is a schedule, and the right fault is blamed."""

from collections import Counter

import pytest

from tests.chaos.actions import ACTIONS
from tests.chaos.campaign import Result
from tests.chaos.erasure import ERASURES, VACUUMS as TAKING, joined
from tests.chaos.faults import BY_NAME, FORGETFUL, KINDS, VACUUMS, schedule
from tests.chaos.silence import NOTHING, SEVERAL, Silence, Strike, silences, worst_by_kind
from tests.chaos.table import table
from tests.judges.checker import Line

APPS = ["one", "two"]


def test_a_seed_is_a_schedule() -> None:
    assert schedule(7, 300, APPS, 60) == schedule(7, 300, APPS, 60) != schedule(8, 300, APPS, 60)


def test_every_fault_has_its_number_and_every_kind_its_turn() -> None:
    batches = schedule(1, 5000, APPS, 60)
    faults = [fault for batch in batches for fault in batch]
    assert [fault.number for fault in faults] == list(range(5000))
    assert Counter(fault.kind for fault in faults).keys() == BY_NAME.keys()
    for number, batch in enumerate(batches):
        power = [fault for fault in batch if BY_NAME[fault.kind].scope == "power"]
        assert power == (batch[-1:] if number % 2 else [])


def test_state_and_journal_do_not_forget_at_one_instant() -> None:
    instants: dict[float, set[str]] = {}
    for fault in (fault for batch in schedule(2, 9000, APPS, 60) for fault in batch):
        instants.setdefault(fault.at, set()).add(fault.kind)
    assert any(kinds & VACUUMS and len(kinds) > 1 for kinds in instants.values())
    assert not any(kinds & VACUUMS and kinds & FORGETFUL for kinds in instants.values())


def test_the_injector_can_do_all_but_cut_the_power() -> None:
    assert not ACTIONS.keys() & ERASURES.keys()
    assert ACTIONS.keys() | ERASURES.keys() == {
        kind.name for kind in KINDS if kind.scope != "power"
    }


def test_the_injector_tells_of_each_vacuum_what_it_took() -> None:
    assert TAKING.keys() == VACUUMS


def test_what_a_vacuum_took_is_told_in_few_words() -> None:
    files = [("b", 1, 3), ("a", 4, 6), ("a", 1, 3), ("a", 8, 9), ("b", 4, 4)]
    assert joined(files) == [("a", 1, 6), ("a", 8, 9), ("b", 1, 4)]
    assert not joined([])


def lines(*times: float) -> dict[str, list[Line]]:
    return {"one": [Line("one", "main", n, "boot", at) for n, at in enumerate(times)]}


def kill(begin: float, end: float = 0, app: str = "one", error: str = "") -> Strike:
    return Strike(0, "kill", app, begin, end or begin, "any", error)


@pytest.mark.parametrize(
    ("strikes", "blamed", "recovery"),
    [
        ([], NOTHING, 3),
        ([kill(2)], "kill", 2),
        ([kill(1, 3)], "kill", 1),
        ([kill(0.8)], "kill", 3),  # strikes before a line, shows after it
        ([kill(0.5), kill(5), kill(2, app="two"), kill(2, error="no process")], NOTHING, 3),
        ([kill(2), kill(3, app="")], SEVERAL, 1),
    ],
)
def test_who_is_to_blame(strikes: list[Strike], blamed: str, recovery: float) -> None:
    silence: Silence = next(iter(silences(lines(1, 4), strikes)))
    assert silence.kind == blamed
    assert silence.recovery == pytest.approx(recovery)


def test_the_table_has_what_happened() -> None:
    strikes = [kill(2), kill(9, error="no process")]
    worst = worst_by_kind(silences(lines(1, 4, 5), strikes), strikes)
    assert (worst["kill"].injected, worst["kill"].alone, worst["kill"].silence) == (1, 1, 3)
    text = table([Result("trixie", 1, counts=3, worst=worst), Result("trixie", 2, worst=worst)])
    assert "| kill | SIGKILL of the active half | 2 | 2 | 3.00 | 2.00 |" in text
