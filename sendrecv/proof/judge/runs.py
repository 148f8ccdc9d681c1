"""What PID 1 says of one run of a sender, of one boot, and what is known to be missing.

A run is one process of a sender's unit, named by its invocation. timeline.py puts them together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sendrecv.proof.judge.boots import Boot
from sendrecv.proof.judge.findings import Exhibit
from sendrecv.proof.statements import LEFT_BEHIND, At

# With these results, PID 1 also logs how a process exited.
_WITH_AN_EXIT = frozenset({"signal", "core-dump", "exit-code", "watchdog", "oom-kill"})
# With these results, there never was a process.
_WITHOUT_A_PROCESS = frozenset({"resources", "start-limit-hit"})
# sendrecv(1): another process has held the App's lock for 10 s.
_LOCK_BUSY = "exited, status 71"
SETTLES = 20_000_000
"""Microseconds after a run's end, until it counts as settled. PID 1 and the receiver have nothing
to say of it then: a count is on its way for 15 s at most, see owners.py.
"""


class EntryMark(NamedTuple):
    """An entry, and its place among all that were read. Compare places of one host only."""

    at: At
    ref: str
    order: int


@dataclass(slots=True, eq=False)
class Run:
    """One invocation of a sender's unit. `first`: PID 1's first entry of it."""

    unit: str
    instance: str
    role: str
    run: str
    boot: Boot
    first: EntryMark
    marks: dict[str, EntryMark] = field(default_factory=dict)
    """PID 1's first entry of each kind, by UnitSaid.what."""
    how: str = ""
    result: str = ""
    pid: int = 0
    app: str = ""
    """The App for which the process said that it counts, in an entry of its own."""
    said_app: EntryMark | None = None
    settled_for: set[str] = field(default_factory=set)
    """The Apps of which it is among what is settled."""

    def said(self, what: str, detail: str, mark: EntryMark) -> None:
        """PID 1 made a statement about it."""
        if what in self.marks:
            return  # a later start that fails is logged with the invocation of the run before
        self.marks[what] = mark
        if what == "exited":
            self.how = detail
        elif what == "ended":
            self.result = detail

    @property
    def starting(self) -> EntryMark | None:
        return self.marks.get("starting")

    @property
    def started(self) -> EntryMark | None:
        return self.marks.get("started")

    @property
    def exited(self) -> EntryMark | None:
        return self.marks.get("exited")

    @property
    def ended(self) -> EntryMark | None:
        return self.marks.get("ended")

    @property
    def left_behind(self) -> EntryMark | None:
        return self.marks.get(LEFT_BEHIND)

    @property
    def end(self) -> EntryMark | None:
        """PID 1's word that no process of the run is left. None: that is not proven."""
        if self.left_behind or (self.result in _WITH_AN_EXIT and not self.exited):
            return None
        return self.ended

    @property
    def exit(self) -> EntryMark | None:
        """When the main process was reaped. Of a clean exit PID 1 logs only the end of the run."""
        return self.exited or self.ended

    @property
    def over(self) -> bool:
        """Whether it has ended, so far as was read of its host."""
        return "ended" in self.marks or self.boot.over

    def is_settled(self, now: At) -> bool:
        """Whether nothing more will be said of it: it has ended, and then some time has passed."""
        if self.boot.over or self.ended is None:
            return self.boot.over
        return now.place == self.ended.at.place and now.mono - self.ended.at.mono > SETTLES

    @property
    def machine(self) -> str:
        """The ID of its host."""
        return self.boot.machine

    @property
    def never_ran(self) -> bool:
        return self.result in _WITHOUT_A_PROCESS

    @property
    def only_waited(self) -> bool:
        """Whether it waited for the App's lock until it gave up, or was stopped.

        The process chooses its exit status itself. So it is believed only of a process that was
        never ready, and was never admitted by the receiver, which the caller has to check.
        """
        gave_up = self.how == _LOCK_BUSY or (self.asked_to_stop and self.end is not None)
        return gave_up and not self.started

    @property
    def asked_to_stop(self) -> bool:
        """Whether PID 1 had a job to stop it. During a start, only the end of that job shows."""
        return "stopping" in self.marks or "stopped" in self.marks

    @property
    def why(self) -> str:
        """How it ended, for people."""
        if self.left_behind:
            return "given up by PID 1, with a process left behind"
        if self.ended is None:
            return "the boot ended" if self.boot.over else "running"
        result = f"{self.result} ({self.how})" if self.how else self.result
        if not self.asked_to_stop:
            return "only waited for the App's lock" if self.only_waited else result
        return "stopped" if self.result == "success" else f"stopped: {result}"


@dataclass(slots=True)
class Receiver:
    """The receiver's unit of one boot of a host, as it is now."""

    started: EntryMark | None = None


class Loss(NamedTuple):
    """Entries are missing here, or may be (not `certain`); `counts`: also lines of the receiver.

    `machine`: the ID of the host that they are missing on, "" if that is not known. `order`: as in
    EntryMark.
    """

    text: str
    exhibits: tuple[Exhibit, ...] = ()
    certain: bool = True
    counts: bool = True
    machine: str = ""
    order: int = 0
    until: int = 0
    """If it stands for several: the `order` of the last one; `order` is that of the first one."""
    more: int = 0
    """How many of those that it stands for are certain, beside itself."""

    def is_of(self, *machines: str) -> bool:
        """Whether it may be a loss of one of these hosts."""
        return not self.machine or self.machine in machines

    def joined(self, other: Loss) -> Loss:
        """One loss that stands for both: it excuses whatever one of them does."""
        first = self if self.certain or not other.certain else other
        return Loss(
            first.text,
            first.exhibits,
            self.certain or other.certain,
            self.counts or other.counts,
            self.machine if self.machine == other.machine else "",
            self.order,
            other.until,
            self.more + other.more + (self.certain and other.certain),
        )


@dataclass(slots=True)
class Lineage:
    """The runs of one instance on one host, in the order of PID 1's first entries.

    `owners`: the Apps that counted with the last run of those that are no longer here. `admitted`:
    the Apps for which any of those was admitted.
    """

    runs: list[Run] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    admitted: list[str] = field(default_factory=list)
