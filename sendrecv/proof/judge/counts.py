"""What the receiver printed for one App: whether each count came, once, and in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sendrecv.proof.evidence import Claimed, Counted
from sendrecv.proof.judge.findings import IN_ORDER, NO_GAP, ONCE, Book, Finding
from sendrecv.proof.judge.owners import Owners, Session, exhibit
from sendrecv.proof.judge.spans import Spans
from sendrecv.proof.judge.timeline import Timeline

REMEMBERED = 128
"""Counts of each App that are kept, so that a count printed twice can be shown with its first."""
MOST_HOLES = 10_000


@dataclass(slots=True)
class Hole:
    """Counts that are missing so far, and may still come."""

    first: int
    last: int
    finding: Finding


class Tally:
    """Fed with the receiver's lines of one App, in their order."""

    def __init__(self, app: str, timeline: Timeline, dots: int = 0) -> None:
        """`dots`: how many spans to keep for the picture; 0: none."""
        self.book = Book()
        self.owners = Owners(app, timeline, self.book)
        self.first: Counted | None = None
        self.last: Counted | None = None
        self.counts = 0
        self.highest = -1
        self._highest: Counted | None = None
        self.spans = Spans(dots) if dots else None
        self._holes: list[Hole] = []
        self._timeline = timeline
        self._recent: deque[Counted] = deque(maxlen=REMEMBERED)
        self._losses = 0  # how many losses of the timeline were known at the last count

    @property
    def from_the_start(self) -> bool:
        """Whether the journal begins with the App's first count."""
        return self.owners.fresh or (self.first is not None and self.first.number == 0)

    def claim(self, said: Claimed) -> None:
        """The receiver admitted a run."""
        self.owners.claim(said)

    def count(self, said: Counted) -> None:
        """The receiver printed a count."""
        session = self.owners.session_of(said, self._losses)
        if self.last is None:
            self.first = said
        elif said.number != self.highest + 1:
            self._out_of_line(said)
        if said.number > self.highest:
            self.highest, self._highest = said.number, said
        self.last = session.last = said
        session.first = session.first or said
        session.counts += 1
        self.counts += 1
        self._losses = len(self._timeline.losses)
        self._recent.append(said)
        if self.spans and self._timeline.boot:
            self.spans.add(said.at.mono, session.number, self._timeline.boot.number)

    def end(self) -> None:
        """Nothing more will come."""
        for hole in self._holes:
            self.book.of[NO_GAP].add(hole.finding)
        self.owners.end(from_the_start=self.from_the_start)

    def _out_of_line(self, said: Counted) -> None:
        if said.number > self.highest + 1:
            self._gap(said)
        elif hole := next((h for h in self._holes if h.first <= said.number <= h.last), None):
            self._fill(hole, said.number)
            self._not_in_order(said)
        elif self.first and said.number < self.first.number:
            self._not_in_order(said)
        else:
            self._twice(said)

    def _gap(self, said: Counted) -> None:
        first, last = self.highest + 1, said.number - 1
        text = f"count {first} is" if first == last else f"counts {first} to {last} are"
        text += " not in the journal"
        exhibits = [exhibit(self.last)] if self.last else []
        exhibits.append(exhibit(said))
        excuse = self._timeline.excuse(self._losses)
        if excuse:
            text += f": {excuse.text}"
            exhibits += excuse.exhibits
        if len(self._holes) < MOST_HOLES:
            self._holes.append(Hole(first, last, Finding(not excuse, text, tuple(exhibits))))

    def _fill(self, hole: Hole, count: int) -> None:
        self._holes.remove(hole)
        for first, last in ((hole.first, count - 1), (count + 1, hole.last)):
            if first <= last:
                self._holes.append(Hole(first, last, hole.finding))

    def _not_in_order(self, said: Counted) -> None:
        before = [exhibit(self._highest)] if self._highest else []
        text = f"count {said.number} came after {self.highest}"
        self.book.violation(IN_ORDER, text, *before, exhibit(said))

    def _twice(self, said: Counted) -> None:
        text = f"count {said.number} was printed twice"
        earlier = next((one for one in self._recent if one.number == said.number), None)
        if earlier is None:
            sessions = self.owners.sessions
            earlier = next((s.first for s in sessions if _covers(s, said.number)), None)
            text += ": it is among those that began here"
        elif earlier.node != said.node:
            text += f", by {earlier.node} and by {said.node}"
        before = [exhibit(earlier)] if earlier else []
        self.book.violation(ONCE, text, *before, exhibit(said))


def _covers(session: Session, count: int) -> bool:
    first, last = session.first, session.last
    return bool(first and last and first.number <= count <= last.number)
