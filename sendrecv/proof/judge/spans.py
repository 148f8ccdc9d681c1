"""When counts came, for the picture: dots, which are merged into lines if there are too many."""

from __future__ import annotations

from typing import NamedTuple

DAY = 86_400_000_000


class TimeSpan(NamedTuple):
    """Microseconds of the boot's monotonic clock; the numbers of session and boot."""

    first: int
    last: int
    session: int
    boot: int


class TimeSpans:
    """The times in which one session counted; about `limit` spans, however many counts."""

    def __init__(self, limit: int) -> None:
        self.spans: list[TimeSpan] = []
        self._limit = limit
        self._resolution = 0

    def add(self, time: int, session: int, boot: int) -> None:
        """A count of that session, in that boot (both by their numbers)."""
        self._append(TimeSpan(time, time, session, boot))
        while len(self.spans) > self._limit:
            self._coarsen()

    def _append(self, span: TimeSpan) -> None:
        if self.spans and self._is_one(self.spans[-1], span):
            self.spans[-1] = self.spans[-1]._replace(last=span.last)
        else:
            self.spans.append(span)

    def _is_one(self, before: TimeSpan, span: TimeSpan) -> bool:
        same = (before.session, before.boot) == (span.session, span.boot)
        return same and span.first - before.last <= self._resolution

    def _coarsen(self) -> None:
        self._resolution = max(1000, 2 * self._resolution)
        if self._resolution > DAY:
            self._limit *= 2  # there are that many runs
        spans, self.spans = self.spans, []
        for span in spans:
            self._append(span)
