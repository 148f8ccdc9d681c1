"""A simulated journal: lines in order, on disk five minutes later, or when it is asked to sync."""

from __future__ import annotations

from collections.abc import Sequence

from sendrecv.core.sender import SECOND

SYNC_INTERVAL = 300 * SECOND


class Journal:
    """What journald has of the receiver's standard output."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._synced = 0
        self._sync_due: int | None = None

    def write(self, lines: Sequence[str], now: int) -> None:
        """What one process has written."""
        self.pass_time(now)
        self.lines += lines
        if lines and self._sync_due is None:
            self._sync_due = now + SYNC_INTERVAL

    def pass_time(self, now: int) -> None:
        """It is `now`."""
        if self._sync_due is not None and now >= self._sync_due:
            self.sync()

    def sync(self) -> None:
        """Everything is on disk."""
        self._synced = len(self.lines)
        self._sync_due = None

    def lose_power(self, kept: int) -> list[str]:
        """Of what was not on disk, only the first `kept` lines are left: the others."""
        lost = self.lines[self._synced + kept :]
        del self.lines[self._synced + kept :]
        self.sync()
        return lost
