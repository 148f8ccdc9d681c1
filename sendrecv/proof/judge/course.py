"""The course of one App: its runs, sessions and takeovers, of which the settled ones are figures.

The receiver's order counts, as in lives.py. The first lives are settled one by one: what is wrong
with them is found, and they are counted. A life is settled when nothing that may come can change
it: its run has ended a while ago, and sessions have followed. From then on only figures are kept of
it. So what is remembered of an App does not grow with its age, whether it is read at once or piece
by piece: both settle the same lives at the same entries.

If too many lives wait, the first ones are settled as they are: a run that was never admitted may
have been claimed later, and of a run that goes on the end is not known then.

Entries of several hosts may be fed in any order: a run may be followed by its session or the other
way round. So nothing is settled before the end then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sendrecv.proof.judge import claims as of_runs
from sendrecv.proof.judge.claims import Claims, Runs
from sendrecv.proof.judge.counts import PrintedCounts
from sendrecv.proof.judge.findings import ONE, OWN, Ends, Exhibit
from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.judge.lives import Life, Takeovers, lives_of
from sendrecv.proof.judge.owners import LATE, exhibit
from sendrecv.proof.judge.processes import Processes
from sendrecv.proof.judge.runs import Run
from sendrecv.proof.judge.sessions import Session
from sendrecv.proof.judge.timeline import Timeline
from sendrecv.proof.statements import Claimed

MOST_WAITING = 24
"""Lives that are kept until they are settled."""
MOST_UNKNOWN = 8
"""Runs of one node that no PID 1 knows, and that are shown."""
MOST_ADMISSIONS = 4
TOLERANCE = 0.3
"""Of the rates of two clocks: that which the lease relies on."""
RunPlace = tuple[str, int, Exhibit]
"""The first entry of a run, and where it stands among those of all hosts."""


@dataclass(slots=True)
class Unknown:
    """A run that was admitted, and that no PID 1 knew. `admitted`: each time, and for
    each host why its journal may not have the run; "" if it must have it.
    """

    run: str
    node: str
    admitted: list[tuple[Claimed, dict[str, str]]]


@dataclass(slots=True)
class Sums:
    """What was counted of runs and sessions."""

    runs: int = 0
    first_run: RunPlace | None = None
    last_run: RunPlace | None = None
    counted: int = 0
    """Sessions that counted."""
    printed_late: int = 0
    claims: int = 0
    epochs: tuple[int, int] | None = None
    """The first and the last one that was admitted."""
    sessions: Ends = field(default_factory=Ends)

    def add_run(self, run: Run) -> None:
        """One more."""
        self.runs += 1
        first = Exhibit(f"{run.unit}: first", run.first.at, run.first.ref)
        place = (run.machine, run.first.order, first)
        self.first_run = min(self.first_run or place, place)
        self.last_run = max(self.last_run or place, place)

    def add_session(self, session: Session) -> None:
        """One more."""
        self.counted += bool(session.counts)
        self.printed_late += session.printed_late
        if claim := session.claim:
            self.claims += 1
            self.epochs = self.epochs[0] if self.epochs else claim.epoch, claim.epoch
            self.sessions.add(Exhibit(f"epoch {claim.epoch}", claim.at, claim.ref))


@dataclass(slots=True)
class Course:
    """Of one App."""

    app: str = field(metadata=NOT_KEPT)
    timeline: Timeline = field(metadata=NOT_KEPT)
    tally: PrintedCounts
    sums: Sums = field(default_factory=Sums)
    alone: Takeovers = field(default_factory=lambda: Takeovers(several=False))
    moving: Takeovers = field(default_factory=lambda: Takeovers(several=True))
    """The same, if the App is on several hosts."""
    processes: dict[str, Processes] = field(default_factory=dict)
    """By the machine IDs of the hosts."""
    unknown: list[Unknown] = field(default_factory=list)
    more_unknown: dict[str, int] = field(default_factory=dict)
    """By node: those that are not in `unknown`."""
    nodes: dict[str, set[str]] = field(default_factory=dict)
    """The hosts of each node, as far as PID 1 knew its runs."""
    lives: list[Life] = field(default_factory=list, metadata=NOT_KEPT)
    """For those who look at them."""
    _known: dict[str, int] = field(default_factory=dict)
    """By host: the place of the last run that was admitted, as in EntryMark."""
    _begun: set[str] = field(default_factory=set)
    """The hosts whose first life is settled."""

    def settle(self, its_runs: Runs, claims: Claims, *, whole: bool = False) -> None:
        """Settle what can be settled; `whole`: everything, as nothing more will come."""
        self._name_the_first(its_runs, whole)
        lives = list(lives_of(self.app, self.tally.owners.sessions.kept, its_runs.own))
        while lives and (whole or len(lives) > MOST_WAITING or self._is_settled(lives)):
            self._settle(lives.pop(0), claims)
        waiting = [run for run in its_runs.of_instances if self._is_unchecked(run)]
        while waiting and (whole or len(waiting) > MOST_WAITING or waiting[0].settled_for):
            run = waiting.pop(0)
            processes = self.processes.setdefault(run.machine, Processes())
            processes.add(run, self.tally.book)

    def _is_unchecked(self, run: Run) -> bool:
        return run.machine not in self.processes or self.processes[run.machine].is_new(run)

    def is_done_with(self, run: Run) -> bool:
        """Whether a run of one of its instances is settled here."""
        return not self._is_unchecked(run)

    def _is_settled(self, lives: list[Life]) -> bool:
        """The first one."""
        run, session = lives[0].run, lives[0].session
        owners, boot = self.tally.owners, self.timeline.boot
        if run and not (boot and run.is_settled(boot.last)):
            return False
        if session:
            return not owners.sessions.is_recent(session)
        return any(life.session for life in lives)

    def _name_the_first(self, its_runs: Runs, whole: bool) -> None:
        """The first counts may be of a run that was alive when the journal begins."""
        owners = self.tally.owners
        session = owners.sessions.first
        if session is None or session.run or session.settled:
            return
        if whole or not owners.sessions.is_recent(session):
            first = next((run for run in its_runs.own if run.machine in owners.receivers), None)
            if first and not first.starting:
                session.run = first.run

    def _settle(self, life: Life, claims: Claims) -> None:
        if life.session:
            self._settle_session(life.session, claims)
        if life.run and self.app not in life.run.settled_for:
            life.run.settled_for.add(self.app)
            self.sums.add_run(life.run)
        if life.run and life.run.machine not in self._begun:
            self._begun.add(life.run.machine)
            self._doubt_the_first_start(life.run, life.session)
        self.alone.add(life, self.timeline)
        self.moving.add(life, self.timeline)
        self.lives.append(life)

    def _doubt_the_first_start(self, run: Run, session: Session | None) -> None:
        """The first run of a host may have started before its journal begins, but not after its
        session did.
        """
        claim = session.claim if session else None
        if claim and not run.starting:
            text = f"the start of {run.unit}, run {run.run[:8]}, is not in the journal"
            self.tally.book.doubt(ONE, text, Exhibit("its session", claim.at, claim.ref))

    def _settle_session(self, session: Session, claims: Claims) -> None:
        book = self.tally.book
        self.tally.owners.judge_claim(session, from_the_start=self.tally.from_the_start)
        run = self.timeline.runs.get(session.run)
        of_runs.judge_claim(self.app, session, run, claims, book)
        if session.claim and run:
            self.nodes.setdefault(session.node, set()).add(run.machine)
            self._known[run.machine] = run.first.order
            self._judge_length(session, session.claim, run)
        elif session.claim and session.run:
            self._note_unknown(session, session.claim)
        session.settled = True
        self.sums.add_session(session)

    def _judge_length(self, session: Session, claim: Claimed, run: Run) -> None:
        """A run on another host than the receiver's cannot count for longer than it lives."""
        latest = session.latest
        if latest is None or run.machine == claim.at.machine:
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

    def _note_unknown(self, session: Session, claim: Claimed) -> None:
        """What that means is known at the end, when it is known where its node is."""
        hosts = self.timeline.hosts
        excuses = {machine: self._excuse(session, claim, machine) for machine in hosts}
        for known in self.unknown:
            if known.run == session.run:
                known.admitted.append((claim, excuses))
                if self.timeline.alone and len(known.admitted) > MOST_ADMISSIONS:
                    known.admitted.remove(
                        next(filter(_is_excused, known.admitted[1:]), known.admitted[-1])
                    )
                return
        self.unknown.append(Unknown(session.run, session.node, [(claim, excuses)]))
        of_node = [known for known in self.unknown if known.node == session.node]
        if self.timeline.alone and len(of_node) > MOST_UNKNOWN:
            excused = (known for known in of_node[1:] if all(map(_is_excused, known.admitted)))
            self.unknown.remove(next(excused, of_node[-1]))
            self.more_unknown[session.node] = self.more_unknown.get(session.node, 0) + 1

    def _excuse(self, session: Session, claim: Claimed, machine: str) -> str:
        """Why the journal of that host may not have the run; "" if it must have it."""
        name = self.timeline.hosts[machine]
        if machine not in self._known:
            return f"no earlier run of it was admitted, so the journal of {name} may begin later"
        since = self._known[machine]
        later = self._first_known_after(session, machine)
        until = later.first.order if later else self.timeline.order
        for loss in self.timeline.losses:
            if loss.is_of(machine) and since <= loss.until and loss.order <= until:
                return loss.text
        if not later and self._last_wall(machine) < claim.at.wall:
            return f"the journal of {name} ends before that"
        return ""

    def _first_known_after(self, session: Session, machine: str) -> Run | None:
        for later in self.tally.owners.sessions:
            run = self.timeline.runs.get(later.run) if later.claim else None
            if later.number > session.number and run and run.machine == machine:
                return run
        return None

    def _last_wall(self, machine: str) -> int:
        boots = [boot for boot in self.timeline.boots.of.values() if boot.machine == machine]
        return max(self.timeline.ends.get(machine, 0), *(boot.last.wall for boot in boots))


def _is_excused(admitted: tuple[Claimed, dict[str, str]]) -> bool:
    return all(admitted[1].values())
