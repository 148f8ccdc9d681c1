"""The checks of the senders' processes. Only PID 1's entries say which process ran when.

Processes of two hosts are not compared: no PID 1 sees both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sendrecv.proof.judge.findings import ONE, ORDER, Book, Exhibit, Finding
from sendrecv.proof.judge.runs import EntryMark, Run
from sendrecv.proof.judge.timeline import Timeline
from sendrecv.proof.statements import Counted


@dataclass(frozen=True)
class Takeover:
    """From one run to the next.

    `kind`: "takeover" by the other half; "restart" of the same half; "start" if the App was stopped
    between; "boot" if the machine was; "host" if the App went to another host. Then the processes'
    times are None: both may have run for long, and one of them stood by.
    Times are entry marks; those of one boot are on one monotonic clock.
    """

    kind: str
    before: Run
    after: Run
    last_count: Counted | None
    first_count: Counted | None

    @property
    def exited(self) -> EntryMark | None:
        return None if self.kind == "host" else self.before.exit

    @property
    def started(self) -> EntryMark | None:
        return None if self.kind == "host" else self.after.starting or self.after.first

    @property
    def ready(self) -> EntryMark | None:
        return None if self.kind == "host" else self.after.started

    @property
    def gap(self) -> int | None:
        """Microseconds from the old process's exit to the first count of the new one."""
        return _between(self.exited, self.first_count)

    @property
    def silence(self) -> int | None:
        """Microseconds between the last count before and the first count after."""
        return _between(self.last_count, self.first_count)


def _between(one: EntryMark | Counted | None, other: EntryMark | Counted | None) -> int | None:
    """Microseconds; None if there is no common clock."""
    if one is None or other is None or one.at.place != other.at.place:
        return None
    return other.at.mono - one.at.mono


def kind_of_takeover(timeline: Timeline, before: Run, after: Run) -> str:
    """See Takeover."""
    if before.machine != after.machine:
        return "host"
    if before.boot is not after.boot:
        return "boot"
    stops = timeline.pair_stops.get((after.machine, after.instance), [])
    stopped = any(before.first.order < stop < after.first.order for stop in stops)
    if stopped:
        return "start"
    return "restart" if before.unit == after.unit else "takeover"


@dataclass(slots=True)
class Processes:
    """The runs of one App on one host, one by one in the order of PID 1. What is wrong with them is
    found when nothing more can be said of them.
    """

    last: Run | None = None
    _running: list[Run] = field(default_factory=list)
    """Those that had not ended when the last one was started, and itself."""

    def is_new(self, run: Run) -> bool:
        """Whether it comes after all that were added."""
        return self.last is None or run.first.order > self.last.first.order

    def add(self, run: Run, book: Book) -> None:
        """The next one."""
        if _start_missing(run, first=self.last is None):
            text = f"the start of {_name(run)} is not in the journal"
            book.doubt(ONE, text, _exhibit("PID 1's first entry of it", run.first))
        running = [before for before in self._running if not _gone(before, run)]
        for before in running:
            book.of[ONE].add(_overlap(before, run))
        # A run that never ends is reported once.
        self._running = [before for before in running if before.end] + [run]
        if self.last and not _gone(self.last, run):
            book.of[ORDER].add(_early(self.last, run))
        self.last = run


def _gone(before: Run, run: Run) -> bool:
    """Whether nothing of `before` was left when PID 1 began to start `run`."""
    if before.boot is not run.boot:
        return True  # its kernel is gone
    return before.never_ran or bool(before.end and before.end.order < run.first.order)


def _start_missing(run: Run, first: bool) -> bool:
    """A run that was alive when the journal begins has no start in it; any other should."""
    return not (run.starting or run.never_ran or (first and not run.started))


def _overlap(before: Run, run: Run) -> Finding:
    pair = f"{_name(before)} and {_name(run)}"
    start = _exhibit(f"{run.unit} starts", run.first)
    if before.left_behind:
        text = f"{_name(before)} left a process behind, and {_name(run)} was started beside it"
        return Finding(True, text, (_exhibit("left behind", before.left_behind), start))
    if before.end:
        text = f"{pair} ran at the same time"
        return Finding(True, text, (start, *_lifeline(before)))
    text = f"the end of {_name(before)} is not in the journal, and {_name(run)} was started"
    return Finding(False, text, (*_lifeline(before), start))


def _early(before: Run, run: Run) -> Finding:
    finding = _overlap(before, run)
    if finding.violation and before.end:
        text = f"{_name(run)} was started before {_name(before)} had ended"
        return finding._replace(text=text)
    return finding


def _lifeline(run: Run) -> Iterator[Exhibit]:
    if run.starting:
        yield _exhibit(f"{run.unit} started", run.starting)
    if run.exited:
        yield _exhibit(f"{run.unit}: process {run.how}", run.exited)
    if run.ended:
        yield _exhibit(f"{run.unit} ended: {run.result}", run.ended)


def _name(run: Run) -> str:
    return f"{run.unit} (run {run.run[:8]})"


def _exhibit(what: str, mark: EntryMark) -> Exhibit:
    return Exhibit(what, mark.at, mark.ref)
