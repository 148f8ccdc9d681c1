"""Ledger, mark and printing under SIGKILL at each point, and on a disk that is full."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
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
from sendrecv.receiver.requests import Requests
from tests.lab.file_journal import FileJournal

directory, die, why = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
boot, points = "b" * 32, 0
ledgers.LOG_ROWS = 20  # so that a kill may come before, in and after a merge

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
    ledger = ledgers.Ledger(directory, boot, lambda: "the same", mark.written)
    ledger._database.set_trace_callback(point)
    return ledger

sys.addaudithook(lambda event, _: event in ("open", "os.rename", "os.remove") and point())
os.pwrite = pwrite
printed = os.open(directory / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
said = os.open(directory / "said", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
mark = Mark(directory / "mark", boot)
printer = Printer(mark, write, lambda: None)
journal = FileJournal(directory / "journal", boot, why)
def log(_, text):
    point()
    if text.startswith("forgotten"):
        os.write(printed, f"{boot} {time.monotonic()} {text}\\n".encode())
    os.write(said, (text + "\\n").encode())

def wait(_):
    os._exit(3)  # for the journal, for ever

clock = SimpleNamespace(monotonic=time.monotonic, sleep=wait)
notifier = SimpleNamespace(log=log, status=lambda _: None)
requests = Requests(directory)
ports = start.StartPorts(opened, mark, journal, printer, notifier, clock, requests)
ledger = start.open_ledger(ports)
last = ledger.rows()[0].last if ledger.rows() else -1
for group in range(3):
    first, last = last + 1, last + 3
    rows = [Row("a", 1, "1" * 32, "main", last)]
    orders = [Print("a", "main", first, last)]
    serial = ledger.commit(rows, orders, 1.0)
    printer.print_group(serial, orders)
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
        "from sendrecv.core import recovery\n"
        "recovery._stores = recovery._reaches = lambda *_: True\n"
        "start._assert_stored = lambda *_: None\n"
        'journal = FileJournal(directory / "no"',
    ),
    "forgets the last group": (
        "def opened():\n",
        "ledgers.Ledger.pending = lambda self: []\n\ndef opened():\n",
    ),
}


def _run(script: str, directory: Path, die: int, why: str = "") -> bool:
    """Whether it was killed. A fork, which has all modules already: there are hundreds of runs."""
    if not (process := os.fork()):
        sys.argv = ["", str(directory), str(die), why]
        try:
            exec(script, {"__name__": "receiver"})  # pylint: disable=exec-used
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, -signal.SIGKILL), "see its traceback"
    return status != 0


def _counts(directory: Path) -> list[int]:
    return _incarnations(directory)[0]


def _incarnations(directory: Path) -> list[list[int]]:
    """The counts in the journal, up to where the App was forgotten, and after that."""
    found: list[list[int]] = [[]]
    for line in (directory / "journal").read_text(encoding="ascii").splitlines():
        if "forgotten" in line:
            found.append([])
        elif '"count"' in line:
            found[-1].append(int(line.partition(": ")[2].partition(",")[0]))
    return found


def _violations(
    script: str,
    top: Path,
    why: str = "",
    is_right: Callable[[Path], bool] | None = None,
    request: str = "",
) -> list[int]:
    """The points at which a kill has counts printed twice, out of order, or left out with no word.

    The kill hits the second process of three, which goes on where the first was killed, and which
    finds that request.
    """
    is_right = is_right or _is_right
    found: list[int] = []
    killed, die = True, 0
    while killed and not found:
        die += 1
        directory = top / str(die)
        directory.mkdir()
        _run(script, directory, 40)  # somewhere in its groups; a copy would be seen to be one
        if request:
            (directory / request).touch()
        killed = _run(script, directory, die, why)
        _run(script, directory, 0, why)
        if not is_right(directory):
            found.append(die)
    assert found or die > 40, "too few points"
    return found


def _is_right(directory: Path) -> bool:
    counts = _counts(directory)
    return _are_whole(counts, directory) and len(counts) > 6


def _are_whole(counts: list[int], directory: Path) -> bool:
    """Each once, in order, and what is missing is said to be unproven."""
    said = (directory / "said").read_text(encoding="ascii")
    missing = set(range(max(counts, default=-1) + 1)) - set(counts)
    unproven = {
        number
        for line in said.splitlines()
        if line.startswith("unproven")
        for number in _span(line)
    }
    return counts == sorted(set(counts)) and missing <= unproven


def _is_forgotten(directory: Path) -> bool:
    """Once; perhaps said more often, with no count in between."""
    before, *rest = _incarnations(directory)
    if not rest:
        return False
    *between, after = rest
    ledger = Ledger(directory, BOOT)
    number = ledger.incarnations()
    ledger.close()
    are_whole = all(_are_whole(counts, directory) for counts in (before, after))
    asked = list(directory.glob("forget-*"))
    is_new = number in ({"a": 1}, {"a": 2})
    return are_whole and len(after) > 2 and not any(between) and is_new and not asked


def _span(line: str) -> range:
    first, last = (
        int(line.split(f'"{key}": ')[1].split(",")[0].strip("}")) for key in ("first", "last")
    )
    return range(first, last + 1)


@pytest.mark.parametrize("why", ["", "it is too busy"])
def test_killed_at_each_point_nothing_is_printed_twice_or_lost(tmp_path: Path, why: str) -> None:
    assert not _violations(THREE_GROUPS, tmp_path, why)


def test_killed_at_each_point_an_app_is_forgotten_once(tmp_path: Path) -> None:
    assert not _violations(THREE_GROUPS, tmp_path, "", _is_forgotten, "forget-a")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # It says so when it has done it: a kill in between, and nobody says so.
        (
            "requests = Requests(directory)",
            "requests = Requests(directory)\n"
            "start.forgotten_line, requests.done = (lambda *_: 'late'), (\n"
            "    lambda a, real=requests.done: (real(a), log(0, 'forgotten')))",
        ),
        # It does not look which incarnation it was.
        (
            "requests = Requests(directory)",
            "requests = Requests(directory)\nledgers.Ledger.incarnations = lambda _: {}\n"
            "requests.done = lambda _: None",
        ),
    ],
    ids=["says so too late", "asks for ever"],
)
def test_a_receiver_that_forgets_wrongly_is_found(tmp_path: Path, before: str, after: str) -> None:
    script = THREE_GROUPS.replace(before, after)
    assert _violations(script, tmp_path, "", _is_forgotten, "forget-a")


@pytest.mark.parametrize("planted", PLANTED)
def test_a_receiver_that_breaks_a_promise_is_found(tmp_path: Path, planted: str) -> None:
    before, after = PLANTED[planted]
    assert before in THREE_GROUPS
    assert _violations(THREE_GROUPS.replace(before, after), tmp_path)


def test_a_start_in_the_same_boot_asks_nobody(tmp_path: Path) -> None:
    """Whatever was killed, but for the instant between a write and its mark."""
    killed, die = _run(THREE_GROUPS, tmp_path, 0), 0
    while killed or not die:
        die += 1
        killed = _run(THREE_GROUPS, tmp_path, die, "must not be asked")
    assert die > 40, "too few points"
    said = (tmp_path / "said").read_text(encoding="ascii").splitlines()
    asked = [line for line in said if "must not be asked" in line]
    assert asked and all(line.startswith("killed while it printed") for line in asked), asked
    assert _is_right(tmp_path)


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
