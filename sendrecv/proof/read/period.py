"""The part of a journal that was asked for, and whether the journal reaches back to its beginning.

A part of a journal is as good as the whole, if the journal has it from its beginning. An earlier
entry shows that. For a boot, there is another way: the boot has journald's entry number 1, and PID
1's entry that basic.target was reached. No sender and no receiver is started before that.

Of several hosts, the journal of each has a beginning of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from sendrecv.proof.evidence import time_of
from sendrecv.proof.evidence import text as text_of
from sendrecv.proof.statements import At, Missing

BASIC_TARGET = (
    *("_PID=1", "_UID=0", "_TRANSPORT=journal"),
    *("UNIT=basic.target", "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf"),
)
_BASIC_TARGET = [f"\n{one}\n".encode() for one in BASIC_TARGET]
_FIRST = re.compile(r"s=[0-9a-f]+;i=1;")


class Period:
    """From `since` to `until` (wall clock, microseconds), of a boot."""

    def __init__(
        self, since: int | None = None, until: int | None = None, boot: str | None = None
    ) -> None:
        self.since, self.until, self.boot = since, until, boot
        self._begins: dict[str, int] = {}  # the wall clock of the first entry that is there
        self._reached: set[str] = set()
        self._first_of_boot: set[str] = set()

    @property
    def unreached(self) -> dict[str, str]:
        """What the journal of each machine does not have of this period, if it does not have the
        beginning. By machine ID.
        """
        return {
            machine: self._unreached(begins)
            for machine, begins in self._begins.items()
            if machine not in self._reached and not (self.since is None and self.boot is None)
        }

    def _unreached(self, begins: int) -> str:
        text = f"the journal begins at {local(begins)}"
        if self.since is not None:
            return f"{text}: what was asked for, from {local(self.since)} to then, is not in it"
        return f"{text}, not with the boot that was asked for: what was before in it is not there"

    def begin(self, machine: str, wall: int, *, reached: bool = False) -> None:
        """The journal of a machine begins at this time. `reached`: that is early enough."""
        self._begins[machine] = min(wall, self._begins.get(machine, wall))
        if reached or (self.since is not None and wall <= self.since):
            self._reached.add(machine)

    def _first(self, at: At, cursor: str) -> None:
        """The first entry that is there of a machine."""
        is_other = self.boot is not None and at.boot != self.boot
        self.begin(at.machine, at.wall, reached=is_other)
        if self.boot is not None and _FIRST.match(cursor):
            self._first_of_boot.add(at.machine)

    def of(self, entries: Iterator[bytes], missing: list[Missing]) -> Iterator[bytes]:
        """The entries of the period, of an export file's."""
        if self.since is None and self.until is None and self.boot is None:
            return entries
        return self._of(entries, missing)

    def _of(self, entries: Iterator[bytes], missing: list[Missing]) -> Iterator[bytes]:
        clocks: dict[str, ClockSteps] = {}
        for entry in entries:
            at = time_of(entry)
            if at.machine not in clocks:
                self._first(at, text_of(entry, b"__CURSOR"))
                clocks[at.machine] = ClockSteps(self, at.machine)
            missing += clocks[at.machine].missing(at.wall, at.wall)
            if at.machine in self._first_of_boot and at.boot == self.boot and is_mark(entry):
                self._reached.add(at.machine)
            if self._includes(at):
                yield entry

    def _includes(self, at: At) -> bool:
        return (
            (self.since is None or at.wall >= self.since)
            and (self.until is None or at.wall <= self.until)
            and (self.boot is None or at.boot == self.boot)
        )


class ClockSteps:
    """Notices that a machine's wall clock was set back over the beginning or end of the period.

    After such a step, some entries seem to be outside of the period, which then has a hole.
    """

    def __init__(self, period: Period, machine: str) -> None:
        self._machine = machine
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
                machine=self._machine,
            )
            for bound in self._bounds
            if latest > bound >= first
        ]


def is_mark(entry: bytes) -> bool:
    """Whether PID 1 says in it that basic.target was reached."""
    return all(mark in entry for mark in _BASIC_TARGET)


def local(wall: int) -> str:
    """A time for people."""
    try:
        return datetime.fromtimestamp(wall // 1_000_000).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"@{wall // 1_000_000}"
