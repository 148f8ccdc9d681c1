"""Judges made-up journals, for the tests of the verdict."""

import io

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
    """The verdict on a journal, written out and read again."""
    judge = Judge()
    judge.limit(missing, scoped=scoped, unreached={"": unreached} if unreached else {})
    written = world.entries if isinstance(world, World) else world
    for _, statement in statements(entries(io.BytesIO(export(written)))):
        judge.feed(statement)
    return judge.verdict(names)


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
