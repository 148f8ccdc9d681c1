"""The times of an App for which something is in doubt, if everything else is proven.

A doubt is of its time: what came before and after it is no less proven. That can be said if each
doubt has entries that tell its time, and the App's beginning is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sendrecv.proof.judge.findings import Finding

APART = 5_000_000
"""Microseconds between two doubts of which one is taken for the cause of the other."""
_CAUSES = (
    ("went down without a shutdown", "power cut"),
    ("was lost as the machine went down", "power cut"),
    ("rate limit", "journald's rate limit"),
    ("journald was killed", "journald was killed"),
    ("could not tell whether it had printed", "the receiver could not tell"),
)
_LONG = 100


class Gap(NamedTuple):
    """From when to when, by the wall clock in microseconds; why; so many counts are unproven."""

    first: int
    last: int
    why: str
    counts: int

    def joined(self, other: Gap) -> Gap:
        """Both as one."""
        reasons = dict.fromkeys((self.why, other.why))
        known = [why for why in reasons if why in dict(_CAUSES).values()] or list(reasons)
        last = max(self.last, other.last)
        return Gap(self.first, last, known[0], self.counts + other.counts)


def gaps_of(findings: Iterable[Finding]) -> Sequence[Gap]:
    """In the order of time; none if a finding is a violation, or has no time."""
    gaps: list[Gap] = []
    for finding in findings:
        if finding.violation or finding.period is None:
            return ()
        first, last = finding.period
        gaps.append(Gap(first.wall, last.wall, _cause(finding.text), finding.counts))
    merged: list[Gap] = []
    for gap in sorted(gaps):
        if merged and gap.first <= merged[-1].last + APART:
            merged[-1] = merged[-1].joined(gap)
        else:
            merged.append(gap)
    return tuple(merged)


def _cause(text: str) -> str:
    known = next((cause for words, cause in _CAUSES if words in text), "")
    return known or (text.partition(" not in the journal: ")[2] or text)[:_LONG]
