"""The part of a journal that was asked for, and whether the journal reaches back to its beginning.

A part of a journal is as good as the whole, if the journal has it from its beginning. An earlier
entry shows that. For a boot, there is another way: the boot has journald's entry number 1, and PID
1's entry that basic.target was reached. No sender and no receiver is started before that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from sendrecv.proof.evidence import At, Missing, field, time_of
from sendrecv.proof.evidence import text as text_of

MARK = (
    *("_PID=1", "_UID=0", "_TRANSPORT=journal"),
    *("UNIT=basic.target", "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf"),
)
_MARK = [f"\n{one}\n".encode() for one in MARK]
_FIRST = re.compile(r"s=[0-9a-f]+;i=1;")


class Period:
    """From `since` to `until` (wall clock, microseconds), of a boot."""

    def __init__(
        self, since: int | None = None, until: int | None = None, boot: str | None = None
    ) -> None:
        self.since, self.until, self.boot = since, until, boot
        self.reached = since is None and boot is None
        self.begins = 0
        """The wall clock of the first entry that is there, if any was looked at."""
        self._first_of_boot = False

    @property
    def unreached(self) -> str:
        """What the journal does not have of this period; "" if it has the beginning."""
        if self.reached or not self.begins:
            return ""
        text = f"the journal begins at {local(self.begins)}"
        if self.since is not None:
            return f"{text}: what was asked for, from {local(self.since)} to then, is not in it"
        return f"{text}, not with the boot that was asked for: what was before in it is not there"

    def first(self, wall: int, boot: str, cursor: str) -> None:
        """The first entry that is there."""
        self.begins = min(wall, self.begins or wall)
        if self.since is not None and wall <= self.since:
            self.reached = True
        if self.boot is not None:
            self.reached = self.reached or boot != self.boot
            self._first_of_boot = self._first_of_boot or bool(_FIRST.match(cursor))

    def of(self, entries: Iterator[bytes], missing: list[Missing]) -> Iterator[bytes]:
        """The entries of the period, of an export file's."""
        if self.since is None and self.until is None and self.boot is None:
            return entries
        return self._of(entries, missing)

    def _of(self, entries: Iterator[bytes], missing: list[Missing]) -> Iterator[bytes]:
        clocks: dict[bytes, Clock] = {}
        for entry in entries:
            at = time_of(entry)
            if not clocks:
                self.first(at.wall, at.boot, text_of(entry, b"__CURSOR"))
            clock = clocks.setdefault(field(entry, b"_MACHINE_ID"), Clock(self))
            missing += clock.missing(at.wall, at.wall)
            if self._first_of_boot and at.boot == self.boot and is_mark(entry):
                self.reached = True
            if self._includes(at):
                yield entry

    def _includes(self, at: At) -> bool:
        return (
            (self.since is None or at.wall >= self.since)
            and (self.until is None or at.wall <= self.until)
            and (self.boot is None or at.boot == self.boot)
        )


class Clock:
    """Notices that a machine's wall clock was set back over the beginning or end of the period.

    After such a step, some entries seem to be outside of the period, which then has a hole.
    """

    def __init__(self, period: Period) -> None:
        self._bounds = [one for one in (period.since, period.until) if one is not None]
        self._latest = 0

    def missing(self, first: int, last: int) -> list[Missing]:
        """The hole, if any. Entries from `first` to `last` follow those of earlier calls."""
        latest, self._latest = self._latest, max(self._latest, last)
        return [
            Missing(
                f"the wall clock was set back, from {local(latest)} to {local(first)}: which"
                f" entries are meant by {local(bound)} is not known",
                somewhere=True,
            )
            for bound in self._bounds
            if latest > bound >= first
        ]


def is_mark(entry: bytes) -> bool:
    """Whether PID 1 says in it that basic.target was reached."""
    return all(mark in entry for mark in _MARK)


def local(wall: int) -> str:
    """A time for people."""
    try:
        return datetime.fromtimestamp(wall // 1_000_000).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"@{wall // 1_000_000}"
