"""The ledger, on real SQLite, with real processes that hold it, kill it and get in its way."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sendrecv.core.lines import line_of, lines_of, session_line
from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.recovery import missing, rows_of
from sendrecv.errors import LedgerBroken, RecordFromFuture
from sendrecv.receiver.ledger import FORMAT, SPAN_KEPT, SPAN_OPEN, Ledger

ROW = Row("a", 3, "1" * 32, "main", 41)
STAY = "print('ready', flush=True); sys.stdin.read()"
HOLD_LEDGER = (
    f"import sys; from sendrecv.receiver.ledger import *; x = Ledger(Path(sys.argv[1])); {STAY}"
)
HOLD_DATABASE = f"""
import sqlite3, sys
database = sqlite3.connect(sys.argv[1] + "/ledger.db", isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
{STAY}
"""
# Dies between the commit of its second group and the printing of it.
DIE_BEFORE_PRINTING = """
import os, sys
from pathlib import Path
from sendrecv.receiver.ledger import Ledger
from sendrecv.core.lines import lines_of
from sendrecv.core.receiver_events import Print, Row

ledger = Ledger(Path(sys.argv[1]))
for first, last in ((1, 5), (6, 9)):
    order = Print("a", "main", first, last)
    ledger.commit([Row("a", 1, "1" * 32, "main", last)], [order], float(first))
    if last == 9:
        os.kill(os.getpid(), 9)
    print(lines_of(order), end="", flush=True)
"""


def orders(*spans: tuple[int, int], app: str = "a", node: str = "main") -> list[Print]:
    return [Print(app, node, first, last) for first, last in spans]


def printed(*spans: tuple[int, int], app: str = "a", node: str = "main") -> list[str]:
    return [line for o in orders(*spans, app=app, node=node) for line in lines_of(o).splitlines()]


def opened(directory: Path) -> contextlib.closing[Ledger]:
    return contextlib.closing(Ledger(directory))


@contextlib.contextmanager
def holding(code: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs `code`, once it says that it is ready."""
    command = [sys.executable, "-c", code, str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def in_database(directory: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(directory / "ledger.db")) as database:
        database.execute(statement)
        database.commit()


# Rows and spans.


def test_what_is_committed_is_there_after_it_was_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        assert (ledger.is_new, ledger.rows(), ledger.outbox()) == (True, [], [])
        ledger.commit([ROW.replace(last=None), Row("b", 1, "2" * 32, "n", None)], [], 0.0)
        ledger.commit([ROW], orders((41, 41)), 1.0)
    with opened(tmp_path) as ledger:
        assert not ledger.is_new
        assert ledger.rows() == [ROW, Row("b", 1, "2" * 32, "n", None)]
        assert ledger.outbox() == orders((41, 41))


def test_the_greatest_numbers_fit(tmp_path: Path) -> None:
    most = 2**63 - 1
    row = Row("a", most, "f" * 32, "n", most)
    with opened(tmp_path) as ledger:
        ledger.commit([row], orders((most, most)), 0.0)
        assert (ledger.rows(), ledger.outbox()) == ([row], orders((most, most)))


def test_it_is_written_ahead_and_synced(tmp_path: Path) -> None:
    """Read from the file; synchronous=FULL is of the connection, hence no other way to see it."""
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
        # pylint: disable-next=protected-access  # the promise is about this very connection
        database = ledger._database
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)


LATER = SPAN_OPEN + 1
GONE = SPAN_OPEN + SPAN_KEPT


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([(0.0, orders((1, 1))), (1.0, orders((2, 9)))], orders((1, 9))),
        ([(0.0, orders((1, 1), (2, 3)))], orders((1, 3))),
        ([(0.0, orders((1, 1), (5, 6), (7, 7)))], orders((1, 1), (5, 7))),
        ([(0.0, orders((1, 1))), (LATER, orders((2, 2)))], orders((1, 1), (2, 2))),
        (
            [(0.0, orders((1, 1))), (1.0, orders((2, 2), node="failover"))],
            orders((1, 1)) + orders((2, 2), node="failover"),
        ),
        (
            [(0.0, orders((1, 1)) + orders((1, 1), app="b")), (1.0, orders((2, 2)))],
            orders((1, 2)) + orders((1, 1), app="b"),
        ),
        ([(0.0, orders((1, 1))), (GONE - 1, orders((2, 2)))], orders((1, 1), (2, 2))),
        ([(0.0, orders((1, 1))), (GONE, orders((2, 2)))], orders((2, 2))),
        ([(0.0, orders((1, 1))), (GONE, [])], []),
    ],
)
def test_spans(
    tmp_path: Path, groups: list[tuple[float, list[Print]]], expected: list[Print]
) -> None:
    with opened(tmp_path) as ledger:
        for now, group in groups:
            ledger.commit([], group, now)
        assert ledger.outbox() == expected


def test_what_was_not_printed_before_a_kill_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIE_BEFORE_PRINTING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    with opened(tmp_path) as ledger:
        assert ledger.rows() == [Row("a", 1, "1" * 32, "main", 9)]
        lost = missing(ledger.outbox(), done.stdout.splitlines())
        assert lost == orders((6, 9))
        ledger.replace_outbox(lost, 10.0)
    with opened(tmp_path) as ledger:
        assert ledger.outbox() == orders((6, 9))


# How much of the journal is read.

COUNTS = st.tuples(st.sampled_from("abc"), st.sampled_from([1, 2, 500, 6000]))
GROUPS = st.tuples(
    st.sampled_from([0.0, 1.0, SPAN_OPEN, 200.0, GONE]),
    st.lists(COUNTS, max_size=3),
    st.booleans(),  # killed between the commit and the printing
)


@settings(max_examples=20)
@given(st.lists(GROUPS, max_size=12))
def test_as_much_of_the_journal_is_read_as_shows_what_is_missing(
    groups: list[tuple[float, list[tuple[str, int]], bool]],
) -> None:
    """No line is printed twice for want of reading it, however spans come and go."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory, journal, now, last = Path(name), list[str](), 0.0, dict.fromkeys("abc", 0)
        ledger = stack.enter_context(opened(directory))
        for pause, counts, killed in [*groups, (0.0, [], True)]:
            now += pause
            group = []
            for app, lines in counts:
                group.append(Print(app, "main", last[app] + 1, last[app] + lines))
                last[app] += lines
            ledger.commit([], group, now)
            if killed:
                stack.close()
                ledger = stack.enter_context(opened(directory))
                found = missing(ledger.outbox(), read_at_start(journal, directory))
                assert counted(found) == counted(group)
                ledger.replace_outbox(found, now)
                group = found
            journal += [line for order in group for line in lines_of(order).splitlines()]


def bound_of(directory: Path) -> int:
    try:
        return int((directory / "journal-lines").read_text(encoding="ascii").split()[0])
    except FileNotFoundError:
        return 0


def read_at_start(journal: list[str], directory: Path) -> list[str]:
    return journal[max(len(journal) - bound_of(directory), 0) :]


def counted(group: list[Print]) -> set[tuple[str, int]]:
    return {(o.app_id, n) for o in group for n in range(o.first, o.last + 1)}


def test_the_bound_shrinks_again(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([], orders((1, 100_000)), 0.0)
        assert bound_of(tmp_path) >= 100_000
        ledger.commit([], orders((100_001, 100_001)), GONE)
        assert 1 <= bound_of(tmp_path) < 1000


def wanted(directory: Path) -> list[str]:
    return (directory / "journal-lines").read_text(encoding="ascii").split()[1:]


def test_every_boot_is_read_in_which_something_in_the_outbox_may_have_been_printed(
    tmp_path: Path,
) -> None:
    a, b, c = ("a" * 32, "b" * 32, "c" * 32)
    with contextlib.closing(Ledger(tmp_path, a)) as ledger:
        ledger.replace_outbox([], 0.0)
        ledger.commit([], orders((1, 3)), 0.0)
        assert wanted(tmp_path) == [a]
    for boot, boots in ((b, [a, b]), (c, [a, b, c]), (c, [a, b, c])):
        Ledger(tmp_path, boot).close()  # killed before it has printed anything again
        assert wanted(tmp_path) == boots
    with contextlib.closing(Ledger(tmp_path, c)) as ledger:
        ledger.replace_outbox(orders((3, 3)), 0.0)
        assert wanted(tmp_path) == [c]


def test_a_file_of_an_older_version_has_no_boots_and_all_are_read(tmp_path: Path) -> None:
    (tmp_path / "journal-lines").write_text("102\n", encoding="ascii")
    with contextlib.closing(Ledger(tmp_path, "a" * 32)) as ledger:
        assert wanted(tmp_path) == []
        ledger.replace_outbox([], 0.0)
        assert wanted(tmp_path) == ["a" * 32]


@pytest.mark.parametrize("content", ["", "x", "-1\n", "\xff"])
def test_a_bound_that_is_none_is_made_new(tmp_path: Path, content: str) -> None:
    (tmp_path / "journal-lines").write_text(content, encoding="utf-8")
    with opened(tmp_path) as ledger:
        ledger.commit([], orders((1, 3)), 0.0)
    assert bound_of(tmp_path) >= 3


@pytest.mark.parametrize(
    ("outbox", "journal", "expected"),
    [
        ([], printed((1, 3)), []),
        (orders((1, 3)), [], orders((1, 3))),
        (orders((1, 3)), printed((1, 3)), []),
        (orders((1, 5)), printed((1, 2)), orders((3, 5))),
        (orders((1, 5)), printed((3, 3)), orders((4, 5))),  # lines that were removed since
        (orders((1, 5)), printed((5, 5), (4, 4)), []),
        (orders((1, 1)), printed((1, 1), node="failover"), []),
        (orders((1, 1)), printed((1, 1), app="b"), orders((1, 1))),
        (orders((1, 1)), ["", "Started.", printed((1, 1))[0] + "x"], orders((1, 1))),
        (
            orders((1, 2)) + orders((7, 7), app="b") + orders((3, 3), node="failover"),
            printed((1, 1)),
            orders((2, 2)) + orders((7, 7), app="b") + orders((3, 3), node="failover"),
        ),
    ],
)
def test_missing(outbox: list[Print], journal: list[str], expected: list[Print]) -> None:
    assert missing(outbox, journal) == expected


def test_rows_of_a_ledger_that_was_lost() -> None:
    journal = [*printed((0, 3)), "noise", line_of("a", "failover", 4), *printed((0, 0), app="b")]
    expected = [Row("a", 0, "0" * 32, "failover", 4), Row("b", 0, "0" * 32, "main", 0)]
    assert rows_of(journal) == expected
    assert rows_of(reversed(journal)) == expected[::-1]
    assert not rows_of([])


def test_rows_know_the_newest_run_that_was_admitted() -> None:
    newest = Row("a", 7, "7" * 32, "failover", 3)
    older = newest.replace(epoch=6, run="6" * 32, node_id="main", last=None)
    new = Row("b", 1, "1" * 32, "main", None)
    journal = [session_line(row) for row in (older, newest, new)] + printed((2, 4))
    for lines in (journal, journal[::-1]):
        found = {row.app_id: row for row in rows_of(lines)}
        assert found == {"a": newest.replace(last=4), "b": new}
    assert not rows_of(["session {}", session_line(newest) + "x"])


# What gets in its way.


def test_a_second_opener_is_turned_away_until_the_first_is_dead(tmp_path: Path) -> None:
    with holding(HOLD_LEDGER, tmp_path) as other:
        with pytest.raises(BlockingIOError):
            Ledger(tmp_path)
        other.kill()
        other.wait()
        with opened(tmp_path) as ledger:
            assert ledger.rows() == []


def test_a_database_that_is_locked_cannot_be_opened_now(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
    in_database(tmp_path, "PRAGMA journal_mode=DELETE")  # in WAL mode, readers are admitted
    with holding(HOLD_DATABASE, tmp_path):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            Ledger(tmp_path)
    with opened(tmp_path) as ledger:
        assert ledger.rows() == [ROW]


def test_of_a_group_that_meets_a_lock_nothing_has_happened(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], orders((41, 41)), 0.0)
        with holding(HOLD_DATABASE, tmp_path):
            for _ in range(2):
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    ledger.commit([ROW.replace(last=42)], orders((42, 42)), 1.0)
        assert (ledger.rows(), ledger.outbox()) == ([ROW], orders((41, 41)))
        ledger.commit([ROW.replace(last=42)], orders((42, 42)), 2.0)
        assert (ledger.rows(), ledger.outbox()) == ([ROW.replace(last=42)], orders((41, 42)))


def test_a_ledger_from_the_future_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
    in_database(tmp_path, f"PRAGMA user_version={FORMAT + 1}")
    for _ in range(2):  # the first has not kept the lock
        with pytest.raises(RecordFromFuture, match=r"ledger.db: ledger has format 2.*install that"):
            Ledger(tmp_path)
    in_database(tmp_path, f"PRAGMA user_version={FORMAT}")
    with opened(tmp_path) as ledger:
        assert ledger.rows() == [ROW]


def as_noise(path: Path) -> None:
    path.write_bytes(b"noise" * 1000)


def without_its_end(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def with_pages_of_noise(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))


@pytest.mark.parametrize("damage", [as_noise, without_its_end, with_pages_of_noise])
def test_a_damaged_ledger_is_kept_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW.replace(app_id=f"app{n}") for n in range(500)], [], 0.0)
    damage(tmp_path / "ledger.db")
    kept = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(LedgerBroken, match=r"/ledger.db: damaged .*, kept as ledger.db.damaged"):
        Ledger(tmp_path)
    assert (tmp_path / "ledger.db.damaged").read_bytes() == kept
    with opened(tmp_path) as ledger:
        assert (ledger.is_new, ledger.rows()) == (True, [])
        ledger.commit([ROW], [], 0.0)
    with opened(tmp_path) as ledger:
        assert (ledger.is_new, ledger.rows()) == (False, [ROW])


def removed(path: Path) -> None:
    path.unlink()


def replaced_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def damaged(path: Path) -> None:
    in_database(path.parent, "DELETE FROM app")
    in_database(path.parent, "PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


@pytest.mark.parametrize("lose", [removed, replaced_by_a_copy, damaged])
def test_a_ledger_lost_in_use_is_broken(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
        lose(tmp_path / "ledger.db")
        with pytest.raises(LedgerBroken, match=f"^{tmp_path}/ledger.db: "):
            ledger.commit([ROW.replace(last=42)], orders((42, 42)), 1.0)
