"""A simulated journal: lines in order, on disk five minutes later, or when it is asked to sync.

What a receiver asks it is answered as journal-reader does, of which the system tests have the real
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sendrecv.core.recovery import Bounds, Known, Reading
from sendrecv.core.values import SECOND
from sendrecv.receiver.journal import Unreadable

SYNC_INTERVAL = 300 * SECOND


class Journal:
    """What journald has of the receiver's standard output. blind: it cannot be asked."""

    def __init__(self, boot: str) -> None:
        self.lines: list[str] = []
        self.blind = False
        self._boot = boot
        self._now = 0
        self._at: list[tuple[str, float]] = []  # of each line
        self._ends: dict[str, float] = {}  # of earlier boots: what the journal has of them
        self._synced = 0
        self._synced_at = 0
        self._sync_due: int | None = None

    def write(self, lines: Sequence[str], now: int) -> None:
        """What one process has written."""
        self.pass_time(now)
        self.lines += lines
        self._at += [(self._boot, now / SECOND)] * len(lines)
        if lines and self._sync_due is None:
            self._sync_due = now + SYNC_INTERVAL

    def pass_time(self, now: int) -> None:
        """It is `now`."""
        self._now = now
        if self._sync_due is not None and now >= self._sync_due:
            self._to_disk()

    def lose_power(self, kept: int, boot: str) -> list[str]:
        """Of what was not on disk, only the first `kept` lines are left: the others. Then it is
        that boot.
        """
        end = self._synced + kept
        lost = self.lines[end:]
        at = self._at[end - 1] if 0 < end <= len(self._at) else (self._boot, 0.0)
        last = at[1] if at[0] == self._boot else 0.0
        # The journal has more than these lines: up to where they are lost, it is whole.
        whole = self._synced_at / SECOND if lost else self._now / SECOND
        self._ends[self._boot] = max(last, whole)
        del self.lines[end:], self._at[end:]
        self._boot, self._now = boot, 0
        self._to_disk()
        return lost

    @property
    def is_safe(self) -> bool:
        """Whether all of it is on disk."""
        return self._synced == len(self.lines)

    def _to_disk(self) -> None:
        self._synced, self._synced_at = len(self.lines), self._now
        self._sync_due = None

    # What a receiver asks: see sendrecv.receiver.journal.Journal.

    def read_boots(self, since: Mapping[str, float], wanted: Iterable[str]) -> Reading:
        """See Journal."""
        del wanted  # all is read
        known = Known()
        for line, (boot, at) in list(zip(self.lines, self._at, strict=True))[::-1]:
            if at >= since.get(boot, float("inf")):
                known.add(boot, line)
        return self._answer(known, since)

    def read_all(self, lines: int) -> Reading:
        """See Journal."""
        known = Known()
        for line, (boot, _) in list(zip(self.lines, self._at, strict=True))[: -lines - 1 : -1]:
            known.add(boot, line)
        return self._answer(known, {"-": 0.0})

    def sync(self) -> None:
        """See Journal."""
        if self.blind:
            raise Unreadable("it is blind")
        self._to_disk()

    def _answer(self, known: Known, since: Mapping[str, float]) -> Reading:
        if self.blind:
            raise Unreadable("it is blind")
        ends = {**self._ends, self._boot: self._now / SECOND}
        bounds = {boot: Bounds(0.0, ends[boot]) for boot in since if boot in ends}
        return Reading(known, dict(since), bounds, bool(self._ends))
