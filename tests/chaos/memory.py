"""What the programs under test could not know, because faults had taken each trace of it.

A receiver whose state was put back asks the journal. If vacuums took each line of the App that
tells the count or a higher one, nothing is left that knows. docs/chaos.md promises nothing then.
Everything else is a violation.

The injector looks which entries a vacuum took (erasure.py), and Strike.gone names them. A rule
would be wrong: --vacuum-files=2 need not take the oldest files. journalctl sorts archived files by
the numbers in their names, but the file that a killed journald left has no number in its name, and
is sorted by the wall clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate, chain

from tests.chaos.silence import Span, Strike
from tests.judges.checker import Fault, Kind, Line, Session, Verdict

OLD = {"restore", "restore-all", "log-removed"}
"""The ledger is older than what was printed. A sender whose record names that ledger knows, if its
record is not lost, too."""
NEW = {"ledger-deleted"}
"""There is no ledger: then the sender's record knows, if that is not lost, too. The ledger that is
made has another name than every older copy."""
RECORDS = {"restore-all", "lock-removed", "record-noise", "state-full"}
"""A record is lost, or older."""
ON_ITS_WAY = 2.0
"""Seconds between the printing of a line and its time in the journal, while journald is killed or
busy: state that was lost in between was lost after the line was printed.
"""
BATCH = 0.1
"""Seconds in which a batch is printed."""
Entry = Line | Session
REPEATED = {Kind.DUPLICATE, Kind.CONFLICT, Kind.DISORDER}


class Memory:
    """Of one run."""

    def __init__(self, strikes: Iterable[Strike], verdict: Verdict) -> None:
        """`verdict`: of all that the journal has ever had."""
        # One that has failed may have done half of its work.
        self._strikes = sorted(strikes, key=lambda strike: strike.end)
        self._lines = {
            app: sorted(lines, key=lambda line: line.at) for app, lines in verdict.lines.items()
        }
        self._times = {app: [line.at for line in lines] for app, lines in self._lines.items()}
        self._by_count: dict[tuple[str, int], list[Line]] = {}
        for line in chain(*self._lines.values()):
            self._by_count.setdefault((line.app, line.count), []).append(line)
        self._highests: dict[tuple[str, tuple[Span, ...]], list[int]] = {}
        self._sessions = verdict.sessions
        self._first: dict[tuple[str, str], float] = {}  # the first entry of each receiver
        entries: list[Entry] = [*chain(*verdict.lines.values()), *verdict.sessions]
        for entry in sorted(entries, key=lambda entry: entry.at):
            self._first.setdefault((entry.boot, entry.where.pid), entry.at)

    def could_not_know(self, fault: Fault) -> bool:
        """Whether, when the fault happened, nothing was left of the entry that it contradicts."""
        is_epoch = fault.kind is Kind.EPOCH
        if is_epoch and not self._is_epoch_forgotten(fault):
            return False
        if not is_epoch and not self._is_count_forgotten(fault):
            return False
        records = self._between(fault, RECORDS)
        if fault.kind is Kind.EPOCH:
            return bool(self._between(fault, OLD | NEW) and records)
        if fault.kind not in REPEATED:
            return False
        if not self._between(fault, OLD | NEW):
            return False
        renamed = any(s.kind in NEW and s.begin < fault.at for s in self._strikes)
        is_unnamed = renamed and self._between(fault, OLD)
        return bool(records or is_unnamed or self._was_in_flight(fault))

    def _was_in_flight(self, fault: Fault) -> bool:
        """Whether it was in the last batch that was printed before: a record says that a count was
        taken, and not that it was accepted, until the answer has come.
        """
        times = self._times.get(fault.app, [])
        later = bisect_right(times, fault.since + BATCH)
        own = [at for at in self._of_count(fault) if at > fault.since + BATCH]
        return later == len(times) or times[later] >= min(own, default=fault.at)

    def _gone(self, at: float) -> tuple[Span, ...]:
        """What the journal had had, and no longer had at that time."""
        told = [s.gone for s in self._strikes if s.gone is not None and s.end < at]
        return told[-1] if told else ()

    def _between(self, fault: Fault, kinds: set[str]) -> list[Strike]:
        """The strikes of those kinds after what the fault contradicts, and before the fault."""
        return [
            strike
            for strike in self._strikes
            if strike.kind in kinds
            and strike.app in {"", fault.app}
            and fault.since - ON_ITS_WAY < strike.end
            and strike.begin < fault.at
        ]

    def _of_count(self, fault: Fault) -> list[float]:
        return [line.at for line in self._by_count.get((fault.app, fault.counts[0]), ())]

    def _is_epoch_forgotten(self, fault: Fault) -> bool:
        own = self._session(fault)
        told = self._sessions_above(own) if own else []
        gone = self._gone(self._asked(own) if own else fault.at)
        return bool(told) and all(_is_in(entry, gone) for entry in told)

    def _is_count_forgotten(self, fault: Fault) -> bool:
        """Whether a vacuum took each line before from which a receiver would have known that count,
        or a higher one; and there was one.
        """
        own = self._line(fault)
        until, count = (own.at if own else fault.at), fault.counts[0]
        gone = self._gone(self._asked(own) if own else fault.at)
        was_told = self._highest(fault.app, (), until) >= count
        return was_told and self._highest(fault.app, gone, until) < count

    def _highest(self, app: str, gone: tuple[Span, ...], until: float) -> int:
        """The highest count of the App before that time, without the lines that are gone."""
        key = (app, gone)
        if key not in self._highests:
            left = [-1 if _is_in(line, gone) else line.count for line in self._lines.get(app, ())]
            self._highests[key] = [-1, *accumulate(left, max)]
        return self._highests[key][bisect_left(self._times.get(app, []), until)]

    def _session(self, fault: Fault) -> Session | None:
        """The session that shows the fault. Of several at the same time, the one with the lowest
        epoch: more is known to contradict it.
        """
        found = [s for s in self._sessions if (s.app, s.at) == (fault.app, fault.at)]
        return min(found, key=lambda session: session.epoch) if found else None

    def _line(self, fault: Fault) -> Line | None:
        """The line that shows the fault, if the journal ever had it. (The observer sees a line a
        moment after the time that the journal has for it.)
        """
        lines = self._by_count.get((fault.app, fault.counts[0]), ())
        found = [line for line in lines if fault.since < line.at <= fault.at]
        return max(found, key=lambda line: line.at) if found else None

    def _sessions_above(self, own: Session) -> list[Session]:
        """The sessions before that from which a receiver would have known a higher epoch, or the
        same. (A run may come again with its own.)
        """
        return [
            session
            for session in self._sessions
            if session.app == own.app
            and session.at < own.at
            and session.epoch >= own.epoch
            and (session.epoch, session.run) != (own.epoch, own.run)
        ]

    def _asked(self, own: Entry) -> float:
        """When the receiver of that entry had read the journal, at the latest. A receiver reads it
        once, before its first line, and knows by itself what it has printed since.
        """
        return self._first[own.boot, own.where.pid] if own.where.pid else own.at


def _is_in(entry: Entry, gone: Iterable[Span]) -> bool:
    return any(entry.where in span for span in gone)
