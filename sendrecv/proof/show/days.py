"""The picture (SVG) of a long life: a row for each day, from midnight to midnight of local time.

A takeover is a line in its hour. Several of an hour stand side by side, from the hour's beginning:
so they can be counted, and the chain, which knows of older ones only the hour, is enough to draw
them. Doubts and violations are where they were, with their text beside the row.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from html import escape

from sendrecv.proof.judge.basis import ms, number
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED
from sendrecv.proof.show import svg
from sendrecv.proof.show.history import HOUR, History, Remark, Stretch, days, local

FEW = 4
"""Days. A life that is not longer is shown run by run, see picture.py."""
MOST = 4000
"""Days for which there is room, of each App. Of a longer life the last ones are shown."""
DAY = 24 * HOUR
LEFT, OF_HOUR = 132, 29
STRIP = 24 * OF_HOUR
NOTES = LEFT + STRIP + 22
ROW, MONTH, HEAD, END, TOP = 9, 24, 40, 30, 78
LINE = 15
"""Height of a line of text."""
APART = 4 * LINE
"""A text is at most so far below its row; what has no room there is counted."""
LETTERS, LINES = 48, 2
"""So much of a text is shown; all of it when one points at it."""
ASIDE = 7
"""Takeovers of an hour that stand side by side; more are a block."""
FILL = {PROVEN: "day", INCONCLUSIVE: "unsure", VIOLATED: "bad"}
LEGEND = (
    ('<rect class="day" x="{x}" y="45" width="22" height="9"/>', "counted, and proven"),
    ('<rect class="unsure" x="{x}" y="45" width="22" height="9"/>', "with a doubt"),
    ('<rect class="bad" x="{x}" y="45" width="22" height="9"/>', "violated"),
    ('<path class="moved" d="M{x} 45m4 0v9m3 -9v9m3 -9v9"/>', "takeovers, by the hour"),
    ('<circle class="up" cx="{m}" cy="49.5" r="2.5"/>', "a boot"),
    ('<rect class="doubt" x="{m}" y="45" width="4" height="9"/>', "a doubt"),
    ('<rect class="wrong" x="{x}" y="44" width="10" height="11" rx="3"/>', "a violation"),
)


@dataclass
class Day:
    """One row: what is in it."""

    date: date
    parts: list[Stretch] = field(default_factory=list)
    takeovers: Counter[int] = field(default_factory=Counter)
    """By the hour since 1970."""
    boots: Counter[int] = field(default_factory=Counter)
    counts: int = 0
    silence: int = 0
    remarks: list[Remark] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What one reads when one points at the row."""
        words = [f"{self.date:%A, %-d %B %Y}", number(self.takeovers.total(), "takeover")]
        if self.silence:
            words.append(f"longest silence {ms(self.silence)}")
        if boots := self.boots.total():
            words.append(number(boots, "boot"))
        if self.counts:
            words.append(number(self.counts, "count"))
        return "; ".join([*words, *map(said, self.remarks)])


def is_long(histories: Iterable[History]) -> bool:
    """Whether that is a picture of days: whether something was on more than a FEW of them."""
    return any(len(_dates(one)) > FEW for one in histories)


def _dates(history: History) -> set[date]:
    stretches = history.stretches
    parts = [part for one in stretches for part in days(one.first, max(one.last, one.first + 1))]
    return {local(first).date() for first, _ in parts}


def _ends(history: History) -> Iterator[int]:
    for stretch in history.stretches:
        yield from (stretch.first, max(stretch.first, stretch.last - 1))


def draw(status: str, histories: Sequence[History]) -> str:
    """The picture as an SVG document. `status`: of all Apps together."""
    shapes = list(_heading(status, histories))
    top = float(TOP)
    for history in histories:
        block = Block(history, top)
        shapes += block.shapes()
        top = block.bottom + END
    return svg.document(top, shapes)


def _heading(status: str, histories: Sequence[History]) -> Iterator[str]:
    yield f'<text class="title {status.lower()}" x="14" y="26">{status}</text>'
    counts = sum(one.counts for one in histories)
    takeovers = sum(one.takeovers for one in histories)
    ends = [wall for one in histories for wall in _ends(one)]
    text = f"{number(counts, 'count')}, {number(takeovers, 'takeover')}"
    if ends:
        text += f", {local(min(ends)):%-d %B %Y} to {local(max(ends)):%-d %B %Y}, local time"
    yield f'<text x="170" y="26">{text}</text>'
    yield from svg.legend(LEGEND, 14, 54)


class Block:
    """One App: its rows, months apart."""

    def __init__(self, history: History, top: float) -> None:
        self._history = history
        self._top = top
        self._days = _days(history)
        self._rows: dict[date, float] = {}
        self.bottom = self._place(top + HEAD)
        self._beside = [*self._texts()]
        self._below = [*self._without_a_time()]

    def _place(self, y: float) -> float:
        """Give each day its y; returns that of the end."""
        month = 0
        for day in self._days:
            if day.date.month != month:
                y, month = y + MONTH, day.date.month
            self._rows[day.date] = y
            y += ROW
        return y

    def shapes(self) -> Iterator[str]:
        """All of it."""
        yield from self._head()
        for day in self._days:
            yield from self._row(day, self._rows[day.date])
        for day in self._days:
            yield from _remarks(day, self._rows[day.date])
        yield from self._beside
        yield from self._below

    def _head(self) -> Iterator[str]:
        top, one = self._top, self._history
        yield f'<text class="app" x="14" y="{top + 15:g}">{escape(one.app)}</text>'
        yield f'<text class="{one.status.lower()}" x="14" y="{top + 31:g}">{one.status}</text>'

    def _row(self, day: Day, y: float) -> Iterator[str]:
        first = self._begins_a_month(day)
        if first:
            yield from self._month(day.date, y)
        if first or (day.date.weekday() == 0 and self._days.index(day) > 1 and day.date.day > 2):
            yield f'<text class="small end" x="{LEFT - 8}" y="{y + ROW:g}">{day.date:%a %-d}</text>'
        yield f"<g><title>{escape(day.title)}</title>"
        yield f'<rect class="lane" x="{LEFT}" y="{y:g}" width="{STRIP}" height="{ROW - 1}"/>'
        yield from _parts(day, y)
        yield from _takeovers(day, y)
        for hour in day.boots:
            x = _x(hour * HOUR) + OF_HOUR - 5
            yield f'<circle class="up" cx="{x:.1f}" cy="{y + ROW / 2 - 0.5:g}" r="2.5"/>'
        yield "</g>"

    def _begins_a_month(self, day: Day) -> bool:
        return day.date.day == 1 or day is self._days[0]

    def _month(self, day: date, y: float) -> Iterator[str]:
        """Its name, and its hours."""
        y -= 5
        yield f'<text class="app" x="14" y="{y:g}">{day:%B %Y}</text>'
        for hour in range(0, 25, 3):
            x = LEFT + hour * OF_HOUR
            yield f'<text class="gap small" x="{x}" y="{y:g}">{hour}</text>'

    def _sum(self, day: date) -> str:
        """What was in that day's month."""
        month = (day.year, day.month)
        its = [one for one in self._days if (one.date.year, one.date.month) == month]
        takeovers = sum(one.takeovers.total() for one in its)
        text = f"{day:%b}: {number(takeovers, 'takeover')}"
        if silence := max(one.silence for one in its):
            text += f", longest silence {ms(silence)}"
        if boots := sum(one.boots.total() for one in its):
            text += f", {number(boots, 'boot')}"
        return text

    def _texts(self) -> Iterator[str]:
        """Beside the rows, what is wrong, and what is in doubt; and the sums of the months."""
        free, left_out = 0.0, 0
        for day in self._days:
            row = self._rows[day.date]
            if self._begins_a_month(day):
                free = max(free, row - 5)
                text = self._sum(day.date)
                yield f'<text class="small" x="{NOTES}" y="{free:g}">{text}</text>'
                free += LINE
            free = max(free, row + ROW)
            for remark in sorted(day.remarks, key=lambda one: (not one.violation, one.first)):
                if free - row > APART:
                    left_out += 1
                    continue
                yield from _note(remark, row, free)
                free += LINE * len(_lines(remark))
        if left_out:
            text = f"and {left_out} more: point at the rows"
            yield f'<text class="inconclusive" x="{NOTES}" y="{free:g}">{text}</text>'
        self.bottom = max(self.bottom, free)

    def _without_a_time(self) -> Iterator[str]:
        """What is in doubt all the time, below the rows."""
        for remark in self._history.remarks:
            if not remark.first:
                self.bottom += LINE
                where = f'x="{LEFT}" y="{self.bottom:g}"'
                yield f'<text class="{_kind(remark)}" {where}>{escape(remark.text)}</text>'


def _days(history: History) -> list[Day]:
    """Its days, with what was in each of them."""
    ends = [local(wall).date() for wall in _ends(history)]
    if not ends:
        return []
    last = max(ends)
    first = max(min(ends), last - timedelta(days=MOST - 1))
    number_of = (last - first).days + 1
    found = {
        first + timedelta(days=day): Day(first + timedelta(days=day)) for day in range(number_of)
    }
    for stretch in history.stretches:
        _add(stretch, found)
    for remark in history.remarks:
        if remark.first and (day := found.get(local(remark.last).date())):
            day.remarks.append(remark)
    return list(found.values())


def _add(stretch: Stretch, found: dict[date, Day]) -> None:
    nowhere = Day(date.min)
    parts = list(days(stretch.first, stretch.last))
    for first, last in parts:
        _of(first, found, nowhere).parts.append(stretch._replace(first=first, last=last))
    for hour, times in stretch.takeovers:
        _of(hour * HOUR, found, nowhere).takeovers[hour] += times
    for hour, times in stretch.boots:
        _of(hour * HOUR, found, nowhere).boots[hour] += times
    if len(parts) < 2:  # else these are of no single day
        day = _of(stretch.first, found, nowhere)
        day.counts += stretch.counts
        day.silence = max(day.silence, stretch.silence)


def _of(wall: int, found: dict[date, Day], nowhere: Day) -> Day:
    return found.get(local(wall).date(), nowhere)


def _x(wall: int) -> float:
    """Where that time of a day is."""
    at = local(wall)
    seconds = at.hour * 3600 + at.minute * 60 + at.second
    return LEFT + STRIP * seconds / 86400


def _parts(day: Day, y: float) -> Iterator[str]:
    """When it counted. Parts that touch are one shape; what is worse is drawn over the others."""
    for status in (PROVEN, INCONCLUSIVE, VIOLATED):
        for first, last in _joined([one for one in day.parts if one.status == status]):
            start, end = _x(first), _x(last - 1)
            size = f'width="{max(end - start, 1):.1f}" height="{ROW - 1}"'
            yield f'<rect class="{FILL[status]}" x="{start:.1f}" y="{y:g}" {size}/>'


def _joined(parts: Sequence[Stretch]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for part in sorted(parts):
        if joined and part.first - joined[-1][1] < 15_000_000:
            joined[-1] = joined[-1][0], max(joined[-1][1], part.last)
        else:
            joined.append((part.first, part.last))
    return joined


def _takeovers(day: Day, y: float) -> Iterator[str]:
    if not day.takeovers:
        return
    path = ""
    for hour, times in sorted(day.takeovers.items()):
        x = _x(hour * HOUR) + 3
        path += "".join(
            f"M{x + 3 * place:.1f} {y:g}v{ROW - 1}" for place in range(min(times, ASIDE))
        )
        if times > ASIDE:
            path += f"M{x:.1f} {y + ROW / 2:g}h{3 * ASIDE}"
    yield f'<path class="moved" d="{path}"/>'


def _remarks(day: Day, y: float) -> Iterator[str]:
    for remark in day.remarks:
        start = _x(remark.first) if local(remark.first).date() == day.date else float(LEFT)
        width = max(_x(remark.last) - start, 4)
        title = f"<title>{escape(said(remark))}</title>"
        if remark.violation:
            place = f'x="{start - 3:.1f}" y="{y - 2:g}" width="{width + 6:.1f}" height="{ROW + 3}"'
            yield f'<rect class="wrong" {place} rx="3">{title}</rect>'
        else:
            place = f'x="{start:.1f}" y="{y:g}" width="{width:.1f}" height="{ROW - 1}"'
            yield f'<rect class="doubt" {place}>{title}</rect>'


def _note(remark: Remark, row: float, y: float) -> Iterator[str]:
    start = f"M{LEFT + STRIP + 2} {row + ROW / 2:g}"
    yield f'<path class="leader" d="{start}h8L{NOTES - 4} {y - 4:g}"/>'
    for place, line in enumerate(_lines(remark)):
        title = f"<title>{escape(said(remark))}</title>"
        where = f'x="{NOTES}" y="{y + LINE * place:g}"'
        yield f'<text class="{_kind(remark)}" {where}>{escape(line)}{title}</text>'


def _kind(remark: Remark) -> str:
    return "violated" if remark.violation else "inconclusive"


def _lines(remark: Remark) -> list[str]:
    return textwrap.wrap(said(remark), LETTERS, max_lines=LINES, placeholder=" …")


def said(remark: Remark) -> str:
    """With its time."""
    return f"{local(remark.last):%H:%M:%S} {remark.text}"
