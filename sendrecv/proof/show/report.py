"""The verdict for a person, and for a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sendrecv.proof.judge.basis import ms, number
from sendrecv.proof.judge.findings import CHECKS, Exhibit, Finding
from sendrecv.proof.judge.gaps import Gap
from sendrecv.proof.judge.lives import Life
from sendrecv.proof.judge.processes import Takeover
from sendrecv.proof.judge.runs import EntryMark, Run
from sendrecv.proof.judge.sessions import Session
from sendrecv.proof.judge.verdict import PROVEN, AppVerdict, Check, Verdict
from sendrecv.proof.statements import At, Counted, Forgotten

NAME = max(map(len, CHECKS))
GAPS = 4
HEAD, TAIL = 4, 16
"""So many lines of a long timeline are shown; with --all, all of them."""


def text(verdict: Verdict, notes: Iterable[str] = (), *, whole: bool = False) -> Iterator[str]:
    """Yield lines; the last one is the verdict. `notes`: the reader's."""
    notes = [*notes, *verdict.notes]
    if not verdict.apps:
        yield "; ".join([f"{verdict.status}: {_nothing(verdict)}", *notes])
        return
    clock = TimeFormat(verdict.first, verdict.last)
    for app in verdict.apps:
        yield from _app(app, verdict.hosts, clock, whole)
        yield ""
    for note in [*notes, *([_nothing(verdict)] if verdict.unknown else [])]:
        yield f"note: {note}"
    yield _summary(verdict)


def _nothing(verdict: Verdict) -> str:
    if not verdict.unknown:
        return "no entry of a sender or of the receiver is in what was read"
    return f"no App or instance {', '.join(map(repr, verdict.unknown))} is in what was read"


class TimeFormat:
    """Wall clock times for people, with the date where there is more than one."""

    def __init__(self, first: At | None, last: At | None) -> None:
        days = {_local(at).date() for at in (first, last) if at}
        self._format = "%H:%M:%S.%f" if len(days) < 2 else "%Y-%m-%d %H:%M:%S.%f"

    def of(self, mark: EntryMark | Counted | Forgotten | Exhibit | None) -> str:
        """To the millisecond."""
        return _local(mark.at).strftime(self._format)[:-3] if mark else "-"


def _local(at: At) -> datetime:
    return datetime.fromtimestamp(at.wall / 1e6)


def _summary(verdict: Verdict) -> str:
    counts = number(sum(app.tally.counts for app in verdict.apps), "count")
    takeovers = number(sum(app.number_of_takeovers for app in verdict.apps), "takeover")
    bad = [app.app for app in verdict.apps if app.status != PROVEN]
    bad += map(repr, verdict.unknown)
    which = f" ({', '.join(bad[:5])}{', …' if len(bad) > 5 else ''})" if bad else ""
    ends = [at for at in (verdict.first, verdict.last) if at]
    times = [_local(at).strftime("%Y-%m-%d %H:%M:%S") for at in ends]
    apps = number(len(verdict.apps), "App")
    return f"{verdict.status}{which}: {apps}, {counts}, {takeovers}, {' to '.join(times)}"


def _app(
    app: AppVerdict, hosts: Mapping[str, str], clock: TimeFormat, whole: bool
) -> Iterator[str]:
    instances = [one for one in app.instances if one != app.app]
    yield f"App {app.app}" + (f" (instance {', '.join(instances)})" if instances else "")
    yield ""
    heading = ["run", "node", "unit", "pid", "invocation", "epoch", "started", "ready"]
    heading += ["counts", "exited", "why"]
    rows = [_life(place, life, clock) for place, life in enumerate(app.lives, 1)]
    if app.several:
        names = [hosts[life.run.machine] if life.run else "?" for life in app.lives]
        rows = [[row[0], name, *row[1:]] for row, name in zip(rows, names, strict=True)]
        heading.insert(1, "host")
    yield from _table(heading, rows, whole)
    yield ""
    if app.takeovers:
        heading = ["takeover", "old exited", "new started", "ready", "first count", "silence"]
        rows = [_takeover(takeover, _numbers(app, takeover), clock) for takeover in app.takeovers]
        yield from _table([*heading, "entries"], rows, whole)
        yield ""
    for said in app.tally.forgotten:
        yield f"  forgotten      {clock.of(said)}  its counts begin again  [{_short(said.ref)}]"
    for check in app.checks:
        yield from _check(check, clock)
    if app.but_for:
        yield f"  App {app.app} is PROVEN but for {but_for(app.but_for)}"


def but_for(gaps: Sequence[Gap]) -> str:
    """For a sentence."""
    shown = [_gap(gap) for gap in gaps[:GAPS]]
    if len(gaps) > GAPS:
        shown.append(f"{len(gaps) - GAPS} more times (--json has them)")
    return "; ".join(shown)


def _gap(gap: Gap) -> str:
    first, last = (datetime.fromtimestamp(wall / 1e6) for wall in (gap.first, gap.last))
    of_day, of_last = (f"{at.day} {at:%B %Y}" for at in (first, last))
    if gap.first // 1_000_000 == gap.last // 1_000_000:
        text = f"{first:%H:%M:%S} on {of_day}"
    elif of_day != of_last:
        text = f"{first:%H:%M:%S} on {of_day} to {last:%H:%M:%S} on {of_last}"
    else:
        text = f"{first:%H:%M:%S} to {last:%H:%M:%S} on {of_day}"
    text += f" ({gap.why})"
    if gap.counts:
        text += (
            f", where {number(gap.counts, 'count')} {'is' if gap.counts == 1 else 'are'} unproven"
        )
    return text


def _life(place: int, life: Life, clock: TimeFormat) -> list[str]:
    run, session = life.run, life.session
    claim = session.claim if session else None
    of_session = [str(place), life.node]
    counts = _counts(session)
    epoch = str(claim.epoch) if claim else "-"
    if run is None:
        named = session.run[:8] if session and session.run else "?"
        return [*of_session, "?", "?", named, epoch, "?", "?", counts, "?", "not known to PID 1"]
    ready = f"+{ms(run.started.at.mono - run.first.at.mono)}" if run.started else "-"
    started = clock.of(run.starting) if run.starting else "before"
    of_run = [run.unit, str(run.pid or "-"), run.run[:8], epoch, started, ready]
    return [*of_session, *of_run, counts, clock.of(run.exit), run.why]


def _counts(session: Session | None) -> str:
    if session is None or session.first is None or session.last is None:
        return "none"
    return f"{session.first.number} to {session.last.number}"


def _numbers(app: AppVerdict, takeover: Takeover) -> str:
    """The places of the two runs in the table of runs. A run may have several."""
    places = list(enumerate(app.lives, 1))
    after = max(
        place
        for place, life in places
        if life.run is takeover.after
        and (not life.session or life.session.first is takeover.first_count)
    )
    before = [place for place, life in places[: after - 1] if life.run is takeover.before]
    return f"{max(before, default='earlier')} > {after}"


def _takeover(takeover: Takeover, name: str, clock: TimeFormat) -> list[str]:
    if takeover.kind != "takeover":
        name += f" ({takeover.kind})"
    exited, first = takeover.exited, takeover.first_count
    later = [_after(exited, mark, clock) for mark in (takeover.started, takeover.ready, first)]
    silence = "-" if takeover.silence is None else ms(takeover.silence)
    marks = (exited, takeover.started, takeover.ready, first)
    refs = " ".join(_short(mark.ref) for mark in marks if mark)
    return [name, clock.of(exited), *later, silence, refs]


def _after(exited: EntryMark | None, mark: EntryMark | Counted | None, clock: TimeFormat) -> str:
    if mark is None or exited is None or exited.at.place != mark.at.place:
        return clock.of(mark)
    time = mark.at.mono - exited.at.mono
    return f"{'-' if time < 0 else '+'}{ms(abs(time))}"


def _table(heading: list[str], rows: Sequence[list[str]], whole: bool) -> Iterator[str]:
    skipped = 0 if whole else max(0, len(rows) - HEAD - TAIL)
    shown = list(rows[:HEAD]) + list(rows[HEAD + skipped :]) if skipped else list(rows)
    widths = [max(len(row[column]) for row in [heading, *shown]) for column in range(len(heading))]
    for place, row in enumerate([heading, *shown]):
        if skipped and place == HEAD + 1:
            yield f"  … {skipped:,} more (--all)"
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()


def _check(check: Check, clock: TimeFormat) -> Iterator[str]:
    between = " … ".join(_short(exhibit.ref) for exhibit in check.exhibits)
    line = f"  {check.status:<12}  {check.name:<{NAME}}  {check.text}"
    yield f"{line}  [{between}]" if between else line
    if check.rests_on:
        yield f"      rests on {check.rests_on}"
    for finding in check.findings:
        yield f"      {'!' if finding.violation else '?'} {finding.text}"
        for exhibit in finding.exhibits:
            yield f"          {clock.of(exhibit)}  {exhibit.what}"
            if exhibit.ref:
                yield f"              {exhibit.ref}"
    if check.more:
        yield f"      and {check.more:,} more"


def _short(ref: str) -> str:
    """The entry's number in the journal: enough to find its cursor in the JSON."""
    for part in ref.split(";"):
        if part.startswith("i="):
            return f"#{part[2:]}"
    return "#?"


# For a program


def as_json(verdict: Verdict, notes: Iterable[str] = ()) -> dict[str, Any]:
    """Times and durations are in microseconds; each entry has its cursor. See docs/proof.md."""
    return {
        "verdict": verdict.status,
        "apps": [_app_json(app) for app in verdict.apps],
        "unknown": list(verdict.unknown),
        "hosts": [{"machine": machine, "host": host} for machine, host in verdict.hosts.items()],
        "boots": [
            {"boot": boot.boot, "machine": boot.machine, "shut_down": boot.clean}
            for boot in verdict.boots
        ],
        "notes": [*notes, *verdict.notes],
        "entries": verdict.entries,
    }


def _app_json(app: AppVerdict) -> dict[str, Any]:
    tally = app.tally
    return {
        "app": app.app,
        "instances": list(app.instances),
        "verdict": app.status,
        "hosts": list(app.hosts),
        "missing_hosts": [{"nodes": list(nodes)} for nodes in app.missing],
        "counts": {
            "number": tally.counts,
            "first": tally.first.number if tally.first else None,
            "highest": tally.highest if tally.first else None,
        },
        "forgotten": [
            {"incarnation": said.incarnation} | _entry_json(said.at, said.ref)
            for said in tally.forgotten
        ],
        "runs": [_life_json(life) for life in app.lives],
        "figures": {
            "runs": app.sums.runs,
            "takeovers": dict(app.figures.kinds),
            "silence": app.figures.silence,
            "epochs": list(app.sums.epochs or ()),
        },
        "but_for": [
            {"from": gap.first, "to": gap.last, "why": gap.why, "counts": gap.counts}
            for gap in app.but_for
        ],
        "takeovers": [_takeover_json(takeover) for takeover in app.takeovers],
        "checks": [_check_json(check) for check in app.checks],
    }


def _life_json(life: Life) -> dict[str, Any]:
    return _run_json(life.run) | _session_json(life.session)


def _run_json(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {"unit": None}
    return {
        "unit": run.unit,
        "invocation": run.run,
        "boot": run.boot.boot,
        "machine": run.machine,
        "pid": run.pid or None,
        "started": _mark_json(run.starting),
        "ready": _mark_json(run.started),
        "exited": _mark_json(run.exited),
        "ended": _mark_json(run.ended),
        "why": run.why,
    }


def _session_json(session: Session | None) -> dict[str, Any]:
    if session is None:
        return {"node": None, "epoch": None, "first_count": None, "last_count": None}
    claim = session.claim
    known = {"invocation": session.run} if session.run else {}
    return known | {
        "node": session.node,
        "epoch": claim.epoch if claim else None,
        "session": _mark_json(claim),
        "first_count": _count_json(session.first),
        "last_count": _count_json(session.last),
        "counts": session.counts,
    }


def _takeover_json(takeover: Takeover) -> dict[str, Any]:
    return {
        "kind": takeover.kind,
        "from": takeover.before.run,
        "to": takeover.after.run,
        "exited": _mark_json(takeover.exited),
        "started": _mark_json(takeover.started),
        "ready": _mark_json(takeover.ready),
        "first_count": _count_json(takeover.first_count),
        "gap": takeover.gap,
        "silence": takeover.silence,
    }


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "check": check.name,
        "verdict": check.status,
        "text": check.text,
        "rests_on": check.rests_on or None,
        "entries": [_exhibit_json(exhibit) for exhibit in check.exhibits],
        "findings": [_finding_json(finding) for finding in check.findings],
        "more_findings": check.more,
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    entries: Iterable[Exhibit] = finding.exhibits
    return {
        "violation": finding.violation,
        "text": finding.text,
        "entries": [_exhibit_json(exhibit) for exhibit in entries],
    }


def _exhibit_json(exhibit: Exhibit) -> dict[str, Any]:
    return {"what": exhibit.what} | _entry_json(exhibit.at, exhibit.ref)


def _entry_json(at: At, ref: str) -> dict[str, Any]:
    return {
        "machine": at.machine,
        "boot": at.boot,
        "monotonic": at.mono,
        "realtime": at.wall,
        "cursor": ref,
    }


def _mark_json(mark: Any) -> dict[str, Any] | None:
    return _entry_json(mark.at, mark.ref) if mark else None


def _count_json(said: Counted | None) -> dict[str, Any] | None:
    return {"count": said.number} | _entry_json(said.at, said.ref) if said else None
