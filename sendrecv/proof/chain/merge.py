"""Lines of a day, merged: one for each App, and one of the machine.

What a person has said stays as it is. All figures are of a period, and add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sendrecv.proof.chain.lines import Line

DOUBTS = 20
"""Doubts of a day that are kept of an App; the others are counted."""
WORST = ("VIOLATED", "INCONCLUSIVE", "PROVEN")
_NUMBERS = ("counts", "runs", "entries", "more")
_TABLES = ("takeovers", "hours", "boots")
_LATEST = ("at", "n", "last", "until", "evidence", "state", "violations", "machine")


def merged(lines: Iterable[Line]) -> list[Line]:
    """In the order of the Apps' names; the machine comes last."""
    groups: dict[str, list[Line]] = {}
    kept = []
    for line in lines:
        if "verdict" not in line:
            kept.append(line)
        else:
            groups.setdefault(str(line.get("app", "")), []).append(line)
    machine = groups.pop("", [])
    days = [_merged(groups[app]) for app in sorted(groups)]
    return [*days, *kept, *([_merged(machine)] if machine else [])]


def _merged(lines: Sequence[Line]) -> Line:
    """`audits`: of how many audits it is."""
    day: Line = {**lines[0], "audits": 0}
    for line in lines:
        one = {"audits": 1, **line}
        for name in _LATEST:
            if one.get(name) is not None:
                day[name] = one[name]
        day["audits"] += one["audits"]
    for line in lines[1:]:
        _add(day, line)
    return day


def _add(day: Line, line: Mapping[str, Any]) -> None:
    for name in _NUMBERS:
        if name in line:
            day[name] = day.get(name, 0) + line[name]
    for name in _TABLES:
        if line.get(name):
            day[name] = _sum(day.get(name, {}), line[name])
    day["verdict"] = worst([day["verdict"], line["verdict"]])
    if "silence" in line:
        day["silence"] = max(day.get("silence", 0), line["silence"])
    if line.get("epochs"):
        day["epochs"] = [(day.get("epochs") or line["epochs"])[0], line["epochs"][-1]]
    if day.get("first") is None and "first" in line:
        day["first"] = line["first"]
    _add_doubts(day, line)


def _add_doubts(day: Line, line: Mapping[str, Any]) -> None:
    """Those of violations are in them: `witnesses` is kept whole, it is what a person looks for."""
    if line.get("doubts"):
        doubts = [*day.get("doubts", []), *line["doubts"]]
        if len(doubts) > DOUBTS:
            day["more"] = day.get("more", 0) + len(doubts) - DOUBTS
        day["doubts"] = doubts[:DOUBTS]
    if line.get("witnesses"):
        day["witnesses"] = [*day.get("witnesses", []), *line["witnesses"]]


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in {**one, **other}}


def worst(verdicts: Iterable[str]) -> str:
    """The worst of these; INCONCLUSIVE if there is none."""
    found = set(verdicts)
    return next((verdict for verdict in WORST if verdict in found), "INCONCLUSIVE")
