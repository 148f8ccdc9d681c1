"""What is checked, and what a check finds: a violation, or a doubt where evidence is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sendrecv.proof.statements import At


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

BY_ORDER = (IN_ORDER, NEWER, EPOCHS)
"""Between two boots, these checks depend on which boot came first."""

BY_ABSENCE = (ONE, ORDER, NO_GAP, OWN, NEWER)
"""If lines were not read, these checks may fail only for that reason. The others fail by lines that
were read."""

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

    @property
    def weight(self) -> int:
        """2: a violation, 1: one between two boots, 0: a doubt."""
        if not self.violation:
            return 0
        return 1 if len({exhibit.at.place for exhibit in self.exhibits}) > 1 else 2


@dataclass(slots=True)
class Findings:
    """Of one check: the first ones, and how many there are."""

    kept: list[Finding] = field(default_factory=list)
    weights: list[int] = field(default_factory=lambda: [0, 0, 0])
    """How many there are of each weight."""

    @property
    def violations(self) -> int:
        return self.weights[1] + self.weights[2]

    @property
    def doubts(self) -> int:
        return self.weights[0]

    def add(self, finding: Finding) -> None:
        """Add a finding. If there are too many, those of more weight are kept."""
        weight = finding.weight
        self.weights[weight] += 1
        if len(self.kept) < SHOWN:
            self.kept.append(finding)
            return
        place = min(range(SHOWN), key=lambda place: (self.kept[place].weight, -place))
        if weight > self.kept[place].weight:
            self.kept[place] = finding

    def doubt_between_boots(self, why: str) -> None:
        """Turn violations between two boots into doubts: the order of the boots is not known."""
        self._doubt(1, why)

    def doubt_all(self, why: str) -> None:
        """Turn all violations into doubts: they may come from a line that was not read."""
        self._doubt(1, why)
        self._doubt(2, why)

    def _doubt(self, weight: int, why: str) -> None:
        self.kept = [
            Finding(False, f"{one.text}: {why}", one.exhibits) if one.weight == weight else one
            for one in self.kept
        ]
        doubted, self.weights[weight] = self.weights[weight], 0
        self.weights[0] += doubted


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
