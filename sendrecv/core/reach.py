"""How far an App can have come since its record. What lies beyond is not believed in silence.

The receiver's last count is mostly the truth, and is adopted: the record may have been put back
from a backup. But a wrong count that was adopted could never be taken back. So the sender first
asks whether this App can have taken so many counts since the receiver was last heard.

What this relies on: within one boot, the monotonic clock. Across boots, the wall clock or the time
since this boot began, whichever says that more time has passed. So a wall clock that is set back
can make a true count look wrong, until a process starts with a right clock, or a person accepts the
count. A clock that is set forward can make a wrong count look true. No clock makes a count be taken
twice or left out.
"""

from __future__ import annotations

from sendrecv.core.values import SECOND, Value
from sendrecv.core.wire import MAX_BATCH

LEAST_INTERVAL = SECOND // 100_000
"""No App counts faster, whatever its interval is."""
MARGIN = 2
"""Clocks may differ, and another host's sender of the same App may have counted in between."""
SPARE = 2 * MAX_BATCH
"""Counts that need no time. The newest slot of a record may be damaged: one batch at most."""
EPOCHS = 2**20
"""Starts since the record: one a second for twelve days."""


class Reach(Value):
    """What is known of the time since the receiver was last heard.

    booted: what the wall clock said when this boot began, in nanoseconds; 0 if not known. heard:
    what the wall clock said when the receiver was last heard, in seconds; 0 if not known. since: a
    time of the monotonic clock that is not before that. fastest: the shortest interval in between,
    in nanoseconds. spare: what is left of SPARE. It is not renewed while a process runs, so that a
    wrong receiver cannot take it again and again.
    """

    booted: int
    heard: int
    since: int
    fastest: int
    spare: int = SPARE

    def counts(self, now: int) -> int:
        """How many counts the App can have taken since then, without the spare ones."""
        by_wall = self.booted + now - self.heard * SECOND if self.booted and self.heard else 0
        elapsed = max(now - self.since, by_wall, 0)
        return MARGIN * elapsed // max(self.fastest, LEAST_INTERVAL)

    def after(self, beyond: int, interval: int, now: int) -> Reach:
        """The receiver was heard now; `beyond` counts were not explained by the time."""
        heard = (self.booted + now) // SECOND if self.booted else 0
        return Reach(self.booted, heard, now, interval, self.spare - beyond)
