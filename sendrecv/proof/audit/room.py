"""Whether the journal keeps what is not audited yet until the next audit.

journald removes files only when it begins a new one. So sendrecv-audit.path starts an audit then,
beside the one of each hour, and rotated() says whether that one has anything to do: a quarter of
what the journal has is not audited yet. However small the journal is, audits are as frequent as
they must be, until they cannot keep up. small() says before that what to set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sendrecv.proof.read.files import Held
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.mark import ReadMark

PERIOD = 3600
"""Seconds between two audits, as sendrecv-audit.timer has it."""
LIMIT_ID = "ec387f577b844b8fa948f33cad9a75e6"
"""journald says with this, in LIMIT=, how many bytes its files may take."""
_ARCHIVED = re.compile(r"system@([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{16}\.journal")
_SECONDS = 1_000_000


@dataclass(frozen=True)
class Room:
    """used: bytes of the journal's files. limit: how many they may take, 0 if journald has not said
    that. begin, end: wall clock of its first and last entry, in microseconds. whole: whether it
    still has its first file.
    """

    used: int = 0
    limit: int = 0
    begin: int = 0
    end: int = 0
    whole: bool = True

    @classmethod
    def of(cls, held: Held, found: Sequence[Header], limit: bytes) -> Room:
        """Of the files that are held. limit: what journald has said."""
        used = sum(os.fstat(number).st_blocks * 512 for number in held.descriptors.values())
        if not found:
            return cls(used)
        begin, end = (min(one.head_time for one in found), max(one.tail_time for one in found))
        first = min(found, key=lambda one: one.head_time)
        number = int(limit) if limit.isdigit() and len(limit) < 19 else 0
        return cls(used, number, begin, end, first.head == 1)

    @property
    def reach(self) -> float | None:
        """Seconds that the journal has once it is as large as it may be; None if nobody knows."""
        seconds = (self.end - self.begin) / _SECONDS
        if self.limit and self.used and seconds > 0:
            return seconds * max(1.0, self.limit / self.used)
        return None if self.whole else seconds


def small(room: Room, period: float = PERIOD) -> str:
    """What is wrong with the journal, and what to set; "" if it has room for two periods."""
    reach = room.reach
    if reach is None or reach >= 2 * period or room.end - room.begin < 60 * _SECONDS:
        return ""
    rate = max(room.used, 1) / ((room.end - room.begin) / _SECONDS)
    need = max(1, round(rate * 7 * 86_400 / (1 << 30)))
    return (
        f"the journal keeps entries for {reach / 60:.0f} minutes only, and audits are an hour"
        f" apart: they are made more often. For a week, set SystemMaxUse={need}G in"
        " journald.conf(5)"
    )


def rotated(directories: Iterable[Path], mark: ReadMark | None) -> bool:
    """Whether so much of the journal is not audited that it is time for it."""
    audited, news = 0, 0
    for directory in directories:
        try:
            entries = [(entry.name, entry.stat().st_size) for entry in os.scandir(directory)]
        except OSError:
            continue
        for name, size in entries:
            if match := _ARCHIVED.fullmatch(name):
                if mark and int(match[2], 16) <= mark.numberings.get(match[1], 0):
                    audited += size
                else:
                    news += size
    return 0 < news and news * 4 >= news + audited
