"""etcd's JSON gateway: what is asked, and what an answer means. Read for etcd 3.4.23 and 3.5.16.

A field that an answer does not have has its default: 0, false, empty (protobuf's JSON). Numbers of
64 bits are strings, and bytes are base64. A failed compare has no "succeeded".
"""

from __future__ import annotations

import binascii
import json

from sendrecv.core.errors import PeerError, quoted
from sendrecv.core.values import Value

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from typing import Any

    Answer = dict[str, Any]

RANGE, TXN, AUTHENTICATE = "/v3/kv/range", "/v3/kv/txn", "/v3/auth/authenticate"
WATCH = "/v3/watch"
_INVALID_ARGUMENT, _DENIED, _UNAUTHENTICATED = 3, 7, 16
"""Codes of gRPC, as an error's "code" has them."""
_NO_AUTH = "authentication is not enabled"
_OF_TOKENS = ("invalid auth token", "user name is empty", " is old")
"""What etcd says to a token that it does not know, to none at all, and to one from before a change
of its users or roles."""


class EtcdKey(Value):
    """What etcd has of a key. revision: its mod_revision, never 0."""

    revision: int
    value: bytes


class Written(Value):
    """The compare succeeded. revision: the new mod_revision of the key."""

    revision: int


class CompareFailed(Value):
    """The compare failed. key: what is there; None: no such key."""

    key: EtcdKey | None


class EtcdError(Exception):
    """etcd does not do what it is asked for. The text is one line for a person, without secrets."""


class EtcdRefused(EtcdError):
    """etcd has said no, and would say no at each endpoint: a right, its space, a password."""


class TokenRefused(EtcdRefused):
    """The same, for want of a token that is valid."""


def get_request(key: str, *, here: bool = False) -> bytes:
    """For RANGE. here: that endpoint's own state, however old, is enough."""
    request: Answer = {"key": _encoded(key.encode())}
    return _json(request | {"serializable": True} if here else request)


def put_if_request(key: str, revision: int, value: bytes, absent: str = "") -> bytes:
    """For TXN: put, if the key's mod_revision is that (0: there is no such key), else read it.

    absent: a key that must not be there.
    """
    name = _encoded(key.encode())
    compare = [_compared(key, revision)] + ([_compared(absent, 0)] if absent else [])
    put = {"request_put": {"key": name, "value": _encoded(value)}}
    read = {"request_range": {"key": name}}
    return _json({"compare": compare, "success": [put], "failure": [read]})


def remove_if_request(key: str, revision: int) -> bytes:
    """For TXN: remove the key, if its mod_revision is that."""
    remove = {"request_delete_range": {"key": _encoded(key.encode())}}
    return _json({"compare": [_compared(key, revision)], "success": [remove], "failure": []})


def _compared(key: str, revision: int) -> Answer:
    name = _encoded(key.encode())
    return {"target": "MOD", "result": "EQUAL", "key": name, "mod_revision": str(revision)}


def authenticate_request(user: str, password: str) -> bytes:
    """For AUTHENTICATE."""
    return _json({"name": user, "password": password})


def watch_request(key: str) -> bytes:
    """For WATCH."""
    return _json({"create_request": {"key": _encoded(key.encode())}})


def read_answer(status: int, body: bytes, secrets: tuple[str, ...] = ()) -> Answer:
    """The answer of that HTTP status. secrets: what no error may repeat.

    Raises EtcdError if it is an error, and PeerError if etcd would not say this.
    """
    if status != 200 and not body.lstrip().startswith(b"{"):
        raise PeerError(f"not etcd's JSON gateway: HTTP {status}")
    answer = _parsed(body)
    if status != 200:
        raise _error_of(answer, secrets)
    return answer


def cluster_of(answer: Answer) -> str:
    """The number of the cluster that answers. Raises PeerError."""
    return str(_number(_part(answer, "header"), "cluster_id"))


def key_in(answer: Answer, key: str) -> EtcdKey | None:
    """The answer to RANGE. Raises PeerError."""
    _number(_part(answer, "header"), "revision")
    return _key_in(answer, key)


def written_or_found(answer: Answer, key: str) -> Written | CompareFailed:
    """The answer to TXN. Raises PeerError."""
    revision = _number(_part(answer, "header"), "revision")
    (response,) = _list(answer, "responses", 1)
    if answer.get("succeeded", False) is True:
        _part(response, "response_put")
        return Written(revision)
    return CompareFailed(_key_in(_part(response, "response_range"), key))


def removed_or_found(answer: Answer) -> Written | CompareFailed:
    """The answer to TXN that removes a key; what is found is not read. Raises PeerError."""
    revision = _number(_part(answer, "header"), "revision")
    if answer.get("succeeded", False) is not True:
        return CompareFailed(None)
    (response,) = _list(answer, "responses", 1)
    _part(response, "response_delete_range")
    return Written(revision)


def token_in(answer: Answer) -> str:
    """The answer to AUTHENTICATE. Raises PeerError."""
    token = answer.get("token")
    # What may stand in a header.
    if not isinstance(token, str) or not 0 < len(token) <= 4096 or not token.isascii():
        raise PeerError("no token in the answer")
    if not token.isprintable():
        raise PeerError("the token is no text")
    return token


def is_without_auth(error: EtcdError) -> bool:
    """Whether it says that etcd asks nobody who they are."""
    return _NO_AUTH in str(error)


class WatchResponse(Value):
    """What a line of a watch says. is_first: the watch has begun. changed: the key has changed.
    key: what it is now, None if it is gone or the line does not say it.
    """

    is_first: bool
    changed: bool
    key: EtcdKey | None = None


def change_in(line: bytes) -> WatchResponse:
    """A line of a watch. Raises EtcdError if the watch is over, PeerError for anything else."""
    answer = _parsed(line)
    if "error" in answer:
        raise _error_of(_part(answer, "error"), ())
    result = _part(answer, "result")
    if result.get("canceled"):
        raise _error(str(result.get("cancel_reason", "")), 0, ())
    events = result.get("events")
    return WatchResponse(bool(result.get("created")), bool(events), _key_of(events))


def _key_of(events: object) -> EtcdKey | None:
    """Of the last of them. This is a hint: whatever else it may be, it says nothing."""
    match events:
        case [*_, {"type": "DELETE"}]:
            return None
        case [*_, {"kv": dict(found)}]:
            try:
                return EtcdKey(_number(found, "mod_revision"), _decoded(found, "value"))
            except PeerError:
                return None
    return None


def _key_in(answer: Answer, key: str) -> EtcdKey | None:
    if "kvs" not in answer:
        return None
    (found,) = _list(answer, "kvs", 1)
    if _decoded(found, "key") != key.encode():
        raise PeerError("another key in the answer")
    return EtcdKey(_number(found, "mod_revision"), _decoded(found, "value"))


def _error_of(answer: Answer, secrets: tuple[str, ...]) -> EtcdError:
    """A stream's error has other names for the same two, see grpc-gateway's StreamError."""
    text = answer.get("error") or answer.get("message") or ""
    code = answer.get("code", answer.get("grpc_code", 0))
    return _error(str(text), code if isinstance(code, int) else 0, secrets)


def _error(text: str, code: int, secrets: tuple[str, ...]) -> EtcdError:
    if any(secret in text for secret in secrets if secret):
        text = "an error that repeats a secret"
    words = f"etcd says {quoted(text.removeprefix('etcdserver: '))}"
    if code == _UNAUTHENTICATED or any(known in text for known in _OF_TOKENS):
        return TokenRefused(words)
    if code in (_INVALID_ARGUMENT, _DENIED) or "space exceeded" in text:
        return EtcdRefused(words)
    return EtcdError(words)


def _json(value: Answer) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _parsed(body: bytes) -> Answer:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise PeerError("not JSON") from None
    if not isinstance(answer, dict):
        raise PeerError("no JSON object")
    return answer


def _part(answer: Answer, name: str) -> Answer:
    part = answer.get(name)
    if not isinstance(part, dict):
        raise PeerError(f"no {name} in the answer")
    return part


def _list(answer: Answer, name: str, length: int) -> list[Answer]:
    found = answer.get(name)
    if not isinstance(found, list) or len(found) != length:
        raise PeerError(f"not {length} {name} in the answer")
    if not all(isinstance(one, dict) for one in found):
        raise PeerError(f"{name}: no objects")
    return found


def _number(answer: Answer, name: str) -> int:
    """Never 0, in all that is read here."""
    text = answer.get(name)
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > 20:
        raise PeerError(f"{name} is no number")
    if not (number := int(text)):
        raise PeerError(f"{name} is 0")
    return number


def _decoded(answer: Answer, name: str) -> bytes:
    try:
        return binascii.a2b_base64(answer.get(name, ""), strict_mode=True)
    except (ValueError, TypeError):
        raise PeerError(f"{name} is not base64") from None


def _encoded(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
