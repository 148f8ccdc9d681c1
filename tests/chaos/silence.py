"""How long each App was silent, and which faults were to blame."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.judges.checker import Line, Where

SLACK = 0.3
"""Seconds before a line within which a fault may have struck whose effect comes after that line."""
LONGEST = 20.0
"""Seconds before a line that are searched for faults. No silence is to be near that."""


@dataclass(frozen=True)
class Span:
    """Entries of the journal that follow one another: see Where in tests/judges/checker.py."""

    sequence: str
    first: int
    last: int

    def __contains__(self, where: Where) -> bool:
        return where.sequence == self.sequence and self.first <= where.number <= self.last


@dataclass(frozen=True)
class Strike:
    """A fault as it happened, in seconds of the host's monotonic clock. app: "" for all of them.

    error: why it could not be injected, if so. gone: of a vacuum and of a loss of power, all that
    the journal once had and did not have after it; None of any other fault, which removes nothing.
    """

    number: int
    kind: str
    app: str
    begin: float
    end: float
    trigger: str = ""
    error: str = ""
    gone: tuple[Span, ...] | None = None


@dataclass(frozen=True)
class Silence:
    """The time between two lines of an App, and the faults that may have caused it."""

    app: str
    begin: float
    end: float
    strikes: tuple[Strike, ...]

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin

    @property
    def kind(self) -> str:
        """The kind of fault, if there is but one; else "several at once", or "nothing"."""
        kinds = {strike.kind for strike in self.strikes}
        if len(self.strikes) > 1:
            return SEVERAL
        return kinds.pop() if kinds else NOTHING

    @property
    def recovery(self) -> float:
        """Seconds from the end of the last fault, or from the line before if there was none."""
        last = max((strike.end for strike in self.strikes), default=self.begin)
        return self.end - max(last, self.begin)


SEVERAL, NOTHING = "several at once", "nothing"


@dataclass(frozen=True)
class Worst:
    """The worst of one kind. alone: silences with only this fault; silence, recovery: seconds."""

    injected: int = 0
    alone: int = 0
    silence: float = 0.0
    recovery: float = 0.0


def silences(
    lines: Mapping[str, Sequence[Line]],
    strikes: Iterable[Strike],
    until: float = 0.0,
    slack: float = SLACK,
) -> Iterator[Silence]:
    """Every silence of every App. `until`: a last one ends then, for Apps that never came back.
    `slack`: see SLACK.
    """
    happened = sorted((s for s in strikes if not s.error), key=lambda strike: strike.end)
    ends = [strike.end for strike in happened]
    for app, printed in lines.items():
        times = [line.at for line in printed] + ([until] if until else [])
        for begin, end in zip(times, times[1:], strict=False):
            candidates = happened[bisect_left(ends, begin - slack) :]
            yield Silence(app, begin, end, tuple(_relevant(candidates, app, end)))


def _relevant(candidates: Iterable[Strike], app: str, end: float) -> Iterator[Strike]:
    for strike in candidates:
        if strike.begin - LONGEST > end:  # sorted by the end, and none lasts as long
            return
        if strike.begin <= end and strike.app in {"", app}:
            yield strike


def worst_by_kind(some: Iterable[Silence], strikes: Iterable[Strike]) -> dict[str, Worst]:
    """For each kind how often it was injected, and the worst that came of it."""
    injected: dict[str, int] = defaultdict(int)
    for strike in strikes:
        injected[strike.kind] += not strike.error
    worst = {kind: Worst(count) for kind, count in sorted(injected.items())}
    for silence in some:
        kinds = {silence.kind} | {strike.kind for strike in silence.strikes}
        for kind in kinds:
            worst[kind] = _worse(worst.get(kind, Worst()), silence, kind == silence.kind)
    return worst


def _worse(worst: Worst, silence: Silence, alone: bool) -> Worst:
    return Worst(
        worst.injected,
        worst.alone + alone,
        max(worst.silence, silence.seconds) if alone else worst.silence,
        max(worst.recovery, silence.recovery),
    )
