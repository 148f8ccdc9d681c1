"""Judges made-up journals, for the tests of the verdict."""

import io
from collections.abc import Iterable

from sendrecv.proof.evidence import statements
from sendrecv.proof.judge.verdict import NOTHING, PROVEN, Judge, Verdict
from sendrecv.proof.read.export import entries
from sendrecv.proof.statements import Missing
from tests.unit.proof.journals import Fields, World, export


def judge(
    world: World | list[Fields],
    *names: str,
    missing: tuple[Missing, ...] = (),
    scoped: bool = False,
    unreached: str = "",
) -> Verdict:
    """The verdict on a journal, written out and read again. Of one machine's journal the verdict
    is the same if its past is settled as it comes.
    """
    written = world.entries if isinstance(world, World) else world
    judges = [Judge()]
    if len({entry["_MACHINE_ID"] for entry in written}) == 1:
        judges.append(Judge(alone=True))
    for one in judges:
        one.limit(missing, scoped=scoped, unreached={"": unreached} if unreached else {})
        feed(one, written)
    verdicts = [one.verdict(names) for one in judges]
    shown = [figures(verdict) for verdict in verdicts]
    assert shown[0] == shown[-1]
    return verdicts[0]


def feed(judge: Judge, written: Iterable[Fields]) -> None:
    """Written out, and read again."""
    for _, statement in statements(entries(io.BytesIO(export(written)))):
        judge.feed(statement)


def figures(verdict: Verdict) -> object:
    """All that is said of each App, but for its tables of runs and takeovers."""
    apps = [
        (
            app.app,
            app.instances,
            app.hosts,
            app.missing,
            app.several,
            [
                (check.name, check.status, check.text, check.exhibits, check.more, check.rests_on)
                for check in app.checks
            ],
            [
                (check.name, finding.violation, finding.text, finding.exhibits, finding.counts)
                for check in app.checks
                for finding in check.findings
            ],
            (app.tally.first, app.tally.last, app.tally.counts, app.tally.incarnations),
            app.sums,
            (app.figures.kinds, app.figures.waits, app.figures.silence, app.figures.ends),
        )
        for app in verdict.apps
    ]
    return verdict.status, apps, verdict.unknown, sorted(verdict.notes), verdict.entries


def outcome(verdict: Verdict) -> dict[str, str]:
    """The checks that do not hold, of those that had something to look at."""
    return {
        check.name: check.status
        for app in verdict.apps
        for check in app.checks
        if check.status not in (PROVEN, NOTHING)
    }


def found(verdict: Verdict) -> str:
    """All findings' texts."""
    checks = (check for app in verdict.apps for check in app.checks)
    return "; ".join(finding.text for check in checks for finding in check.findings)
