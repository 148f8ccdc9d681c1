"""The checks of the senders' processes. Only PID 1's entries say which process ran when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sendrecv.proof.evidence import Counted
from sendrecv.proof.judge.findings import ONE, ORDER, Book, Exhibit, Finding
from sendrecv.proof.judge.timeline import Mark, Run, Timeline


@dataclass(frozen=True)
class Takeover:
    """From one run to the next.

    `kind`: "takeover" by the other half; "restart" of the same half; "start" if the App was stopped
    between; "boot" if the machine was.
    Times are marks of the journal; those of one boot are on one monotonic clock.
    """

    kind: str
    before: Run
    after: Run
    last_count: Counted | None
    first_count: Counted | None

    @property
    def exited(self) -> Mark | None:
        return self.before.exit

    @property
    def started(self) -> Mark:
        return self.after.starting or self.after.first

    @property
    def ready(self) -> Mark | None:
        return self.after.started

    @property
    def gap(self) -> int | None:
        """Microseconds from the old process's exit to the first count of the new one."""
        if self.exited is None or self.first_count is None or self._other_boot(self.first_count):
            return None
        return self.first_count.at.mono - self.exited.at.mono

    @property
    def silence(self) -> int | None:
        """Microseconds between the last count before and the first count after."""
        first, last = self.first_count, self.last_count
        if first is None or last is None or first.at.boot != last.at.boot:
            return None
        return first.at.mono - last.at.mono

    def _other_boot(self, count: Counted) -> bool:
        return count.at.boot != self.before.boot.boot


def kind_of_takeover(timeline: Timeline, before: Run, after: Run) -> str:
    """See Takeover."""
    if before.boot is not after.boot:
        return "boot"
    stops = timeline.pair_stops.get(after.instance, [])
    stopped = any(before.first.order < stop.order < after.first.order for stop in stops)
    if stopped:
        return "start"
    return "restart" if before.unit == after.unit else "takeover"


def check_processes(runs: Sequence[Run], book: Book) -> None:
    """Find what is wrong with the runs of one App, in the order of their first entries."""
    if not runs:
        book.doubt(ONE, "no start or exit of its senders is in the journal")
    running: list[Run] = []
    for number, run in enumerate(runs):
        if _start_missing(run, first=number == 0):
            text = f"the start of {_name(run)} is not in the journal"
            book.doubt(ONE, text, _exhibit("PID 1's first entry of it", run.first))
        running = [before for before in running if not _gone(before, run)]
        for before in running:
            book.of[ONE].add(_overlap(before, run))
        # A run that never ends is reported once.
        running = [before for before in running if before.end] + [run]
    for before, run in pairwise(runs):
        if not _gone(before, run):
            book.of[ORDER].add(_early(before, run))


def _gone(before: Run, run: Run) -> bool:
    """Whether nothing of `before` was left when PID 1 began to start `run`."""
    if before.boot.machine != run.boot.machine:
        return False
    if before.boot is not run.boot:
        return True  # its kernel is gone
    return before.never_ran or bool(before.end and before.end.order < run.first.order)


def _start_missing(run: Run, first: bool) -> bool:
    """A run that was alive when the journal begins has no start in it; any other should."""
    return not (run.starting or run.never_ran or (first and not run.started))


def _overlap(before: Run, run: Run) -> Finding:
    pair = f"{_name(before)} and {_name(run)}"
    start = _exhibit(f"{run.unit} starts", run.first)
    if before.boot.machine != run.boot.machine:
        text = f"{pair} ran on different machines: their clocks cannot be compared"
        return Finding(False, text, (*_lifeline(before), start))
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


def _exhibit(what: str, mark: Mark) -> Exhibit:
    return Exhibit(what, mark.at, mark.ref)
