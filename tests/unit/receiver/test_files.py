"""The ledger's files: nobody writes to them but the receiver, or it is seen."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print, Row
from sendrecv.errors import LedgerBroken
from sendrecv.receiver.files import Files
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark, Standing

ROW = Row("a", 3, "1" * 32, "main", 41)
BOOT = "b" * 32


def orders(first: int, last: int) -> list[Print]:
    return [Print("a", "main", first, last)]


def opened(directory: Path) -> contextlib.closing[Ledger]:
    return contextlib.closing(Ledger(directory, BOOT, lambda: "the same"))


def in_database(directory: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(directory / "ledger.db")) as database:
        database.execute(statement)
        database.commit()


# While the receiver uses them.


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


def without_its_log(path: Path) -> None:
    path.with_name("ledger.db-wal").unlink()


def with_a_log_that_was_cut(path: Path) -> None:
    os.truncate(path.with_name("ledger.db-wal"), 0)


def written_over_by_a_copy(path: Path) -> None:
    time.sleep(0.02)  # the clock that files are stamped with has ticks of some milliseconds
    path.write_bytes(path.read_bytes())


def with_a_log_that_was_written_over(path: Path) -> None:
    time.sleep(0.02)
    written_over_by_a_copy(path.with_name("ledger.db-wal"))


def with_a_page_that_was_written_over(path: Path) -> None:
    time.sleep(0.02)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))


LOSSES = [
    removed,
    replaced_by_a_copy,
    damaged,
    without_its_log,
    with_a_log_that_was_cut,
    written_over_by_a_copy,
    with_a_log_that_was_written_over,
    with_a_page_that_was_written_over,
]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_ledger_lost_in_use_is_broken(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
        lose(tmp_path / "ledger.db")
        with pytest.raises(LedgerBroken, match=f"^{tmp_path}/ledger.db"):
            ledger.commit([ROW.replace(last=42)], orders(42, 42), 1.0)


def test_another_state_in_the_same_files_is_broken(tmp_path: Path) -> None:
    """As SQLite sees it if its index was put back too; here its stamps are taken anew."""
    with opened(tmp_path) as ledger:
        ledger.commit([ROW], [], 0.0)
        in_database(tmp_path, "UPDATE state SET serial = serial + 1")
        ledger.files = Files(tmp_path / "ledger.db", lambda before, after: None)
        with pytest.raises(LedgerBroken, match="another state was put back"):
            ledger.commit([ROW.replace(last=42)], [], 1.0)
        assert ledger.rows() == [ROW]


# A database that is put back while no receiver runs.


def receiver_with(directory: Path, groups: int, close: bool) -> None:
    """A process that commits so many groups, and ends in order, or is killed."""
    if process := os.fork():
        assert os.waitpid(process, 0)[1] == 0
        return
    mark = Mark(directory / "mark", BOOT)
    ledger = Ledger(directory, BOOT, lambda: "the same", mark.written)
    mark.open(ledger.identity, ledger.files.database)
    for number in range(groups):
        mark.group(ledger.commit([ROW], orders(number, number), float(number)), 1)
    if close:
        ledger.close()
    os._exit(0)


def _standing(directory: Path) -> Standing:
    with opened(directory) as ledger:
        mark = Mark(directory / "mark", BOOT)
        return mark.compare(ledger.identity, ledger.serial, ledger.files.database)[0]


@pytest.mark.parametrize("close", [True, False], ids=["in order", "killed"])
@pytest.mark.parametrize("groups", [1, 17, 18, 19, 20, 60])
def test_merges_of_its_own_make_no_ledger_old(tmp_path: Path, groups: int, close: bool) -> None:
    for _ in range(2):
        receiver_with(tmp_path, groups, close)
        assert (tmp_path / "ledger.db-wal").exists() is not close
    assert _standing(tmp_path) is Standing.CONTINUES


@pytest.mark.parametrize("in_place", [True, False])
def test_a_log_that_is_newer_than_its_database_does_not_hide_that_this_is_old(
    tmp_path: Path, in_place: bool
) -> None:
    receiver_with(tmp_path, 1, True)
    old = (tmp_path / "ledger.db").read_bytes()
    receiver_with(tmp_path, 5, False)
    if not in_place:
        (tmp_path / "ledger.db").unlink()
    (tmp_path / "ledger.db").write_bytes(old)
    with opened(tmp_path) as ledger:
        assert ledger.serial == 6, "this shows nothing"
        mark = Mark(tmp_path / "mark", BOOT)
        found = mark.compare(ledger.identity, ledger.serial, ledger.files.database)
    assert found[0] is Standing.OLD


def test_a_receiver_that_ends_does_not_hide_what_was_written_over(tmp_path: Path) -> None:
    """In order: it merges its log into what is there now."""
    mark = Mark(tmp_path / "mark", BOOT)
    ledger = Ledger(tmp_path, BOOT, lambda: "the same", mark.written)
    mark.open(ledger.identity, ledger.files.database)
    mark.group(ledger.commit([ROW], [], 0.0), 0)
    written_over_by_a_copy(ledger.path)
    ledger.close()
    mark.close()
    assert _standing(tmp_path) is Standing.OLD
