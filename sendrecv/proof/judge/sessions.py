"""The sessions of one App: what one run counted at one stretch.

A machine that is judged alone keeps only those to which what may come can refer.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.statements import Claimed, Counted

RECENT = 4
"""Sessions that are kept however long they are over: the next count may be one of theirs."""
MOST_NODES = 16
"""Nodes of one App whose last sessions are kept. A count of another node is of an unknown run."""


@dataclass(slots=True, eq=False)
class Session:
    """What one run counted. `claim`: the receiver's line; None if it is not in the journal."""

    number: int
    node: str
    run: str = ""
    claim: Claimed | None = None
    first: Counted | None = None
    last: Counted | None = None
    counts: int = 0
    latest: Counted | None = None
    """The last count that is not printed for a receiver that was killed."""
    printed_late: int = 0
    """Counts that a later receiver printed for one that was killed."""
    since: int = 0
    """As in EntryMark.order: after the last line that can only be of this session."""
    overtaken: Counted | None = None
    """The first count of a newer session."""
    settled: bool = False
    """Whether it is among what is settled, see course.py."""


@dataclass(slots=True)
class Sessions:
    """In the receiver's order."""

    kept: list[Session] = field(default_factory=list)
    number: int = 0
    """Of the next one."""
    nodes: dict[int, str] = field(default_factory=dict, metadata=NOT_KEPT)
    """Of all that were added here, for those who look at them, by their numbers."""
    current: Session | None = None
    _began_fresh: bool = False
    _forgotten: int = 0
    """So many were before the App was forgotten."""

    def __iter__(self) -> Iterator[Session]:
        return iter(self.kept)

    @property
    def first(self) -> Session | None:
        """The App's first one, if it is still here."""
        return self.kept[0] if self.kept and self.kept[0].number == 0 else None

    @property
    def fresh(self) -> bool:
        """Whether the App had no count yet when its first run was admitted."""
        if first := self.first:
            return first.claim is not None and first.claim.last is None
        return self._began_fresh

    @property
    def newest(self) -> list[Session]:
        """Those since the App was forgotten; all of them, if it never was."""
        return [session for session in self.kept if session.number >= self._forgotten]

    @property
    def is_new(self) -> bool:
        """Whether no run was admitted since the App was forgotten."""
        return self.number == self._forgotten

    def is_recent(self, session: Session) -> bool:
        """Whether it is not settled, whatever became of its run."""
        return session is self.current or session.number >= self.number - RECENT

    @property
    def referred(self) -> list[Session]:
        """Those to which what may come can refer, beside those of runs that are still here."""
        last = list({session.node: session for session in self.kept}.values())[-MOST_NODES:]
        return [
            session
            for session in self.kept
            if not session.settled or self.is_recent(session) or session in last
        ]

    def add(self, node: str, run: str) -> Session:
        """One more."""
        session = Session(self.number, node, run)
        self.nodes[session.number] = node
        self.number += 1
        self.kept.append(session)
        return session

    def before(self, session: Session) -> Session | None:
        """The one before it, if the App was not forgotten between."""
        return next((one for one in self.newest if one.number == session.number - 1), None)

    def take_back(self, before: Session) -> None:
        """The last one was none: its counts are of the one before."""
        session = self.kept.pop()
        self.number -= 1
        before.last = session.last
        before.latest = session.latest or before.latest
        before.since = max(before.since, session.since)
        before.counts += session.counts
        if before.overtaken is session.first:
            before.overtaken = None
        self.current = before

    def counted(self, said: Counted, session: Session) -> None:
        """It is a count of that session."""
        session.last = said
        session.counts += 1
        if session.first is None:
            session.first = said
            for older in self.kept:
                if older.number < session.number and older.overtaken is None:
                    older.overtaken = said

    def forget(self) -> None:
        """The App is forgotten."""
        self.current = None
        self._forgotten = self.number

    def drop(self, runs: Container[str]) -> bool:
        """Keep only that to which what may come can refer. `runs`: those that are still here."""
        referred = self.referred
        kept = [one for one in self.kept if one in referred or one.run in runs]
        dropped = len(kept) < len(self.kept)
        if dropped:
            self._began_fresh = self.fresh
            self.kept = kept
        return dropped
