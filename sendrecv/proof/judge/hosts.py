"""Apps on several hosts: what joins the hosts, and what no journal can show.

Two hosts have no common clock and no common order. The receiver's lines join them: a session line
names a run and its epoch, and PID 1 of the run's host says when that run began and ended. So the
verdict is the same in whatever order the entries of two hosts are read.

Whoever counts is admitted under a greater epoch than all before, and from then on the receiver
takes no count of another run. So its lines prove that no count came from two runs. That the process
on one host had stopped to count before the process on another one began, no PID 1 sees: this rests
on the lease and on the rates of the hosts' clocks.

A run that was admitted, and that no PID 1 started, is a violation if the journal of its host must
have it: if an earlier run of that host was admitted for the App, and its journal has no hole since.
Wall clocks only excuse: a journal that ends before the run was admitted does not have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sendrecv.proof.judge.counts import PrintedCounts
from sendrecv.proof.judge.course import Course, Unknown
from sendrecv.proof.judge.findings import ONE, ORDER, OWN, WHOLE
from sendrecv.proof.judge.owners import exhibit
from sendrecv.proof.judge.timeline import Timeline
from sendrecv.proof.statements import Claimed

LEASE = (
    "between hosts the lease and the rates of their clocks, for no PID 1 sees two hosts;"
    " that no count came from two of them the receiver's order and the epochs prove"
)
RATES = (
    "that a run on another host than the receiver's lived as it counted: the rates of the clocks"
)


@dataclass(frozen=True)
class Hosts:
    """Where the runs of one App were, when everything is settled."""

    course: Course

    @property
    def timeline(self) -> Timeline:
        return self.course.timeline

    @property
    def tally(self) -> PrintedCounts:
        return self.course.tally

    @property
    def machines(self) -> set[str]:
        """The IDs of the hosts of the runs of all of its instances, also of those that stood by."""
        return set(self.course.processes)

    @property
    def missing(self) -> dict[str, list[Unknown]]:
        """The runs of hosts of which no entry is here, by the names of their nodes."""
        found: dict[str, list[Unknown]] = {}
        for run in self.course.unknown:
            if not self._hosts_of(run.node):
                found.setdefault(run.node.removesuffix("-failover"), []).append(run)
        return found

    @property
    def several(self) -> bool:
        """Whether the App is on more than one host."""
        return len(self.machines) + len(self.missing) > 1

    @property
    def elsewhere(self) -> bool:
        """Whether one of its runs was on another host than a receiver that admitted it."""
        return bool(self.missing or self.machines - self.tally.owners.receivers.keys())

    @property
    def relevant(self) -> set[str]:
        """The IDs of the hosts whose journals the verdict rests on."""
        return self.machines | self.tally.owners.receivers.keys()

    def judge(self) -> None:
        """Find runs that no PID 1 started."""
        for runs in self.missing.values():
            self._doubt_a_missing_host(runs)
        for run in self.course.unknown:
            if machines := self._hosts_of(run.node):
                self._judge_unknown(run, machines)
        for node, number in self.course.more_unknown.items():
            if self._hosts_of(node):
                self.tally.book.of[OWN].count(0, number)
        self._doubt_two_receivers()

    def _hosts_of(self, node: str) -> list[str]:
        """The hosts of a node: those of its other runs, or the one whose name it has."""
        name = node.removesuffix("-failover")
        named = [machine for machine, host in self.timeline.hosts.items() if _short(host) == name]
        return sorted(self.course.nodes.get(node) or named)

    def _doubt_a_missing_host(self, of_host: Sequence[Unknown]) -> None:
        names = list(dict.fromkeys(run.node for run in of_host))
        runs = len(of_host) + sum(self.course.more_unknown.get(node, 0) for node in names)
        text = (
            f"the journal of the host of {' and '.join(names)} is not here, with the starts and"
            f" ends of {'a run' if runs == 1 else f'{runs} runs'} that counted"
        )
        for check in (ONE, ORDER, OWN) if runs > 1 else (ONE, OWN):
            self.tally.book.doubt(check, text, exhibit(_first(of_host[0])))

    def _judge_unknown(self, run: Unknown, machines: Sequence[str]) -> None:
        """One run, which may have been admitted more than once."""
        book = self.tally.book
        where = " and ".join(self.timeline.hosts[machine] for machine in machines)
        text = f"run {run.run[:8]} of {run.node} was admitted, and PID 1 of {where}"
        excuses = [_excuse_on_any(excuses, machines) for _, excuses in run.admitted]
        if all(excuses):
            book.doubt(OWN, f"{text} knows no such run: {excuses[0]}", exhibit(_first(run)))
        else:
            claim, _ = run.admitted[excuses.index("")]
            book.violation(OWN, f"{text} did not start it", exhibit(claim))

    def _doubt_two_receivers(self) -> None:
        lines = self.tally.owners.receivers.values()
        if len(lines) > 1:
            names = sorted(self.timeline.hosts[line.at.machine] for line in lines)
            text = f"the receivers of {' and '.join(names)} have lines of it"
            text += ": which came first is not known"
            self.tally.book.doubt(WHOLE, text, *(exhibit(line) for line in lines))


def _first(run: Unknown) -> Claimed:
    return run.admitted[0][0]


def _excuse_on_any(excuses: Mapping[str, str], machines: Iterable[str]) -> str:
    return next(filter(None, (excuses.get(machine, "") for machine in machines)), "")


def _short(host: str) -> str:
    """A host's name without its domain: that which a sender gives to its nodes."""
    return host.partition(".")[0]
