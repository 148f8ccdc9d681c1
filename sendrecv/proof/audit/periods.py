"""The lines of an audit: what is new of each App, from a verdict on its whole life. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sendrecv.proof.chain.lines import Line
from sendrecv.proof.chain.merge import worst
from sendrecv.proof.judge.basis import NO_COUNT, NO_SESSION
from sendrecv.proof.judge.findings import Finding
from sendrecv.proof.judge.lives import IN_PLACE
from sendrecv.proof.judge.processes import Takeover
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED, AppVerdict
from sendrecv.proof.statements import At, Booted, Counted, Statement

HOUR = 3_600_000_000
SHOWN = 20
"""Findings of an App that one line has; the others are counted."""
LONG = 300
"""Characters of a finding's text."""
NOT_YET = (NO_COUNT, NO_SESSION)
"""Doubts of an App that has only been started: the next count ends them."""
Memory = dict[str, Any]


@dataclass
class AuditPeriod:
    """What is fed between two audits. known: the boots that there were before."""

    known: frozenset[str] = frozenset()
    entries: int = 0
    begin: int = 0
    """The wall clock of its first entry, in microseconds."""
    counts: dict[str, list[int]] = field(default_factory=dict)
    """Of each App: the first and the last count, and how many."""
    boots: dict[str, int] = field(default_factory=dict)
    """By hours since 1970."""
    _seen: set[str] = field(default_factory=set)

    def feed(self, said: Statement) -> None:
        """One statement more."""
        if type(said) is Counted:
            of_app = self.counts.setdefault(said.app, [said.number, said.number, 0])
            of_app[1] = said.number
            of_app[2] += 1
        elif type(said) is Booted:
            self._boot(said.at)
            return
        self.entries += 1
        self.begin = self.begin or said.at.wall

    def _boot(self, at: At) -> None:
        if at.boot not in self.known | self._seen:
            self._seen.add(at.boot)
            hour = str(at.wall // HOUR)
            self.boots[hour] = self.boots.get(hour, 0) + 1


def line_of(app: AppVerdict, period: AuditPeriod, before: Memory) -> tuple[Line, Memory]:
    """What is new of the App, and what is to be remembered for the next audit. before: what the
    last one remembered. A line without anything new has no verdict.
    """
    findings = app.tally.book.of.values()
    not_yet = sum(one.text in NOT_YET for check in app.checks for one in check.findings)
    kinds, epochs = dict(app.figures.kinds), app.sums.epochs
    now: Memory = {
        "runs": app.sums.runs,
        "kinds": kinds,
        "epoch": epochs[1] if epochs else None,
        "violations": sum(one.violations for one in findings),
        "doubts": sum(one.doubts for one in findings) - not_yet,
        "keys": sorted({_key(check, one) for check, one in _found(app)}),
    }
    taken = {kind: n - before.get("kinds", {}).get(kind, 0) for kind, n in kinds.items()}
    taken = {kind: number for kind, number in taken.items() if number > 0}
    first, last, counts = period.counts.get(app.app, (None, None, 0))
    new = [(c, one) for c, one in _found(app) if _key(c, one) not in before.get("keys", ())]
    line: Line = {
        "app": app.app,
        "from": period.begin,
        "verdict": _verdict(now, before, new),
        "whole": app.status,
        "counts": counts,
        "first": first,
        "last": last,
        "runs": max(0, now["runs"] - before.get("runs", 0)),
        "takeovers": taken,
        "violations": now["violations"],
        "epochs": [before.get("epoch") or epochs[0], epochs[1]] if epochs else [],
        **_of_takeovers(app.takeovers, sum(taken.values())),
        "witnesses": [_shown(c, one) for c, one in new if one.violation][:SHOWN],
        "doubts": [_shown(c, one) for c, one in new if not one.violation][:SHOWN],
    }
    return {name: value for name, value in line.items() if value or name in _ALWAYS}, now


_ALWAYS = ("app", "from", "verdict", "counts", "runs", "first", "last")


def is_news(line: Line) -> bool:
    """Whether there is anything in it that the chain should have."""
    return bool(line["counts"] or line["runs"] or line["verdict"] != PROVEN or "takeovers" in line)


def _found(app: AppVerdict) -> Iterator[tuple[str, Finding]]:
    for check in app.checks:
        for finding in check.findings:
            if finding.text not in NOT_YET:
                yield check.name, finding


def _key(check: str, finding: Finding) -> str:
    """What two audits that see the same finding have in common."""
    text = f"{finding.violation} {check} {finding.text}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _verdict(now: Memory, before: Memory, new: Sequence[tuple[str, Finding]]) -> str:
    """Of the period alone: what was in doubt or violated before does not spoil it."""
    if now["violations"] > before.get("violations", 0) or any(one.violation for _, one in new):
        return VIOLATED
    if now["doubts"] > before.get("doubts", 0) or new:
        return INCONCLUSIVE
    return PROVEN


def _shown(check: str, finding: Finding) -> dict[str, Any]:
    """For the line. from, to: microseconds of the wall clock."""
    shown: dict[str, Any] = {"check": check, "text": finding.text[:LONG]}
    if finding.period:
        shown["from"], shown["to"] = (at.wall for at in finding.period)
    if finding.violation:
        shown["cursors"] = [exhibit.ref for exhibit in finding.exhibits]
    return shown


def _of_takeovers(takeovers: Sequence[Takeover], number: int) -> dict[str, Any]:
    """Of the last ones, so many as are new: the longest silence, and how many in which hour."""
    news = takeovers[-number:] if number else ()
    silences = [one.silence for one in news if one.kind in (*IN_PLACE, "host")]
    hours: dict[str, int] = {}
    for one in [one for one in news if one.kind in {"takeover", "host"}]:
        hour = str(one.after.first.at.wall // HOUR)
        hours[hour] = hours.get(hour, 0) + 1
    return {"silence": max((one for one in silences if one is not None), default=0), "hours": hours}


def machine_line(lines: Mapping[str, Line], period: AuditPeriod, notes: Sequence[str]) -> Line:
    """The last line of an audit. notes: what is new, and concerns no single App."""
    verdicts = [line["verdict"] for line in lines.values()]
    line: Line = {
        "from": period.begin,
        "verdict": worst(verdicts) if verdicts else PROVEN,
        "entries": period.entries,
        "boots": period.boots,
        "notes": [text[:LONG] for text in notes][:SHOWN],
    }
    return {name: value for name, value in line.items() if value or name not in ("boots", "notes")}
