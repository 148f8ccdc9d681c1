"""What goes over the wire: names, limits, and how each message is made and parsed.

Whatever comes from a peer passes through a `parse_` function first, which raises PeerError.
"""

from __future__ import annotations

from enum import Enum

from sendrecv.core.errors import PeerError, quoted
from sendrecv.core.values import Value

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_COUNT = 2**63 - 1
"""The largest count: the largest integer that SQLite, and a journal reader in C, can hold."""
MAX_EPOCH = 2**63 - 1
MAX_FIRST = 2**53
"""The largest first count of an App that the receiver does not know, and the largest epoch that any
claim may have: microseconds since 1970, until the year 2255. Claims must not use up all numbers of
an App. With one count a second, an App never gets this far."""
MAX_EPOCH_STEP = 2**20
"""A claim may have a larger epoch than that, if it is above the App's by at most this number. It
would take 2^43 claims to use up all epochs of an App."""
MAX_LOST = 2**40
"""Counts by which a sender may say that the ledger is older than what it knows: half a year of
them, as fast as they come."""
MAX_BATCH = 512
"""Payloads in one `count` event: 512 of the longest possible stay below MAX_MESSAGE."""
LEDGER_NAME = 16
"""Hexadecimal digits of a ledger's identity that the receiver tells: a record has room for them."""
MAX_MESSAGE = 131_072
"""Bytes in one Engine.IO message, either way."""
MIN_TOKEN = 20
"""Characters. Of letters and digits at random, that is a hundred bits and more."""
MAX_TOKEN = 4096
"""Bytes of a token. A connection that has not shown its token may not send much more."""
MAX_TOKEN_FILE = 65_536

NAME_RULE = "1 to 64 characters of A-Z a-z 0-9 . _ : @ -, the first a letter or a digit"
_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_OTHERS = _FIRST | frozenset("._:@-")
_HEX = frozenset("0123456789abcdef")
_PAYLOAD_KEYS = {"count", "appID", "nodeID"}


def is_name(text: object) -> bool:
    """Whether `text` may be an appID or a nodeID: it needs no escaping in JSON, nor in a path."""
    if not isinstance(text, str) or len(text) > 64:
        return False
    return text[:1] in _FIRST and _OTHERS.issuperset(text)


class Claim(Value):
    """What a connection claims to be: one process (`run`) of one node, with one fencing token.

    `epoch` orders the processes of an App (the "fencing token" of Kleppmann, "How to do
    distributed locking", 2016): the receiver obeys the highest it has seen.
    """

    app_id: str
    node_id: str
    epoch: int
    run: str


class Status(str, Enum):
    """The receiver's answer to a batch of counts."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"  # nothing in it is above the last count: nothing printed
    GAP = "gap"  # it starts above the count expected: nothing printed
    FENCED = "fenced"  # a newer run has taken over: this one must end
    INVALID = "invalid"  # it does not follow the protocol
    UNAVAILABLE = "unavailable"  # the ledger cannot be written now: send it again later


class Refusal(str, Enum):
    """Why the receiver refuses a connection."""

    TOKEN = "token"
    INVALID = "invalid"
    STALE = "stale"
    UNAVAILABLE = "unavailable"
    FULL = "full"


def claim_to_auth(claim: Claim, token: str) -> dict[str, object]:
    """The `auth` object of a Socket.IO CONNECT packet. Without a token, if `token` is empty."""
    auth: dict[str, object] = {
        "appID": claim.app_id,
        "nodeID": claim.node_id,
        "epoch": claim.epoch,
        "run": claim.run,
    }
    return {**auth, "token": token} if token else auth


def parse_auth(auth: Mapping[str, object]) -> Claim:
    """The claim in an `auth` object whose token has been checked."""
    for key in ("appID", "nodeID"):
        if not is_name(auth.get(key)):
            raise PeerError(f"auth: {key} is {quoted(auth.get(key))}, must be {NAME_RULE}")
    epoch, run = auth.get("epoch"), auth.get("run")
    if type(epoch) is not int or not 0 < epoch <= MAX_EPOCH:
        raise PeerError(f"auth: epoch is {quoted(epoch)}, must be an integer from 1 to 2^63-1")
    if not isinstance(run, str) or len(run) != 32 or not _HEX.issuperset(run):
        raise PeerError(f"auth: run is {quoted(run)}, must be 32 hexadecimal digits")
    return Claim(str(auth["appID"]), str(auth["nodeID"]), epoch, run)


def payloads(first: int, last: int, app_id: str, node_id: str) -> list[dict[str, object]]:
    """The payloads of the counts `first` to `last`, both included."""
    return [{"count": n, "appID": app_id, "nodeID": node_id} for n in range(first, last + 1)]


def parse_payloads(batch: Sequence[object], app_id: str, node_id: str) -> tuple[int, int]:
    """The first and last count of a batch, sent after a claim with `app_id` and `node_id`."""
    if not 0 < len(batch) <= MAX_BATCH:
        raise PeerError(f"count: {len(batch)} payloads in one event, must be 1 to {MAX_BATCH}")
    first = _parse_payload(batch[0], app_id, node_id)
    last = first + len(batch) - 1
    # It is several times faster to compare whole objects than to look at each key. 1.0 and True are
    # equal to 1 in Python, so the type is compared too.
    for expected, payload in enumerate(batch[1:], first + 1):
        if payload != {"count": expected, "appID": app_id, "nodeID": node_id} or (
            type(payload["count"]) is not int  # type: ignore[index]  # it equals a dict
        ):
            _parse_payload(payload, app_id, node_id)
            raise PeerError("count: the counts of one event must follow one another")
    if last > MAX_COUNT:
        raise PeerError("count: above 2^63-1")
    return first, last


def _parse_payload(payload: object, app_id: str, node_id: str) -> int:
    if not isinstance(payload, dict):
        raise PeerError(f"count: payload is {quoted(payload)}, must be an object")
    if payload.keys() != _PAYLOAD_KEYS:
        keys = quoted(sorted(map(str, payload))[:4])
        raise PeerError(f"count: payload has keys {keys}, must be count, appID, nodeID")
    count = payload["count"]
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        raise PeerError(f"count: count is {quoted(count)}, must be an integer from 0 to 2^63-1")
    for key, expected in (("appID", app_id), ("nodeID", node_id)):
        if payload[key] != expected:
            raise PeerError(f"count: {key} is {quoted(payload[key])}, not the claim's {expected}")
    return count


def is_ledger(text: object) -> bool:
    """Whether `text` names a ledger; "" is the name of one that is not known."""
    return isinstance(text, str) and len(text) in (0, LEDGER_NAME) and _HEX.issuperset(text)


def resume_arguments(last: int) -> tuple[dict[str, object], ...]:
    """What is sent with `resume`: nothing, or the last count that the receiver may have had."""
    return ({"last": last},) if last >= 0 else ()


def parse_resume(arguments: Sequence[object]) -> int:
    """That count; -1 for none."""
    if not arguments:
        return -1
    asked = arguments[0]
    last = asked.get("last") if isinstance(asked, dict) else None
    if type(last) is not int or not 0 <= last <= MAX_COUNT:
        raise PeerError(f"resume: last is {quoted(last)}, must be an integer from 0 to 2^63-1")
    return last


def parse_resumed(reply: object) -> tuple[int, str]:
    """In the receiver's answer to `resume`: the last count, -1 for none, and the name of its
    ledger, "" if it does not tell.

    Any other status than "accepted" says nothing about the last count, and is an error.
    """
    status, last = parse_answer(reply)
    if status is not Status.ACCEPTED:
        raise PeerError(f"the receiver answers: {status.value}")
    ledger = reply.get("ledger", "") if isinstance(reply, dict) else ""
    if not is_ledger(ledger):
        raise PeerError(f"the receiver's ledger is {quoted(ledger)}")
    return last, ledger


def parse_answer(reply: object) -> tuple[Status, int]:
    """Status and last count (-1 for none) in the receiver's answer to `count`."""
    if not isinstance(reply, dict):
        raise PeerError(f"the answer is {quoted(reply)}")
    try:
        status = Status(reply.get("status"))
    except ValueError:
        raise PeerError(f"the answer's status is {quoted(reply.get('status'))}") from None
    return status, _parse_last(reply.get("last"))


def _parse_last(last: object) -> int:
    if last is None:
        return -1
    if type(last) is not int or not 0 <= last <= MAX_COUNT:
        raise PeerError(f"the receiver's last count is {quoted(last)}")
    return last


def parse_refusal(reply: object) -> tuple[Refusal, int]:
    """Reason, and the receiver's epoch (0 for none), in a Socket.IO connect_error.

    The key "data" has the data of a refusal (Socket.IO protocol, revision 5).
    """
    data = reply.get("data") if isinstance(reply, dict) else None
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        raise PeerError(f"connect: refused with {quoted(reply)}")
    try:
        reason = Refusal(data.get("reason"))
    except ValueError:
        raise PeerError(f"connect: refused for {quoted(data.get('reason'))}") from None
    epoch = data.get("epoch", 0)
    if type(epoch) is not int or not 0 <= epoch <= MAX_EPOCH:
        raise PeerError(f"connect: the receiver's epoch is {quoted(epoch)}")
    return reason, epoch
