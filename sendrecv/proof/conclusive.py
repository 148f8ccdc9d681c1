"""From when on an App is proven of whose beginning the journal has nothing any more.

A part of the journal that begins with the start of a run has all that a verdict needs. Which start
that is, is not worked out but tried: what is said here is what `sendrecv proof --since` will say.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from sendrecv.proof.judge.findings import WHOLE
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, AppVerdict, Verdict

TRIES = 3
"""Starts that are tried of an App: each is another reading of the journal."""
APPS = 4
"""Apps for which that is done."""


def notes(
    verdict: Verdict, proves: Callable[[str, int], Verdict], given: Sequence[str]
) -> Iterator[str]:
    """What to type, for each App that is not proven for what was before the journal. proves: the
    verdict of that App from that time on (wall clock, microseconds). given: the options that say
    what is read.
    """
    lacking = [app for app in verdict.apps if app.status == INCONCLUSIVE and _lacks_beginning(app)]
    for app in lacking[:APPS]:
        since = next((at for at in _starts(app) if _is_proven(proves(app.app, at))), None)
        if since is None:
            yield f"{app.app}: from its next takeover or start on, it can be proven with --since"
            continue
        words = [*given, "--since", _text(since), app.app]
        yield f"{app.app} is proven from then on: sendrecv proof {shlex.join(words)}"
    if more := lacking[APPS:]:
        yield f"the same may hold of {len(more)} more Apps: name them"


def options(directory: Path | None, files: Sequence[Path]) -> list[str]:
    """Those that say what is read."""
    given = ["--directory", str(directory)] if directory else []
    return [*given, *(word for file in files for word in ("--file", str(file)))]


def _lacks_beginning(app: AppVerdict) -> bool:
    if app.but_for:
        return False
    return any(check.name == WHOLE and check.status == INCONCLUSIVE for check in app.checks)


def _starts(app: AppVerdict) -> list[int]:
    """When its runs were started that were admitted, as far as it is in the journal."""
    runs = [life.run for life in app.lives if life.run and life.session and life.session.claim]
    starts = [run.starting.at.wall for run in runs if run.starting]
    return sorted(starts)[:TRIES]


def _is_proven(verdict: Verdict) -> bool:
    return verdict.status == PROVEN


def _text(wall: int) -> str:
    """As systemd.time(7) has it, in local time."""
    return datetime.fromtimestamp(wall / 1e6).strftime("%Y-%m-%d %H:%M:%S.%f")
