"""The way of the lines to the journal: which journald is given them, and what it is told to drop.

journald has other settings (MaxLevelStore=, Storage=) only after it was started again, and each of
its processes has an invocation ID. Between /run and /var it changes while it runs, when it is told
to (journalctl --flush, --relinquish-var), and has a file that says so. As long as all that is the
same, the journal stores each line, or none; but if its disk is full, some.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sendrecv.core.errors import INFO

UNITS = Path("/run/systemd/units")
"""What PID 1 tells journald of units, as the targets of symbolic links."""
FLUSHED = Path("/run/systemd/journal/flushed")
JOURNALD = "/run/systemd/journal/stdout"
NO_LIMIT = 100_000_000
"""LogRateLimitBurst= of receiver.service."""


def way(units: Path = UNITS, flushed: Path = FLUSHED, descriptor: int = 1) -> str:
    """Names it. "": some lines are not stored, or all are, but elsewhere: they go to a file or to
    a namespace (StandardOutput=, LogNamespace=), are dropped for their severity (LogLevelMax=) or
    their number (LogRateLimitBurst=); or this process was not started by systemd.
    """
    if _peer(descriptor) != JOURNALD:
        return ""
    severity = _link(units / "log-level-max:receiver.service") or "7"
    burst = _link(units / "log-rate-limit-burst:receiver.service")
    if not (severity.isdigit() and int(severity) >= INFO and burst.isdigit()):
        return ""
    if int(burst) < NO_LIMIT:
        return ""
    invocation = _link(units / "invocation:systemd-journald.service")
    return invocation and f"{invocation} {_inode(flushed)}"


class Ways:
    """The ways that the lines of each boot have taken, in the ledger's database: a row for each
    change. Attribute is_new: whether the last group that had lines was the first one of its way.
    """

    def __init__(self, database: sqlite3.Connection, boot: str, look: Callable[[], str]) -> None:
        """`look`: see way()."""
        self._database = database
        self._boot = boot
        self._look = look
        self._taken = self._seen = self._last(boot)
        self.is_new = False

    def see(self, now: float) -> float:
        """Since when lines take the way of those that will be printed next, in seconds of the
        boot's clock. `now` if that way is new.
        """
        name = self._look()
        if self._taken and self._taken[0] == name:
            self._seen = self._taken
            return self._taken[1]
        self._seen = (name, now)
        return now

    def write(self) -> None:
        """What was seen, as a part of the group's transaction."""
        if self._seen and self._seen != self._taken:
            self._database.execute(
                "DELETE FROM way WHERE boot <> ? AND boot NOT IN (SELECT boot FROM outbox)",
                (self._boot,),
            )
            row = (self._boot, self._seen[1], self._seen[0])
            self._database.execute("INSERT OR REPLACE INTO way VALUES (?, ?, ?)", row)

    def written(self) -> None:
        """The transaction is durable."""
        self.is_new = self._seen != self._taken
        self._taken = self._seen

    def since(self, boot: str, opened: float) -> float | None:
        """For a span that was opened then: see Span.way_since."""
        found = self._last(boot)
        if not found or not found[0] or opened < found[1]:
            return None
        if boot == self._boot and found[0] != self._look():
            return None
        return found[1]

    def _last(self, boot: str) -> tuple[str, float] | None:
        query = "SELECT name, since FROM way WHERE boot = ? ORDER BY since DESC LIMIT 1"
        found = self._database.execute(query, (boot,)).fetchone()
        return (str(found[0]), float(found[1])) if found else None


def _peer(descriptor: int) -> str:
    """The address that it is connected to; "" if it is no socket."""
    try:
        there = socket.socket(fileno=descriptor)  # not of a copy, which a failure would leave open
    except OSError:
        return ""
    try:
        return str(there.getpeername())
    except OSError:
        return ""
    finally:
        there.detach()


def _inode(path: Path) -> int:
    """0 if it is not there."""
    with contextlib.suppress(OSError):
        return path.stat().st_ino
    return 0


def _link(path: Path) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(path)
    return ""
