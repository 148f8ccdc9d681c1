"""What a sender tells the journal: the entries as journald is sent them, and what they rest on."""

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv import systemd
from sendrecv.core import takeover
from sendrecv.core.lease import Taken
from sendrecv.core.reach import App
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND
from sendrecv.sender import story
from sendrecv.sender.loop import Arrival, Departure
from tests.judges.documents import catalog

TOP = Path(__file__).resolve().parents[3]
RUN, BEFORE = "1" * 32, "2" * 32
NOW = time.monotonic_ns()
APP = App("app", "failover", RUN, "b" * 32, SECOND)
RECORD = Record("app", 6, 41, 41, NOW, "b" * 32, "main", BEFORE)
HALF = story.Half("one", "failover")
ARRIVAL = Arrival(RECORD, 7, 42, 43, NOW)
KILLED = {
    "MONITOR_INVOCATION_ID": BEFORE,
    "MONITOR_SERVICE_RESULT": "signal",
    "MONITOR_EXIT_STATUS": "KILL",
}


class Journald:
    """A socket in the place of journald's."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(60)

    def entry(self) -> dict[str, str]:
        """The next entry. One field on each line, once."""
        lines = self.socket.recv(65536).decode().splitlines()
        entry = dict(line.split("=", 1) for line in lines)
        assert len(entry) == len(lines)
        return entry


@pytest.fixture(name="journald")
def fixture_journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journald]:
    """Standard error goes to the journal, too; and the directories are the test's."""
    there = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
    monkeypatch.setattr(systemd, "JOURNAL", str(tmp_path / "socket"))
    monkeypatch.setattr(story, "GUARD", str(tmp_path))
    monkeypatch.setattr(story, "STARTED_BY_END", str(tmp_path))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    journald = Journald(tmp_path / "socket")
    with journald.socket:
        yield journald


def environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_a_takeover(journald: Journald, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, KILLED)
    story.tell(HALF, APP, ARRIVAL)
    assert journald.entry() == {
        "MESSAGE": "App app: failover counts on from 42, 1.0 s after the count before:"
        " main was killed by signal 9 (SIGKILL)",
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "sendrecv",
        "MESSAGE_ID": takeover.TAKEOVER,
        "SENDRECV_APP": "app",
        "SENDRECV_INSTANCE": "one",
        "SENDRECV_FROM": "main",
        "SENDRECV_TO": "failover",
        "SENDRECV_WHY": "signal",
        "SENDRECV_WHY_TEXT": "main was killed by signal 9 (SIGKILL)",
        "SENDRECV_SILENCE_USEC": "1000000",
        "SENDRECV_COUNT": "42",
        "SENDRECV_EPOCH": "7",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MONITOR_INVOCATION_ID": ""}, "unknown"),
        ({"MONITOR_SERVICE_RESULT": ""}, "unknown"),
        ({"MONITOR_INVOCATION_ID": RUN}, "unknown"),
        ({"MONITOR_EXIT_STATUS": "NONESUCH"}, "signal"),
        ({"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "75"}, "exit-code"),
        ({"MONITOR_SERVICE_RESULT": "success", "MONITOR_EXIT_STATUS": "0"}, "started"),
    ],
)
def test_how_the_other_half_ended(
    journald: Journald, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], code: str
) -> None:
    environment(monkeypatch, KILLED | changes)
    story.tell(HALF, APP, ARRIVAL)
    assert journald.entry()["SENDRECV_WHY"] == code


def test_an_orderly_end_that_has_started_this_half(journald: Journald, tmp_path: Path) -> None:
    """Only if it was the end of the run that the record is of."""
    (tmp_path / "one.told").write_text(BEFORE, encoding="ascii")
    mark = tmp_path / HALF.unit
    for run, code in ((RUN, "started"), (BEFORE, "stopped"), ("", "started"), ("\xff", "started")):
        mark.write_text(f"{run}\n", encoding="latin-1")
        story.tell(HALF, APP, ARRIVAL)
        assert journald.entry()["SENDRECV_WHY"] == code
    mark.unlink()
    (tmp_path / "one.told").write_text(RUN, encoding="ascii")
    story.tell(HALF, APP, ARRIVAL)
    assert journald.entry()["SENDRECV_WHY"] == "unknown"


def test_the_guard(journald: Journald, tmp_path: Path) -> None:
    """Its last try counts if it came after the last count, which was a second ago."""
    tried = tmp_path / HALF.unit
    tried.write_text(BEFORE, encoding="ascii")
    arrival = ARRIVAL.replace(before=RECORD.replace(node_id="failover"))
    for age, code in ((0.1, "guard"), (30.0, "again")):
        os.utime(tried, (time.time() - age,) * 2)
        story.tell(HALF, APP, arrival)
        entry = journald.entry()
        assert (entry["SENDRECV_WHY"], entry["MESSAGE_ID"]) == (code, takeover.BEGUN)


def test_the_end(journald: Journald, tmp_path: Path) -> None:
    story.tell(HALF, APP, Departure(43))
    entry = journald.entry()
    assert entry["MESSAGE"] == "App app: failover ends, as it was told to, after count 43"
    assert (entry["MESSAGE_ID"], entry["SENDRECV_COUNT"]) == (takeover.ENDED, "43")
    assert (entry["SENDRECV_FROM"], "SENDRECV_TO" in entry) == ("failover", False)
    assert (tmp_path / "one.told").read_text(encoding="ascii") == RUN


def test_of_several_hosts(journald: Journald) -> None:
    taken = Taken(RECORD, "b", "a", "moved", "a new disk")
    story.tell(HALF, APP, ARRIVAL.replace(before=taken))
    entry = journald.entry()
    assert (entry["SENDRECV_FROM_HOST"], entry["SENDRECV_TO_HOST"]) == ("b", "a")
    assert (entry["SENDRECV_WHY"], entry["SENDRECV_REASON"]) == ("moved", "a new disk")
    assert entry["MESSAGE_ID"] == takeover.TAKEOVER


def test_a_new_app(journald: Journald) -> None:
    story.tell(HALF, APP, Arrival(None, 1, 0, 0, NOW))
    entry = journald.entry()
    assert entry["MESSAGE"] == "App app: failover begins with count 0"
    assert entry["MESSAGE_ID"] == takeover.BEGUN and "SENDRECV_FROM" not in entry


def test_a_receiver_that_has_no_count_yet(journald: Journald) -> None:
    story.tell(HALF, APP, ARRIVAL.replace(first=-1))
    entry = journald.entry()
    assert "counts on from 43, of which the receiver has none yet: " in entry["MESSAGE"]
    assert entry["SENDRECV_COUNT"] == "43" and "SENDRECV_SILENCE_USEC" not in entry


def test_nothing_from_another_host_adds_a_field(journald: Journald) -> None:
    record = RECORD.replace(node_id="x\nPRIORITY=0", run="y\nPRIORITY=0")
    story.tell(HALF, APP, ARRIVAL.replace(before=Taken(record, "b", "a", "lease-expired")))
    entry = journald.entry()
    assert entry["PRIORITY"] == "5" and entry["SENDRECV_FROM"] == r"'x\nPRIORITY=0'"


def test_without_journald_it_is_a_line(
    journald: Journald, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    journald.socket.close()
    there = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{there.st_dev}:{there.st_ino}"
    for _ in range(2):
        story.tell(HALF, APP, Departure(43))
        (tmp_path / "socket").unlink(missing_ok=True)
    said = capfd.readouterr().err.splitlines()
    assert said == ["<5>App app: failover ends, as it was told to, after count 43"] * 2


def test_by_hand_it_is_a_line_without_a_severity(
    journald: Journald, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM")
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    story.tell(HALF, APP, Departure(43))
    assert capfd.readouterr().err == "App app: failover ends, as it was told to, after count 43\n"
    journald.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        journald.entry()


def test_who_has_moved_the_app(
    journald: Journald, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, KILLED | {"MONITOR_SERVICE_RESULT": "success"})
    note = tmp_path / f"{HALF.unit}.moved"
    for run, code in ((BEFORE, "moved"), ("3" * 32, "started"), ("", "started")):
        note.write_text(f"{run}\njoe\nkernel update\n", encoding="utf-8")
        story.tell(HALF, APP, ARRIVAL)
        entry = journald.entry()
        assert entry["SENDRECV_WHY"] == code
        is_moved = code == "moved"
        assert entry["MESSAGE"].endswith(": moved by joe: kernel update") is is_moved
        assert (entry.get("SENDRECV_REASON") == "kernel update") is is_moved
    note.write_text("no note", encoding="utf-8")
    story.tell(HALF, APP, ARRIVAL)
    assert journald.entry()["SENDRECV_WHY"] == "started"


def test_the_units() -> None:
    main = story.Half("one", "main")
    assert (main.unit, main.other) == ("sender@one.service", "sender-failover@one.service")
    assert (HALF.unit, HALF.other) == (main.other, main.unit)


def test_the_catalog_explains_each_entry_by_fields_that_it_has(journald: Journald) -> None:
    explained = catalog()
    told = {takeover.TAKEOVER, takeover.BEGUN, takeover.ENDED}
    assert explained.keys() >= {*told, takeover.PAUSED, takeover.RESUMED}
    fewest: list[Arrival | Departure] = [ARRIVAL, Arrival(None, 1, -1, -1, NOW), Departure(1)]
    for news in fewest:
        story.tell(HALF, APP, news)
        entry = journald.entry() | {"_SYSTEMD_UNIT": HALF.unit}
        named = re.findall(r"@([A-Z_]+)@", explained[entry["MESSAGE_ID"]])
        assert len(named) > 2 and set(named) <= entry.keys(), named


def test_the_man_page_has_each_field_and_each_reason(
    journald: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (TOP / "debian/man/sendrecv-history.1").read_text(encoding="utf-8")
    page = page.replace("\\-", "-")
    environment(monkeypatch, KILLED)
    taken = Taken(RECORD, "b", "a", "moved", "a new disk")
    told: list[Arrival | Departure] = [ARRIVAL, ARRIVAL.replace(before=taken), Departure(1)]
    for news in told:
        story.tell(HALF, APP, news)
        for name, value in journald.entry().items():
            assert name in {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"} or f"{name}=" in page, name
            assert name != "MESSAGE_ID" or value in page
    table = (takeover.__doc__ or "").partition("    code ")[2]
    codes = re.findall(r"^    ([a-z-]+) ", table, re.MULTILINE)
    assert len(codes) > 10
    for code in codes:
        assert re.search(rf"^\.BR? .*\b{code}\b", page, re.MULTILINE), code
