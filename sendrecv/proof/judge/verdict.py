"""The verdict: checks what was read of each App. No I/O, no clock, no code of senders or receiver.

PROVEN: every check holds, and evidence shows it. VIOLATED: some entries show that a check does not
hold. INCONCLUSIVE: evidence is missing; the checks say which, and what holds without it.
NOTHING, of a check: it compares two runs, and there was only one. It does not change the verdict.

A check without evidence is INCONCLUSIVE. A run that has not ended is no doubt, unless another run
was started after it. What is proven is proven up to the last entry.

Statements of several hosts may be fed in any order, if those of each host are in theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sendrecv.proof.judge.basis import NO_COUNT, Basis, counted
from sendrecv.proof.judge.claims import Claims, Runs, claims_of, judge_claims, runs_by_app
from sendrecv.proof.judge.counts import Tally
from sendrecv.proof.judge.findings import (
    BY_ABSENCE,
    BY_ORDER,
    CHECKS,
    EPOCHS,
    IN_ORDER,
    NEWER,
    NO_GAP,
    ONCE,
    ONE,
    OWN,
    WHOLE,
    Book,
    Exhibit,
    Finding,
    Findings,
)
from sendrecv.proof.judge.hosts import Hosts
from sendrecv.proof.judge.lives import Life, lives_of, takeovers_of
from sendrecv.proof.judge.owners import Session
from sendrecv.proof.judge.processes import Takeover, check_processes
from sendrecv.proof.judge.timeline import Boot, Loss, Run, Timeline
from sendrecv.proof.statements import (
    At,
    Booted,
    Claimed,
    Counted,
    Forgotten,
    Journald,
    Lost,
    Missing,
    Spoke,
    Statement,
    Stray,
    UnitSaid,
    Unproven,
)

PROVEN, VIOLATED, INCONCLUSIVE = "PROVEN", "VIOLATED", "INCONCLUSIVE"
NOTHING = "NOTHING"
EXIT_STATUS = {PROVEN: 0, VIOLATED: 1, INCONCLUSIVE: 2}


@dataclass(frozen=True)
class Check:
    """One check's outcome. `exhibits`: the first and the last entry that it rests on. `rests_on`:
    what it takes for granted, as no journal shows it; "" for nothing.
    """

    name: str
    status: str
    text: str
    exhibits: tuple[Exhibit, ...]
    findings: tuple[Finding, ...] = ()
    more: int = 0
    rests_on: str = ""


@dataclass(frozen=True)
class AppVerdict:
    """Everything about one App."""

    app: str
    instances: tuple[str, ...]
    status: str
    lives: tuple[Life, ...]
    takeovers: tuple[Takeover, ...]
    checks: tuple[Check, ...]
    tally: Tally
    hosts: tuple[str, ...]
    """The IDs of the machines on which its runs were."""
    missing: tuple[tuple[str, ...], ...]
    """The nodes of each host of which no entry is here."""
    several: bool
    """Whether it is on several hosts."""

    @property
    def number_of_takeovers(self) -> int:
        """Without the starts after a boot, or after both halves had been stopped."""
        return sum(1 for takeover in self.takeovers if takeover.kind in {"takeover", "host"})


@dataclass(frozen=True)
class Verdict:
    """Everything that was asked for."""

    status: str
    apps: tuple[AppVerdict, ...]
    unknown: tuple[str, ...]
    """The names that were asked for and that no App or instance has."""
    boots: tuple[Boot, ...]
    hosts: Mapping[str, str]
    """The name of each host, by its machine ID."""
    notes: tuple[str, ...]
    first: At | None
    last: At | None
    entries: int


class Judge:
    """Fed with statements in the journal's order, of each host."""

    def __init__(self, dots: int = 0) -> None:
        """`dots`: see counts.Tally."""
        self._timeline = Timeline()
        self._tallies: dict[str, Tally] = {}
        self._dots = dots
        self._scoped = False
        self._unreached: dict[str, str] = {}
        self._not_read: list[Missing] = []
        self._missing: list[Missing] = []
        self._first: At | None = None
        self._last: At | None = None
        self._entries = 0
        self._strays = 0

    def feed(self, said: Statement) -> None:
        """One statement more."""
        timeline = self._timeline
        if type(said) is Booted:
            timeline.booted(said)
            return
        timeline.order += 1
        if timeline.boot:
            timeline.boot.last, timeline.boot.last_ref = said.at, said.ref
        if self._missing:
            self._pass_what_is_missing(said.at)
        if type(said) is Counted:
            self._tally(said.app).count(said)
        else:
            self._feed_other(said)
        self._entries += 1
        self._first = self._first or said.at
        self._last = said.at

    def limit(
        self,
        missing: Iterable[Missing],
        *,
        scoped: bool = False,
        unreached: Mapping[str, str] | None = None,
        ends: Mapping[str, int] | None = None,
    ) -> None:
        """Say what else is missing, and whether only a part of the journal was asked for.

        `unreached`: for each machine ID, what its journal does not have of that part; "" stands for
        any machine. A machine whose journal has the beginning is not in it. `ends`: for each
        machine ID, the wall clock up to which its journal was read.
        """
        known = self._timeline.ends
        for machine, wall in (ends or {}).items():
            known[machine] = max(wall, known.get(machine, 0))
        found = list(missing)
        self._missing = sorted([*self._missing, *found], key=lambda one: one.until)
        self._scoped = self._scoped or scoped
        self._unreached = {**(unreached or {}), **self._unreached}
        self._not_read += [one for one in found if one.somewhere]

    def _pass_what_is_missing(self, at: At) -> None:
        """What is missing before this moment of its host is a loss from here on."""
        passed = [one for one in self._missing if _is_before(one, at)]
        for one in passed:
            self._missing.remove(one)
            self._timeline.lose(Loss(one.text, machine=one.machine))

    def _feed_other(self, said: Statement) -> None:
        timeline = self._timeline
        match said:
            case UnitSaid():
                timeline.unit_said(said)
            case Claimed():
                self._tally(said.app).claim(said)
            case Unproven():
                self._tally(said.app).unproven(said)
            case Forgotten():
                self._tally(said.app).forget(said)
            case Spoke():
                timeline.spoke(said)
            case Lost():
                timeline.lost(said)
            case Journald():
                timeline.journald(said)
            case Stray():
                self._strays += 1

    def _tally(self, app: str) -> Tally:
        tally = self._tallies.get(app)
        if tally is None:
            tally = self._tallies[app] = Tally(app, self._timeline, self._dots)
        return tally

    def verdict(self, names: Collection[str] = ()) -> Verdict:
        """Call once, at the end. `names`: of the Apps or instances asked for; none: all."""
        for one in self._missing:
            self._timeline.lose(Loss(one.text, machine=one.machine))
        claims = claims_of(self._tallies)
        runs = runs_by_app(claims, self._timeline.by_instance, self._tallies)
        known = {*runs, *(run.instance for its_runs in runs.values() for run in its_runs.own)}
        unknown = tuple(name for name in dict.fromkeys(names) if name not in known)
        apps = [
            self._judge(app, its_runs, claims)
            for app, its_runs in sorted(runs.items())
            if not names or app in names or _instances(its_runs.own) & set(names)
        ]
        return Verdict(
            worst([*(app.status for app in apps), *(INCONCLUSIVE for _ in unknown)]),
            tuple(apps),
            unknown,
            tuple(self._timeline.boots.values()),
            self._timeline.hosts,
            tuple(self._notes(apps)),
            self._first,
            self._last,
            self._entries,
        )

    def _notes(self, apps: Sequence[AppVerdict]) -> list[str]:
        # If there is no App to judge, no check says what is missing: the notes do.
        losses = self._timeline.losses
        notes = [self._named(loss) for loss in losses if not loss.certain or not apps]
        notes += [self._on(machine, text) for machine, text in self._unreached.items()]
        if self._strays:
            notes.append(f"{self._strays} lines of the receiver are no payloads: not counted")
        return list(dict.fromkeys(notes))

    def _named(self, loss: Loss) -> str:
        return self._on(loss.machine, loss.text)

    def _on(self, machine: str, text: str) -> str:
        """With the host's name, if there are several."""
        hosts = self._timeline.hosts
        return f"{hosts[machine]}: {text}" if len(hosts) > 1 and machine in hosts else text

    def _judge(self, app: str, its_runs: Runs, claims: Claims) -> AppVerdict:
        tally, runs = self._tally(app), its_runs.own
        _before_the_journal(tally, runs)
        tally.end()
        judge_claims(app, tally, claims)
        hosts = Hosts(self._timeline, tally, its_runs.of_instances)
        hosts.judge()
        lives = lives_of(tally.owners.sessions, runs, several=hosts.several)
        takeovers = takeovers_of(self._timeline, lives, several=hosts.several)
        check_processes(its_runs.of_instances, tally.book)
        _doubt_the_first_starts(lives, tally.book)
        self._doubt_the_journal(hosts)
        self._doubt_the_order(hosts)
        _doubt_without_evidence(tally)
        checks = _checks(Basis(runs, takeovers, tally, hosts))
        return AppVerdict(
            app,
            tuple(sorted(_instances(runs))),
            worst([check.status for check in checks]),
            lives,
            takeovers,
            checks,
            tally,
            tuple(machine for machine in self._timeline.hosts if machine in hosts.machines),
            tuple(_nodes(sessions) for sessions in hosts.missing.values()),
            hosts.several,
        )

    def _doubt_the_journal(self, hosts: Hosts) -> None:
        tally = hosts.tally
        for loss in self._timeline.losses:
            if loss.certain and loss.is_of(*hosts.relevant):
                tally.book.doubt(WHOLE, self._named(loss), *loss.exhibits)
        # An App that begins in this journal had nothing before.
        if tally.first and not tally.from_the_start:
            unreached = self._unreached.get(tally.first.at.machine) or self._unreached.get("")
            if unreached or not self._scoped:
                text = f"its counts before {tally.first.number} are not in this journal"
                text = unreached or text
                tally.book.doubt(WHOLE, text, counted("its first", tally.first))

    def _doubt_the_order(self, hosts: Hosts) -> None:
        book, receivers = hosts.tally.book, hosts.tally.owners.receivers
        for one in self._not_read:
            if not one.machine or one.machine in hosts.relevant:
                for check in BY_ABSENCE:
                    book.of[check].doubt_all(one.text)
        for why in filter(None, map(self._timeline.order_in_doubt, receivers)):
            for check in BY_ORDER:
                book.of[check].doubt_between_boots(why)
        if len(receivers) > 1:
            for check in BY_ORDER:
                book.of[check].doubt_between_boots("they are of two receivers")


def worst(statuses: Sequence[str]) -> str:
    """The verdict of several; where nothing is proven, INCONCLUSIVE."""
    for status in (VIOLATED, INCONCLUSIVE, PROVEN):
        if status in statuses:
            return status
    return INCONCLUSIVE


def _is_before(missing: Missing, at: At) -> bool:
    """Whether this moment of the same host comes after what is missing."""
    return missing.machine in ("", at.machine) and at.wall >= missing.until


def _instances(runs: Iterable[Run]) -> set[str]:
    return {run.instance for run in runs}


def _nodes(sessions: Iterable[Session]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(session.node for session in sessions))


def _before_the_journal(tally: Tally, runs: Iterable[Run]) -> None:
    """The first counts may be of a run that was alive when the journal begins."""
    if not tally.owners.sessions or tally.owners.sessions[0].run:
        return
    first = next((run for run in runs if run.machine in tally.owners.receivers), None)
    if first and not first.starting:
        tally.owners.sessions[0].run = first.run


def _doubt_the_first_starts(lives: Iterable[Life], book: Book) -> None:
    """The first run of a host may have started before its journal begins, but not after its session
    did.
    """
    seen: set[str] = set()
    for life in lives:
        claim = life.session.claim if life.session else None
        if life.run and life.run.machine not in seen:
            seen.add(life.run.machine)
            if claim and not life.run.starting:
                text = (
                    f"the start of {life.run.unit}, run {life.run.run[:8]}, is not in the journal"
                )
                book.doubt(ONE, text, Exhibit("its session", claim.at, claim.ref))


def _doubt_without_evidence(tally: Tally) -> None:
    if not tally.counts:
        for check in (ONCE, IN_ORDER, NO_GAP, OWN, NEWER):
            tally.book.doubt(check, NO_COUNT)
    if not any(session.claim for session in tally.owners.sessions):
        tally.book.doubt(EPOCHS, "no session line of the receiver is in the journal")


def _checks(basis: Basis) -> tuple[Check, ...]:
    return tuple(_check(name, basis.tally.book.of[name], basis) for name in CHECKS)


def _check(name: str, findings: Findings, basis: Basis) -> Check:
    text, exhibits = basis.of(name)
    if name == WHOLE and findings.kept:
        text = "not all of it is here"
    status = VIOLATED if findings.violations else INCONCLUSIVE if findings.doubts else PROVEN
    if status == PROVEN and (nothing := basis.nothing(name)):
        return Check(name, NOTHING, nothing, ())
    kept = tuple(sorted(findings.kept, key=lambda finding: not finding.violation))
    more = findings.violations + findings.doubts - len(kept)
    shown = tuple(exhibits[:1] + exhibits[1:][-1:])
    return Check(name, status, text, shown, kept, more, basis.rests_on(name))
