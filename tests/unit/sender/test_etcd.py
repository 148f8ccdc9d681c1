"""The client of etcd: what it asks, answers of any kind, and what etcd refuses.

The endpoints are none; tests/system has the real ones. test_etcd_lost.py: endpoints that are lost.
Where requests are counted, the next endpoint is asked only after a failure, however busy the
machine is.
"""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sendrecv.core.errors import PeerError
from sendrecv.sender import etcd_messages as messages
from sendrecv.sender.etcd import (
    CompareFailed,
    Credentials,
    EtcdError,
    EtcdKey,
    EtcdRefused,
    Written,
)
from tests.lab.waiting import HANG, wait_until
from tests.peers.fake_etcd import (
    HEADER,
    Answer,
    Asked,
    HangUp,
    encoded,
    error,
    hangs_up,
    says,
)
from tests.unit.sender.etcd_answers import (
    FOUND,
    GOOD,
    SHORT,
    bad_answers,
    etcd,
    good,
    in_turn,
    until_the_end,
)
from tests.unit.strategies import anything

pytestmark = pytest.mark.usefixtures("one_at_a_time")
WRITTEN = {
    "header": HEADER,
    "succeeded": True,
    "responses": [{"response_put": {"header": {"revision": "9"}}}],
}
COMPARED = {
    "header": HEADER,
    "responses": [{"response_range": {"header": {"revision": "9"}, **GOOD}}],
}
ABSENT = {"header": HEADER, "responses": [{"response_range": {"header": {"revision": "9"}}}]}
PASSWORD = "a-password-that-nobody-repeats"
USER = Credentials("one", PASSWORD)


# What is asked, and what comes back


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (GOOD, FOUND),
        ({"header": HEADER}, None),
        ({**GOOD, "kvs": [{"key": encoded(b"app"), "mod_revision": "7"}]}, EtcdKey(7, b"")),
    ],
)
def test_get(answer: object, found: EtcdKey | None) -> None:
    with etcd(says(answer)) as (one, (fake,)):
        assert one.get("app", HANG) == found
        assert fake.asked == [Asked("/v3/kv/range", {"key": encoded(b"app")}, None)]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(WRITTEN, Written(9)), (COMPARED, CompareFailed(FOUND)), (ABSENT, CompareFailed(None))],
)
def test_put_if(answer: object, outcome: Written | CompareFailed) -> None:
    with etcd(says(answer)) as (one, (fake,)):
        assert one.put_if("app", 4, b"new", HANG) == outcome
        (asked,) = fake.asked
    key = encoded(b"app")
    assert asked.path == "/v3/kv/txn"
    assert asked.body == {
        "compare": [{"target": "MOD", "result": "EQUAL", "key": key, "mod_revision": "4"}],
        "success": [{"request_put": {"key": key, "value": encoded(b"new")}}],
        "failure": [{"request_range": {"key": key}}],
    }


def test_put_if_another_key_is_absent() -> None:
    with etcd(says(WRITTEN)) as (one, (fake,)):
        assert one.put_if("app", 4, b"new", HANG, absent="paused") == Written(9)
        (asked,) = fake.asked
    keys = [(it["key"], it["target"], it["mod_revision"]) for it in asked.body["compare"]]
    assert keys == [(encoded(b"app"), "MOD", "4"), (encoded(b"paused"), "MOD", "0")]


@pytest.mark.parametrize(
    ("answer", "is_removed"),
    [
        ({"header": HEADER, "succeeded": True, "responses": [{"response_delete_range": {}}]}, True),
        ({"header": HEADER}, False),
    ],
)
def test_remove_if(answer: object, is_removed: bool) -> None:
    with etcd(says(answer)) as (one, (fake,)):
        assert one.remove_if("app", 4, HANG) is is_removed
        (asked,) = fake.asked
    key = encoded(b"app")
    assert asked.body == {
        "compare": [{"target": "MOD", "result": "EQUAL", "key": key, "mod_revision": "4"}],
        "success": [{"request_delete_range": {"key": key}}],
        "failure": [],
    }


def test_a_connection_is_kept() -> None:
    with etcd(good) as (one, (fake,)):
        for _ in range(5):
            assert one.get("app", HANG) == FOUND
        assert (len(fake.asked), fake.connections) == (5, 1)


@pytest.mark.parametrize("answer", [says(GOOD, head="Connection: close\r\n"), until_the_end])
def test_a_connection_that_the_endpoint_does_not_keep(answer: Answer) -> None:
    with etcd(answer) as (one, (fake,)):
        for _ in range(3):
            assert one.get("app", HANG) == FOUND
        assert (len(fake.asked), fake.connections) == (3, 3)


def test_a_connection_that_has_ended_meanwhile_is_opened_again() -> None:
    with etcd(good) as (one, (fake,)):
        for _ in range(3):
            assert one.get("app", HANG) == FOUND
            fake.cut()
        assert fake.connections == 3


def test_nothing_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("default login a password b", encoding="ascii")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with etcd(good) as (one, (fake,)):
        assert one.get("app", HANG) == FOUND
        assert [asked.token for asked in fake.asked] == [None]


# What is asked ahead


def test_what_is_asked_ahead_is_the_answer_to_the_next_get() -> None:
    with etcd(in_turn(good, says({"header": HEADER}))) as (one, (fake,)):
        one.read_ahead("app", HANG)
        wait_until(lambda: fake.asked, "it is asked")
        assert one.get("app", HANG) == FOUND and len(fake.asked) == 1
        assert one.get("app", HANG) is None and len(fake.asked) == 2


@pytest.mark.usefixtures("hedging")
@bad_answers
def test_if_that_comes_to_nothing_get_asks_as_ever(bad: Answer) -> None:
    with etcd(bad, good) as (one, (lost, _)):
        one.read_ahead("app", HANG)
        wait_until(lambda: lost.asked, "it is asked")
        assert one.get("app", HANG) == FOUND


def test_another_key_is_asked_for() -> None:
    with etcd(good) as (one, (fake,)):
        one.read_ahead("another", HANG)
        wait_until(lambda: fake.asked, "it is asked")
        assert one.get("app", HANG) == FOUND
        assert len(fake.asked) == 2


def test_while_the_next_write_is_on_its_way_something_is_done_once() -> None:
    """Even if that takes longer than the answer may: it has come meanwhile."""
    with etcd(says(WRITTEN)) as (one, (fake,)):
        done: list[str] = []

        def act() -> None:
            wait_until(lambda: fake.asked, "it is asked")
            time.sleep(2 * SHORT)
            done.append("done")

        one.meanwhile(act)
        assert one.put_if("app", 0, b"", SHORT) == Written(9)
        assert one.put_if("app", 0, b"", HANG) == Written(9)
        assert done == ["done"]


# What etcd refuses


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (error("etcdserver: permission denied", 7, "403 Forbidden"), "permission denied"),
        (
            error("etcdserver: mvcc: database space exceeded", 8, "429 Too Many Requests"),
            "database space exceeded",
        ),
        (error("etcdserver: request is too large", 3, "400 Bad Request"), "too large"),
        (error("etcdserver: user name is empty", 3, "400 Bad Request"), "no user for etcd is set"),
        (error("etcdserver: invalid auth token", 16, "401 Unauthorized"), "no user for etcd"),
    ],
)
def test_what_every_endpoint_would_refuse(refusal: Answer, words: str) -> None:
    with etcd(refusal, good) as (one, (fake, other)):
        with pytest.raises(EtcdRefused, match=words) as caught:
            one.put_if("app", 1, b"", HANG)
        assert f"127.0.0.1:{fake.endpoint.port}" in str(caught.value)
        assert (len(fake.asked), other.asked) == (1, [])


class Guarded:
    """An Answer: etcd with users. tokens: what it takes; each log-in adds one."""

    def __init__(self, *tokens: str, message: str = "etcdserver: invalid auth token") -> None:
        self.tokens = list(tokens)
        self.refuses = error(message, 16 if "token" in message else 3, "401 Unauthorized")

    def __call__(self, asked: Asked) -> Iterable[bytes]:
        if asked.path == messages.AUTHENTICATE:
            if asked.body != {"name": "one", "password": PASSWORD}:
                words = "etcdserver: authentication failed, invalid user ID or password"
                return error(words, 3, "400 Bad Request")(asked)
            self.tokens.append(f"token.{len(self.tokens)}")
            return says({"header": HEADER, "token": self.tokens[-1]})(asked)
        return (good if asked.token in self.tokens else self.refuses)(asked)


OLD_TOKENS = pytest.mark.parametrize(
    "message",
    [
        "etcdserver: invalid auth token",
        "etcdserver: user name is empty",
        "etcdserver: revision of auth store is old",
        "auth: revision in header is old",
    ],
)


def test_a_token_is_fetched_once() -> None:
    with etcd(Guarded(), credentials=USER) as (one, (fake,)):
        for _ in range(3):
            assert one.get("app", HANG) == FOUND
        assert [asked.token for asked in fake.asked] == [None] + 3 * ["token.0"]
        assert fake.connections == 1


@OLD_TOKENS
def test_a_token_that_etcd_has_forgotten_is_fetched_again(message: str) -> None:
    guarded = Guarded(message=message)
    with etcd(guarded, credentials=USER) as (one, (fake,)):
        assert one.get("app", HANG) == FOUND
        guarded.tokens = [""]
        assert one.get("app", HANG) == FOUND
        assert [asked.token for asked in fake.asked[2:]] == ["token.0", None, "token.1"]


def test_a_token_counts_for_all_endpoints() -> None:
    """And an endpoint that has forgotten it gives a new one, for all of them too."""
    guarded = Guarded()
    with etcd(guarded, guarded, credentials=USER) as (one, (first, second)):
        assert one.get("app", HANG) == FOUND
        first.answer = hangs_up
        assert one.get("app", HANG) == FOUND
        assert [asked.token for asked in second.asked] == ["token.0"]
        guarded.tokens = [""]
        assert one.get("app", HANG) == FOUND
        first.answer, second.answer = guarded, hangs_up
        assert one.get("app", HANG) == FOUND
        assert [asked.token for asked in second.asked[1:4]] == ["token.0", None, "token.1"]
        assert first.asked[-1].token == "token.1"


def test_a_token_that_is_never_right() -> None:
    """No endless loop."""
    guarded = Guarded()
    with etcd(guarded, credentials=USER) as (one, (fake,)):
        fake.answer = lambda asked: (
            guarded if asked.path == messages.AUTHENTICATE else guarded.refuses
        )(asked)
        with pytest.raises(EtcdRefused, match="invalid auth token"):
            one.get("app", HANG)
        assert len(fake.asked) == 4


def test_etcd_that_asks_for_no_user() -> None:
    """Users may be added, and later etcd told to ask for them."""
    off = error("etcdserver: authentication is not enabled", 9, "412 Precondition Failed")
    with etcd(off, credentials=USER) as (one, (fake,)):
        fake.answer = lambda asked: (off if asked.path == messages.AUTHENTICATE else good)(asked)
        for _ in range(2):
            assert one.get("app", HANG) == FOUND
        assert [asked.token for asked in fake.asked] == [None, None, None]
        fake.answer = Guarded(message="etcdserver: user name is empty")
        assert one.get("app", HANG) == FOUND


def test_a_wrong_password() -> None:
    wrong = USER.replace(password=f"{PASSWORD}!")
    with etcd(Guarded(), good, credentials=wrong) as (one, _):
        with pytest.raises(EtcdRefused, match="authentication failed") as caught:
            one.get("app", HANG)
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("token", ["", "x" * 5000, "a\r\nB: c", "\xe9", 7, None])
def test_a_token_that_is_none(token: object) -> None:
    with etcd(says({"header": HEADER, "token": token}), credentials=USER) as (one, (fake,)):
        with pytest.raises(EtcdError):
            one.get("app", HANG)
        assert {asked.path for asked in fake.asked} == {messages.AUTHENTICATE}


def test_no_secret_is_repeated() -> None:
    def repeats(asked: Asked) -> Iterable[bytes]:
        return error(f"etcdserver: {json.dumps(asked.body)}, {asked.token}", 7, "403 No")(asked)

    with etcd(repeats, credentials=USER) as (one, (fake,)):
        with pytest.raises(EtcdError) as caught:
            one.get("app", HANG)
        assert PASSWORD not in str(caught.value)
        guarded = Guarded()
        fake.answer = lambda asked: (guarded if asked.path == messages.AUTHENTICATE else repeats)(
            asked
        )
        with pytest.raises(EtcdError) as caught:
            one.get("app", HANG)
        assert fake.asked[-1].token == "token.0"
        assert "token.0" not in str(caught.value)
    assert PASSWORD not in f"{USER} {USER!r}"


# Answers of any kind


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place in a value of JSON."""
    yield path
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) else ()
    )
    for key, part in inner:
        yield from places(part, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:
    """A copy with something else in one place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def strange(draw: st.DrawFn, answer: object) -> object:
    path = draw(st.sampled_from(list(places(answer))))
    return replaced(answer, path, draw(anything | st.text("0123456789+/=", max_size=30)))


@given(
    st.sampled_from([GOOD, WRITTEN, COMPARED, ABSENT]).flatmap(strange),
    st.sampled_from([200, 400, 503]),
)
def test_strange_answers(answer: object, status: int) -> None:
    """Each is read, or is no answer."""
    body = json.dumps(answer).encode()
    for read in (messages.key_in, messages.written_or_found):
        with contextlib.suppress(PeerError, EtcdError):
            found = read(messages.read_answer(status, body, (PASSWORD,)), "app")
            assert status == 200
            match found:
                case Written(revision):
                    assert revision > 0
                case EtcdKey(revision, value):
                    assert revision > 0 and isinstance(value, bytes)
                case _:
                    assert found is None or isinstance(found, CompareFailed)
    with contextlib.suppress(PeerError, EtcdError):
        messages.change_in(body)
    with contextlib.suppress(PeerError, EtcdError):
        assert messages.token_in(messages.read_answer(status, body)).isprintable()


@pytest.mark.usefixtures("hedging")
@settings(max_examples=30)
@given(st.binary(max_size=300), st.booleans())
def test_strange_bytes(data: bytes, ends: bool) -> None:
    def strange_bytes(_asked: Asked) -> Iterable[bytes]:
        yield data
        if ends:
            raise HangUp

    with etcd(strange_bytes, good) as (one, _):
        assert one.get("app", HANG) == FOUND
