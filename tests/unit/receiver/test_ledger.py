"""The ledger, on real SQLite, with real processes that hold it, kill it and get in its way."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.recovery import Span
from sendrecv.errors import LedgerBroken, RecordFromFuture
from sendrecv.receiver.ledger import SPAN_KEPT, SPAN_OPEN, Ledger
from sendrecv.receiver.schema import FORMAT

ROW = Row("a", 3, "1" * 32, "main", 41)
STAY = "print('ready', flush=True); sys.stdin.read()"
HOLD_LEDGER = f"""
import sys
from sendrecv.receiver.ledger import *
held = Ledger(Path(sys.argv[1]), "b" * 32)
{STAY}
"""
HOLD_DATABASE = f"""
import sqlite3, sys
database = sqlite3.connect(sys.argv[1] + "/ledger.db", isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
{STAY}
"""
BOOT, OTHER = "b" * 32, "c" * 32


def orders(*spans: tuple[int, int], app: str = "a", node: str = "main") -> list[Print]:
    return [Print(app, node, first, last) for first, last in spans]


def opened(directory: Path, boot: str = BOOT) -> contextlib.closing[Ledger]:
    return contextlib.closing(Ledger(directory, boot, lambda: "the same"))


def outbox_of(ledger: Ledger) -> list[Print]:
    return [span.order for span in ledger.outbox()]


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
        assert (ledger.is_new, ledger.rows(), outbox_of(ledger)) == (True, [], [])
        ledger.commit([ROW.replace(last=None), Row("b", 1, "2" * 32, "n", None)], [], 0.0)
        ledger.commit([ROW], orders((41, 41)), 1.0)
    with opened(tmp_path) as ledger:
        assert not ledger.is_new
        assert ledger.rows() == [Row("b", 1, "2" * 32, "n", None), ROW]
        assert outbox_of(ledger) == orders((41, 41))


def test_the_greatest_numbers_fit(tmp_path: Path) -> None:
    most = 2**63 - 1
    row = Row("a", most, "f" * 32, "n", most)
    with opened(tmp_path) as ledger:
        ledger.commit([row], orders((most, most)), 0.0)
        assert (ledger.rows(), outbox_of(ledger)) == ([row], orders((most, most)))


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
        assert outbox_of(ledger) == expected


def test_spans_of_this_boot_are_extended_and_kept_by_the_next_process(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([], orders((1, 3)), 100.0)
    with opened(tmp_path) as ledger:
        assert not ledger.has_older_spans()
        ledger.commit([], orders((4, 4)), 101.0)
        assert ledger.outbox() == [Span(Print("a", "main", 1, 4), BOOT, 100.0, 100.0)]
        ledger.commit([], orders((5, 5)), 100.0 + GONE)
        assert outbox_of(ledger) == orders((5, 5))


def test_spans_of_other_boots_stay_until_the_first_group_is_settled(tmp_path: Path) -> None:
    with opened(tmp_path, OTHER) as ledger:
        ledger.commit([], orders((1, 3)), 9000.0)
    for _ in range(2):
        with opened(tmp_path) as ledger:
            assert ledger.has_older_spans()
            assert ledger.outbox() == [Span(Print("a", "main", 1, 3), OTHER, 9000.0, 9000.0)]
    with opened(tmp_path) as ledger:
        ledger.settle([], orders((3, 3)), 5.0)
        assert ledger.outbox() == [Span(Print("a", "main", 3, 3), BOOT, 5.0, 5.0)]
        assert not ledger.has_older_spans()


# The last group.


def test_groups_are_numbered_and_the_last_one_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        identity = ledger.identity
        assert (ledger.serial, ledger.pending()) == (0, [])
        assert ledger.commit([ROW], orders((1, 1)) + orders((5, 7), app="b"), 0.0) == 1
        assert ledger.commit([ROW], orders((2, 2)), 0.0) == 2
    with opened(tmp_path) as ledger:
        assert (ledger.identity, ledger.serial) == (identity, 2)
        assert ledger.pending() == orders((2, 2))
        assert ledger.commit([ROW], [], 0.0) == 3
        assert ledger.pending() == []


def test_a_new_ledger_has_another_identity(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
        first = ledger.identity
    (tmp_path / "ledger.db").unlink()
    with opened(tmp_path) as ledger:
        assert ledger.is_new and ledger.identity != first and len(ledger.identity) == 32


OF_FORMAT_1 = """
CREATE TABLE app (
    app_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, run TEXT NOT NULL,
    node_id TEXT NOT NULL, last INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    span INTEGER PRIMARY KEY, app_id TEXT NOT NULL, node_id TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT;
INSERT INTO app VALUES ('a', 3, '11111111111111111111111111111111', 'main', 41);
INSERT INTO outbox VALUES (7, 'a', 'main', 30, 41);
PRAGMA user_version = 1;
"""


def test_a_ledger_of_format_1_is_taken_over(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        database.executescript(OF_FORMAT_1)
    for _ in range(2):  # the first is killed before its first group
        with opened(tmp_path) as ledger:
            assert (ledger.is_new, ledger.rows(), ledger.serial) == (False, [ROW], 0)
            assert ledger.outbox() == [Span(Print("a", "main", 30, 41), "", 0.0)]
    with opened(tmp_path) as ledger:
        ledger.settle([], orders((41, 41)), 5.0)
        assert ledger.outbox() == [Span(Print("a", "main", 41, 41), BOOT, 5.0, 5.0)]


def test_a_ledger_of_format_2_is_taken_over(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], orders((41, 41)), 0.0)
    in_database(tmp_path, "ALTER TABLE app DROP COLUMN changed")
    in_database(tmp_path, "PRAGMA user_version=2")
    for _ in range(2):
        with opened(tmp_path) as ledger:
            assert (ledger.is_new, ledger.rows(), ledger.serial) == (False, [ROW], 1)
            assert outbox_of(ledger) == orders((41, 41))


# Who changed last.


def test_the_apps_that_changed_last_are_at_the_end(tmp_path: Path) -> None:
    rows = {name: ROW.replace(app_id=name) for name in "abcd"}
    with opened(tmp_path) as ledger:
        for names in ("abcd", "b", "a"):
            ledger.commit([rows[name] for name in names], [], 0.0)
    with opened(tmp_path) as ledger:
        assert ledger.rows() == [rows[name] for name in "cdba"]
        assert ledger.rows(2) == [rows["b"], rows["a"]]
        assert ledger.row("c") == rows["c"] and ledger.row("e") is None


def test_there_is_room_for_so_many_apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sendrecv.receiver.ledger.MAX_NAMES", 2)
    with opened(tmp_path) as ledger:
        for name, room in (("a", True), ("a", True), ("b", False)):
            ledger.commit([ROW.replace(app_id=name)], [], 0.0)
            assert ledger.has_room() is room


# What gets in its way.


def test_a_second_opener_is_turned_away_until_the_first_is_dead(tmp_path: Path) -> None:
    with holding(HOLD_LEDGER, tmp_path) as other:
        with pytest.raises(BlockingIOError):
            Ledger(tmp_path, BOOT)
        other.kill()
        other.wait()
        with opened(tmp_path) as ledger:
            assert ledger.rows() == []


def test_a_database_that_is_locked_cannot_be_opened_now(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
    in_database(tmp_path, "PRAGMA journal_mode=DELETE")  # in WAL mode, readers do not wait
    with holding(HOLD_DATABASE, tmp_path):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            Ledger(tmp_path, BOOT)
    with opened(tmp_path) as ledger:
        assert ledger.rows() == [ROW]


def test_of_a_group_that_meets_a_lock_nothing_has_happened(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], orders((41, 41)), 0.0)
        with holding(HOLD_DATABASE, tmp_path):
            for _ in range(2):
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    ledger.commit([ROW.replace(last=42)], orders((42, 42)), 1.0)
        assert (ledger.rows(), outbox_of(ledger)) == ([ROW], orders((41, 41)))
        ledger.commit([ROW.replace(last=42)], orders((42, 42)), 2.0)
        assert (ledger.rows(), outbox_of(ledger)) == ([ROW.replace(last=42)], orders((41, 42)))


def test_a_ledger_from_the_future_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
    in_database(tmp_path, f"PRAGMA user_version={FORMAT + 1}")
    for _ in range(2):  # the first has not kept the lock
        with pytest.raises(RecordFromFuture, match=r"ledger.db: ledger has format 4.*install that"):
            Ledger(tmp_path, BOOT)
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
        Ledger(tmp_path, BOOT)
    assert (tmp_path / "ledger.db.damaged").read_bytes() == kept
    with opened(tmp_path) as ledger:
        assert (ledger.is_new, ledger.rows()) == (True, [])
        ledger.commit([ROW], [], 0.0)
    with opened(tmp_path) as ledger:
        assert (ledger.is_new, ledger.rows()) == (False, [ROW])
