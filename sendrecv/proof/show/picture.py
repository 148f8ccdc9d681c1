"""The timeline as a picture (SVG): a lane for each node, bars for runs, dots for counts.

Times are those of each boot's monotonic clock, shifted by the wall clock of the boot's first entry.
So a change of the wall clock does not distort the picture. The time between two boots is shortened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from itertools import pairwise

from sendrecv.proof.judge.basis import ms, number
from sendrecv.proof.judge.boots import Boot
from sendrecv.proof.judge.lives import Life
from sendrecv.proof.judge.processes import Takeover
from sendrecv.proof.judge.runs import EntryMark
from sendrecv.proof.judge.spans import TimeSpan
from sendrecv.proof.judge.verdict import AppVerdict, Verdict
from sendrecv.proof.show import svg
from sendrecv.proof.show.svg import WIDTH
from sendrecv.proof.statements import At, Counted

LEFT, RIGHT = 150, 30
LANE = 30
LABELS = 22
"""Height of the strip above the lanes in which gaps are written."""
BLOCK = 24
TOP = 74
BOTTOM = 40
MANY = 40
"""If an App has more takeovers than this, each is marked with a thinner line."""
LEGEND = (
    ('<rect class="main" x="{x}" y="40" width="22" height="12" rx="2"/>', "a run of main"),
    ('<rect class="failover" x="{x}" y="40" width="22" height="12" rx="2"/>', "of failover"),
    ('<circle class="count" cx="{m}" cy="46" r="2.5"/>', "a count"),
    ('<rect class="count" x="{x}" y="45" width="22" height="2"/>', "many counts"),
    ('<path class="takeover" d="M{m} 39v14"/>', "a takeover, and its gap: exit to next count"),
)
STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
"""Seconds between two ticks of the axis. Longer steps are whole days."""


def draw(verdict: Verdict) -> str:
    """The picture as an SVG document."""
    frame = _Frame(verdict)
    blocks: list[str] = []
    top = TOP
    for app in verdict.apps:
        lanes = _lanes(app)
        blocks += _block(app, lanes, frame, top)
        top += LABELS + LANE * len(lanes) + BLOCK
    shapes = [*_heading(verdict), *_axis(frame, top), *_boots(verdict.boots, frame, top), *blocks]
    return svg.document(top + BOTTOM, shapes)


class _Frame:
    """Where a moment is: x of the picture."""

    def __init__(self, verdict: Verdict) -> None:
        self.boots = verdict.boots
        self._places = {(boot.machine, boot.boot): boot for boot in verdict.boots}
        self._shifts = _shifts(verdict.boots)
        times = [self._time(at) for at in _moments(verdict.apps)]
        self.first, last = (min(times), max(times)) if times else (0, 1)
        room = max((last - self.first) // 100, 100_000)
        self.first -= room
        self.span = last + room - self.first
        self._scale = (WIDTH - LEFT - RIGHT) / self.span
        self.end = self._x(last)

    def _time(self, at: At) -> int:
        boot = self._places.get(at.place)
        return at.mono + (self._shifts[boot.number] if boot else 0)

    def _x(self, time: int) -> float:
        return LEFT + (time - self.first) * self._scale

    def of(self, at: At) -> float:
        """Where that moment is."""
        return self._x(self._time(at))

    def in_boot(self, mono: int, boot: int) -> float:
        """Where that moment of the boot with this number is."""
        return self._x(mono + self._shifts[boot])

    def at(self, mark: EntryMark | Counted) -> float:
        return self.of(mark.at)


def _shifts(boots: Sequence[Boot]) -> dict[int, int]:
    """For each boot, from its monotonic clock to the picture's microseconds."""
    shifts = {boot.number: boot.offset for boot in boots}
    if len({boot.machine for boot in boots}) > 1:
        return shifts  # they are side by side, by the wall clocks
    pause = max(1_000_000, sum(boot.last.mono - boot.first.mono for boot in boots) // 25)
    for before, boot in pairwise(boots):
        end = before.last.mono + shifts[before.number]
        start = boot.first.mono + boot.offset
        gap = start - (before.last.mono + before.offset)
        shifts[boot.number] += end + (gap if 0 <= gap < pause else pause) - start
    return shifts


def _moments(apps: Iterable[AppVerdict]) -> Iterator[At]:
    for app in apps:
        for life in app.lives:
            if life.run:
                yield life.run.first.at
                yield (life.run.ended or life.run.first).at
        for said in (app.tally.first, app.tally.last):
            if said:
                yield said.at


def _heading(verdict: Verdict) -> Iterator[str]:
    status = verdict.status
    yield f'<text class="title {status.lower()}" x="{LEFT}" y="28">{status}</text>'
    counts = sum(app.tally.counts for app in verdict.apps)
    takeovers = sum(app.number_of_takeovers for app in verdict.apps)
    summary = f"{number(counts, 'count')}, {number(takeovers, 'takeover')}"
    marked = [one for app in verdict.apps for one in app.takeovers if one.kind == "takeover"]
    gaps = sorted(takeover.gap for takeover in marked if takeover.gap is not None)
    if gaps:
        middle, worst = ms(gaps[len(gaps) // 2]), ms(gaps[-1])
        summary += f"; from exit to the next count: median {middle}, worst {worst}"
    yield f'<text x="{LEFT + 160}" y="28">{summary}</text>'
    yield from svg.legend(LEGEND, LEFT, 50)


def _axis(frame: _Frame, bottom: int) -> Iterator[str]:
    span = frame.span / 1_000_000
    days = 86400 * (1 + int(span // (11 * 86400)))
    step = next((step for step in STEPS if span / step <= 11), days)
    before, last = "", -float(WIDTH)
    for boot in frame.boots:
        for tick in _ticks(boot, step):
            x = frame.in_boot(tick * 1_000_000 - boot.offset, boot.number)
            if not LEFT <= x <= WIDTH - RIGHT or x - last < 60:
                continue
            moment = datetime.fromtimestamp(tick)
            day = moment.strftime("%Y-%m-%d")
            yield f'<path class="tick" d="M{x:.1f} {TOP}V{bottom}"/>'
            clock = moment.strftime("%H:%M:%S" if step < 60 else "%H:%M")
            yield f'<text class="gap" x="{x:.1f}" y="{bottom + 16}">{clock}</text>'
            if day != before:
                yield f'<text class="gap" x="{x:.1f}" y="{bottom + 31}">{day}</text>'
            before, last = day, x


def _ticks(boot: Boot, step: int) -> range:
    """The seconds of the wall clock to be marked in that boot: whole steps of local time."""
    first, last = (at.mono + boot.offset for at in (boot.first, boot.last))
    zone = datetime.fromtimestamp(first / 1e6).astimezone().utcoffset()
    shift = int(zone.total_seconds()) if zone else 0
    start = (first // 1_000_000 + shift) // step * step - shift
    return range(start, last // 1_000_000 + 1, step)


def _boots(boots: Iterable[Boot], frame: _Frame, bottom: int) -> Iterator[str]:
    """Marks where a machine was up again."""
    for boot in boots:
        x = frame.of(boot.first)
        if boot.number and LEFT < x < WIDTH - RIGHT:
            yield f'<path class="boot" d="M{x:.1f} {TOP - 2}V{bottom}"/>'
            yield f'<text class="small" x="{x:.1f}" y="{TOP - 6}" text-anchor="middle">boot</text>'


def _lanes(app: AppVerdict) -> list[str]:
    """The App's nodes, those of main first."""
    nodes = {life.node: not _is_main(life) for life in reversed(app.lives)}
    return sorted(nodes, key=lambda node: (nodes[node], node))


def _is_main(life: Life) -> bool:
    return life.run.role == "main" if life.run else life.node == "main"


def _block(app: AppVerdict, lanes: Sequence[str], frame: _Frame, top: int) -> Iterator[str]:
    first = top + LABELS
    for place, node in enumerate(lanes):
        y = first + place * LANE
        width = WIDTH - LEFT - RIGHT
        yield f'<rect class="lane" x="{LEFT}" y="{y + 3}" width="{width}" height="24"/>'
        yield f'<text x="{LEFT - 10}" y="{y + 19}" text-anchor="end">{escape(node)}</text>'
    yield f'<text class="app" x="14" y="{top + 15}">{escape(app.app)}</text>'
    status = app.status
    yield f'<text class="{status.lower()}" x="14" y="{top + 31}">{status}</text>'
    rows = {node: first + place * LANE for place, node in enumerate(lanes)}
    for life in app.lives:
        yield from _bar(life, rows[life.node], frame)
    yield from _takeovers(app, frame, top, LANE * len(lanes))
    yield from _dots(app, rows, frame)
    yield from _wrongs(app, rows, frame)


def _bar(life: Life, y: int, frame: _Frame) -> Iterator[str]:
    run, session = life.run, life.session
    marks: list[EntryMark | Counted] = [run.first] if run else []
    if session:
        marks += [said for said in (session.first, session.last) if said]
    if not marks:
        return
    start = frame.at(marks[0])
    end = frame.at(run.ended) if run and run.ended else _open_end(life, frame)
    kind = "main" if _is_main(life) else "failover"
    what = f"{run.unit}, run {run.run}: {run.why}" if run else "a run that PID 1 does not know"
    if session and session.first and session.last:
        what += f"; counts {session.first.number} to {session.last.number}"
    yield (
        f'<rect class="{kind}" x="{start:.1f}" y="{y + 6}" width="{max(end - start, 1):.1f}"'
        f' height="18" rx="{2 if end - start > 6 else 0}"><title>{escape(what)}</title></rect>'
    )


def _open_end(life: Life, frame: _Frame) -> float:
    """The end of a run that has none: the end of its boot, or of the picture."""
    if life.run and life.run.boot.over:
        return frame.of(life.run.boot.last)
    return frame.end


def _dots(app: AppVerdict, rows: dict[str, int], frame: _Frame) -> Iterator[str]:
    spans = app.tally.spans.spans if app.tally.spans else []
    dots = []
    nodes = app.tally.owners.sessions.nodes
    for span in spans:
        node = nodes[min(span.session, max(nodes))]
        y = rows[node] + 15
        start, end = (frame.in_boot(mono, span.boot) for mono in (span.first, span.last))
        if end - start < 1:
            dots.append(f"M{start:.1f} {y}h0")
        else:
            place = f'x="{start:.1f}" y="{y - 1}" width="{end - start:.1f}" height="2"'
            yield f'<rect class="count" {place}/>'
    # One path for all of them: thousands of circles are slow to show.
    size = 5 if _apart(spans, frame) > 8 else 3 if _apart(spans, frame) > 4 else 2
    if dots:
        yield (
            f'<path class="dots" d="{"".join(dots)}" stroke-width="{size}"'
            ' stroke-linecap="round"/>'
        )


def _apart(spans: Sequence[TimeSpan], frame: _Frame) -> float:
    """The typical distance between two dots."""
    apart = sorted(
        frame.in_boot(after.first, after.boot) - frame.in_boot(before.last, before.boot)
        for before, after in pairwise(spans)
    )
    return apart[len(apart) // 2] if apart else float(WIDTH)


def _takeovers(app: AppVerdict, frame: _Frame, top: int, height: int) -> Iterator[str]:
    marked = [takeover for takeover in app.takeovers if takeover.kind in {"takeover", "host"}]
    for takeover in marked:
        x = frame.at(_moment(takeover))
        thin = ' style="stroke-width:0.7"' if len(marked) > MANY else ""
        yield f'<path class="takeover"{thin} d="M{x:.1f} {top + LABELS - 4}v{height + 4}"/>'
    taken: list[float] = []
    # The longest gaps are written first. A gap for which there is no room is not written.
    for takeover in sorted(marked, key=lambda one: one.gap or 0, reverse=True):
        x = frame.at(_moment(takeover))
        if takeover.gap is not None and all(abs(x - other) > 58 for other in taken):
            taken.append(x)
            yield f'<text class="gap" x="{x:.1f}" y="{top + LABELS - 7}">{ms(takeover.gap)}</text>'


def _moment(takeover: Takeover) -> EntryMark | Counted:
    """When the next run started; on another host, when it counted."""
    return takeover.started or takeover.first_count or takeover.after.first


def _wrongs(app: AppVerdict, rows: dict[str, int], frame: _Frame) -> Iterator[str]:
    """Red rings around the entries that show a violation."""
    top, bottom = min(rows.values(), default=0), max(rows.values(), default=0) + LANE
    for check in app.checks:
        for finding in check.findings:
            if finding.violation and finding.exhibits:
                x = frame.of(finding.exhibits[-1].at)
                title = escape(f"{check.name}: {finding.text}")
                yield (
                    f'<rect class="wrong" x="{x - 5:.1f}" y="{top + 1}" width="10"'
                    f' height="{bottom - top - 2}" rx="4"><title>{title}</title></rect>'
                )
