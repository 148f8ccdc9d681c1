"""What the journal tells a receiver that cannot know by itself what was printed.

A receiver that follows another one in the same boot needs none of this: see receiver/mark.py.
It is for what a power cut leaves, and for a ledger that is new, or older than what was printed.

"Not found in the journal" is not "not printed". A count is printed again only on a positive
finding: the journal was read completely, and stored lines of that time. Else it is not printed
again, and the App is named as unproven. What a power cut takes is the end of the journal. So only
lines that took the last way of their boot to the journal (receiver/way.py) can be lost; and if the
journal has a payload that took this way, it stored those that took it.

    the span's lines took   of that way, the     of the App, the        its beginning   the span is
                            journal has          journal has counts
    the boot's last way     payloads             up to the one before   -               lost
    the same                payloads             none                   is reached      lost
    the same                payloads             none                   is not          unproven
    the same                payloads             up to an earlier one   -               unproven
    the same                none                 -                      -               unproven
    another or no sure way  -                    -                      -               unproven

What is lost is printed again. "Up to the one before" includes counts of the span itself: those
above them are lost. "Up to an earlier one": lines of before the span are missing too, and that was
no power cut, for the outbox would have them. The span's beginning is reached if the journal has all
lines from then on, the oldest ones are gone otherwise.
"""

from __future__ import annotations

from sendrecv.core.lines import parse_forgotten, parse_line, parse_probe, parse_session
from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.values import Value

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Span(Value):
    """Counts of one App that were accepted one after another, from `opened` on: seconds of the
    monotonic clock of the boot `boot`; of a ledger of format 1, both are unknown ("" and 0).

    way_since: since when lines took the same way as the span's, which was the boot's last one; in
    seconds, too. None: it was another one, or no sure one.
    """

    order: Print
    boot: str
    opened: float
    way_since: float | None = None


class Bounds(Value):
    """The first and last entry that the journal has of a boot: seconds of its monotonic clock."""

    first: float
    last: float


class Known:
    """What receivers' lines tell of each App: its last count, and the newest run that was admitted.

    Attribute rows: by appID. Of a run that is not told the epoch is 0, below every sender's.
    Attribute boots: in which payloads were printed, and the time of the newest one, in seconds of
    the boot's clock. Attribute incarnations: of the Apps that were forgotten (`sendrecv forget`);
    of such an App, the row is of what came after that. Attribute probes: the times of probes, see
    lines.probe_line().
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.boots: dict[str, float] = {}
        self.incarnations: dict[str, int] = {}
        self.probes: set[int] = set()

    def add(self, boot: str, at: float, line: str) -> str:
        """One line, the newest ones first. The App whose payload it is; "" for none."""
        if payload := parse_line(line):
            app_id, node_id, count = payload
            self.boots[boot] = max(at, self.boots.get(boot, at))
            if app_id in self.incarnations:
                return app_id
            row = self.rows.get(app_id) or Row(app_id, 0, "0" * 32, node_id, None)
            if row.last is None or count > row.last:
                node_id = row.node_id if row.epoch else node_id
                self.rows[app_id] = row.replace(node_id=node_id, last=count)
            return app_id
        if (probe := parse_probe(line)) is not None:
            self.probes.add(probe)
        elif forgotten := parse_forgotten(line):
            self.incarnations.setdefault(*forgotten)
        elif (claim := parse_session(line)) and claim.app_id not in self.incarnations:
            row = self.rows.get(claim.app_id) or Row(claim.app_id, 0, "0" * 32, "", None)
            if claim.epoch > row.epoch:
                self.rows[claim.app_id] = Row(
                    claim.app_id, claim.epoch, claim.run, claim.node_id, row.last
                )
        return ""


class JournalReading(Value):
    """What was read of the journal: no file of it was renamed, removed or skipped meanwhile.

    known: what the lines tell, the newest ones. since: for each boot, in seconds of its clock, from
    when on all lines are in it. bounds: of those boots, without those of which the journal has
    nothing.
    """

    known: Known
    since: Mapping[str, float]
    bounds: Mapping[str, Bounds]


class Reconciliation(Value):
    """orders: what was not printed. unproven: counts of which nobody can tell."""

    orders: list[Print]
    unproven: list[Print]


def unprinted(spans: Iterable[Span], reading: JournalReading, newest: Known) -> Reconciliation:
    """What of the spans was not printed, by the table above. The spans are in order of time.
    `newest`: what else is known, of the journal's last lines.
    """
    highest: dict[str, int] = {}
    for row in (*newest.rows.values(), *reading.known.rows.values()):
        if row.last is not None:
            highest[row.app_id] = max(row.last, highest.get(row.app_id, row.last))
    orders: list[Print] = []
    unproven: list[Print] = []
    for span in spans:
        app_id, first = span.order.app_id, span.order.first
        known = highest.get(app_id)
        if known is not None and span.order.last <= known:
            continue
        is_lost = _stores(span, reading, newest) and (
            _reaches(span, reading) if known is None else known >= first - 1
        )
        start = first if known is None else max(first, known + 1)
        (orders if is_lost else unproven).append(span.order.replace(first=start))
        if is_lost:
            # What follows it was printed after it, and so is lost, too. Of an unproven span nothing
            # is known that says so of the next one.
            highest[app_id] = span.order.last
    return Reconciliation(orders, unproven)


def above(spans: Iterable[Span], known: Iterable[Row]) -> list[Span]:
    """What of the spans is above the last count that is known to be printed of its App."""
    lasts = {row.app_id: row.last for row in known if row.last is not None}
    found = []
    for span in spans:
        first = max(span.order.first, lasts.get(span.order.app_id, -1) + 1)
        if first <= span.order.last:
            found.append(span.replace(order=span.order.replace(first=first)))
    return found


def forgotten_since(known: Known, incarnations: Mapping[str, int]) -> dict[str, int]:
    """Apps that were forgotten after the ledger was written, whose `incarnations` are given. Its
    rows and spans of them are not valid any more."""
    return {
        app_id: incarnation
        for app_id, incarnation in known.incarnations.items()
        if incarnation > incarnations.get(app_id, 0)
    }


def raised(rows: Iterable[Row], known: Iterable[Row]) -> list[Row]:
    """Those of `known` that are above the ledger's `rows`, in epoch or last count, with the greater
    of both. Empty: the ledger is not older than what is known.
    """
    ours = {row.app_id: row for row in rows}
    found = []
    for row in known:
        mine = ours.get(row.app_id)
        newest = row if mine is None or row.epoch > mine.epoch else mine
        lasts = [r.last for r in (row, mine) if r is not None and r.last is not None]
        merged = newest.replace(last=max(lasts, default=None))
        if merged != mine:
            found.append(merged)
    return found


def _stores(span: Span, reading: JournalReading, newest: Known) -> bool:
    """Whether the journal has a payload that took the same way."""
    times = [known.boots.get(span.boot) for known in (reading.known, newest)]
    since = span.way_since
    return since is not None and any(time is not None and time >= since for time in times)


def _reaches(span: Span, reading: JournalReading) -> bool:
    """Whether the journal has all lines since the span was opened."""
    bounds = reading.bounds.get(span.boot)
    if bounds is None:
        return False
    return max(bounds.first, reading.since.get(span.boot, 0.0)) <= span.opened
