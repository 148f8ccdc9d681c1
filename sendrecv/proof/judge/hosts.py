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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sendrecv.proof.judge.counts import Tally
from sendrecv.proof.judge.findings import ONE, ORDER, OWN, WHOLE, Exhibit
from sendrecv.proof.judge.owners import LATE, Session, exhibit
from sendrecv.proof.judge.timeline import Run, Timeline
from sendrecv.proof.statements import Claimed

LEASE = (
    "between hosts the lease and the rates of their clocks, for no PID 1 sees two hosts;"
    " that no count came from two of them the receiver's order and the epochs prove"
)
RATES = (
    "that a run on another host than the receiver's lived as it counted: the rates of the clocks"
)
TOLERANCE = 0.3
"""Of the rates of two clocks: that which the lease relies on."""


@dataclass(frozen=True)
class Hosts:
    """Where the runs of one App were. `runs`: all of its instances', also those that stood by."""

    timeline: Timeline
    tally: Tally
    runs: Sequence[Run]

    @property
    def machines(self) -> set[str]:
        """The IDs of the hosts of its runs."""
        return {run.machine for run in self.runs}

    @property
    def missing(self) -> dict[str, list[Session]]:
        """The runs of hosts of which no entry is here, by the names of their nodes."""
        found: dict[str, list[Session]] = {}
        for session in self._unknown():
            if not self._hosts_of(session.node):
                found.setdefault(session.node.removesuffix("-failover"), []).append(session)
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
        """Find runs that no PID 1 started, and counts that their run cannot have lived for."""
        for nodes in self.missing.values():
            self._doubt_a_missing_host(nodes)
        unknown: dict[str, list[Session]] = {}
        for session in self._unknown():
            unknown.setdefault(session.run, []).append(session)
        for sessions in unknown.values():
            if machines := self._hosts_of(sessions[0].node):
                self._judge_unknown(sessions, machines)
        for session in self.tally.owners.sessions:
            self._judge_length(session)
        self._doubt_two_receivers()

    def _unknown(self) -> Iterator[Session]:
        """What was admitted and no PID 1 knows."""
        for session in self.tally.owners.sessions:
            if session.claim and session.run and session.run not in self.timeline.runs:
                yield session

    def _hosts_of(self, node: str) -> list[str]:
        """The hosts of a node: those of its other runs, or the one whose name it has."""
        of_runs = [run.machine for known, run in self._known() if known.node == node]
        name = node.removesuffix("-failover")
        named = [machine for machine, host in self.timeline.hosts.items() if _short(host) == name]
        return sorted({*of_runs} or named)

    def _known(self) -> Iterator[tuple[Session, Run]]:
        """What PID 1 of some host knows, in the receiver's order."""
        for session in self.tally.owners.sessions:
            run = self.timeline.runs.get(session.run)
            if session.claim and run:
                yield session, run

    def _doubt_a_missing_host(self, sessions: Sequence[Session]) -> None:
        nodes = " and ".join(dict.fromkeys(session.node for session in sessions))
        runs = len({session.run for session in sessions})
        text = (
            f"the journal of the host of {nodes} is not here, with the starts and ends of"
            f" {'a run' if runs == 1 else f'{runs} runs'} that counted"
        )
        for check in (ONE, ORDER, OWN) if runs > 1 else (ONE, OWN):
            self.tally.book.doubt(check, text, *_claims(sessions[:1]))

    def _judge_unknown(self, sessions: Sequence[Session], machines: Sequence[str]) -> None:
        """One run, which may have been admitted more than once."""
        book, first = self.tally.book, sessions[0]
        where = " and ".join(self.timeline.hosts[machine] for machine in machines)
        text = f"run {first.run[:8]} of {first.node} was admitted, and PID 1 of {where}"
        excuses = [self._excuse_on_any(session, machines) for session in sessions]
        if all(excuses):
            book.doubt(OWN, f"{text} knows no such run: {excuses[0]}", *_claims([first]))
        else:
            which = sessions[excuses.index("")]
            book.violation(OWN, f"{text} did not start it", *_claims([which]))

    def _excuse_on_any(self, session: Session, machines: Iterable[str]) -> str:
        return next(filter(None, (self._excuse(session, one) for one in machines)), "")

    def _excuse(self, session: Session, machine: str) -> str:
        """Why the journal of that host may not have the run; "" if it must have it."""
        name = self.timeline.hosts[machine]
        runs = [(one.number, run) for one, run in self._known() if run.machine == machine]
        earlier = [run for number, run in runs if number < session.number]
        later = [run for number, run in runs if number > session.number]
        if not earlier:
            return f"no earlier run of it was admitted, so the journal of {name} may begin later"
        since = earlier[-1].first.order
        until = later[0].first.order if later else self.timeline.order
        for loss in self.timeline.losses:
            if loss.is_of(machine) and since <= loss.order <= until:
                return loss.text
        claim = session.claim
        if not later and claim and self._last_wall(machine) < claim.at.wall:
            return f"the journal of {name} ends before that"
        return ""

    def _last_wall(self, machine: str) -> int:
        boots = [boot for boot in self.timeline.boots.values() if boot.machine == machine]
        return max(self.timeline.ends.get(machine, 0), *(boot.last.wall for boot in boots))

    def _judge_length(self, session: Session) -> None:
        """A run on another host than the receiver's cannot count for longer than it lives."""
        run, claim, latest = self.timeline.runs.get(session.run), session.claim, session.latest
        if run is None or claim is None or latest is None or run.machine == claim.at.machine:
            return
        if run.starting is None or run.ended is None or claim.at.place != latest.at.place:
            return
        start, end = run.starting.at, run.ended.at
        # The monotonic clock stands still while a host is suspended, and its wall clock may have
        # been set. So the longer time is taken, and what is found is no more than a doubt.
        lived = max(end.mono - start.mono, end.wall - start.wall)
        counted = latest.at.mono - claim.at.mono
        if counted > lived * (1 + TOLERANCE) + LATE:
            text = (
                f"counts of run {session.run[:8]} came for {counted / 1e6:,.0f} s, and by PID 1 it"
                f" lived for {lived / 1e6:,.0f} s"
            )
            ended = Exhibit(f"{run.unit} ended", run.ended.at, run.ended.ref)
            self.tally.book.doubt(OWN, text, ended, exhibit(claim), exhibit(latest))

    def _doubt_two_receivers(self) -> None:
        lines = self.tally.owners.receivers.values()
        if len(lines) > 1:
            names = sorted(self.timeline.hosts[line.at.machine] for line in lines)
            text = f"the receivers of {' and '.join(names)} have lines of it"
            text += ": which came first is not known"
            self.tally.book.doubt(WHOLE, text, *(exhibit(line) for line in lines))


def _claims(sessions: Iterable[Session]) -> Iterator[Exhibit]:
    claims: list[Claimed] = [session.claim for session in sessions if session.claim]
    return (exhibit(claim) for claim in claims)


def _short(host: str) -> str:
    """A host's name without its domain: that which a sender gives to its nodes."""
    return host.partition(".")[0]
