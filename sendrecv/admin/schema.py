"""Facts as JSON: one schema for `sendrecv status --json`, documented in sendrecv-status(1), and
`sendrecv history --json`, documented in sendrecv-history(1), and `sendrecv check --json`,
documented in sendrecv-check(1).

SCHEMA grows when a key changes its meaning or goes away. Keys may be added without that. A key is
always there; its value is null if that is not known, or if this user may not see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sendrecv.admin.checks.unseen import Unseen
from sendrecv.admin.facts import App, Facts
from sendrecv.admin.paused import Pause
from sendrecv.admin.problems import Problem
from sendrecv.admin.receiver import Receiver
from sendrecv.admin.takeovers import Takeover
from sendrecv.admin.units import Half
from sendrecv.errors import ExitStatus

SCHEMA = 1


def document(
    facts: Facts,
    apps: Iterable[App],
    problems: Sequence[Problem],
    unknown: Sequence[str],
    exit_status: ExitStatus,
) -> dict[str, object]:
    """Those Apps and problems, with what concerns all. unknown: names that no App has."""
    return {
        "schema": SCHEMA,
        "when": facts.when,
        "host": facts.host,
        "exitStatus": int(exit_status),
        "receiver": _receiver(facts.receiver),
        "apps": [_app(app) for app in apps],
        "problems": [_problem(problem) for problem in problems],
        "unknown": [*unknown],
        "seesRecords": facts.sees_records,
        "seesJournal": facts.sees_journal,
    }


def checked(
    facts: Facts,
    apps: Iterable[App],
    problems: Sequence[Problem],
    unseen: Iterable[Unseen],
    unknown: Sequence[str],
    exit_status: ExitStatus,
) -> dict[str, object]:
    """What was found with those Apps, and with what concerns all. unknown: as above."""
    return {
        "schema": SCHEMA,
        "when": facts.when,
        "host": facts.host,
        "exitStatus": int(exit_status),
        "instances": [app.instance for app in apps],
        "problems": [_problem(problem) for problem in problems],
        "unseen": [{"what": one.what, "who": one.who} for one in unseen],
        "unknown": [*unknown],
    }


def history(events: Iterable[Takeover]) -> dict[str, object]:
    """Those takeovers and starts."""
    return {"schema": SCHEMA, "events": [_event(event) for event in events]}


def _event(event: Takeover) -> dict[str, object]:
    return {
        "event": "start" if event.is_start else "takeover",
        "when": event.when,
        "instance": event.instance,
        "appID": event.app_id or None,
        "fromNode": event.from_node or None,
        "toNode": event.to_node or None,
        "fromHost": event.from_host or None,
        "toHost": event.to_host or None,
        "why": event.why or None,
        "code": event.code or None,
        "reason": event.reason or None,
        "silence": event.silence,
        "count": event.count,
        "epoch": event.epoch,
    }


def _receiver(receiver: Receiver) -> dict[str, object]:
    refusal = receiver.refusal
    return {
        "url": receiver.url,
        "error": receiver.error or None,
        "since": receiver.since,
        "connections": receiver.connections,
        "counts": receiver.counts,
        "rate": receiver.rate,
        "refusals": receiver.refusals,
        "lastRefusal": refusal
        and {"when": refusal.when, "reason": refusal.reason, "appID": refusal.app_id or None},
    }


def _app(app: App) -> dict[str, object]:
    return {
        "instance": app.instance,
        "appID": app.app_id,
        "state": app.state,
        "shouldRun": app.meant,
        "atBoot": app.at_boot,
        "half": app.half or None,
        "nodeID": app.node or None,
        "host": app.host or None,
        "since": app.since,
        "count": app.count,
        "epoch": app.epoch,
        "beat": app.beat,
        "late": app.late,
        "backlog": app.backlog,
        "connectedSince": app.connected,
        "takeover": app.takeover and _event(app.takeover),
        "paused": app.paused and _pause(app.paused),
        "halves": {half.role: _half(half) for half in app.halves},
    }


def _pause(pause: Pause) -> dict[str, object]:
    return {"since": pause.since, "by": pause.by or None, "reason": pause.reason or None}


def _half(half: Half) -> dict[str, object]:
    return {
        "unit": half.unit,
        "state": half.state,
        "masked": half.masked,
        "result": half.result or None,
        "exitStatus": half.status,
        "since": half.since,
        "run": half.run or None,
        "status": half.text or None,
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "instance": problem.app or None,
        "code": problem.code,
        "severity": "error" if problem.is_error else "warning",
        "text": problem.text,
        "cost": problem.cost or None,
        "commands": [*problem.commands],
    }
