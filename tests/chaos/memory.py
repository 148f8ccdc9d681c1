"""What the programs under test could not know, because faults had taken each trace of it.

A receiver whose state was put back asks the journal; where a vacuum took the lines of an App, and
no line of the App came since, nothing is left that knows its counts. docs/chaos.md promises nothing
then. Everything else is a violation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.chaos.silence import Strike
from tests.judges.checker import Fault, Kind, Line, Session

OLD = {"restore", "restore-all", "log-removed"}
"""The ledger is older than what was printed: a sender goes back to what the receiver says."""
NEW = {"ledger-deleted"}
"""There is no ledger: then the sender's record knows, if that is not lost, too."""
RECORDS = {"restore-all", "lock-removed", "record-noise", "state-full"}
"""A record is lost, or older."""
ROTATED = {"rotate", "rotate-start", "vacuum", "vacuum-files", "journald-kill"}
"""Before a vacuum that leaves the newest of the archived files: only what is older is gone. (The
file that is written to is the other one of --vacuum-files=2.)
"""
ON_ITS_WAY = 2.0
"""Seconds between the printing of a line and its time in the journal, while journald is killed or
busy: state that was lost in between was lost after the line was printed.
"""
BATCH = 0.1
"""Seconds in which a batch is printed."""
REPEATED = {Kind.DUPLICATE, Kind.CONFLICT, Kind.DISORDER}


class Memory:
    """Of one run."""

    def __init__(self, strikes: Iterable[Strike], lines: Mapping[str, Sequence[Line]]) -> None:
        """`lines`: of each App, all that the journal has ever had."""
        self._strikes = list(strikes)  # one that has failed may have done half of its work
        self._lines = lines

    def could_not_know(self, fault: Fault, sessions: Sequence[Session] = ()) -> bool:
        """Whether, when the fault happened, nothing was left of the entry that it contradicts."""
        forgotten = (at for at in self._forgotten() if fault.since < at < fault.at)
        if all(self._told(fault, at, sessions) for at in forgotten):
            return False
        records = self._between(fault, RECORDS)
        if fault.kind is Kind.EPOCH:
            return bool(self._between(fault, OLD | NEW) and records)
        if fault.kind not in REPEATED:
            return False
        if self._between(fault, OLD):
            return True
        return bool(self._between(fault, NEW) and (records or self._was_in_flight(fault)))

    def _was_in_flight(self, fault: Fault) -> bool:
        """Whether it was in the last batch that was printed before: a record says that a count was
        taken, and not that it was accepted, until the answer has come.
        """
        printed = [line for line in self._lines.get(fault.app, ()) if line.at > fault.since + BATCH]
        own = [line.at for line in printed if line.count == fault.counts[0]]
        return all(line.at >= min(own, default=fault.at) for line in printed)

    def _forgotten(self) -> Iterator[float]:
        """Times before which a vacuum left nothing in the journal."""
        for strike in self._strikes:
            if strike.kind == "vacuum":
                yield strike.end
            if strike.kind == "vacuum-files":
                rotated = [s for s in self._strikes if s.kind in ROTATED and s.end < strike.begin]
                yield max((s.end for s in rotated), default=0.0)

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

    def _told(self, fault: Fault, forgotten: float, sessions: Sequence[Session]) -> bool:
        """Whether the journal had another line from after that time, which tells as much."""
        if fault.kind is Kind.EPOCH:
            return any(
                session.app == fault.app and forgotten < session.at < fault.at
                for session in sessions
            )
        since = [
            line
            for line in self._lines.get(fault.app, ())
            if line.count >= fault.counts[0] and forgotten < line.at <= fault.at
        ]
        # The observer sees a line a moment after the time that the journal has for it.
        own = max((line.at for line in since if line.count == fault.counts[0]), default=fault.at)
        return any(line.at < own for line in since)
