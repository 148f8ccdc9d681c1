"""What the receiver printed for one App: whether each count came, once, and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sendrecv.proof.judge.findings import (
    BY_ABSENCE,
    IN_ORDER,
    NO_GAP,
    ONCE,
    Book,
    Exhibit,
    Finding,
    made_doubt,
)
from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.judge.owners import Owners, exhibit
from sendrecv.proof.judge.spans import TimeSpans
from sendrecv.proof.judge.timeline import Timeline
from sendrecv.proof.statements import Claimed, Counted, Forgotten, Unproven

REMEMBERED = 16
"""Counts of each App that are kept, so that a count printed twice can be shown with its first."""
MOST_HOLES = 20
"""Holes that counts which come late may fill. What such a count is, is not known exactly if there
are more holes; that it is a violation, is.
"""
MOST_CLOSED = 200
MOST_FORGETS = 20


@dataclass(slots=True)
class Hole:
    """Counts that are missing so far, and may still come."""

    first: int
    last: int
    finding: Finding


@dataclass(slots=True)
class Doubted:
    """Counts of which the receiver cannot tell whether they were printed."""

    first: int
    last: int
    said: Unproven


@dataclass(slots=True)
class Incarnation:
    """What the App counted since it was forgotten, or since it began."""

    first: Counted | None = None
    highest: Counted | None = None
    holes: list[Hole] = field(default_factory=list)
    closed: list[tuple[int, int]] = field(default_factory=list)
    """Holes about which it is not asked any more whether their counts came later."""
    doubted: list[Doubted] = field(default_factory=list)
    recent: deque[Counted] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


@dataclass(slots=True)
class PrintedCounts:
    """Fed with the receiver's lines of one App, in their order."""

    timeline: Timeline = field(metadata=NOT_KEPT)
    owners: Owners
    book: Book = field(default_factory=Book)
    first: Counted | None = None
    last: Counted | None = None
    counts: int = 0
    incarnations: int = 1
    forgotten: list[Forgotten] = field(default_factory=list)
    """The last ones of those after which its counts began anew."""
    spans: TimeSpans | None = field(default=None, metadata=NOT_KEPT)
    _now: Incarnation = field(default_factory=Incarnation)
    _order: int = 0
    """Of the last count, as in EntryMark."""

    @property
    def from_the_start(self) -> bool:
        """Whether the journal begins with the App's first count."""
        if self.first is None:
            return self.owners.sessions.fresh
        # A receiver without a ledger admits a run with "no count yet", whatever was counted before.
        return self.first.number == 0

    @property
    def highest(self) -> int:
        """The highest count, -1 for none."""
        return self._now.highest.number if self._now.highest else -1

    def claim(self, said: Claimed) -> None:
        """The receiver admitted a run."""
        self.owners.claim(said)

    def unproven(self, said: Unproven) -> None:
        """The receiver cannot tell whether it printed these counts. The journal may have them."""
        for first, last, doubted in self._split(said.first, said.last):
            if doubted is None:
                self._now.doubted.append(Doubted(first, last, said))

    def forget(self, said: Forgotten) -> None:
        """A person had the App forgotten: counts and epochs begin anew. What is known so far of
        counts that are missing stays.
        """
        if self.incarnations > 1 and self._now.first is None and self.owners.sessions.is_new:
            return  # said once more: the receiver was killed before it was done
        self._doubt_the_rest()
        self._close_holes()
        self._now = Incarnation()
        self.incarnations += 1
        self.forgotten.append(said)
        del self.forgotten[:-MOST_FORGETS]
        self.owners.forget()

    def audit(self, reasons: Sequence[str], begin: int) -> None:
        """An audit ends. `reasons`: why what it found by absence may be no violation. `begin`: when
        the reading before it ended, by the wall clock.
        """
        for why in reasons:
            for check in BY_ABSENCE:
                self.book.of[check].doubt_all(why, begin)
            for hole in self._now.holes:
                if hole.finding.violation and not hole.finding.audited:
                    hole.finding = made_doubt(hole.finding, why)
        for hole in self._now.holes:
            hole.finding = hole.finding._replace(audited=True)
        for findings in self.book.of.values():
            findings.audit()

    def _doubt_the_rest(self) -> None:
        """What the receiver doubts above the highest count will not come any more."""
        for first, last, doubted in self._split(self.highest + 1, self._most_doubted):
            if doubted:
                self._not_here(first, last, doubted)

    def _close_holes(self) -> None:
        for hole in self._now.holes:
            self.book.of[NO_GAP].add(hole.finding)

    def _begins(self, said: Counted) -> None:
        """It is the first count that is here, or the first one since the App was forgotten."""
        self._now.first = said
        self.first = self.first or said
        self._doubt_below(said)
        if self.incarnations > 1 and said.number:
            text = f"its counts before {said.number} were not printed since it was forgotten"
            self.book.doubt(NO_GAP, text, exhibit(self.forgotten[-1]), exhibit(said))

    def count(self, said: Counted) -> None:
        """The receiver printed a count."""
        session = self.owners.session_of(said, self._order + 1)
        if self._now.highest is None:
            self._begins(said)
        elif said.number != self.highest + 1:
            self._out_of_line(said)
        if self._now.highest is None or said.number > self._now.highest.number:
            self._now.highest = said
            if self._now.doubted:
                self._now.doubted = [one for one in self._now.doubted if one.last > said.number]
        self.last = said
        self.owners.sessions.counted(said, session)
        self.counts += 1
        self._order = self.timeline.order
        self._now.recent.append(said)
        if self.spans and self.timeline.boot:
            self.spans.add(said.at.mono, session.number, self.timeline.boot.number)

    def end(self) -> None:
        """Nothing more will come."""
        self._doubt_the_rest()
        self._close_holes()

    def _out_of_line(self, said: Counted) -> None:
        if said.number > self.highest + 1:
            self._gap(said)
        elif hole := next((h for h in self._now.holes if h.first <= said.number <= h.last), None):
            self._fill(hole, said.number)
            self._not_in_order(said)
        elif any(first <= said.number <= last for first, last in self._now.closed):
            self._not_in_order(said)
        elif self._now.first and said.number < self._now.first.number:
            self._not_in_order(said)
        else:
            self._twice(said)

    def _gap(self, said: Counted) -> None:
        for first, last, doubted in self._split(self.highest + 1, said.number - 1):
            self._not_here(first, last, doubted, said)

    def _doubt_below(self, said: Counted) -> None:
        """Of what is below the first count, only what the receiver doubts is known to be missing
        here: the rest may be older than the journal.
        """
        for first, last, doubted in self._split(0, said.number - 1):
            if doubted:
                self._not_here(first, last, doubted, said)

    def _not_here(
        self, first: int, last: int, doubted: Doubted | None, said: Counted | None = None
    ) -> None:
        """These counts were jumped over, by `said` if it is given: one that came later."""
        text = f"count {first} is" if first == last else f"counts {first} to {last} are"
        text += " not in the journal"
        exhibits = [exhibit(one) for one in (self.last, said) if one]
        excuse = self.timeline.excuse(self._order + 1, said.at.machine) if said else None
        if doubted:
            text += ": the receiver could not tell whether it had printed them"
            exhibits.append(Exhibit("the receiver says so", doubted.said.at, doubted.said.ref))
        elif excuse:
            text += f": {excuse.text}"
            exhibits += excuse.exhibits
        is_violation = not (doubted or excuse)
        finding = Finding(is_violation, text, tuple(exhibits), last - first + 1)
        self._now.holes.append(Hole(first, last, finding))
        if len(self._now.holes) > MOST_HOLES:
            closed = self._now.holes.pop(0)
            self.book.of[NO_GAP].add(closed.finding)
            self._now.closed.append((closed.first, closed.last))
            del self._now.closed[:-MOST_CLOSED]

    @property
    def _most_doubted(self) -> int:
        return max((one.last for one in self._now.doubted), default=-1)

    def _split(self, first: int, last: int) -> Iterator[tuple[int, int, Doubted | None]]:
        """These counts in parts: what the receiver doubts, and what it does not."""
        for one in sorted(self._now.doubted, key=lambda one: one.first):
            if one.last < first or one.first > last:
                continue
            if one.first > first:
                yield first, one.first - 1, None
            first = max(one.first, first)
            yield first, min(one.last, last), one
            first = one.last + 1
        if first <= last:
            yield first, last, None

    def _fill(self, hole: Hole, count: int) -> None:
        self._now.holes.remove(hole)
        for first, last in ((hole.first, count - 1), (count + 1, hole.last)):
            if first <= last:
                finding = hole.finding._replace(counts=last - first + 1)
                self._now.holes.append(Hole(first, last, finding))

    def _not_in_order(self, said: Counted) -> None:
        before = [exhibit(self._now.highest)] if self._now.highest else []
        text = f"count {said.number} came after {self.highest}"
        self.book.violation(IN_ORDER, text, *before, exhibit(said))

    def _twice(self, said: Counted) -> None:
        text = f"count {said.number} was printed twice"
        earlier = next((one for one in self._now.recent if one.number == said.number), None)
        if earlier is None:
            # The session that printed it may be settled. The first count of all is always known.
            earlier = self._now.first
            text += ": it is among those that began here"
        elif earlier.node != said.node:
            text += f", by {earlier.node} and by {said.node}"
        before = [exhibit(earlier)] if earlier else []
        self.book.violation(ONCE, text, *before, exhibit(said))
