"""What is checked, and what a check finds: a violation, or a doubt where evidence is missing."""

from __future__ import annotations

from collections.abc import Callable
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
    """Something found: a violation, or a doubt, where evidence is missing.

    `counts`: how many counts are missing, of a finding about missing counts. `audited`: an earlier
    audit found it, so that what a later reading could not read says nothing against it.
    """

    violation: bool
    text: str
    exhibits: tuple[Exhibit, ...] = ()
    counts: int = 0
    audited: bool = False

    @property
    def weight(self) -> int:
        """2: a violation, 1: one between two boots, 0: a doubt."""
        if not self.violation:
            return 0
        return 1 if len({exhibit.at.place for exhibit in self.exhibits}) > 1 else 2

    @property
    def period(self) -> tuple[At, At] | None:
        """The first and the last moment of its entries, by the wall clock; None without entries."""
        if not self.exhibits:
            return None
        moments = sorted((exhibit.at for exhibit in self.exhibits), key=lambda at: at.wall)
        return moments[0], moments[-1]


@dataclass(slots=True)
class Ends:
    """The first and the last of any number of exhibits."""

    first: Exhibit | None = None
    last: Exhibit | None = None
    """None if there is no more than one."""

    def add(self, exhibit: Exhibit) -> None:
        """One more, which is the last one so far."""
        if self.first is None:
            self.first = exhibit
        else:
            self.last = exhibit

    @property
    def both(self) -> list[Exhibit]:
        """Those that there are."""
        return [exhibit for exhibit in (self.first, self.last) if exhibit]


@dataclass(slots=True)
class Findings:
    """Of one check: the first ones, and how many there are."""

    kept: list[Finding] = field(default_factory=list)
    doubts: int = 0
    new: tuple[int, int] = (0, 0)
    """How many violations there are: between two boots, and others."""
    audited: tuple[int, int] = (0, 0)
    """The same, of those that earlier audits found."""

    @property
    def violations(self) -> int:
        return sum(self.new) + sum(self.audited)

    def add(self, finding: Finding) -> None:
        """Add a finding. If there are too many, those of more weight are kept."""
        weight = finding.weight
        self.count(weight, 1)
        if finding.audited and weight:
            self.count(weight, -1)
            self.audited = self.audited[0] + (weight == 1), self.audited[1] + (weight == 2)
        if len(self.kept) < SHOWN:
            self.kept.append(finding)
            return
        place = min(range(SHOWN), key=lambda place: (self.kept[place].weight, -place))
        if weight > self.kept[place].weight:
            self.kept[place] = finding

    def count(self, weight: int, number: int) -> None:
        """So many findings of that weight."""
        between, others = self.new
        if weight == 0:
            self.doubts += number
        elif weight == 1:
            self.new = between + number, others
        else:
            self.new = between, others + number

    def audit(self) -> None:
        """What is found so far is found by an audit that has ended."""
        self.kept = [one._replace(audited=True) for one in self.kept]
        self.audited = self.audited[0] + self.new[0], self.audited[1] + self.new[1]
        self.new = 0, 0

    def doubt_between_boots(self, why: str) -> None:
        """Turn violations between two boots into doubts: the order of the boots is not known."""
        self._doubt(why, lambda one: one.weight == 1)
        self.doubts += self.new[0] + self.audited[0]
        self.new, self.audited = (0, self.new[1]), (0, self.audited[1])

    def doubt_all(self, why: str, begin: int = 0, end: int | None = None) -> None:
        """Turn violations into doubts: they may come from a line that was not read, between these
        times of the wall clock. An earlier audit's stay.
        """

        def is_of_then(one: Finding) -> bool:
            if not one.violation or one.audited:
                return False
            first, last = one.period or (None, None)
            after = begin == 0 or (last is not None and last.wall >= begin)
            return after and (end is None or (first is not None and first.wall <= end))

        for one in filter(is_of_then, self.kept):
            self.count(one.weight, -1)
            self.doubts += 1
        self._doubt(why, is_of_then)
        if not any(one.violation and not one.audited for one in self.kept):
            self.doubts += sum(self.new)  # those that are not kept
            self.new = 0, 0

    def _doubt(self, why: str, which: Callable[[Finding], bool]) -> None:
        self.kept = [made_doubt(one, why) if which(one) else one for one in self.kept]


def made_doubt(finding: Finding, why: str) -> Finding:
    """A violation that may be none."""
    return finding._replace(violation=False, text=f"{finding.text}: {why}")


@dataclass(slots=True)
class Book:
    """All findings about one App."""

    of: dict[str, Findings] = field(default_factory=lambda: {check: Findings() for check in CHECKS})

    def violation(self, check: str, text: str, *exhibits: Exhibit) -> None:
        """Some entries show that a check does not hold."""
        self.of[check].add(Finding(True, text, exhibits))

    def doubt(self, check: str, text: str, *exhibits: Exhibit) -> None:
        """Evidence is missing."""
        self.of[check].add(Finding(False, text, exhibits))
