"""What PID 1 of each host says, put together: the boots, and the runs of the senders in them.

A run is one process of a sender's unit, named by its invocation. PID 1 is one thread, and its
entries reach journald in the order in which it made them. So the order of the entries is the order
of the events. If a run's first entry comes after another run's end, PID 1 had reaped the process of
one run before it began to start the other, however close the time stamps are.

That holds on one host. Entries of two hosts have no common order: neither their places in what is
read nor their time stamps are compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from sendrecv.proof.judge.findings import Exhibit
from sendrecv.proof.statements import (
    LEFT_BEHIND,
    RECEIVER,
    At,
    Booted,
    Journald,
    Lost,
    Spoke,
    UnitSaid,
)

# With these results, PID 1 also logs how a process exited.
_WITH_AN_EXIT = frozenset({"signal", "core-dump", "exit-code", "watchdog", "oom-kill"})
# With these results, there never was a process.
_WITHOUT_A_PROCESS = frozenset({"resources", "start-limit-hit"})
# sendrecv(1): another process has held the App's lock for 10 s.
_LOCK_BUSY = "exited, status 71"


NOT_KEPT = {"kept": False}
"""Metadata of a field that no state has: see state.py."""
SETTLES = 60_000_000
"""Microseconds after a run's end, until it counts as settled. PID 1 and the receiver have nothing
to say of it then: a count is on its way for 15 s at most, see owners.py.
"""
MOST_LOSSES = 40
MOST_BOOTS = 8
MOST_STOPS = 32
"""What is remembered of one machine that is judged alone."""

# Of a cursor: which numbering (journald's "seqnum ID"), and the number.
_NUMBER = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+);")


class Mark(NamedTuple):
    """An entry, and its place among all that were read. Compare places of one host only."""

    at: At
    ref: str
    order: int


@dataclass(slots=True, eq=False)
class Boot:
    """One boot of one host. `machine`: the ID of the host; `host`: its name."""

    boot: str
    machine: str
    host: str
    number: int
    first: At
    last: At
    first_ref: str
    last_ref: str
    shut_down: bool = False
    """Whether PID 1 reached a target of shutting down."""
    journal_stopped: bool = False
    journal_started: bool = False
    over: bool = False
    """Whether a later boot of the same host was seen."""
    unclean_before: bool = False
    """Whether the boot before, if there was one, ended without a shutdown."""

    @property
    def clean(self) -> bool:
        """Whether the journal was written to the end: if not, the last entries may be lost."""
        return self.shut_down or self.journal_stopped

    @property
    def offset(self) -> int:
        """Microseconds to add to its monotonic clock, for a time for people."""
        return self.first.wall - self.first.mono


@dataclass(slots=True, eq=False)
class Run:
    """One invocation of a sender's unit. `first`: PID 1's first entry of it."""

    unit: str
    instance: str
    role: str
    run: str
    boot: Boot
    first: Mark
    marks: dict[str, Mark] = field(default_factory=dict)
    """PID 1's first entry of each kind, by UnitSaid.what."""
    how: str = ""
    result: str = ""
    pid: int = 0
    settled_for: set[str] = field(default_factory=set)
    """The Apps of which it is among what is settled."""

    def said(self, what: str, detail: str, mark: Mark) -> None:
        """PID 1 made a statement about it."""
        if what in self.marks:
            return  # a later start that fails is logged with the invocation of the run before
        self.marks[what] = mark
        if what == "exited":
            self.how = detail
        elif what == "ended":
            self.result = detail

    @property
    def starting(self) -> Mark | None:
        return self.marks.get("starting")

    @property
    def started(self) -> Mark | None:
        return self.marks.get("started")

    @property
    def exited(self) -> Mark | None:
        return self.marks.get("exited")

    @property
    def ended(self) -> Mark | None:
        return self.marks.get("ended")

    @property
    def left_behind(self) -> Mark | None:
        return self.marks.get(LEFT_BEHIND)

    @property
    def end(self) -> Mark | None:
        """PID 1's word that no process of the run is left. None: that is not proven."""
        if self.left_behind or (self.result in _WITH_AN_EXIT and not self.exited):
            return None
        return self.ended

    @property
    def exit(self) -> Mark | None:
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

    started: Mark | None = None


class Loss(NamedTuple):
    """Entries are missing here, or may be (not `certain`); `counts`: also lines of the receiver.

    `machine`: the ID of the host that they are missing on, "" if that is not known. `order`: as in
    Mark.
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


@dataclass(slots=True)
class Lineage:
    """The runs of one instance on one host, in the order of PID 1's first entries.

    `owners`: the Apps that counted with the last run of those that are no longer here. `admitted`:
    the Apps for which any of those was admitted.
    """

    runs: list[Run] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    admitted: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Timeline:
    """Everything that was read, up to here. `alone`: see verdict.Judge."""

    alone: bool = field(default=False, metadata=NOT_KEPT)

    boots: dict[tuple[str, str], Boot] = field(default_factory=dict)
    """By At.place."""
    runs: dict[str, Run] = field(default_factory=dict)
    by_instance: dict[tuple[str, str], Lineage] = field(default_factory=dict)
    """By host (its machine ID) and instance."""
    pair_stops: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """By host and instance: as in Mark."""
    losses: list[Loss] = field(default_factory=list)
    order: int = 0
    boot: Boot | None = None
    """The boot of the entry that is looked at."""
    ends: dict[str, int] = field(default_factory=dict)
    """The wall clock up to which each host's journal was read, by machine ID, if it is known."""
    seen: list[Boot] = field(default_factory=list, metadata=NOT_KEPT)
    """All boots, for those who look at them."""
    number_of_boots: int = 0
    _names: dict[str, str] = field(default_factory=dict)
    _by_clock_only: set[str] = field(default_factory=set)
    """The hosts of which only the wall clock tells the order of two boots."""
    _receivers: dict[tuple[str, str], Receiver] = field(default_factory=dict)
    _current: dict[str, Boot] = field(default_factory=dict)
    _on_two_hosts: set[str] = field(default_factory=set)

    @property
    def hosts(self) -> dict[str, str]:
        """The names of the hosts, by machine ID, sorted."""
        return dict(sorted(self._names.items(), key=lambda pair: (pair[1], pair[0])))

    def receiver(self, at: At) -> Receiver | None:
        """The receiver of that boot, if PID 1 has said there that it starts."""
        return self._receivers.get(at.place)

    def excuse(self, since: int, machine: str) -> Loss | None:
        """The newest loss from then on (as Mark.order) that may explain missing receiver lines of
        that host.
        """
        losses = (loss for loss in reversed(self.losses) if loss.until >= since)
        return next((loss for loss in losses if loss.counts and loss.is_of(machine)), None)

    def lose(self, loss: Loss, at: At | None = None) -> None:
        """Something is missing, at this moment of a host if it is given."""
        machine = at.machine if at else loss.machine
        self.order += 1
        self.losses.append(loss._replace(machine=machine, order=self.order, until=self.order))
        if self.alone and len(self.losses) > MOST_LOSSES:
            self.losses[:2] = [_joined(*self.losses[:2])]

    def booted(self, said: Booted) -> None:
        """The entries that follow are of this boot."""
        boot = self.boots.get(said.at.place)
        if boot is None:
            boot = self._new_boot(said)
        elif boot.over:
            self._by_clock_only.add(boot.machine)
            # The wall clock was set back, and journald's numbering does not show the order.
            text = "two boots of a machine are mixed: which came first is not known"
            self.lose(Loss(text, (Exhibit("an earlier boot", said.at, said.ref),)), said.at)
        self.boot = boot

    def order_in_doubt(self, machine: str) -> str:
        """Why it is not certain in which order the boots of that host came; "" if it is.

        journald's numbering shows the order, if it continues from boot to boot (since systemd 254
        also after a power cut). The wall clock does not: it may have been wrong for a whole boot.
        """
        if machine in self._by_clock_only:
            return "which boot came first is known by the wall clock only"
        return ""

    def _new_boot(self, said: Booted) -> Boot:
        at, number = said.at, self.number_of_boots
        boot = Boot(at.boot, at.machine, said.host, number, at, at, said.ref, said.ref)
        self.number_of_boots += 1
        self._names[at.machine] = said.host or at.machine[:8]
        before = self._current.get(at.machine)
        if before is not None:
            before.over = True
            if not _numbered_on(before.last_ref, said.ref):
                self._by_clock_only.add(at.machine)
            if not before.clean:
                boot.unclean_before = True
                text = "the machine went down without a shutdown: its last entries may be lost"
                next_boot = Exhibit("the next boot's first entry", at, said.ref)
                self.lose(Loss(text, (next_boot,), certain=False), at)
        self.boots[at.place] = self._current[at.machine] = boot
        self.seen.append(boot)
        if self.alone:
            self._forget_old_boots()
        return boot

    def _forget_old_boots(self) -> None:
        """An entry of one of these boots would be taken for one of a new boot, and so make the one
        that goes on be in the midst of another: that is a doubt as well.
        """
        for place in list(self.boots)[:-MOST_BOOTS]:
            wall = self.boots.pop(place).last.wall
            self._receivers.pop(place, None)
            self.ends[place[0]] = max(wall, self.ends.get(place[0], 0))

    def unit_said(self, said: UnitSaid) -> Run | None:
        """PID 1 made a statement about a unit. Returns the run of a sender, if it is its first."""
        mark = Mark(said.at, said.ref, self.order)
        name, _, kind = said.unit.rpartition(".")
        unit, at_sign, instance = name.partition("@")
        if unit == "receiver":
            self._receiver_said(said, mark)
        elif kind == "target":
            self._target_said(said, mark, instance if at_sign else "")
        elif said.run:
            known = said.run in self.runs
            self._run_said(said, mark, instance, "main" if unit == "sender" else "failover")
            return None if known else self.runs[said.run]
        return None

    def _receiver_said(self, said: UnitSaid, mark: Mark) -> None:
        if said.what == "starting":
            self._receivers[said.at.place] = Receiver()
        elif said.what == "started" and (receiver := self.receiver(said.at)):
            receiver.started = mark

    def _target_said(self, said: UnitSaid, mark: Mark, instance: str) -> None:
        if instance and said.what == "stopped":
            stops = self.pair_stops.setdefault((said.at.machine, instance), [])
            stops.append(mark.order)
            if self.alone:
                del stops[:-MOST_STOPS]
        elif not instance and said.what == "started" and self.boot:
            self.boot.shut_down = True

    def forget(self, run: Run) -> None:
        """It is settled for all of its Apps, and nothing that may come will refer to it."""
        del self.runs[run.run]
        self.by_instance[run.machine, run.instance].runs.remove(run)

    def _run_said(self, said: UnitSaid, mark: Mark, instance: str, role: str) -> None:
        run = self.runs.get(said.run)
        if run is None:
            boot = self.boots[said.at.place]
            run = self.runs[said.run] = Run(said.unit, instance, role, said.run, boot, mark)
            self.by_instance.setdefault((boot.machine, instance), Lineage()).runs.append(run)
        if run.machine == said.at.machine:
            run.said(said.what, said.detail, mark)
        elif run.run not in self._on_two_hosts:
            self._on_two_hosts.add(run.run)
            text = f"run {run.run[:8]} is in the journals of two hosts: one is a copy of the other"
            self.lose(Loss(text, (Exhibit("the other one", said.at, said.ref),)))

    def spoke(self, said: Spoke) -> None:
        """A process of a sender's unit printed something: its PID, if PID 1 knows the run."""
        run = self.runs.get(said.run)
        if run is not None and not run.pid:
            run.pid = said.pid

    def lost(self, said: Lost) -> None:
        """journald dropped entries; those of other units are no evidence."""
        if said.unit in {RECEIVER, "init.scope"}:
            text = f"journald dropped {said.entries} entries of {said.unit} (rate limit)"
            here = Exhibit("dropped before this", said.at, said.ref)
            self.lose(Loss(text, (here,), counts=said.unit == RECEIVER), said.at)

    def journald(self, said: Journald) -> None:
        """journald started or stopped. PID 1 logs to the kernel while it is away."""
        boot = self.boot
        if boot is None:
            return
        if said.started and boot.journal_started:
            text = "journald was started again: PID 1's entries of that moment may be missing"
            if killed := not boot.journal_stopped:
                text = "journald was killed: what it had received and not written is missing"
            again = Exhibit("journald started", said.at, said.ref)
            self.lose(Loss(text, (again,), certain=False, counts=killed), said.at)
        boot.journal_started = boot.journal_started or said.started
        boot.journal_stopped = not said.started


def _joined(one: Loss, other: Loss) -> Loss:
    """One loss that stands for both: it excuses whatever one of them does."""
    more = one.more + other.more + (one.certain and other.certain)
    first = one if one.certain or not other.certain else other
    return Loss(
        first.text,
        first.exhibits,
        one.certain or other.certain,
        one.counts or other.counts,
        one.machine if one.machine == other.machine else "",
        one.order,
        other.until,
        more,
    )


def _numbered_on(before: str, after: str) -> bool:
    """Whether the two cursors are of one numbering, and in this order."""
    one, other = _NUMBER.match(before), _NUMBER.match(after)
    if not one or not other or one[1] != other[1]:
        return False
    return int(one[2], 16) < int(other[2], 16)
