"""What an orderly shutdown notes, on a real ledger: the next boot asks the journal for nothing."""

from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print, Row
from sendrecv.receiver import settle
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark, Standing

ROW, ORDER = Row("a", 1, "0" * 32, "main", 3), Print("a", "main", 0, 3)


@pytest.fixture(name="ledger")
def fixture_ledger(tmp_path: Path) -> Ledger:
    """Its last group has four counts."""
    ledger = Ledger(tmp_path, "a" * 32, lambda: "a way")
    ledger.commit([ROW], [ORDER], 10.0)
    return ledger


@pytest.fixture(autouse=True)
def fixture_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle.systemd, "boot_id", lambda: "a" * 32)


def outbox(directory: Path) -> tuple[int, int, list[Row]]:
    ledger = Ledger(directory, "b" * 32)
    found = len(ledger.outbox()), len(ledger.pending()), ledger.rows()
    ledger.close()
    return found


def test_after_an_orderly_end_nothing_is_left_to_print(tmp_path: Path, ledger: Ledger) -> None:
    ledger.close()
    settle.note(tmp_path, ledger)
    settle.settle(tmp_path, tmp_path)
    assert outbox(tmp_path) == (0, 0, [ROW])


@pytest.mark.parametrize("noted", ["never", "before its last group", "of another ledger"])
def test_what_was_not_noted_is_left(tmp_path: Path, ledger: Ledger, noted: str) -> None:
    if noted == "before its last group":
        settle.note(tmp_path, ledger)
        ledger.commit([ROW.replace(last=4)], [ORDER.replace(first=4, last=4)], 11.0)
    if noted == "of another ledger":
        (tmp_path / settle.ENDED).write_text(f"{'0' * 32} {ledger.serial}")
    before = ledger.outbox()
    ledger.close()
    settle.settle(tmp_path, tmp_path)
    spans, pending, _ = outbox(tmp_path)
    assert (spans, pending) == (len(before), 1)


def test_if_the_machine_stays_up_the_mark_is_still_right(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark", "a" * 32)
    ledger = Ledger(tmp_path, "a" * 32, lambda: "a way", mark.written)
    mark.open(ledger.identity, ledger.files.database)
    mark.group(ledger.commit([ROW], [ORDER], 10.0), 4)
    ledger.close()
    mark.close()
    settle.note(tmp_path, ledger)
    settle.settle(tmp_path, tmp_path)
    ledger = Ledger(tmp_path, "a" * 32)
    standing, progress = mark.compare(ledger.identity, ledger.serial, ledger.files.database)
    assert standing is Standing.CONTINUES and progress.written == len(ledger.pending()) == 0
    ledger.close()


def test_a_receiver_that_runs_is_left_alone(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle.note(tmp_path, ledger)
    for name in ("state_directory", "runtime_directory"):
        monkeypatch.setattr(settle.systemd, name, lambda: str(tmp_path))
    assert settle.main() == 0
    assert ledger.outbox() and ledger.pending()
    ledger.close()


def test_without_a_ledger_none_is_made(tmp_path: Path) -> None:
    settle.settle(tmp_path, tmp_path)
    assert not (tmp_path / "ledger.db").exists()
