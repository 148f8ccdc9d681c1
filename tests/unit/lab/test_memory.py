"""What nobody could know is excused, and nothing else: violations are planted."""

from collections.abc import Sequence

import pytest

from tests.chaos.memory import Memory
from tests.chaos.silence import Span, Strike
from tests.judges.checker import Fault, Kind, Line, Session, Verdict, Where

SEQUENCE = "ab"
REPEATED = [Kind.DUPLICATE, Kind.CONFLICT, Kind.DISORDER]


def where(at: float, pid: str = "7") -> Where:
    """Of an entry of that time: there are ten numbers a second."""
    return Where(SEQUENCE, round(10 * at), pid)


def line(at: float, count: int, pid: str = "7") -> Line:
    return Line("x", "main", count, "a", at, where(at, pid))


def session(at: float, epoch: int, run: str = "r", pid: str = "7") -> Session:
    return Session("x", epoch, run, "a", at, where(at, pid))


def strike(kind: str, at: float, app: str = "") -> Strike:
    return Strike(0, kind, app, at, at + 0.1)


def vacuum(at: float, *times: tuple[float, float], kind: str = "vacuum") -> Strike:
    """After it, the entries of those times were gone: by default, all that came before it."""
    spans = [Span(SEQUENCE, round(10 * a), round(10 * b)) for a, b in times or [(0, at)]]
    return Strike(0, kind, "", at, at + 0.1, gone=tuple(spans))


PRINTED = [line(1, 0), line(2, 1), line(3, 2), line(4, 3)]
AGAIN = line(9, 2, pid="8")
VACUUM, RESTORE = vacuum(5), strike("restore-all", 6)


def excused(
    kind: Kind, *strikes: Strike, lines: Sequence[Line] = (), sessions: Sequence[Session] = ()
) -> bool:
    """Of a fault at 9 about count 2, which was printed first at 3."""
    fault = Fault(kind, "x", "", 9.0, None, (2, 2), 3.0)
    verdict = Verdict({"x": tuple(lines or [*PRINTED, AGAIN])}, {}, (), sessions=tuple(sessions))
    return Memory(strikes, verdict).could_not_know(fault)


@pytest.mark.parametrize("kind", REPEATED)
@pytest.mark.parametrize("old", ["restore", "restore-all", "log-removed"])
def test_a_count_comes_again_only_if_state_and_journal_have_both_forgotten_it(
    kind: Kind, old: str
) -> None:
    lost = strike("lock-removed", 5, "x")
    assert excused(kind, VACUUM, strike(old, 6), lost)
    assert excused(kind, strike(old, 4), VACUUM, lost)
    assert excused(kind, VACUUM, strike(old, 2), lost)  # the line was on its way
    assert not excused(kind, VACUUM, strike(old, 0.5), lost)
    assert not excused(kind, VACUUM, strike(old, 9.5), lost)
    assert not excused(kind, VACUUM, lost)
    assert not excused(kind, strike(old, 6), lost)


def test_a_vacuum_before_the_line_or_after_it_came_again_took_nothing_that_was_needed() -> None:
    assert not excused(Kind.DUPLICATE, vacuum(2), RESTORE)
    assert not excused(Kind.DUPLICATE, vacuum(9.5), RESTORE)
    assert not excused(Kind.DUPLICATE, vacuum(8.95), RESTORE)


@pytest.mark.parametrize("kind", [Kind.GAP, Kind.OVERLAP, Kind.UNKNOWN])
def test_nothing_else_is_excused(kind: Kind) -> None:
    assert not excused(kind, VACUUM, strike("restore-all", 6))


# Which entries a vacuum took

LEFT_BY_A_KILLED_JOURNALD = (0.0, 2.5)
WRITTEN_NEXT = (2.6, 4.5)


def test_a_vacuum_that_takes_the_newest_file_leaves_nothing_that_knows() -> None:
    newest = vacuum(5, WRITTEN_NEXT, kind="vacuum-files")
    assert excused(Kind.DUPLICATE, newest, RESTORE)
    assert excused(Kind.CONFLICT, newest, RESTORE)


def test_a_vacuum_that_takes_the_oldest_file_leaves_what_knows() -> None:
    oldest = vacuum(5, LEFT_BY_A_KILLED_JOURNALD, kind="vacuum-files")
    assert not excused(Kind.DUPLICATE, oldest, RESTORE)


@pytest.mark.parametrize("left", [(3.0, 3.0), (4.0, 4.0)])
def test_one_line_that_is_left_knows(left: tuple[float, float]) -> None:
    """The line itself, or one of a higher count; a line of a lower count does not."""
    first, last = left
    around = vacuum(5, (0, first - 0.1), (last + 0.1, 5))
    assert not excused(Kind.DUPLICATE, around, RESTORE)
    assert excused(Kind.DUPLICATE, vacuum(5, (2.5, 5)), RESTORE)


def test_entries_of_one_time_in_two_files_are_told_apart() -> None:
    lines = [
        Line("x", "main", count, "a", 3.0, Where(SEQUENCE, 30 + count, "7")) for count in (1, 2, 3)
    ]
    for last, forgotten in ((32, False), (33, True)):
        some = Strike(0, "vacuum", "", 5, 5.1, gone=(Span(SEQUENCE, 1, last),))
        assert excused(Kind.DUPLICATE, some, RESTORE, lines=[*lines, AGAIN]) == forgotten
    other = Strike(0, "vacuum", "", 5, 5.1, gone=(Span("cd", 1, 99),))
    assert not excused(Kind.DUPLICATE, other, RESTORE, lines=[*lines, AGAIN])


def test_a_vacuum_that_took_nothing_excuses_nothing() -> None:
    assert not excused(Kind.DUPLICATE, Strike(0, "vacuum", "", 5, 5.1, gone=()), RESTORE)


def test_what_a_lost_journal_brought_back_is_known() -> None:
    """The loss of power takes the journal back to before the vacuum."""
    lost = Strike(0, "journal-lost", "", 7, 7.1, gone=())
    assert not excused(Kind.DUPLICATE, VACUUM, RESTORE, lost)
    again = vacuum(8, (0, 8))
    assert excused(Kind.DUPLICATE, VACUUM, RESTORE, lost, again)


def test_the_observer_saw_what_the_journal_never_had() -> None:
    """A higher count tells as much, and is asked for; where there is none, no vacuum took it."""
    lines = [one for one in PRINTED if one.count != 2]
    assert excused(Kind.DUPLICATE, VACUUM, RESTORE, lines=lines)
    assert not excused(Kind.DUPLICATE, vacuum(5, (0, 3.9)), RESTORE, lines=lines)
    assert not excused(Kind.DUPLICATE, VACUUM, RESTORE, lines=PRINTED[:2])


# What came since


def test_a_line_since_the_vacuum_would_have_told() -> None:
    strikes = VACUUM, strike("restore-all", 7)
    for since in (line(6, 4), line(8, 3, pid="8"), line(8, 2, pid="8")):
        assert not excused(Kind.DUPLICATE, *strikes, lines=[*PRINTED, since, AGAIN])
    # A lower count does not tell.
    assert excused(Kind.DUPLICATE, *strikes, lines=[*PRINTED, line(8, 1, pid="8"), AGAIN])
    # Nor does what came with it.
    assert excused(Kind.DUPLICATE, *strikes, lines=[*PRINTED, AGAIN, line(9, 3, pid="8")])


def test_a_receiver_that_was_there_before_the_vacuum_knew() -> None:
    """The one that printed the line, or one that had read the journal by then."""
    for printed in ([*PRINTED, line(9, 2)], [*PRINTED, line(4.9, 1, pid="8"), AGAIN]):
        assert not excused(Kind.DUPLICATE, VACUUM, RESTORE, lines=printed)
    admitted = session(4.9, 1, pid="8")
    assert not excused(Kind.DUPLICATE, VACUUM, RESTORE, sessions=[admitted])
    assert excused(Kind.DUPLICATE, VACUUM, RESTORE, sessions=[session(6, 1, pid="8")])


# What the records know


@pytest.mark.parametrize("harm", ["ledger-deleted", "restore", "log-removed"])
def test_without_a_ledger_or_with_an_old_one_the_record_knows(harm: str) -> None:
    strikes = VACUUM, strike(harm, 6)
    assert not excused(Kind.DUPLICATE, *strikes)
    assert not excused(Kind.DUPLICATE, *strikes, strike("lock-removed", 6, "y"))
    assert excused(Kind.DUPLICATE, *strikes, strike("lock-removed", 6, "x"))


@pytest.mark.parametrize("old", ["restore", "log-removed"])
def test_a_record_does_not_know_an_old_ledger_by_the_name_of_the_one_that_was_made_anew(
    old: str,
) -> None:
    assert excused(Kind.DUPLICATE, VACUUM, strike("ledger-deleted", 1), strike(old, 6))
    assert not excused(Kind.DUPLICATE, VACUUM, strike(old, 6), strike("ledger-deleted", 9.5))


@pytest.mark.parametrize("harm", ["ledger-deleted", "restore", "log-removed"])
def test_the_record_does_not_know_whether_the_last_batch_was_accepted(harm: str) -> None:
    strikes = VACUUM, strike(harm, 6)
    assert excused(Kind.DUPLICATE, *strikes, lines=PRINTED[:3])
    batch = line(8.9, 2, pid="8"), line(8.9, 3, pid="8")
    assert excused(Kind.DUPLICATE, *strikes, lines=[*PRINTED[:3], *batch])
    assert not excused(Kind.DUPLICATE, *strikes, lines=[*PRINTED, batch[0]])


def test_an_epoch_comes_again_only_if_the_record_is_lost_too() -> None:
    sessions = [session(3, 2), session(9, 1, "s", "8"), session(9.5, 2, "t", "8")]
    assert excused(Kind.EPOCH, VACUUM, strike("restore-all", 6), sessions=sessions)
    assert not excused(Kind.EPOCH, VACUUM, strike("restore", 6), sessions=sessions)
    assert not excused(Kind.EPOCH, strike("restore-all", 6), sessions=sessions)


def test_a_session_that_is_left_tells_the_epoch_if_its_own_is_no_lower() -> None:
    strikes = VACUUM, strike("restore-all", 6)
    epochs = {"lower": (1, "q", True), "same": (2, "q", False), "higher": (3, "q", False)}
    for epoch, run, forgotten in [*epochs.values(), (2, "s", True)]:
        sessions = [session(3, 4), session(6, epoch, run, "8"), session(9, 2, "s", "8")]
        assert excused(Kind.EPOCH, *strikes, sessions=sessions) == forgotten, (epoch, run)
