"""What is checked, and what a check finds: a violation, or a doubt where evidence is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sendrecv.evidence import At

ONE = "one process at a time"
ORDER = "start after the exit"
ONCE = "each count once"
IN_ORDER = "counts in order"
NO_GAP = "no count missing"
OWN = "counts from their own run"
NEWER = "none from an older run"
EPOCHS = "epochs grow"
WHOLE = "the journal is whole"

CHECKS = (ONE, ORDER, ONCE, IN_ORDER, NO_GAP, OWN, NEWER, EPOCHS, WHOLE)
"""In the order in which they are shown."""

SHOWN = 20
"""Findings of each check that are kept; the others are counted."""


class Exhibit(NamedTuple):
    """An entry of the journal that shows something. `ref` is its cursor."""

    what: str
    at: At
    ref: str


class Finding(NamedTuple):
    """Something found: a violation, or a doubt, where evidence is missing."""

    violation: bool
    text: str
    exhibits: tuple[Exhibit, ...] = ()


@dataclass(slots=True)
class Findings:
    """Of one check: the first ones, and how many there are."""

    kept: list[Finding] = field(default_factory=list)
    violations: int = 0
    doubts: int = 0

    def add(self, finding: Finding) -> None:
        """Violations are kept before doubts."""
        if finding.violation:
            self.violations += 1
        else:
            self.doubts += 1
        if len(self.kept) < SHOWN:
            self.kept.append(finding)
        elif finding.violation:
            doubts = [place for place, kept in enumerate(self.kept) if not kept.violation]
            if doubts:
                self.kept[doubts[-1]] = finding


class Book:
    """All findings about one App."""

    def __init__(self) -> None:
        self.of = {check: Findings() for check in CHECKS}

    def violation(self, check: str, text: str, *exhibits: Exhibit) -> None:
        """Some entries show that a check does not hold."""
        self.of[check].add(Finding(True, text, exhibits))

    def doubt(self, check: str, text: str, *exhibits: Exhibit) -> None:
        """Evidence is missing."""
        self.of[check].add(Finding(False, text, exhibits))
