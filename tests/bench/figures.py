"""What the benchmark found, as values; and the table and the JSON made of them. No I/O."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One row: samples of one thing, and what was asked of it.

    judged: which value of the samples `asked` is about: "median", "p99", "worst" or "least".
    floor: the median of the figure that this one cannot beat; at_most_ratio: how far from it is
    allowed. silence: whether the samples are seconds in which nobody counted, to be plotted.
    """

    section: str
    name: str
    unit: str
    values: tuple[float, ...]
    asked: float | None = None
    judged: str = "median"
    floor: float | None = None
    at_most_ratio: float | None = None
    silence: bool = False

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.values)

    @property
    def more_is_better(self) -> bool:
        """Of rates, multiples of a peer's, and shares; of times and sizes less is."""
        return self.unit in {"/s", "x", "%"}

    @property
    def worst(self) -> float:
        """The sample that nobody wants."""
        return min(self.values) if self.more_is_better else max(self.values)

    @property
    def p99(self) -> float:
        """The smallest sample that at least 99 of 100 do not exceed (nearest rank)."""
        return percentile(self.values, 99)

    @property
    def ratio(self) -> float | None:
        """How many times the floor the median is."""
        return self.median / self.floor if self.floor else None

    def over(self, floor: float) -> "Figure":
        """This figure, with the median of the one that it cannot beat."""
        return replace(self, floor=floor)

    def met(self) -> bool | None:
        """Whether it is what was asked; None if nothing was."""
        if self.asked is None:
            return None
        value = {"median": self.median, "p99": self.p99, "worst": self.worst}[self.judged]
        good = value >= self.asked if self.more_is_better else value <= self.asked
        near = self.ratio is None or self.at_most_ratio is None or self.ratio <= self.at_most_ratio
        return good and near

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with what is computed."""
        computed = {"median": self.median, "p99": self.p99, "worst": self.worst}
        return {**asdict(self), **computed, "ratio": self.ratio, "met": self.met()}


def percentile(values: Iterable[float], percent: float) -> float:
    """Nearest rank. Raises ValueError without values: no evidence is no figure."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def silences(times: Sequence[float], faults: Sequence[float]) -> list[float]:
    """For each fault, the longest gap between two lines that had begun or began while it lasted.

    `times`: when lines came, ascending; `faults`: when something was done, ascending. A fault
    lasts until the next one. Raises ValueError for a fault with no line before, or none after it.
    """
    found = []
    for at, until in zip(faults, [*faults[1:], math.inf], strict=True):
        before = [time for time in times if time <= at]
        after = [time for time in times if at < time <= until]
        if not before or not after:
            raise ValueError(f"no line around the fault at {at:.3f}")
        row = [before[-1], *after]
        found.append(max(b - a for a, b in zip(row, row[1:], strict=False)))
    return found


HEADINGS = ("", "n", "median", "p99", "worst", "floor", "ratio", "asked", "")


def table(figures: Sequence[Figure]) -> str:
    """All of it as text, one section after the other."""
    rows: list[tuple[str, ...]] = []
    section = ""
    for figure in figures:
        if figure.section != section:
            section = figure.section
            rows.append((f"[{section}]", *HEADINGS[1:]))
        rows.append(_row(figure))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = row
    cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
    start = "" if first.startswith("[") else "  "
    return "  ".join([f"{start}{first}".ljust(widths[0] + 2), *cells]).rstrip()


def _row(figure: Figure) -> tuple[str, ...]:
    sign = ">=" if figure.more_is_better else "<="
    judged = "" if figure.judged == "median" else f"{figure.judged} "
    asked = "" if figure.asked is None else f"{judged}{sign} {number(figure.asked)}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    if figure.at_most_ratio:
        ratio += f" (<= {figure.at_most_ratio:g})"
    floor = "" if figure.floor is None else number(figure.floor)
    verdict = {True: "met", False: "MISSED", None: ""}[figure.met()]
    many = len(figure.values) > 1
    return (
        f"{figure.name}, {figure.unit}",
        str(len(figure.values)),
        number(figure.median),
        number(figure.p99) if many else "",
        number(figure.worst) if many else "",
        floor,
        ratio,
        asked,
        verdict,
    )


def number(value: float) -> str:
    """Three digits that matter; thousands apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(digits, 3)}f}"
