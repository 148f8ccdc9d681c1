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
from dataclasses import dataclass, field
from typing import Any

from sendrecv.proof.judge.basis import NO_COUNT, NO_SESSION, Basis, counted
from sendrecv.proof.judge.claims import Claims, Runs, claims_of, runs_by_app
from sendrecv.proof.judge.course import Course, Unknown
from sendrecv.proof.judge.courses import Courses
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
    Exhibit,
    Findings,
)
from sendrecv.proof.judge.hosts import Hosts
from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.judge.lives import with_nodes
from sendrecv.proof.judge.outcome import (
    EXIT_STATUS,
    INCONCLUSIVE,
    NOTHING,
    PROVEN,
    VIOLATED,
    AppVerdict,
    Check,
    Verdict,
    worst,
)
from sendrecv.proof.judge.runs import Loss
from sendrecv.proof.judge.state import VERSION, Reader, StateError, Writer
from sendrecv.proof.judge.timeline import Timeline
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

__all__ = [
    "EXIT_STATUS",
    "INCONCLUSIVE",
    "NOTHING",
    "PROVEN",
    "VIOLATED",
    "AppVerdict",
    "Check",
    "Judge",
    "Verdict",
]

UNREAD = 4
"""Audits that could not read everything, and are remembered."""


@dataclass(slots=True)
class Extent:
    """What was read, and what was not."""

    scoped: bool = False
    unreached: dict[str, str] = field(default_factory=dict)
    not_read: list[Missing] = field(default_factory=list, metadata=NOT_KEPT)
    begin: int = field(default=0, metadata=NOT_KEPT)
    """When the reading before this one ended, by the wall clock; 0: there was none."""
    unread: list[tuple[int, int, str]] = field(default_factory=list)
    """The last readings that did not read everything: from when to when, and why."""
    missing: list[Missing] = field(default_factory=list)
    first: At | None = None
    last: At | None = None
    entries: int = 0
    strays: int = 0


class Judge:
    """Fed with statements in the journal's order, of each host.

    `alone`: only one machine's journal is fed, in its order. Then the past is settled as it comes,
    see course.py, and may be kept as state().
    """

    def __init__(self, dots: int = 0, *, alone: bool = False) -> None:
        """`dots`: how many time spans to keep for a picture; 0: none."""
        self._timeline = Timeline(alone)
        self._courses = Courses(self._timeline, dots)
        self._read = Extent()

    def feed(self, said: Statement) -> None:
        """One statement more."""
        timeline = self._timeline
        if type(said) is Booted:
            timeline.booted(said)
            return
        timeline.order += 1
        if self._read.missing:
            self._pass_what_is_missing(Exhibit("the first entry after it", said.at, said.ref))
        if timeline.boot:
            timeline.boot.last, timeline.boot.last_ref = said.at, said.ref
        if type(said) is Counted:
            self._courses.course(said.app).tally.count(said)
        else:
            self._feed_other(said)
        self._read.entries += 1
        self._read.first = self._read.first or said.at
        self._read.last = said.at

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
        self._read.missing = sorted([*self._read.missing, *found], key=lambda one: one.until)
        self._read.scoped = self._read.scoped or scoped
        self._read.unreached = {**(unreached or {}), **self._read.unreached}
        self._read.not_read += [one for one in found if one.somewhere]

    def _pass_what_is_missing(self, first: Exhibit) -> None:
        """What is missing before this moment of its host is a loss from here on."""
        passed = [one for one in self._read.missing if _is_before(one, first.at)]
        for one in passed:
            self._read.missing.remove(one)
            # Without a time, it may be anywhere.
            exhibits = (*self._timeline.last_of(first.at.machine), first) if one.until else ()
            self._timeline.lose(Loss(one.text, exhibits, machine=one.machine))

    def _feed_other(self, said: Statement) -> None:
        timeline = self._timeline
        match said:
            case UnitSaid():
                self._courses.settle_instance(timeline.unit_said(said))
            case Claimed():
                self._courses.course(said.app).tally.claim(said)
                self._courses.settle({said.app})
            case Unproven():
                self._courses.course(said.app).tally.unproven(said)
            case Forgotten():
                self._courses.course(said.app).tally.forget(said)
            case Spoke():
                timeline.spoke(said)
            case Lost():
                timeline.lost(said)
            case Journald():
                timeline.journald(said)
            case Stray():
                self._read.strays += 1

    def state(self) -> dict[str, Any]:
        """What is remembered, for JSON: see resume(). Call before verdict(), and feed nothing more.

        What could not be read until now says nothing against what comes later, and what later
        readings cannot read says nothing against what is found until now.
        """
        reasons = [one.text for one in self._read.not_read]
        for course in self._courses.of.values():
            course.tally.audit(reasons, self._read.begin)
        if reasons and self._read.last:
            period = (self._read.begin, self._read.last.wall, reasons[0])
            self._read.unread = [*self._read.unread, period][-UNREAD:]
        self._read.not_read.clear()
        machine = Writer()
        apps = {}
        for app, course in sorted(self._courses.of.items()):
            apps[app] = Writer(machine).finish(course=course)
        head = {"version": VERSION}
        return {
            "machine": head | machine.finish(timeline=self._timeline, reading=self._read),
            "apps": apps,
        }

    @classmethod
    def resume(cls, state: Any, dots: int = 0) -> Judge:
        """The judge that goes on from there. Raises StateError."""
        judge, trial = cls(dots, alone=True), cls(alone=True)
        try:
            for one in (judge, trial):
                one._resume(state["machine"], dict(state["apps"]))
            trial.verdict()  # each value is of its type, and they may still not fit together
        except StateError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"{type(error).__name__}: {error}") from None
        return judge

    def _resume(self, machine: Any, apps: Mapping[str, Any]) -> None:
        if machine["version"] != VERSION:
            raise StateError(f"version {machine['version']!r:.20}, not {VERSION}")
        reader = Reader(machine)
        reader.part("timeline", self._timeline)
        reader.part("reading", self._read)
        self._read.begin = self._read.last.wall if self._read.last else 0
        for app, written in sorted(apps.items()):
            course = self._courses.course(app)
            of_app = Reader(written, reader)
            of_app.part("course", course)
            sessions = course.tally.owners.sessions
            sessions.nodes = {session.number: session.node for session in sessions}
        self._timeline.boots.seen = list(self._timeline.boots.of.values())

    def verdict(self, names: Collection[str] = ()) -> Verdict:
        """Call once, at the end. `names`: of the Apps or instances asked for; none: all."""
        for one in self._read.missing:
            self._timeline.lose(Loss(one.text, machine=one.machine))
        claims = claims_of(self._courses.tallies)
        runs = runs_by_app(claims, self._timeline.by_instance, self._courses.of)
        instances = {app: self._instances(app, its_runs) for app, its_runs in runs.items()}
        known = {*runs, *(one for of_app in instances.values() for one in of_app)}
        unknown = tuple(name for name in dict.fromkeys(names) if name not in known)
        apps = [
            self._judge(app, its_runs, claims, tuple(sorted(instances[app])))
            for app, its_runs in sorted(runs.items())
            if not names or app in names or instances[app] & set(names)
        ]
        return Verdict(
            worst([*(app.status for app in apps), *(INCONCLUSIVE for _ in unknown)]),
            tuple(apps),
            unknown,
            tuple(self._timeline.boots.seen),
            self._timeline.hosts,
            tuple(self._notes(apps)),
            self._read.first,
            self._read.last,
            self._read.entries,
        )

    def _notes(self, apps: Sequence[AppVerdict]) -> list[str]:
        # If there is no App to judge, no check says what is missing: the notes do.
        losses = self._timeline.losses
        notes = [self._named(loss) for loss in losses if not loss.certain or not apps]
        notes += [self._on(machine, text) for machine, text in self._read.unreached.items()]
        if self._read.strays:
            notes.append(f"{self._read.strays} lines of the receiver are no payloads: not counted")
        return list(dict.fromkeys(notes))

    def _named(self, loss: Loss) -> str:
        return self._on(loss.machine, loss.text)

    def _on(self, machine: str, text: str) -> str:
        """With the host's name, if there are several."""
        hosts = self._timeline.hosts
        return f"{hosts[machine]}: {text}" if len(hosts) > 1 and machine in hosts else text

    def _instances(self, app: str, its_runs: Runs) -> set[str]:
        """Those of its runs, also of runs that are settled."""
        settled = {
            instance
            for (_, instance), lineage in self._timeline.by_instance.items()
            if app in lineage.owners or app in lineage.admitted
        }
        return settled | {run.instance for run in its_runs.own}

    def _judge(
        self, app: str, its_runs: Runs, claims: Claims, instances: tuple[str, ...]
    ) -> AppVerdict:
        course = self._courses.course(app)
        course.settle(its_runs, claims, whole=True)
        tally = course.tally
        tally.end()
        hosts = Hosts(course)
        hosts.judge()
        if not course.processes:
            tally.book.doubt(ONE, "no start or exit of its senders is in the journal")
        self._doubt_the_journal(hosts)
        self._doubt_what_was_not_read(hosts)
        self._doubt_the_order(hosts)
        _doubt_without_evidence(course)
        basis = Basis(course, hosts)
        checks = _checks(basis)
        return AppVerdict(
            app,
            instances,
            worst([check.status for check in checks]),
            with_nodes(course.lives, several=hosts.several),
            tuple(basis.takeovers.shown),
            checks,
            tally,
            tuple(machine for machine in self._timeline.hosts if machine in hosts.machines),
            tuple(_nodes(runs) for runs in hosts.missing.values()),
            hosts.several,
            course.sums,
            basis.takeovers,
        )

    def _doubt_the_journal(self, hosts: Hosts) -> None:
        tally = hosts.tally
        for loss in self._timeline.losses:
            if loss.certain and loss.is_of(*hosts.relevant):
                tally.book.doubt(WHOLE, self._named(loss), *loss.exhibits)
                tally.book.of[WHOLE].count(0, loss.more)
        # An App that begins in this journal had nothing before.
        if tally.first and not tally.from_the_start:
            unreached = self._read.unreached.get(
                tally.first.at.machine
            ) or self._read.unreached.get("")
            if unreached or not self._read.scoped:
                text = f"its counts before {tally.first.number} are not in this journal"
                text = unreached or text
                tally.book.doubt(WHOLE, text, counted("its first", tally.first))

    def _doubt_what_was_not_read(self, hosts: Hosts) -> None:
        for one in self._read.not_read:
            if not one.machine or one.machine in hosts.relevant:
                for check in BY_ABSENCE:
                    hosts.tally.book.of[check].doubt_all(one.text, self._read.begin)
        for begin, end, why in self._read.unread:
            for check in BY_ABSENCE:
                hosts.tally.book.of[check].doubt_all(why, begin, end)

    def _doubt_the_order(self, hosts: Hosts) -> None:
        book, receivers = hosts.tally.book, hosts.tally.owners.receivers
        for why in filter(None, map(self._timeline.order_in_doubt, receivers)):
            for check in BY_ORDER:
                book.of[check].doubt_between_boots(why)
        if len(receivers) > 1:
            for check in BY_ORDER:
                book.of[check].doubt_between_boots("they are of two receivers")


def _is_before(missing: Missing, at: At) -> bool:
    """Whether this moment of the same host comes after what is missing."""
    return missing.machine in ("", at.machine) and at.wall >= missing.until


def _nodes(runs: Iterable[Unknown]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run.node for run in runs))


def _doubt_without_evidence(course: Course) -> None:
    tally = course.tally
    if not tally.counts:
        for check in (ONCE, IN_ORDER, NO_GAP, OWN, NEWER):
            tally.book.doubt(check, NO_COUNT)
    if not course.sums.claims:
        tally.book.doubt(EPOCHS, NO_SESSION)


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
