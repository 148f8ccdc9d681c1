"""How fast counts come, when the last one came, and how long the ledger takes: for
`sendrecv status` and `sendrecv metrics`, and no decision.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container

WINDOW = 10.0
"""Seconds. A pace is that of the last one to two of them."""
FIRST = 2
"""Batches that say nothing of the pace: what came first may have waited."""


class Pace:
    """Of one App, or of all together. Times are in seconds, of one clock that never goes back.

    Attributes: total: counts so far. last: when the last one came; None before the first.
    """

    __slots__ = ("total", "last", "_events", "_older", "_newer")

    def __init__(self) -> None:
        self.total = 0
        self.last: float | None = None
        self._events = 0
        self._older = self._newer = (0.0, 0)

    def counted(self, number: int, now: float) -> None:
        """So many counts came now."""
        self.total += number
        self._events += 1
        if self._events <= FIRST:
            self._older = self._newer = (now, self.total)
        elif now >= self._newer[0] + WINDOW:
            self._older, self._newer = self._newer, (now, self.total)
        self.last = now

    def beat(self) -> float | None:
        """Seconds from one count to the next; None if that is not known yet."""
        since, before = self._older
        if self.last is None or self.total == before:
            return None
        return (self.last - since) / (self.total - before)

    def rate(self, now: float) -> float:
        """Counts a second, lately."""
        since, before = self._newer if now >= self._newer[0] + WINDOW else self._older
        if self.last is None or now <= since:
            return 0.0
        return (self.total - before) / (now - since)


COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds. A healthy disk takes 1 to 20 ms for the sync that ends a transaction."""


class Durations:
    """How long something took, each time, since this process began: a histogram."""

    def __init__(self, bounds: tuple[float, ...] = COMMIT_BOUNDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)  # the last one: above all bounds
        self._seconds = 0.0

    def took(self, seconds: float) -> None:
        """Once more."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    def report(self) -> dict[str, object]:
        """within: by a number of seconds, how many took so long or less."""
        total, up_to = 0, {}
        for bound, count in zip(self._bounds, self._counts, strict=False):
            total += count
            up_to[f"{bound:g}"] = total
        return {"count": sum(self._counts), "seconds": round(self._seconds, 6), "within": up_to}


class Paces:
    """Those of all Apps. Attributes: all: of all Apps together. commits: of the ledger."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, Pace] = {}
        self.all = Pace()
        self.commits = Durations()

    def of(self, app_id: str) -> Pace | None:
        """None if no count has come since this process began."""
        return self._of.get(app_id)

    def counted(self, app_id: str, number: int, now: float, known: Container[str]) -> None:
        """So many counts of that App came now. known: the Apps that are to be remembered."""
        pace = self._of.get(app_id)
        if pace is None:
            if len(self._of) >= self._most:
                self._of = {name: there for name, there in self._of.items() if name in known}
            pace = self._of[app_id] = Pace()
        pace.counted(number, now)
        self.all.counted(number, now)
