"""Which picture is drawn of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from sendrecv.proof.judge.verdict import Verdict
from sendrecv.proof.show import days, past, picture
from sendrecv.proof.show.past import ChainLine


def draw(verdict: Verdict, lines: Sequence[ChainLine] = ()) -> str:
    """Run by run; or day by day, if there are many of them, or some of the runs are known to the
    chain alone, which keeps no single run. lines: of the chain, if there is one.
    """
    histories = [past.whole(app, verdict.boots, lines) for app in verdict.apps]
    names = {app.app for app in verdict.apps}
    if days.is_long(histories) or any(line.get("app") in names for line in lines):
        return days.draw(verdict.status, histories)
    return picture.draw(verdict)
