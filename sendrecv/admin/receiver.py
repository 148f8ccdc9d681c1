"""The receiver's answer, as values. Malformed values are treated as absent."""

from __future__ import annotations

from collections.abc import Mapping

from sendrecv.admin import ask
from sendrecv.core.values import Value
from sendrecv.core.wire import is_name
from sendrecv.errors import DONE, SendrecvError


class Row(Value):
    """What it has of one App. since: when its sender connected; None if it is not connected. ago:
    seconds since its last count came; None if none has since the receiver began.
    """

    app_id: str
    node: str
    epoch: int | None
    count: int | None
    run: str
    since: float | None
    ago: float | None
    beat: float | None


class RefusedClaim(Value):
    """A claim that it refused. app_id: "" if that is not known."""

    when: float
    reason: str
    app_id: str


class Commits(Value):
    """The transactions of its ledger. seconds: of all together. up_to: by a number of seconds, how
    many took so long or less.
    """

    count: int
    seconds: float
    up_to: tuple[tuple[float, int], ...]


class Receiver(Value):
    """error: why it cannot be asked, "" if it answered; exit_status: of a command that needs its
    answer. since: when it began. rate: counts a second. refusals: how many by reason. These are
    None for who may see some Apps only. rows: by appID.
    """

    url: str
    error: str = ""
    exit_status: int = DONE
    since: float | None = None
    connections: int | None = None
    counts: int | None = None
    rate: float | None = None
    refusals: Mapping[str, int] | None = None
    refusal: RefusedClaim | None = None
    commits: Commits | None = None
    rows: Mapping[str, Row] = {}


def read(url: str, ca: str) -> Receiver:
    """Ask it. ca: see ask.py."""
    try:
        return parse(url, ask.receiver(url, ca))
    except SendrecvError as error:
        return Receiver(url, error=str(error), exit_status=error.exit_status)


def parse(url: str, answer: Mapping[str, object]) -> Receiver:
    """The values in that answer."""
    apps, own = _object(answer.get("apps")), _object(answer.get("receiver"))
    rows = {name: _row(name, _object(app)) for name, app in apps.items() if is_name(name)}
    if not own:
        return Receiver(url, rows=rows)
    counted = _object(own.get("refusals"))
    return Receiver(
        url=url,
        since=_number(own.get("since")),
        connections=_whole(own.get("connections")),
        counts=_whole(own.get("counts")),
        rate=_number(own.get("rate")),
        refusals={key: n for key, it in counted.items() if (n := _whole(it)) and is_name(key)},
        refusal=_refusal(_object(own.get("lastRefusal"))),
        commits=_commits(_object(own.get("commits"))),
        rows=rows,
    )


def _row(name: str, app: Mapping[str, object]) -> Row:
    return Row(
        app_id=name,
        node=_name(app.get("nodeID")),
        epoch=_whole(app.get("epoch")),
        count=_whole(app.get("count")),
        run=_name(app.get("run")),
        since=_number(app.get("connectedSince")),
        ago=_number(app.get("lastCountAgo")),
        beat=_number(app.get("beat")),
    )


def _refusal(found: Mapping[str, object]) -> RefusedClaim | None:
    when, reason = _number(found.get("when")), _name(found.get("reason"))
    return RefusedClaim(when, reason, _name(found.get("appID"))) if when and reason else None


def _commits(found: Mapping[str, object]) -> Commits | None:
    """None of an older receiver. The bounds are in order, and so are the numbers."""
    count, seconds = _whole(found.get("count")), _number(found.get("seconds"))
    up_to = [(_bound(key), _whole(it)) for key, it in _object(found.get("within")).items()]
    known = sorted((bound, it) for bound, it in up_to if bound is not None and it is not None)
    return None if count is None or seconds is None else Commits(count, seconds, tuple(known))


def _bound(key: str) -> float | None:
    try:
        return float(key)
    except ValueError:
        return None


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _name(value: object) -> str:
    return value if isinstance(value, str) and is_name(value) else ""


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
