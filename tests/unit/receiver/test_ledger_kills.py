"""The ledger under SIGKILL at each point, and on a disk that is full."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print, Row
from sendrecv.receiver.ledger import Ledger

# As the receiver does it: what was not printed, then two groups. Before the point number `die`, it
# is killed: a point is each SQL statement, each file that is opened, renamed or synced, each write.
PRINT_TWO_GROUPS = """
import os, signal, sys
from pathlib import Path
from sendrecv.core.recovery import missing, rows_of
from sendrecv.receiver.ledger import Ledger
from sendrecv.core.lines import lines_of
from sendrecv.core.receiver_events import Print, Row

directory, die = Path(sys.argv[1]), int(sys.argv[2])
journal, points, armed = directory / "journal", 0, False

def point(*_):
    global points
    points += armed
    if armed and points == die:
        os.kill(os.getpid(), signal.SIGKILL)

def fsync(number, real=os.fsync):
    point()
    real(number)

def write(orders):
    point()
    os.write(printed, "".join(map(lines_of, orders)).encode())
    point()

sys.addaudithook(lambda event, _: event in ("open", "os.rename") and point())
os.fsync = fsync
printed = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
ledger = Ledger(directory)
ledger._database.set_trace_callback(point)
lines = journal.read_text().splitlines()
armed = True
if ledger.is_new:
    ledger.commit(rows_of(lines), [], 0.0)
if outbox := ledger.outbox():
    lost = missing(outbox, lines)
    ledger.replace_outbox(lost, 0.0)
    write(lost)
last = ledger.rows()[0].last if ledger.rows() else -1
for first, now in (last + 1, 1.0), (last + 4, 2.0):
    group = [Print("a", "main", first, first + 2)]
    rows = [Row("a", 1, "1" * 32, "main", first + 2)]
    ledger.commit(rows, group, now)
    write(group)
"""
PLANTED = {
    "prints before it commits": (
        "    ledger.commit(rows, group, now)\n    write(group)",
        "    write(group)\n    ledger.commit(rows, group, now)",
    ),
    "forgets what was not printed": ("missing(outbox, lines)", "[]"),
    "prints all of the outbox": ("missing(outbox, lines)", "outbox"),
}


def _run(script: str, directory: Path, die: int) -> bool:
    """Whether it was killed."""
    command = [sys.executable, "-c", script, str(directory), str(die)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def _counts(directory: Path) -> list[int]:
    lines = (directory / "journal").read_text(encoding="ascii").splitlines()
    return [int(line.partition(": ")[2].partition(",")[0]) for line in lines]


def _violations(script: str, top: Path, before: bool) -> list[int]:
    """The points at which a kill has the counts printed not each once, in order."""
    found: list[int] = []
    killed, die = True, 0
    while killed and not found:
        die += 1
        directory = top / str(die)
        directory.mkdir()
        if before:
            _leave_something_to_print(directory)
        killed = _run(script, directory, die)
        _run(script, directory, 0)
        counts = _counts(directory)
        if counts != list(range(len(counts))) or len(counts) < 6:
            found.append(die)
    assert found or die > 12, "too few points"
    return found


@pytest.mark.parametrize("before", [False, True], ids=["new", "after a kill before printing"])
def test_killed_at_each_point_nothing_is_printed_twice_or_lost(
    tmp_path: Path, before: bool
) -> None:
    assert not _violations(PRINT_TWO_GROUPS, tmp_path, before)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_receiver_that_breaks_a_promise_is_found(tmp_path: Path, planted: str) -> None:
    script = PRINT_TWO_GROUPS.replace(*PLANTED[planted])
    assert _violations(script, tmp_path, before=True)


def _leave_something_to_print(directory: Path) -> None:
    ledger = Ledger(directory)
    ledger.commit([Row("a", 1, "1" * 32, "main", 4)], [Print("a", "main", 0, 4)], 0.0)
    ledger.close()


def test_of_a_group_for_which_there_is_no_space_nothing_has_happened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    apps = [f"a{number}" for number in range(2000)]
    rows = [Row(app_id, 1, "1" * 32, "main", 0) for app_id in apps]
    ledger.commit(rows[:1], [Print("a0", "main", 0, 0)], 0.0)
    (pages,) = ledger._database.execute("PRAGMA page_count").fetchone()
    ledger._database.execute(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        ledger.commit(rows, [Print("a0", "main", 1, 5)], 1.0)
    assert (ledger.rows(), ledger.outbox()) == (rows[:1], [Print("a0", "main", 0, 0)])
    ledger._database.execute(f"PRAGMA max_page_count={pages + 1000}")
    ledger.commit(rows[1:], [Print("a0", "main", 1, 1)], 2.0)
    assert (len(ledger.rows()), ledger.outbox()) == (2000, [Print("a0", "main", 0, 1)])
    ledger.close()


def test_a_bound_that_cannot_be_written_stops_the_group(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit([], [], 0.0)
    (tmp_path / "journal-lines.new").mkdir()  # as unwritable as on a full disk, for root too
    with pytest.raises(OSError, match=os.strerror(21)):
        ledger.commit([Row("a", 1, "1" * 32, "main", 0)], [Print("a", "main", 0, 0)], 1.0)
    assert (ledger.rows(), ledger.outbox()) == ([], [])
    ledger.close()


def test_a_lost_ledger_is_made_anew_from_many_lines_until_that_is_complete(tmp_path: Path) -> None:
    wanted = tmp_path / "journal-lines"
    Ledger(tmp_path).close()
    assert not wanted.exists(), "there is nothing to make it anew from"
    ledger = Ledger(tmp_path)
    ledger.commit([], [Print("a", "main", 0, 0)], 0.0)
    ledger.close()
    ledger.path.unlink()
    for _ in range(2):  # the first is killed before its first commit
        ledger = Ledger(tmp_path)
        assert ledger.is_new and int(wanted.read_text(encoding="ascii")) >= 100_000
        ledger.close()
    ledger = Ledger(tmp_path)
    ledger.commit([Row("a", 0, "0" * 32, "main", 0)], [], 0.0)
    assert int(wanted.read_text(encoding="ascii")) < 1000
    ledger.close()
