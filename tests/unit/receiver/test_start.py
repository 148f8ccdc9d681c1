"""What a start prints that has no mark, by how far the journal reaches."""

from pathlib import Path

import pytest

from sendrecv.core.receiver_events import Print, Row
from sendrecv.receiver import start
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark
from sendrecv.receiver.printing import Printer
from sendrecv.receiver.requests import Requests
from tests.lab.file_journal import FileJournal
from tests.lab.reception import silent_notifier

BOOT = "b" * 32
NOW = 1000.0


class Clock:
    """It is NOW."""

    def monotonic(self) -> float:
        """See start.Clock."""
        return NOW

    def sleep(self, seconds: float) -> None:
        """See start.Clock."""
        raise AssertionError(f"it waits for {seconds} s")


@pytest.mark.parametrize(
    ("newest", "printed", "unproven"),
    [(NOW, [2, 3], False), (NOW - start.RECENT + 1, [2, 3], False), (NOW / 2, [], True)],
    ids=["now", "a moment ago", "long ago"],
)
def test_a_journal_that_is_not_stored_any_more_proves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    newest: float,
    printed: list[int],
    unproven: bool,
) -> None:
    """The span is 0 to 3, and the journal has 0 and 1: with Storage=none set after them."""
    ledger = Ledger(tmp_path, BOOT)
    ledger.commit([Row("a", 1, "0" * 32, "main", 3)], [Print("a", "main", 0, 3)], 10.0)
    ledger.close()
    lines = [f'{BOOT} 10.0 {{"count": {n}, "appID": "a", "nodeID": "main"}}' for n in (0, 1)]
    (tmp_path / "journal").write_text("\n".join([*lines, f"{BOOT} {newest} other"]) + "\n")
    chunks: list[bytes] = []
    mark, notifier = Mark(tmp_path / "mark", BOOT), silent_notifier()
    said: list[str] = []
    monkeypatch.setattr(notifier, "log", lambda _severity, text: said.append(text))
    printer = Printer(mark, chunks.append, lambda: None)
    journal = FileJournal(tmp_path / "journal", BOOT)
    ports = start.Ports(
        lambda: Ledger(tmp_path, BOOT),
        mark,
        journal,
        printer,
        notifier,
        Clock(),
        Requests(tmp_path),
    )
    start.open_ledger(ports).close()
    out = b"".join(chunks).decode("ascii")
    assert [n for n in range(9) if f'"count": {n},' in out] == printed
    assert any(line.startswith("unproven") for line in said) is unproven
    mark.close()
