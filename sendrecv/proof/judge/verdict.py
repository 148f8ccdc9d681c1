"""The verdict: checks what was read of each App. No I/O, no clock, no code of senders or receiver.

PROVEN: every check holds, and evidence shows it. VIOLATED: some entries show that a check does not
hold. INCONCLUSIVE: evidence is missing; the checks say which, and what holds without it.
NOTHING, of a check: it compares two runs, and there was only one. It does not change the verdict.

A check without evidence is INCONCLUSIVE. A run that has not ended is no doubt, unless another run
was started after it. What is proven is proven up to the last entry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sendrecv.proof.evidence import (
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
from sendrecv.proof.judge.owners import Session
from sendrecv.proof.judge.processes import Takeover, check_processes, kind_of_takeover
from sendrecv.proof.judge.timeline import Boot, Loss, Run, Timeline

PROVEN, VIOLATED, INCONCLUSIVE = "PROVEN", "VIOLATED", "INCONCLUSIVE"
NOTHING = "NOTHING"
EXIT_STATUS = {PROVEN: 0, VIOLATED: 1, INCONCLUSIVE: 2}


@dataclass(frozen=True)
class Life:
    """A run, and what it counted. Either may be unknown, not both."""

    run: Run | None
    session: Session | None


@dataclass(frozen=True)
class Check:
    """One check's outcome. `exhibits`: the first and the last entry that it rests on."""

    name: str
    status: str
    text: str
    exhibits: tuple[Exhibit, ...]
    findings: tuple[Finding, ...] = ()
    more: int = 0


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

    @property
    def number_of_takeovers(self) -> int:
        """Without the starts after a boot, or after both halves had been stopped."""
        return sum(1 for takeover in self.takeovers if takeover.kind == "takeover")


@dataclass(frozen=True)
class Verdict:
    """Everything that was asked for."""

    status: str
    apps: tuple[AppVerdict, ...]
    unknown: tuple[str, ...]
    """The names that were asked for and that no App or instance has."""
    boots: tuple[Boot, ...]
    notes: tuple[str, ...]
    first: At | None
    last: At | None
    entries: int


class Judge:
    """Fed with statements in the journal's order."""

    def __init__(self, dots: int = 0) -> None:
        """`dots`: see counts.Tally."""
        self._timeline = Timeline()
        self._tallies: dict[str, Tally] = {}
        self._dots = dots
        self._scoped = False
        self._unreached = ""
        self._not_read = ""
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
        if self._missing and said.at.wall >= self._missing[0].until:
            timeline.losses.append(Loss(self._missing.pop(0).text))
        if type(said) is Counted:
            self._tally(said.app).count(said)
        else:
            self._feed_other(said)
        self._entries += 1
        self._first = self._first or said.at
        self._last = said.at

    def limit(
        self, missing: Iterable[Missing], *, scoped: bool = False, unreached: str = ""
    ) -> None:
        """Say what else is missing, and whether only a part of the journal was asked for.

        `unreached`: what the journal does not have of that part; "" if it has the beginning.
        """
        found = list(missing)
        self._missing = sorted([*self._missing, *found], key=lambda one: one.until)
        self._scoped = self._scoped or scoped
        self._unreached = self._unreached or unreached
        not_read = (one.text for one in found if one.somewhere)
        self._not_read = self._not_read or next(not_read, "")

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
        self._timeline.losses += [Loss(one.text) for one in self._missing]
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
            tuple(self._notes(apps)),
            self._first,
            self._last,
            self._entries,
        )

    def _notes(self, apps: Sequence[AppVerdict]) -> list[str]:
        # If there is no App to judge, no check says what is missing: the notes do.
        losses = self._timeline.losses
        notes = [loss.text for loss in losses if not loss.certain or not apps]
        notes += [self._unreached] if self._unreached else []
        if self._strays:
            notes.append(f"{self._strays} lines of the receiver are no payloads: not counted")
        return list(dict.fromkeys(notes))

    def _judge(self, app: str, its_runs: Runs, claims: Claims) -> AppVerdict:
        tally, runs = self._tally(app), its_runs.own
        _before_the_journal(tally, runs)
        tally.end()
        judge_claims(app, tally, claims)
        lives = _lives(tally, runs)
        takeovers = _takeovers(self._timeline, lives)
        book = tally.book
        check_processes(its_runs.of_instances, book)
        if lives:
            _doubt_the_first_start(lives[0], book)
        self._doubt_the_journal(tally)
        self._doubt_the_order(book)
        _doubt_without_evidence(tally)
        basis = Basis(runs, takeovers, tally)
        checks = [_check(name, book.of[name], basis) for name in CHECKS]
        status = worst([check.status for check in checks])
        instances = tuple(sorted(_instances(runs)))
        return AppVerdict(app, instances, status, lives, takeovers, tuple(checks), tally)

    def _doubt_the_journal(self, tally: Tally) -> None:
        for loss in self._timeline.losses:
            if loss.certain:
                tally.book.doubt(WHOLE, loss.text, *loss.exhibits)
        # An App that begins in this journal had nothing before.
        if tally.first and not tally.from_the_start and (self._unreached or not self._scoped):
            text = f"its counts before {tally.first.number} are not in this journal"
            text = self._unreached or text
            tally.book.doubt(WHOLE, text, counted("its first", tally.first))

    def _doubt_the_order(self, book: Book) -> None:
        if self._not_read:
            for check in BY_ABSENCE:
                book.of[check].doubt_all(self._not_read)
        if why := self._timeline.order_in_doubt:
            for check in BY_ORDER:
                book.of[check].doubt_between_boots(why)


def worst(statuses: Sequence[str]) -> str:
    """The verdict of several; where nothing is proven, INCONCLUSIVE."""
    for status in (VIOLATED, INCONCLUSIVE, PROVEN):
        if status in statuses:
            return status
    return INCONCLUSIVE


def _instances(runs: Iterable[Run]) -> set[str]:
    return {run.instance for run in runs}


def _before_the_journal(tally: Tally, runs: Sequence[Run]) -> None:
    """The first counts may be of a run that was alive when the journal begins."""
    if tally.owners.sessions and runs and not tally.owners.sessions[0].run and not runs[0].starting:
        tally.owners.sessions[0].run = runs[0].run


def _doubt_the_first_start(life: Life, book: Book) -> None:
    """The first run may have started before the journal begins, but not after its session did."""
    claim = life.session.claim if life.session else None
    if life.run and claim and not life.run.starting:
        text = f"the start of {life.run.unit}, run {life.run.run[:8]}, is not in the journal"
        book.doubt(ONE, text, Exhibit("its session", claim.at, claim.ref))


def _lives(tally: Tally, runs: Sequence[Run]) -> tuple[Life, ...]:
    sessions = {session.run: session for session in tally.owners.sessions if session.run}
    lives = [Life(run, sessions.pop(run.run, None)) for run in runs]
    unknown = [s for s in tally.owners.sessions if not s.run or s.run in sessions]
    return tuple([*(Life(None, session) for session in unknown), *lives])


def _takeovers(timeline: Timeline, lives: Iterable[Life]) -> tuple[Takeover, ...]:
    takeovers = []
    last: Counted | None = None
    known = [life for life in lives if life.run and (life.session or not life.run.only_waited)]
    for before, after in pairwise(known):
        if before.session and before.session.last:
            last = before.session.last
        first = after.session.first if after.session else None
        if before.run and after.run:
            kind = kind_of_takeover(timeline, before.run, after.run)
            takeovers.append(Takeover(kind, before.run, after.run, last, first))
    return tuple(takeovers)


def _doubt_without_evidence(tally: Tally) -> None:
    if not tally.counts:
        for check in (ONCE, IN_ORDER, NO_GAP, OWN, NEWER):
            tally.book.doubt(check, NO_COUNT)
    if not any(session.claim for session in tally.owners.sessions):
        tally.book.doubt(EPOCHS, "no session line of the receiver is in the journal")


def _check(name: str, findings: Findings, basis: Basis) -> Check:
    text, exhibits = basis.of(name)
    if name == WHOLE and findings.kept:
        text = "not all of it is here"
    status = VIOLATED if findings.violations else INCONCLUSIVE if findings.doubts else PROVEN
    if status == PROVEN and (nothing := basis.nothing(name)):
        return Check(name, NOTHING, nothing, ())
    kept = tuple(sorted(findings.kept, key=lambda finding: not finding.violation))
    more = findings.violations + findings.doubts - len(kept)
    return Check(name, status, text, tuple(exhibits[:1] + exhibits[1:][-1:]), kept, more)
