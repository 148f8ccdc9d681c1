"""What `GET /apps` and `GET /status` answer: of each App, and of the receiver itself.

/apps is an object with a key for each App. /status has the same under "apps", and under "receiver"
what concerns all Apps, which is null for the holder of a token for some Apps only. Keys are added
in newer versions, and none is removed or changed. All times are in seconds; those that name a
moment are of the wall clock, for people.
"""

from __future__ import annotations

from collections import Counter

from sendrecv.core.receiver import AppState
from sendrecv.core.wire import Claim, Refusal
from sendrecv.receiver.pace import Pace, Paces

SCHEMA = 1


class Own:
    """What the receiver knows of itself: when it began, by the wall clock; the claims that it has
    refused, by reason, and the last one. Nothing of them that a peer chose is kept, but for an
    appID, whose form was checked.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._by_reason: Counter[str] = Counter()
        self._last: dict[str, object] | None = None

    def refused(self, reason: Refusal, claim: Claim | None, now: float) -> None:
        """One more, now. claim: None if it was not read."""
        self._by_reason[reason.value] += 1
        app_id = claim.app_id if claim else None
        self._last = {"when": now, "reason": reason.value, "appID": app_id}

    def report(self, paces: Paces, senders: int, now: float) -> dict[str, object]:
        """For the answer. now: of the clock of the paces."""
        return {
            "since": self._began,
            "connections": senders,
            "counts": paces.all.total,
            "rate": round(paces.all.rate(now), 3),
            "refusals": dict(sorted(self._by_reason.items())),
            "lastRefusal": self._last,
            "commits": paces.commits.report(),
        }


def of_app(
    state: AppState, pace: Pace | None, since: float | None, now: float
) -> dict[str, object]:
    """What is known of one App. since: when its sender connected, None if it is not connected. now:
    of the clock of the paces.

    Not known since this process began, and so null: lastCountAgo, before the first count; beat,
    before the third one.
    """
    last = pace.last if pace else None
    return {
        "nodeID": state.row.node_id,
        "epoch": state.row.epoch,
        "count": state.row.last,
        "connectedSince": since,
        "run": state.row.run,
        "lastCountAgo": None if last is None else round(now - last, 3),
        "beat": _rounded(pace.beat() if pace else None),
    }


def _rounded(seconds: float | None) -> float | None:
    """To microseconds."""
    return None if seconds is None else round(seconds, 6)
