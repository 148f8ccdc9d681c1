"""What a start makes of the journal, by the table in the header of recovery.py."""

import pytest

from sendrecv.core.lines import forgotten_line, line_of, probe_line, session_line
from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.recovery import (
    Bounds,
    JournalReading,
    Known,
    Reconciliation,
    Span,
    forgotten_since,
    raised,
    unprinted,
)

HERE, BEFORE, LONG_AGO = "h" * 32, "b" * 32, "a" * 32


def span(
    first: int,
    last: int,
    *,
    app: str = "a",
    boot: str = BEFORE,
    opened: float = 100,
    way: float | None = 50,
) -> Span:
    return Span(Print(app, "main", first, last), boot, opened, way)


def read(
    *counts: tuple[str, str, int],
    at: float = 60,
    bounds: tuple[float, float] | None = (0.0, 500.0),
    since: float = 0.0,
    boot: str = BEFORE,
) -> JournalReading:
    """A reading that has these payloads (boot, App, count)."""
    there = {boot: Bounds(*bounds)} if bounds else {}
    return JournalReading(known(*counts, at=at), {boot: since}, there)


def known(*counts: tuple[str, str, int], at: float = 60) -> Known:
    found = Known()
    for of_boot, app, count in counts:
        found.add(of_boot, at, line_of(app, "main", count))
    return found


def again(*orders: tuple[int, int]) -> Reconciliation:
    return Reconciliation([Print("a", "main", *order) for order in orders], [])


def unproven(*orders: tuple[int, int]) -> Reconciliation:
    return Reconciliation([], [Print("a", "main", *order) for order in orders])


B = (BEFORE, "b", 7)
"""Another App's payload of that boot."""
CASES: dict[str, tuple[list[Span], JournalReading, Reconciliation]] = {
    "all is there": ([span(1, 3)], read((BEFORE, "a", 3)), again()),
    "the end is missing": ([span(1, 5)], read((BEFORE, "a", 2)), again((3, 5))),
    "the end is missing, and lines took another way since": (
        [span(1, 5, way=None)],
        read((BEFORE, "a", 2)),
        unproven((3, 5)),
    ),
    "several spans": ([span(1, 5), span(6, 9)], read((BEFORE, "a", 4)), again((5, 5), (6, 9))),
    "several spans, and the second took another way": (
        [span(1, 5, way=None), span(6, 9, way=103)],
        read((BEFORE, "a", 4)),
        unproven((5, 5), (6, 9)),
    ),
    "the one before is there, of an earlier boot": (
        [span(5, 9)],
        read((LONG_AGO, "a", 4), B),
        again((5, 9)),
    ),
    "the one before is there, and no payload that took the same way": (
        [span(5, 9)],
        read((LONG_AGO, "a", 4)),
        unproven((5, 9)),
    ),
    "the one before is there, and only payloads that took another way": (
        [span(5, 9)],
        read((BEFORE, "a", 4), at=49),
        unproven((5, 9)),
    ),
    "only an earlier one is there": ([span(5, 9)], read((LONG_AGO, "a", 2), B), unproven((5, 9))),
    "lines go elsewhere": ([span(1, 3)], read(), unproven((1, 3))),
    "lost with all of the boot": ([span(1, 3)], read(bounds=None), unproven((1, 3))),
    "vacuumed": ([span(1, 3)], read(B, bounds=(101.0, 500.0)), unproven((1, 3))),
    "vacuumed, and another span after it": (
        [span(1, 3), span(4, 6, opened=101)],
        read(B, bounds=(102.0, 500.0)),
        unproven((1, 3), (4, 6)),
    ),
    "vacuumed between two spans": (
        [span(1, 3), span(4, 6, opened=103)],
        read(B, bounds=(102.0, 500.0)),
        Reconciliation([Print("a", "main", 4, 6)], [Print("a", "main", 1, 3)]),
    ),
    "not read so far back": ([span(1, 3)], read(B, since=101.0), unproven((1, 3))),
    "another App's lines are there": ([span(1, 3)], read(B), again((1, 3))),
    "format 1, seen": (
        [span(3, 5, boot="", opened=0, way=None)],
        read((HERE, "a", 4)),
        unproven((5, 5)),
    ),
    "format 1, not seen": (
        [span(3, 5, boot="", opened=0, way=None)],
        read((HERE, "b", 4)),
        unproven((3, 5)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_printed_again(case: str) -> None:
    spans, reading, finding = CASES[case]
    assert unprinted(spans, reading, Known()) == finding


def test_what_is_known_of_the_last_lines_counts_too() -> None:
    """They were read further back than to the span's opening."""
    assert unprinted([span(1, 3)], read(), known(B)) == again((1, 3))
    assert unprinted([span(1, 3)], read(), known(B, at=49)) == unproven((1, 3))
    assert unprinted([span(1, 3)], read(), known((BEFORE, "a", 2))) == again((3, 3))
    assert unprinted([span(1, 3)], read(bounds=None), known(B)) == unproven((1, 3))


def test_a_run_that_was_admitted_and_has_not_counted_tells_no_count() -> None:
    newest = known(B)
    newest.add(BEFORE, 60, session_line(Row("a", 7, "7" * 32, "main", None)))
    assert unprinted([span(0, 3)], read(), newest) == again((0, 3))


def test_what_lines_tell() -> None:
    newest = Row("a", 7, "7" * 32, "failover", 3)
    older = newest.replace(epoch=6, run="6" * 32, node_id="main", last=None)
    lines = [*(session_line(row) for row in (older, newest)), line_of("a", "main", 4), "noise"]
    lines += [line_of("b", "main", 0), "session {}", session_line(newest) + "x"]
    for order in (lines, lines[::-1]):
        known = Known()
        apps = [known.add(HERE, 1.0, line) for line in order]
        assert known.rows["a"] == newest.replace(last=4) and known.boots == {HERE: 1.0}
        assert known.rows["b"] == Row("b", 0, "0" * 32, "main", 0)
        assert set(apps) == {"a", "b", ""}


def told(*lines: str) -> Known:
    """By these lines, the oldest first."""
    known = Known()
    for line in reversed(lines):
        known.add(HERE, 1.0, line)
    return known


OLD_LIFE = (session_line(Row("a", 9, "9" * 32, "main", None)), line_of("a", "main", 1000))
FORGOTTEN = forgotten_line("a", 1)
NEW_LIFE = (session_line(Row("a", 1, "1" * 32, "main", None)), line_of("a", "main", 2))


def test_what_came_before_an_app_was_forgotten_is_not_known() -> None:
    """With other Apps' lines as ever."""
    known = told(*OLD_LIFE, line_of("b", "main", 7), FORGOTTEN, *NEW_LIFE)
    assert known.rows["a"] == Row("a", 1, "1" * 32, "main", 2) and known.rows["b"].last == 7
    assert known.incarnations == {"a": 1}
    assert forgotten_since(known, {}) == {"a": 1} and not forgotten_since(known, {"a": 1})
    twice = told(*OLD_LIFE, FORGOTTEN, *NEW_LIFE, forgotten_line("a", 2))
    assert "a" not in twice.rows and twice.incarnations == {"a": 2}


def test_a_line_that_is_not_quite_that_of_a_forgotten_app_is_none() -> None:
    for line in ("x" + FORGOTTEN, FORGOTTEN + "x", 'forgotten {"appID": "a", "incarnation": -1}'):
        assert not told(*OLD_LIFE, line).incarnations


MINE = Row("a", 5, "5" * 32, "main", 41)


@pytest.mark.parametrize(
    ("known", "better"),
    [
        (MINE, []),
        (MINE.replace(last=40), []),
        (MINE.replace(epoch=4, run="4" * 32), []),
        (MINE.replace(epoch=0, run="0" * 32), []),
        (MINE.replace(last=42), [MINE.replace(last=42)]),
        (MINE.replace(epoch=0, run="0" * 32, last=42), [MINE.replace(last=42)]),
        (
            MINE.replace(epoch=6, run="6" * 32, node_id="failover", last=None),
            [MINE.replace(epoch=6, run="6" * 32, node_id="failover")],
        ),
        (MINE.replace(app_id="b"), [MINE.replace(app_id="b")]),
    ],
)
def test_an_old_ledger_is_raised_to_what_is_known(known: Row, better: list[Row]) -> None:
    assert raised([MINE], [known]) == better


def test_a_probe_is_found_and_changes_nothing_else() -> None:
    known = Known()
    assert not known.add(HERE, 1.0, probe_line(123).rstrip("\n"))
    known.add(HERE, 1.0, 'probe {"at": 1.5}')
    assert known.probes == {123} and not known.rows and not known.boots
