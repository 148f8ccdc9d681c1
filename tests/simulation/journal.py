"""A simulated journal: lines in order, on disk five minutes later, or when it is asked to sync.

What a receiver asks it is answered as journal-reader does, of which the system tests have the real
one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from sendrecv.core.lines import parse_probe
from sendrecv.core.recovery import Bounds, JournalReading, Known
from sendrecv.core.values import SECOND
from sendrecv.receiver.journal import Unreadable
from tests.simulation.verdict import require

SYNC_INTERVAL = 300 * SECOND
SYNC_TAKES = SECOND // 5
"""From when it is asked to sync."""


class Journal:
    """What journald has of the receiver's standard output. blind: it cannot be asked. stores: it
    does, at the level of payloads. missing: lines that it was given, and did not store. given:
    those of them that must not come again, for somebody else may have seen them. unseen: those of
    them that another journald was given than the one that the ledger knows of. invocation: of
    journald.
    """

    def __init__(self, boot: str) -> None:
        self.lines: list[str] = []
        self.given: set[str] = set()
        self.missing: set[str] = set()
        self.blind = False
        self.stores = True
        self.invocation = 1
        self.unseen: set[str] = set()
        self._boot = boot
        self._now = 0
        self._at: list[tuple[str, float]] = []  # of each line
        self._ends: dict[str, float] = {}  # of earlier boots: what the journal has of them
        self._synced = 0
        self._synced_at = 0
        self._sync_due: int | None = None
        self._seen = 0

    def write(self, lines: Sequence[str], now: int) -> None:
        """What one process has written."""
        self.pass_time(now)
        for line in lines:
            require(line not in self.given, f"{line}, which was printed before, and not stored")
        if not self.stores:
            forgotten = [n for n, line in enumerate(self.lines) if line.startswith("forgotten ")]
            again = {*lines}.intersection(self.lines[max(forgotten, default=0) :])
            require(not again, f"{again}, which was printed before")
            for line in lines:
                self._give(line)
            return
        self.lines += lines
        self._at += [(self._boot, now / SECOND)] * len(lines)
        if lines and self._sync_due is None:
            self._sync_due = now + SYNC_INTERVAL

    def forget(self, app_id: str, line: str) -> None:
        """That App's counts come again."""
        mine = {given for given in self.given if json.loads(given)["appID"] == app_id}
        self.given -= mine
        self.write([line], self._now)

    def pass_time(self, now: int) -> None:
        """It is `now`."""
        self._now = now
        if self._sync_due is not None and now >= self._sync_due:
            self._to_disk()

    def restart(self, stores: bool, killed: int) -> None:
        """Another journald. `killed`: the one before had that many of the lines that have come just
        now, and not stored them.
        """
        self.invocation += 1
        self.stores = stores
        if not killed:
            self._to_disk()
        now = (self._boot, self._now / SECOND)
        while killed and self._at and self._at[-1] == now and self._synced < len(self.lines):
            if self.lines[-1].startswith("forgotten "):
                break
            self._at.pop()
            self._give(self.lines.pop())
            killed -= 1

    def _give(self, line: str) -> None:
        if parse_probe(line) is None:
            self.given.add(line)
            self.missing.add(line)
            if self.invocation != self._seen:
                self.unseen.add(line)

    def committed(self) -> None:
        """A group of lines is durable, and with them, by which journald they will be taken."""
        self._seen = self.invocation
        self.unseen.clear()

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
        self.invocation += 1
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

    def read_boots(self, since: Mapping[str, float], wanted: Iterable[str]) -> JournalReading:
        """See Journal."""
        del wanted  # all is read
        known = Known()
        for line, (boot, at) in list(zip(self.lines, self._at, strict=True))[::-1]:
            if at >= since.get(boot, float("inf")):
                known.add(boot, at, line)
        return self._answer(known, since)

    def read_all(self, lines: int) -> JournalReading:
        """See Journal."""
        known = Known()
        for line, (boot, at) in list(zip(self.lines, self._at, strict=True))[: -lines - 1 : -1]:
            known.add(boot, at, line)
        return self._answer(known, {"-": 0.0})

    def read_back(self, boot: str, since: float) -> JournalReading:
        """See Journal."""
        known = Known()
        for line, (of_boot, at) in list(zip(self.lines, self._at, strict=True))[::-1]:
            if of_boot == boot and at < since:
                break
            known.add(of_boot, at, line)
        return self._answer(known, {})

    def sync(self) -> None:
        """See Journal."""
        if self.blind:
            raise Unreadable("it is blind")
        self._to_disk()

    def store(self) -> None:
        """See Journal."""
        if self._sync_due is not None:
            self._sync_due = min(self._sync_due, self._now + SYNC_TAKES)

    def _answer(self, known: Known, since: Mapping[str, float]) -> JournalReading:
        if self.blind:
            raise Unreadable("it is blind")
        ends = {**self._ends, self._boot: self._now / SECOND}
        bounds = {boot: Bounds(0.0, ends[boot]) for boot in since if boot in ends}
        return JournalReading(known, dict(since), bounds)
