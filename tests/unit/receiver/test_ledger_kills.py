"""Ledger, mark and printing under SIGKILL at each point, and on a disk that is full."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print, Row
from sendrecv.receiver.ledger import Ledger

BOOT = "b" * 32
# As the receiver does it: a start, then three groups. Before the point number `die`, it is killed:
# a point is each SQL statement, each file that is opened, removed or synced, each write, and the
# time right after a write.
THREE_GROUPS = """
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
from sendrecv.core.receiver_events import Print, Row
from sendrecv.receiver import ledger as ledgers, start
from sendrecv.receiver.mark import Mark
from sendrecv.receiver.printing import Printer
from tests.lab.file_journal import FileJournal

directory, die, why = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
boot, points = "b" * 32, 0

def point(*_):
    global points
    points += 1
    if points == die:
        os.kill(os.getpid(), signal.SIGKILL)

def pwrite(*arguments, real=os.pwrite):
    point()
    real(*arguments)
    point()

def write(chunk):
    point()
    for line in chunk.splitlines():
        os.write(printed, b"%s 1.0 %s\\n" % (boot.encode(), line))
    point()

def opened():
    ledger = ledgers.Ledger(directory, boot)
    ledger._database.set_trace_callback(point)
    return ledger

sys.addaudithook(lambda event, _: event in ("open", "os.rename", "os.remove") and point())
os.pwrite = pwrite
printed = os.open(directory / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
said = os.open(directory / "said", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
mark = Mark(directory / "mark", boot)
printer = Printer(mark, write, lambda: None)
journal = FileJournal(directory / "journal", boot, why)
notifier = SimpleNamespace(
    log=lambda _, text: os.write(said, (text + "\\n").encode()), status=lambda _: None
)
ledger = start.open_ledger(start.Ports(opened, mark, journal, printer, notifier, time))
last = ledger.rows()[0].last if ledger.rows() else -1
for group in range(3):
    first, last = last + 1, last + 3
    rows = [Row("a", 1, "1" * 32, "main", last)]
    orders = [Print("a", "main", first, last)]
    serial = ledger.commit(rows, orders, 1.0)
    printer.print_group(serial, orders)
print("asked", journal.asked)
"""
# (Printing before the commit is none: the mark is then above the ledger, and the journal is asked.)
PLANTED = {
    "marks before it prints": (
        "    point()\n    for line",
        "    mark.done()\n    point()\n    for line",
    ),
    "prints without intending to": (
        "mark = Mark(directory",
        "Mark.intend = lambda self, n: setattr("
        "self, '_progress', self._progress._replace(intended=n))\nmark = Mark(directory",
    ),
    "takes not found for not printed": (
        'journal = FileJournal(directory / "journal"',
        "from sendrecv.core import recovery\nrecovery._is_lost = lambda *_: True\n"
        "start._assert_up_to_date = lambda *_: None\n"
        'journal = FileJournal(directory / "no"',
    ),
    "forgets the last group": (
        "def opened():\n",
        "ledgers.Ledger.pending = lambda self: []\n\ndef opened():\n",
    ),
}


def _run(script: str, directory: Path, die: int, why: str = "") -> tuple[bool, str]:
    """Whether it was killed, and what it says."""
    command = [sys.executable, "-c", script, str(directory), str(die), why]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0, done.stdout


def _counts(directory: Path) -> list[int]:
    lines = (directory / "journal").read_text(encoding="ascii").splitlines()
    return [int(line.partition(": ")[2].partition(",")[0]) for line in lines]


def _violations(script: str, top: Path, why: str = "") -> list[int]:
    """The points at which a kill has counts printed twice, out of order, or left out with no word.

    The kill hits the second process of three, which goes on where the first was killed.
    """
    found: list[int] = []
    killed, die = True, 0
    (top / "first").mkdir()
    _run(script, top / "first", 40)  # somewhere in its groups
    while killed and not found:
        die += 1
        directory = top / str(die)
        shutil.copytree(top / "first", directory)
        killed, _ = _run(script, directory, die, why)
        _run(script, directory, 0, why)
        if not _is_right(directory):
            found.append(die)
    assert found or die > 40, "too few points"
    return found


def _is_right(directory: Path) -> bool:
    counts = _counts(directory)
    said = (directory / "said").read_text(encoding="ascii")
    missing = set(range(counts[-1] + 1)) - set(counts)
    unproven = {
        number
        for line in said.splitlines()
        if line.startswith("unproven")
        for number in _span(line)
    }
    return counts == sorted(set(counts)) and missing <= unproven and len(counts) > 6


def _span(line: str) -> range:
    first, last = (
        int(line.split(f'"{key}": ')[1].split(",")[0].strip("}")) for key in ("first", "last")
    )
    return range(first, last + 1)


@pytest.mark.parametrize("why", ["", "it is too busy"])
def test_killed_at_each_point_nothing_is_printed_twice_or_lost(tmp_path: Path, why: str) -> None:
    assert not _violations(THREE_GROUPS, tmp_path, why)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_receiver_that_breaks_a_promise_is_found(tmp_path: Path, planted: str) -> None:
    before, after = PLANTED[planted]
    assert before in THREE_GROUPS
    assert _violations(THREE_GROUPS.replace(before, after), tmp_path)


def test_a_start_in_the_same_boot_asks_nobody(tmp_path: Path) -> None:
    """Whatever was killed, but for the instant between a write and its mark."""
    _run(THREE_GROUPS, tmp_path, 0)
    for die in (30, 45, 60, 0):
        _run(THREE_GROUPS, tmp_path, die, "must not be asked")
    said = (tmp_path / "said").read_text(encoding="ascii")
    assert "must not be asked" not in said and _is_right(tmp_path)


def test_of_a_group_for_which_there_is_no_space_nothing_has_happened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, BOOT)
    apps = [f"a{number}" for number in range(2000)]
    rows = [Row(app_id, 1, "1" * 32, "main", 0) for app_id in apps]
    ledger.commit(rows[:1], [Print("a0", "main", 0, 0)], 0.0)
    (pages,) = ledger._database.execute("PRAGMA page_count").fetchone()
    ledger._database.execute(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        ledger.commit(rows, [Print("a0", "main", 1, 5)], 1.0)
    assert (ledger.rows(), ledger.serial) == (rows[:1], 1)
    assert [span.order for span in ledger.outbox()] == [Print("a0", "main", 0, 0)]
    ledger._database.execute(f"PRAGMA max_page_count={pages + 1000}")
    assert ledger.commit(rows[1:], [Print("a0", "main", 1, 1)], 2.0) == 2
    assert len(ledger.rows()) == 2000
    assert [span.order for span in ledger.outbox()] == [Print("a0", "main", 0, 1)]
    ledger.close()
