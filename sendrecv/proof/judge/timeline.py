"""What PID 1 of each host says, put together: the boots, and the runs of the senders in them.

A run is one process of a sender's unit, named by its invocation. PID 1 is one thread, and its
entries reach journald in the order in which it made them. So the order of the entries is the order
of the events. If a run's first entry comes after another run's end, PID 1 had reaped the process of
one run before it began to start the other, however close the time stamps are.

That holds on one host. Entries of two hosts have no common order: neither their places in what is
read nor their time stamps are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sendrecv.proof.judge.boots import Boot, Boots
from sendrecv.proof.judge.findings import Exhibit
from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.judge.runs import EntryMark, Lineage, Loss, Receiver, Run
from sendrecv.proof.statements import (
    RECEIVER,
    At,
    Booted,
    Journald,
    Lost,
    Spoke,
    UnitSaid,
)

MOST_LOSSES = 40
MOST_STOPS = 32
"""What is remembered of one machine that is judged alone."""


@dataclass(slots=True)
class Timeline:
    """Everything that was read, up to here. `alone`: see verdict.Judge."""

    alone: bool = field(default=False, metadata=NOT_KEPT)

    boots: Boots = field(default_factory=Boots)
    runs: dict[str, Run] = field(default_factory=dict)
    by_instance: dict[tuple[str, str], Lineage] = field(default_factory=dict)
    """By host (its machine ID) and instance."""
    pair_stops: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """By host and instance: as in EntryMark."""
    losses: list[Loss] = field(default_factory=list)
    order: int = 0
    boot: Boot | None = None
    """The boot of the entry that is looked at."""
    ends: dict[str, int] = field(default_factory=dict)
    """The wall clock up to which each host's journal was read, by machine ID, if it is known."""
    _receivers: dict[tuple[str, str], Receiver] = field(default_factory=dict)
    _on_two_hosts: set[str] = field(default_factory=set)

    @property
    def hosts(self) -> dict[str, str]:
        """The names of the hosts, by machine ID, sorted."""
        return dict(sorted(self.boots.names.items(), key=lambda pair: (pair[1], pair[0])))

    def receiver(self, at: At) -> Receiver | None:
        """The receiver of that boot, if PID 1 has said there that it starts."""
        return self._receivers.get(at.place)

    def excuse(self, since: int, machine: str, *, certain: bool = False) -> Loss | None:
        """The newest loss from then on (as EntryMark.order) that may explain missing receiver
        lines of that host. certain: only one that is certain.
        """
        losses = (loss for loss in reversed(self.losses) if loss.until >= since)
        some = (loss for loss in losses if loss.counts and loss.is_of(machine))
        return next((loss for loss in some if loss.certain or not certain), None)

    def lose(self, loss: Loss, at: At | None = None) -> None:
        """Something is missing, at this moment of a host if it is given."""
        machine = at.machine if at else loss.machine
        self.order += 1
        self.losses.append(loss._replace(machine=machine, order=self.order, until=self.order))
        if self.alone and len(self.losses) > MOST_LOSSES:
            self.losses[:2] = [self.losses[0].joined(self.losses[1])]

    def booted(self, said: Booted) -> None:
        """The entries that follow are of this boot."""
        boot = self.boots.of.get(said.at.place)
        if boot is None:
            boot = self._new_boot(said)
        elif boot.over:
            self.boots.by_clock_only.add(boot.machine)
            # The wall clock was set back, and journald's numbering does not show the order.
            text = "two boots of a machine are mixed: which came first is not known"
            self.lose(Loss(text, (Exhibit("an earlier boot", said.at, said.ref),)), said.at)
        self.boot = boot

    def last_of(self, machine: str) -> list[Exhibit]:
        """The last entry of that host so far."""
        boots = [boot for boot in self.boots.of.values() if boot.machine == machine]
        return [Exhibit("the last entry before it", one.last, one.last_ref) for one in boots[-1:]]

    def order_in_doubt(self, machine: str) -> str:
        """Why it is not certain in which order the boots of that host came; "" if it is.

        journald's numbering shows the order, if it continues from boot to boot (since systemd 254
        also after a power cut). The wall clock does not: it may have been wrong for a whole boot.
        """
        if machine in self.boots.by_clock_only:
            return "which boot came first is known by the wall clock only"
        return ""

    def _new_boot(self, said: Booted) -> Boot:
        boot = self.boots.begin(said)
        if boot.unclean_before:
            text = "the machine went down without a shutdown: its last entries may be lost"
            next_boot = Exhibit("the next boot's first entry", said.at, said.ref)
            self.lose(Loss(text, (next_boot,), certain=False), said.at)
        if self.alone:
            for old in self.boots.forget():
                self._receivers.pop(old.first.place, None)
                self.ends[old.machine] = max(old.last.wall, self.ends.get(old.machine, 0))
        return boot

    def unit_said(self, said: UnitSaid) -> Run | None:
        """PID 1 made a statement about a unit. Returns the run of a sender, if it is its first."""
        mark = EntryMark(said.at, said.ref, self.order)
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

    def _receiver_said(self, said: UnitSaid, mark: EntryMark) -> None:
        if said.what == "starting":
            self._receivers[said.at.place] = Receiver()
        elif said.what == "started" and (receiver := self.receiver(said.at)):
            receiver.started = mark

    def _target_said(self, said: UnitSaid, mark: EntryMark, instance: str) -> None:
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

    def _run_said(self, said: UnitSaid, mark: EntryMark, instance: str, role: str) -> None:
        run = self.runs.get(said.run)
        if run is None:
            boot = self.boots.of[said.at.place]
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
        if run is None:
            return
        run.pid = run.pid or said.pid
        if said.app and not run.app and run.machine == said.at.machine:
            run.app, run.said_app = said.app, EntryMark(said.at, said.ref, self.order)

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
