"""How fast counts come, and when the last one came: for `sendrecv status`, and no decision."""

from __future__ import annotations

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


class Paces:
    """Those of all Apps. Attribute all: of all Apps together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, Pace] = {}
        self.all = Pace()

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
