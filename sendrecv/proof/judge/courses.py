"""The courses of all Apps of a machine: what is settled when, and what is dropped then.

A run may be one of several Apps, as a session line may name any run: see claims.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sendrecv.proof.judge.claims import Claims, claims_of, owners_of, runs_by_app
from sendrecv.proof.judge.counts import PrintedCounts
from sendrecv.proof.judge.course import MOST_WAITING, Course
from sendrecv.proof.judge.findings import Book
from sendrecv.proof.judge.owners import Owners
from sendrecv.proof.judge.runs import Lineage, Run
from sendrecv.proof.judge.spans import TimeSpans
from sendrecv.proof.judge.timeline import Timeline


@dataclass(slots=True)
class Courses:
    """By the names of the Apps. `dots`: time spans to keep of each for a picture; 0: none."""

    timeline: Timeline
    dots: int
    of: dict[str, Course] = field(default_factory=dict)

    def course(self, app: str) -> Course:
        """That of an App, which begins if there is none."""
        course = self.of.get(app)
        if course is None:
            book = Book()
            spans = TimeSpans(self.dots) if self.dots else None
            tally = PrintedCounts(
                self.timeline, Owners(app, self.timeline, book), book, spans=spans
            )
            course = self.of[app] = Course(app, self.timeline, tally)
        return course

    @property
    def tallies(self) -> dict[str, PrintedCounts]:
        """Of all Apps, by their names."""
        return {app: self.of[app].tally for app in sorted(self.of)}

    def settle_instance(self, run: Run | None) -> None:
        """A run begins, if it is one: settle what can be settled of the Apps of its instance."""
        if run is None or not self.timeline.alone:
            return
        lineage = self.timeline.by_instance[run.machine, run.instance]
        claims = claims_of(self.tallies)
        apps = {app for _, owners in owners_of(lineage, claims, {run.instance}) for app in owners}
        self.settle(apps.union(lineage.admitted))

    def settle(self, apps: set[str]) -> None:
        """Settle what can be settled of these Apps."""
        if not self.timeline.alone:
            return
        claims = claims_of(self.tallies)
        lineages = {
            place: lineage
            for place, lineage in self.timeline.by_instance.items()
            if not apps.isdisjoint({place[1], *lineage.admitted, *_claimants(lineage, claims)})
        }
        found = runs_by_app(claims, lineages, apps)
        for app in sorted(apps):
            # An App that has only runs may turn out to be none: its instance counts for another.
            if app in self.of or len(found[app].own) > MOST_WAITING:
                self.course(app).settle(found[app], claims)
        self._drop(lineages, claims)
        for app in apps & self.of.keys():
            self.of[app].tally.owners.drop()

    def _drop(self, lineages: Mapping[tuple[str, str], Lineage], claims: Claims) -> None:
        """Drop the runs to which nothing that may come can refer."""
        needed = {run for tally in self.tallies.values() for run in tally.owners.needed}
        for (_, instance), lineage in lineages.items():
            last = {run.unit: run for run in lineage.runs}.values()
            for run, owners in list(owners_of(lineage, claims, {instance})):
                if (
                    run not in last
                    and run.run not in needed
                    and self._is_done(run, owners, lineage)
                ):
                    lineage.owners = sorted(owners)
                    lineage.admitted = sorted({*lineage.admitted, *claims.get(run.run, ())})
                    self.timeline.forget(run)

    def _is_done(self, run: Run, owners: set[str], lineage: Lineage) -> bool:
        boot = self.timeline.boot
        if not (boot and run.is_settled(boot.last) and owners <= run.settled_for):
            return False
        return all(self.course(app).is_done_with(run) for app in owners.union(lineage.admitted))


def _claimants(lineage: Lineage, claims: Claims) -> set[str]:
    """The Apps for which one of its runs was admitted."""
    return {app for run in lineage.runs for app in claims.get(run.run, ())}
