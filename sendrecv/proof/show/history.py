"""What is shown of an App's long life, as plain values; and those values of a verdict.

The picture of days needs less than a verdict has, and a verdict has only what was read: the years
before are in the chain. So both are turned into the same values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sendrecv.proof.judge.boots import Boot
from sendrecv.proof.judge.findings import Finding
from sendrecv.proof.judge.processes import Takeover
from sendrecv.proof.judge.verdict import PROVEN, AppVerdict

HOUR = 3_600_000_000


class Stretch(NamedTuple):
    """What is known of some time, from `first` to `last` (wall clock, microseconds)."""

    first: int
    last: int
    status: str = PROVEN
    counts: int = 0
    takeovers: tuple[tuple[int, int], ...] = ()
    """Pairs: an hour since 1970, and how many takeovers were in it."""
    boots: tuple[tuple[int, int], ...] = ()
    """The same, of boots."""
    silence: int = 0
    """The longest one of its takeovers, in microseconds."""


class Remark(NamedTuple):
    """A violation, or a doubt, and when it was (wall clock, microseconds); 0: that is not known."""

    violation: bool
    first: int
    last: int
    text: str


class History(NamedTuple):
    """Of one App. The stretches may overlap."""

    app: str
    status: str
    counts: int
    takeovers: int
    stretches: tuple[Stretch, ...]
    remarks: tuple[Remark, ...]


def history_of(app: AppVerdict, boots: Iterable[Boot]) -> History:
    """What a verdict has."""
    stretches = [*_counted(app), *map(_taken_over, _marked(app)), *map(_booted, boots)]
    remarks = tuple(_remark(finding) for check in app.checks for finding in check.findings)
    figures = app.tally.counts, app.number_of_takeovers
    return History(app.app, app.status, *figures, tuple(stretches), remarks)


def _counted(app: AppVerdict) -> Iterator[Stretch]:
    """When it counted, day by day. How many counts are of which day is known of one day only."""
    for session in (life.session for life in app.lives):
        if session and session.first and session.last:
            parts = list(days(session.first.at.wall, session.last.at.wall))
            for first, last in parts:
                yield Stretch(first, last, counts=session.counts if len(parts) == 1 else 0)


def _marked(app: AppVerdict) -> Iterator[Takeover]:
    return (takeover for takeover in app.takeovers if takeover.kind in {"takeover", "host"})


def _taken_over(takeover: Takeover) -> Stretch:
    at = moment(takeover)
    return Stretch(at, at, takeovers=((at // HOUR, 1),), silence=takeover.silence or 0)


def moment(takeover: Takeover) -> int:
    """When the next run started; on another host, when it counted. Wall clock, microseconds."""
    return (takeover.started or takeover.first_count or takeover.after.first).at.wall


def _booted(boot: Boot) -> Stretch:
    at = boot.first.wall
    return Stretch(at, at, boots=((at // HOUR, 1),) if boot.number else ())


def _remark(finding: Finding) -> Remark:
    """A violation is where its last entry is."""
    walls = [exhibit.at.wall for exhibit in finding.exhibits] or [0]
    first = walls[-1] if finding.violation else min(walls)
    return Remark(finding.violation, first, max(first, walls[-1]), finding.text)


def days(first: int, last: int) -> Iterator[tuple[int, int]]:
    """That time, cut at each midnight of local time."""
    while first < last:
        end = min(int(midnight_after(first).timestamp() * 1_000_000), last)
        yield first, end
        first = end


def local(wall: int) -> datetime:
    """In local time; of what cannot be a time of a journal, the latest that can be shown."""
    return datetime.fromtimestamp(min(max(wall, 0), 253_000_000_000_000_000) / 1_000_000)


def midnight_after(wall: int) -> datetime:
    """The next one of local time."""
    return datetime.combine(local(wall).date() + timedelta(days=1), datetime.min.time())
