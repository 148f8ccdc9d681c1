"""What a judge says: see verdict.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sendrecv.proof.judge.boots import Boot
from sendrecv.proof.judge.counts import PrintedCounts
from sendrecv.proof.judge.course import Sums
from sendrecv.proof.judge.findings import Exhibit, Finding
from sendrecv.proof.judge.gaps import Gap, gaps_of
from sendrecv.proof.judge.lives import Life, Takeovers
from sendrecv.proof.judge.processes import Takeover
from sendrecv.proof.statements import At

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
    tally: PrintedCounts
    hosts: tuple[str, ...]
    """The IDs of the machines on which its runs were."""
    missing: tuple[tuple[str, ...], ...]
    """The nodes of each host of which no entry is here."""
    several: bool
    """Whether it is on several hosts."""
    sums: Sums
    figures: Takeovers

    @property
    def number_of_takeovers(self) -> int:
        """Without the starts after a boot, or after both halves had been stopped."""
        return self.figures.of_kind("takeover", "host")

    @property
    def but_for(self) -> Sequence[Gap]:
        """The times for which something is unproven, if everything else is PROVEN; else none."""
        whole = self.tally.from_the_start and not self.missing
        if self.status != INCONCLUSIVE or not whole or any(check.more for check in self.checks):
            return ()
        return gaps_of(finding for check in self.checks for finding in check.findings)

    @property
    def doubts(self) -> Iterator[tuple[str, Finding]]:
        """Each doubt that is kept, with the name of its check. See Finding.period."""
        for check in self.checks:
            for finding in check.findings:
                if not finding.violation:
                    yield check.name, finding


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


def worst(statuses: Sequence[str]) -> str:
    """The verdict of several; where nothing is proven, INCONCLUSIVE."""
    for status in (VIOLATED, INCONCLUSIVE, PROVEN):
        if status in statuses:
            return status
    return INCONCLUSIVE
