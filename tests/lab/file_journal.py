"""A journal in a file, for starts of the receiver that need no machine: "BOOT SECONDS TEXT" a line.

It answers as journal-reader does, of which the system tests have the real one.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from sendrecv.core.recovery import Bounds, JournalReading, Known
from sendrecv.receiver.journal import Unreadable


class FileJournal:
    """See sendrecv.receiver.journal.Journal. `why`: that it cannot be read, for that reason.

    Attribute asked: how often.
    """

    def __init__(self, path: Path, here: str, why: str = "") -> None:
        self._path = path
        self._here = here
        self._why = why
        self.asked = 0

    def read_boots(self, since: Mapping[str, float], wanted: Iterable[str]) -> JournalReading:
        """See Journal."""
        del wanted  # all is read
        return self._read(since, None)

    def read_all(self, lines: int) -> JournalReading:
        """See Journal."""
        return self._read({"-": 0.0}, lines)

    def read_back(self, boot: str, since: float) -> JournalReading:
        """See Journal."""
        known = Known()
        for of_boot, at, text in reversed(self._ask()):
            if of_boot == boot and at < since:
                break
            known.add(of_boot, at, text)
        return JournalReading(known, {}, {})

    def sync(self) -> None:
        """See Journal."""
        self._ask()

    def store(self) -> None:
        """See Journal."""

    def _ask(self) -> list[tuple[str, float, str]]:
        self.asked += 1
        if self._why:
            raise Unreadable(self._why)
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            boot, at, text = line.split(" ", 2)
            found.append((boot, float(at), text))
        return found

    def _read(self, since: Mapping[str, float], limit: int | None) -> JournalReading:
        lines = self._ask()
        known = Known()
        for boot, at, text in reversed(lines[-limit:] if limit else lines):
            if at >= since.get(boot, since.get("-", float("inf"))):
                known.add(boot, at, text)
        bounds = {}
        for boot in since:
            times = [at for of_boot, at, _ in lines if of_boot == boot]
            if times:
                bounds[boot] = Bounds(min(times), max(times))
        return JournalReading(known, dict(since), bounds)
