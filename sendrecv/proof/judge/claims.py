"""The App of each run: what PID 1 says of a unit's runs, joined with what the receiver admitted.

PID 1 names the instance, and the receiver's session line names the App. The session line repeats
what a sender said of itself. So a holder of the token can name another App's run. Such a claim may
add a run to an App; it never takes a run away, and is nothing that another App has done:

- A run belongs to each App for which it was admitted. If it is the run of another one, that is a
  finding against the App that claims it, and against no other. Whose it is, its process has said
  itself; if it has not, it is the App with the name of its instance, if that one claims it too. If
  two claim it and neither tells, both are in doubt.
- A run that was never admitted belongs to the App of its instance's run before, on its host; if
  there is none, of the run after; else of that instance on other hosts; else to the App with the
  instance's name.
- The processes of an instance are checked for each App for which one of its runs was admitted. Not
  checked are processes that only waited for the lock: the lock kept them from counting. Nor those
  that were settled before (course.py), without a run of theirs that was admitted for the App.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sendrecv.proof.judge.counts import PrintedCounts
from sendrecv.proof.judge.findings import OWN, Book, Exhibit
from sendrecv.proof.judge.owners import exhibit
from sendrecv.proof.judge.runs import Lineage, Run
from sendrecv.proof.judge.sessions import Session
from sendrecv.proof.statements import Claimed

Claims = dict[str, dict[str, Claimed | None]]
"""Of each run: the Apps that count with it, and the line that admitted it for each, if any."""


@dataclass
class Runs:
    """Of one App, host by host, in the order of their first entries."""

    own: list[Run] = field(default_factory=list)
    of_instances: list[Run] = field(default_factory=list)
    """Also those that were admitted for other Apps only."""

    def sort(self) -> None:
        """By PID 1's first entries, of each host."""
        for runs in (self.own, self.of_instances):
            runs.sort(key=lambda run: (run.machine, run.first.order))


def claims_of(tallies: Mapping[str, PrintedCounts]) -> Claims:
    """See Claims."""
    claims: Claims = {}
    for app, tally in tallies.items():
        for session in tally.owners.sessions:
            if session.run:
                claims.setdefault(session.run, {})[app] = session.claim
    return claims


def runs_by_app(
    claims: Claims, by_instance: Mapping[tuple[str, str], Lineage], apps: Iterable[str]
) -> dict[str, Runs]:
    """The runs of each App, also of `apps` without any."""
    found = {app: Runs() for app in apps}
    anywhere: dict[str, set[str]] = {}
    for (_, instance), lineage in by_instance.items():
        anywhere.setdefault(instance, set()).update(_admitted(lineage, claims))
    for (_, instance), lineage in by_instance.items():
        others = anywhere[instance] or {instance}
        for run, owners in owners_of(lineage, claims, others):
            for app in owners:
                found.setdefault(app, Runs()).own.append(run)
        ran = [run for run in lineage.runs if run.run in claims or not run.only_waited]
        for app in _admitted(lineage, claims) or others:
            found.setdefault(app, Runs()).of_instances.extend(ran)
    for its_runs in found.values():
        its_runs.sort()
    return found


def _admitted(lineage: Lineage, claims: Claims) -> set[str]:
    """The Apps for which one of its runs was admitted."""
    return set(lineage.admitted).union(*(claims.get(run.run, ()) for run in lineage.runs))


def owners_of(
    lineage: Lineage, claims: Claims, others: Iterable[str]
) -> Iterator[tuple[Run, set[str]]]:
    """The Apps of each of its runs. `others`: if none of them was admitted."""
    admitted = [claims[run.run] for run in lineage.runs if run.run in claims]
    owners = set(lineage.owners or (admitted[0] if admitted else others))
    for run in lineage.runs:
        owners = set(claims.get(run.run, owners))
        yield run, owners


def judge_claim(app: str, session: Session, run: Run | None, claims: Claims, book: Book) -> None:
    """Find out whether the session line names a run of another App. `run`: as PID 1 knows it."""
    if session.claim is None:
        return
    claimants = {other: line for other, line in claims.get(session.run, {}).items() if line}
    others = [line for other, line in claimants.items() if other != app]
    owner = _owner(run, {app, *claimants}) if run else ""
    if run and owner not in ("", app):
        text = f"run {session.run[:8]} of App {owner} was admitted for {app}"
        book.violation(OWN, text, _of_owner(run), exhibit(session.claim))
    elif not owner and others:
        text = f"run {session.run[:8]} was admitted for {app} and for {others[0].app}: whose it is"
        book.doubt(OWN, f"{text} is not known", exhibit(session.claim), exhibit(others[0]))


def _owner(run: Run, claimants: Collection[str]) -> str:
    """The App of a run, "" if that is not known."""
    return run.app or (run.instance if run.instance in claimants else "")


def _of_owner(run: Run) -> Exhibit:
    mark = run.said_app or run.first
    what = f"says that it counts for {run.app}" if run.said_app else "first"
    return Exhibit(f"{run.unit}: {what}", mark.at, mark.ref)
