"""Judges by an observer outside the journal: was each count given to journald once, and in order?

The journal forgets: it is vacuumed, and a loss of power takes its end. The observer's log
(tests/lab/observer.py) has each line that journald was given, as journald got it. What the journal
has is asked for two things only:

- The observer may have been away, at a boot or a shutdown. A count that the journal has was given.
- A line that came again after a loss of power was lost from the journal before: the journal has it
  once, from after the loss. Only then may it come again.

It shares no code with what it judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.judges.checker import Fault, Kind, Line, Verdict, are_told

_LINE = re.compile(r'(\d+\.\d+) .*?\{"count": (\d+), "appID": "([^"\\]+)", "nodeID": "([^"\\]+)"\}')
_TOLD = re.compile(
    r'(?:\d+\.\d+) .*?unproven \{"appID": "([^"\\]+)", "nodeID": "[^"\\]+",'
    r' "first": (\d+), "last": (\d+)\}'
)


@dataclass
class Observed:
    """The observer's log. Lines have no boot: all times are of one clock. told: see Verdict."""

    lines: dict[str, list[Line]] = field(default_factory=dict)
    told: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def read(log: str) -> Observed:
    """The log; what is not of the receiver's is left out. A last line may be half written."""
    observed = Observed()
    for text in log.splitlines():
        if found := _LINE.fullmatch(text):
            at, count, app, node = found.groups()
            observed.lines.setdefault(app, []).append(Line(app, node, int(count), "", float(at)))
        elif told := _TOLD.fullmatch(text):
            app, first, last = told.groups()
            observed.told.setdefault(app, []).append((int(first), int(last)))
    return observed


def judge(observed: Observed, journal: Verdict, cuts: Sequence[float]) -> list[Fault]:
    """What is wrong. `cuts`: when power was gone. An App that only the journal has is not judged
    here: whoever asks must also look whether the observer saw anything.
    """
    found: list[Fault] = []
    for app, lines in observed.lines.items():
        there = _by_count(journal.lines.get(app, ()))
        found += [fault for fault in _repeated(app, lines) if not _was_lost(fault, there, cuts)]
        told = [*observed.told.get(app, ()), *journal.told.get(app, ())]
        found += [
            fault
            for fault in _missing(app, lines, there)
            if not are_told(told, *fault.counts)
            and not any(fault.since < killed <= fault.at for killed in journal.killed)
        ]
    return found


def unseen(observed: Observed, journal: Verdict) -> int:
    """How many counts the journal has, and the observer has not."""
    return sum(
        len({line.count for line in lines} - {line.count for line in observed.lines.get(app, ())})
        for app, lines in journal.lines.items()
    )


def _by_count(lines: Iterable[Line]) -> Mapping[int, list[Line]]:
    found: dict[int, list[Line]] = {}
    for line in lines:
        found.setdefault(line.count, []).append(line)
    return found


def _repeated(app: str, lines: Iterable[Line]) -> Iterator[Fault]:
    """Counts that came again, or late."""
    first: dict[int, Line] = {}
    highest: Line | None = None
    for line in lines:
        text = f"the observer: count {line.count} of {line.node} at {line.at:.3f}"
        counts = (line.count, line.count)
        if before := first.get(line.count):
            kind = Kind.DUPLICATE if before.node == line.node else Kind.CONFLICT
            text += f", after {before.node} at {before.at:.3f}"
            yield Fault(kind, app, text, line.at, None, counts, before.at)
        elif highest and line.count < highest.count:
            text += f", after {highest.count}"
            yield Fault(Kind.DISORDER, app, text, line.at, None, counts, highest.at)
        first.setdefault(line.count, line)
        highest = line if highest is None or line.count > highest.count else highest


def _was_lost(fault: Fault, there: Mapping[int, Sequence[Line]], cuts: Iterable[float]) -> bool:
    """Whether a loss of power had taken it from the journal when it came again."""
    again = there.get(fault.counts[0], ())
    return len(again) == 1 and any(fault.since < cut < min(fault.at, again[0].at) for cut in cuts)


def _missing(
    app: str, lines: Iterable[Line], there: Mapping[int, Sequence[Line]]
) -> Iterator[Fault]:
    """Counts below the highest that neither the observer nor the journal has."""
    when = {count: some[0].at for count, some in there.items()}
    for line in lines:
        when.setdefault(line.count, line.at)
    expected, since = 0, 0.0
    for count in sorted(when):
        if count > expected:
            text = f"counts {expected} to {count - 1} are neither in the journal nor the observer's"
            yield Fault(Kind.GAP, app, text, when[count], None, (expected, count - 1), since)
        expected, since = count + 1, when[count]
