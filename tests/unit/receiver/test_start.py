"""What a start prints that has no mark, by how far the journal reaches."""

from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print, Row
from sendrecv.receiver import start
from sendrecv.receiver.journal import NEWEST
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark
from sendrecv.receiver.printing import Printer
from sendrecv.receiver.requests import Requests
from tests.lab.file_journal import FileJournal
from tests.lab.reception import silent_notifier

BOOT, OLD = "b" * 32, "a" * 32
NOW = 1000.0


class Clock:
    """It is NOW."""

    def monotonic(self) -> float:
        """See start.Clock."""
        return NOW

    def sleep(self, seconds: float) -> None:
        """See start.Clock."""
        raise AssertionError(f"it waits for {seconds} s")


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_journal_that_does_not_store_what_is_printed_now_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    """The span is 0 to 3, and the journal has 0 and 1: with another Storage= or level after them.

    It has a new line of somebody else, which proves nothing.
    """
    ledger = Ledger(tmp_path, BOOT, lambda: "the same")
    ledger.commit([Row("a", 1, "0" * 32, "main", 3)], [Print("a", "main", 0, 3)], 10.0)
    ledger.close()
    lines = [f'{BOOT} 10.0 {{"count": {n}, "appID": "a", "nodeID": "main"}}' for n in (0, 1)]
    (tmp_path / "journal").write_text("\n".join([*lines, f"{BOOT} {NOW} other"]) + "\n")
    chunks: list[bytes] = []

    def write(chunk: bytes) -> None:
        chunks.append(chunk)
        if is_stored:
            with (tmp_path / "journal").open("a") as file:
                file.writelines(f"{BOOT} {NOW} {line}\n" for line in chunk.decode().splitlines())

    mark, notifier = Mark(tmp_path / "mark", BOOT), silent_notifier()
    said: list[str] = []
    monkeypatch.setattr(notifier, "log", lambda _severity, text: said.append(text))
    printer = Printer(mark, write, lambda: None)
    journal = FileJournal(tmp_path / "journal", BOOT)
    ports = start.StartPorts(
        lambda: Ledger(tmp_path, BOOT, lambda: "the same"),
        mark,
        journal,
        printer,
        notifier,
        Clock(),
        Requests(tmp_path),
    )
    start.open_ledger(ports).close()
    out = b"".join(chunks).decode("ascii")
    assert [n for n in range(9) if f'"count": {n},' in out] == ([2, 3] if is_stored else [])
    assert any(line.startswith("unproven") for line in said) is not is_stored
    mark.close()


@pytest.mark.parametrize("is_stored", [True, False])
def test_an_app_is_forgotten_only_if_the_journal_says_so_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    """Also if it says so of one of two. Whatever their number, the journal is asked once."""
    row = Row("a", 1, "0" * 32, "main", 3)
    other = row.replace(app_id="b")
    (tmp_path / "forget-a").touch()
    (tmp_path / "forget-b").touch()
    ledger = Ledger(tmp_path, BOOT)
    ledger.commit([row, other], [], 10.0)
    ledger.close()
    notifier, said = silent_notifier(), []

    def log(_severity: int, text: str) -> None:
        said.append(text)
        if is_stored and '"b"' not in text:
            with (tmp_path / "journal").open("a") as file:
                file.write(f"{BOOT} {NOW} {text}\n")

    monkeypatch.setattr(notifier, "log", log)
    mark = Mark(tmp_path / "mark", BOOT)
    ports = start.StartPorts(
        lambda: Ledger(tmp_path, BOOT),
        mark,
        FileJournal(tmp_path / "journal", BOOT),
        Printer(mark, lambda _: None, lambda: None),
        notifier,
        Clock(),
        Requests(tmp_path),
    )
    ledger = start.open_ledger(ports)
    rows, numbers = ([other], {"a": 1}) if is_stored else ([row, other], {})
    assert (ledger.rows(), ledger.incarnations()) == (rows, numbers)
    assert (tmp_path / "forget-a").exists() is not is_stored and (tmp_path / "forget-b").exists()
    refused = [text for text in said if "is not forgotten yet: it does not store" in text]
    assert [text.split()[1] for text in refused] == (["b"] if is_stored else ["a", "b"])
    ledger.close()
    mark.close()


OTHERS = 3 * NEWEST
"""Lines of another App: more than show that a ledger is old."""


def _ports(directory: Path) -> start.StartPorts:
    mark = Mark(directory / "mark", BOOT)
    return start.StartPorts(
        lambda: Ledger(directory, BOOT),
        mark,
        FileJournal(directory / "journal", BOOT),
        Printer(mark, lambda _: None, lambda: None),
        silent_notifier(),
        Clock(),
        Requests(directory),
    )


def _last_counts(directory: Path) -> dict[str, int | None]:
    """Of each App, as the ledger has it after a start."""
    ports = _ports(directory)
    ledger = start.open_ledger(ports)
    last = {row.app_id: row.last for row in ledger.rows()}
    ledger.close()
    ports.mark.close()
    return last


def _counts(app_id: str, first: int, last: int, boot: str, at: float) -> list[str]:
    payload = '{{"count": {}, "appID": "{}", "nodeID": "main"}}'
    return [f"{boot} {at + n / 1000} {payload.format(n, app_id)}" for n in range(first, last + 1)]


@pytest.mark.parametrize("rebooted", [False, True])
@pytest.mark.parametrize("has_spans", [True, False])
def test_an_old_ledger_learns_of_an_app_that_stopped_long_ago(
    tmp_path: Path, rebooted: bool, has_spans: bool
) -> None:
    """The copy was made at count 3 of each. Then "a" counted to 9 and stopped; "b" went on."""
    boot = OLD if rebooted else BOOT
    ledger = Ledger(tmp_path, boot)
    rows = [Row(app_id, 1, "0" * 32, "main", 3) for app_id in "ab"]
    orders = [Print(app_id, "main", 0, 3) for app_id in "ab" if has_spans]
    ledger.commit(rows, orders, 10.0)
    ledger.close()
    since = [*_counts("a", 4, 9, boot, 20.0), *_counts("b", 4, OTHERS, BOOT, 30.0)]
    before = [line for app_id in "ab" for line in _counts(app_id, 0, 3, boot, 10.0)]
    (tmp_path / "journal").write_text("\n".join([*before, *since]) + "\n")
    assert _last_counts(tmp_path) == {"a": 9, "b": OTHERS}


def test_an_old_ledger_that_has_gone_on_learns_what_came_before(tmp_path: Path) -> None:
    """It was put back when the journal had been vacuumed, so "a" did not get its counts back. Then
    a power cut took the journal's last seconds, and took back that its files had been removed.
    """
    ledger = Ledger(tmp_path, OLD)
    ledger.commit([Row("a", 1, "0" * 32, "main", 3)], [Print("a", "main", 0, 3)], 10.0)
    ledger.commit([Row("b", 1, "0" * 32, "main", 7)], [Print("b", "main", 7, 7)], 40.0)
    ledger.close()
    lines = [*_counts("b", 0, OTHERS, OLD, 5.0), *_counts("a", 0, 9, OLD, 20.0)]
    (tmp_path / "journal").write_text("\n".join(lines) + "\n")
    assert _last_counts(tmp_path) == {"a": 9, "b": OTHERS}


def test_an_old_ledger_is_told_no_more_than_it_does_not_know(tmp_path: Path) -> None:
    """Of what was printed before its newest span, the journal says nothing that is new."""
    ledger = Ledger(tmp_path, BOOT)
    ledger.commit([Row("b", 1, "0" * 32, "main", 3)], [Print("b", "main", 0, 3)], 10.0)
    ledger.close()
    older = _counts("old", 0, 5, BOOT, 1.0)
    newer = _counts("b", 0, OTHERS, BOOT, 10.0)
    (tmp_path / "journal").write_text("\n".join([*older, *newer]) + "\n")
    assert _last_counts(tmp_path) == {"b": OTHERS}


def test_a_ledger_that_is_lost_is_made_of_all_that_the_journal_has(tmp_path: Path) -> None:
    lines = [*_counts("a", 0, 9, OLD, 20.0), *_counts("b", 0, OTHERS, BOOT, 30.0)]
    (tmp_path / "journal").write_text("\n".join(lines) + "\n")
    assert _last_counts(tmp_path) == {"a": 9, "b": OTHERS}


# Copies that are put back.


class Receiver:
    """A receiver at its start, and groups that it prints. Its mark knows no file: see as_if_killed.

    The journal has what it prints.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mark = Mark(directory / "mark", BOOT)
        self._printer = Printer(self._mark, self._write, lambda: None)
        self.ledger = start.open_ledger(
            start.StartPorts(
                lambda: Ledger(directory, BOOT, lambda: "the same", self._mark.written),
                self._mark,
                FileJournal(directory / "journal", BOOT),
                self._printer,
                silent_notifier(),
                Clock(),
                Requests(directory),
            )
        )

    def _write(self, chunk: bytes) -> None:
        with (self._directory / "journal").open("a") as file:
            file.writelines(f"{BOOT} {NOW} {line}\n" for line in chunk.decode().splitlines())

    def count(self, number: int) -> None:
        """A group of so many counts."""
        there = self.ledger.row("a")
        first = 0 if there is None or there.last is None else there.last + 1
        row, order = Row("a", 1, "1" * 32, "main", first + number - 1), (first, first + number - 1)
        serial = self.ledger.commit([row], [Print("a", "main", *order)], NOW)
        self._printer.print_group(serial, [Print("a", "main", *order)])

    def end(self) -> None:
        """As if it had been killed while it merged its log: the mark does not know the file."""
        self.ledger.close()
        self._mark.close()
        data = (self._directory / "mark").read_bytes()
        (self._directory / "mark").write_bytes(data[:-24] + bytes(24))


def _copied(directory: Path) -> bytes:
    return (directory / "ledger.db").read_bytes()


@pytest.mark.parametrize("more", [0, 1], ids=["the same serial", "the next one"])
def test_a_second_copy_is_old_whatever_its_serial(tmp_path: Path, more: int) -> None:
    (tmp_path / "journal").touch()
    copies, names = [], set()
    identity, serial = "", 0
    for groups in (1, 5 + more):
        receiver = Receiver(tmp_path)
        for _ in range(groups):
            receiver.count(1)
        names.add(receiver.ledger.identity[:16])
        identity, serial = receiver.ledger.identity, receiver.ledger.serial
        receiver.end()
        copies.append(_copied(tmp_path))
    (tmp_path / "ledger.db").write_bytes(copies[0])
    receiver = Receiver(tmp_path)
    while receiver.ledger.serial < serial - more:
        receiver.count(7)
    last = receiver.ledger.rows()[0].last
    names.add(receiver.ledger.identity[:16])
    assert receiver.ledger.identity != identity
    receiver.end()
    (tmp_path / "ledger.db").write_bytes(copies[1])
    receiver = Receiver(tmp_path)
    assert receiver.ledger.rows()[0].last == last
    receiver.count(3)
    names.add(receiver.ledger.identity[:16])
    receiver.end()
    lines = (tmp_path / "journal").read_text().splitlines()
    counts = [int(line.split('"count": ')[1].split(",")[0]) for line in lines if "count" in line]
    assert counts == list(range(len(counts))) and len(counts) > 20
    assert len(names) == 1, "senders would take it for another ledger"


def test_a_start_that_goes_on_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal").touch()
    receiver = Receiver(tmp_path)
    receiver.count(1)
    known = receiver.ledger.identity, receiver.ledger.serial
    receiver.end()
    receiver = Receiver(tmp_path)
    assert (receiver.ledger.identity, receiver.ledger.serial) == known
    receiver.end()
    (tmp_path / "mark").unlink()
    receiver = Receiver(tmp_path)
    assert receiver.ledger.identity != known[0] and not receiver.ledger.is_renewed
    receiver.end()
