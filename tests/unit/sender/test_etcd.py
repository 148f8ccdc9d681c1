"""The client of etcd, against endpoints that are none; tests/system has the real ones.

No test says how fast an answer comes. An endpoint that is silent is silent for ever, so an answer
that comes at all has not waited for it. Where requests are counted, the next endpoint is asked only
after a failure, however busy the machine is.
"""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sendrecv.core.errors import PeerError
from sendrecv.sender import etcd as client
from sendrecv.sender import etcd_messages as messages
from sendrecv.sender.etcd import (
    HEDGE,
    Credentials,
    Endpoint,
    Etcd,
    EtcdError,
    EtcdRefused,
    Found,
    Key,
    Written,
)
from sendrecv.sender.etcd_connection import MAX_ANSWER
from tests.lab.waiting import HANG, wait_until
from tests.peers.fake_etcd import (
    HEADER,
    Answer,
    Asked,
    FakeEtcd,
    HangUp,
    encoded,
    error,
    hangs_up,
    http,
    pair,
    says,
    silent,
)
from tests.unit.strategies import anything

VALUE = b"\x00\xff what is there"
FOUND = Key(5, VALUE)
GOOD = {"header": HEADER, "kvs": [pair("app", VALUE)], "count": "1"}
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
good = says(GOOD)
SHORT = 0.3
"""Seconds for a call that no endpoint answers."""
PASSWORD = "a-password-that-nobody-repeats"
USER = Credentials("one", PASSWORD)


@contextlib.contextmanager
def etcd(
    *answers: Answer, credentials: Credentials | None = None
) -> Iterator[tuple[Etcd, list[FakeEtcd]]]:
    """A client, and an endpoint for each answer."""
    with contextlib.ExitStack() as stack:
        fakes = [stack.enter_context(FakeEtcd(answer)) for answer in answers]
        with closing([fake.endpoint for fake in fakes], credentials) as one:
            yield one, fakes


@contextlib.contextmanager
def closing(
    endpoints: Sequence[Endpoint], credentials: Credentials | None = None
) -> Iterator[Etcd]:
    """A client, whose threads are over at the end."""
    before = threading.enumerate()
    one = Etcd(endpoints, credentials)
    try:
        yield one
    finally:
        one.close()
        wait_until(lambda: not etcd_threads(before), "its threads have ended")


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HEDGE", 2 * HANG)


@pytest.fixture
def hedging(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next endpoint is asked while the first one is silent."""
    monkeypatch.setattr(client, "HEDGE", HEDGE)


def fail(one: Etcd, *fakes: FakeEtcd) -> None:
    """Calls until all of these have been asked, in vain."""
    while True:
        with pytest.raises(EtcdError):
            one.get("app", SHORT)
        if all(fake.asked for fake in fakes):
            return


def etcd_threads(but: Sequence[threading.Thread] = ()) -> list[threading.Thread]:
    found = [thread for thread in threading.enumerate() if thread.name.startswith("etcd ")]
    return [thread for thread in found if thread not in but]


def in_turn(*answers: Answer) -> Answer:
    """One after the other; then the last one."""
    left = list(answers)

    def answer(asked: Asked) -> Iterable[bytes]:
        return (left.pop(0) if len(left) > 1 else left[0])(asked)

    return answer


# Answers that are none


def trickles(_asked: Asked) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"
    yield from endless(b" ", 0.01)


def head_trickles(_asked: Asked) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from endless(b"x", 0.01)


def endless(part: bytes, pause: float = 0.0) -> Iterable[bytes]:
    while True:
        yield part
        time.sleep(pause)


def endless_after(head: bytes, part: bytes) -> Answer:
    return lambda _asked: itertools.chain([head], endless(part))


def cut_off(_asked: Asked) -> Iterable[bytes]:
    yield http(json.dumps(GOOD).encode())[:-20]
    raise HangUp


def until_the_end(_asked: Asked) -> Iterable[bytes]:
    yield b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(GOOD).encode()
    raise HangUp


def raw(*parts: bytes) -> Answer:
    return lambda _asked: parts


HUGE = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_ANSWERS: dict[str, Answer] = {
    "silent": silent,
    "hangs up": hangs_up,
    "cut off": cut_off,
    "trickles": trickles,
    "head trickles": head_trickles,
    "garbage": raw(b"\x00\xfe" * 500),
    "another protocol": raw(b"220 mail.example ESMTP\r\n\r\n"),
    "huge": endless_after(HUGE, b" " * 65536),
    "huge, until the end": endless_after(b"HTTP/1.0 200 OK\r\n\r\n", b" " * 65536),
    "huge chunks": endless_after(CHUNKED, b"1\r\n \r\n" * 8192),
    "huge line": endless_after(b"HTTP/1.1 200 OK\r\nA: ", b"x" * 65536),
    "many lines": endless_after(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 8192),
    "always continue": endless_after(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2048),
    "no chunk": raw(CHUNKED + b"-5\r\n"),
    "too long": says({**GOOD, "more": " " * MAX_ANSWER}),
    "deep": raw(http(b"[" * 60_000)),
    "deep object": raw(http(b'{"a":' * 10_000)),
    "HTML": raw(http(b"<html>busy</html>", "503 Service Unavailable")),
    "not found": raw(http(b"Not Found", "404 Not Found")),
    "elsewhere": raw(http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n")),
    "no leader": error("etcdserver: no leader", 14),
    "leader changed": error("etcdserver: leader changed", 14),
    "timed out": error("etcdserver: request timed out", 14, "504 Gateway Timeout"),
    "busy": error("etcdserver: too many requests", 8, "429 Too Many Requests"),
    "nothing": says({}),
    "no object": says([GOOD]),
    "no header": says({"kvs": GOOD["kvs"]}),
    "no revision": says({**GOOD, "header": {"cluster_id": "7"}}),
    "another key": says({**GOOD, "kvs": [pair("other", VALUE)]}),
    "two keys": says({**GOOD, "kvs": [pair("app", VALUE)] * 2}),
    "revision 0": says({**GOOD, "kvs": [pair("app", VALUE, 0)]}),
    "no base64": says({**GOOD, "kvs": [{**pair("app", VALUE), "value": "?"}]}),
    "error without words": says({}, "500 Internal Server Error"),
}
bad_answers = pytest.mark.parametrize("bad", NO_ANSWERS.values(), ids=list(NO_ANSWERS))


# What is asked, and what comes back


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (GOOD, FOUND),
        ({"header": HEADER}, None),
        ({**GOOD, "kvs": [{"key": encoded(b"app"), "mod_revision": "7"}]}, Key(7, b"")),
    ],
)
def test_get(answer: object, found: Key | None) -> None:
    with etcd(says(answer)) as (one, (fake,)):
        assert one.get("app", HANG) == found
        assert fake.asked == [Asked("/v3/kv/range", {"key": encoded(b"app")}, None)]


@pytest.mark.parametrize(
    ("answer", "outcome"), [(WRITTEN, Written(9)), (COMPARED, Found(FOUND)), (ABSENT, Found(None))]
)
def test_put_if(answer: object, outcome: Written | Found) -> None:
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


# Endpoints that are lost


@bad_answers
@pytest.mark.usefixtures("hedging")
def test_the_next_endpoint_answers(bad: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    with etcd(bad, good) as (one, (lost, fake)):
        assert one.get("app", HANG) == FOUND
        wait_until(lambda: lost.asked, "the first one has been asked")
        before = len(lost.asked)
        monkeypatch.setattr(client, "HEDGE", 2 * HANG)
        assert one.get("app", HANG) == FOUND  # it is asked first now
        assert (len(lost.asked), len(fake.asked)) == (before, 2)


@bad_answers
def test_no_answer_is_an_error_in_one_line(bad: Answer) -> None:
    with etcd(bad) as (one, (fake,)):
        began = time.monotonic()
        with pytest.raises(EtcdError) as caught:
            one.get("app", SHORT)
        assert time.monotonic() - began < HANG
        text = str(caught.value)
        assert f"127.0.0.1:{fake.endpoint.port} (" in text
        assert text.isprintable() and len(text) < 250
        assert not isinstance(caught.value, EtcdRefused)
        assert caught.value.__cause__ is None


@bad_answers
def test_an_endpoint_that_does_better_is_believed(bad: Answer) -> None:
    with etcd(bad) as (one, (fake,)):
        fail(one, fake)
        fake.answer = good
        assert one.get("app", HANG) == FOUND


@pytest.mark.parametrize("name", ["silent", "trickles", "head trickles", "huge", "huge line"])
def test_a_connection_without_an_answer_is_ended(name: str) -> None:
    """At the deadline, or at the limit of size. Nobody calls again, nor closes the client."""
    with etcd(NO_ANSWERS[name]) as (one, (fake,)):
        fail(one, fake)
        wait_until(lambda: fake.ended == fake.connections, "the client has ended the connection")


@pytest.mark.usefixtures("hedging")
def test_a_late_request_makes_room_for_a_new_one() -> None:
    """The first one still has an hour."""
    with etcd(silent, in_turn(good, silent)) as (one, (late, _)):
        assert one.get("app", 3600) == FOUND
        late.answer = good
        assert one.get("app", HANG) == FOUND
        assert late.connections == late.ended + 1


@pytest.mark.usefixtures("hedging")
def test_two_of_three_are_lost() -> None:
    with etcd(silent, hangs_up, good) as (one, (_, second, third)):
        assert one.get("app", HANG) == FOUND
        second.answer, third.answer = good, hangs_up
        assert one.get("app", HANG) == FOUND


def test_nothing_listens() -> None:
    with FakeEtcd(good) as gone:
        pass
    with FakeEtcd(good) as fake, closing([gone.endpoint, fake.endpoint]) as one:
        assert one.get("app", HANG) == FOUND
    with closing([gone.endpoint]) as one, pytest.raises(EtcdError, match="nothing listens there"):
        one.get("app", HANG)


def test_a_name_that_is_not_known() -> None:
    nowhere = Endpoint("nowhere.invalid", 2379)
    with closing([nowhere]) as one, pytest.raises(EtcdError, match="nowhere.invalid:2379"):
        one.get("app", HANG)
    with FakeEtcd(good) as fake, closing([nowhere, fake.endpoint]) as one:
        assert one.get("app", HANG) == FOUND


def test_a_name_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one leads nowhere. What has been found is not looked up again."""
    looked_up = []
    with FakeEtcd(good) as gone:
        pass
    with FakeEtcd(good) as fake:

        def find(host: bytes, port: int, **_options: object) -> list[tuple[object, ...]]:
            looked_up.append((host, port))
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            there = [("127.0.0.1", one.endpoint.port) for one in (gone, fake)]
            return [(*kind, address) for address in there]

        monkeypatch.setattr(socket, "getaddrinfo", find)
        with closing([Endpoint("several.example", 2379)]) as one:
            for _ in range(3):
                assert one.get("app", HANG) == FOUND
                fake.cut()
    assert looked_up == [(b"several.example", 2379)]


def test_a_look_up_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    real = socket.getaddrinfo

    def hang(host: str, *rest: Any, **options: Any) -> Any:
        if host == "hangs.example":
            answered.wait()
        return real("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with FakeEtcd(good) as fake:
        with closing([Endpoint("hangs.example", 2379), fake.endpoint]) as one:
            monkeypatch.setattr(client, "HEDGE", HEDGE)
            assert one.get("app", HANG) == FOUND
            one.close()
            with pytest.raises(EtcdError, match="closed"):
                one.get("app", HANG)
            answered.set()


@pytest.mark.usefixtures("hedging")
def test_the_copy_that_comes_too_late_finds_what_the_first_has_written() -> None:
    """The first endpoint has written it and is lost: the caller is told what is there."""
    mine = {"header": HEADER, "kvs": [pair("app", b"mine", 9)]}
    too_late = {"header": HEADER, "responses": [{"response_range": mine}]}
    with etcd(silent, says(too_late)) as (one, fakes):
        assert one.put_if("app", 5, b"mine", HANG) == Found(Key(9, b"mine"))
        wait_until(lambda: fakes[0].asked == fakes[1].asked, "both were asked the same")


@pytest.mark.usefixtures("hedging")
def test_during_an_election_the_lost_member_is_not_waited_for() -> None:
    """The members that can be reached say that there is no leader; soon there may be one again."""
    with etcd(silent, hangs_up, hangs_up) as (one, (lost, *reached)):
        with pytest.raises(EtcdError, match=r"\(not within .* s\)$"):
            one.get("app", 100 * HANG)
        for fake in reached:
            fake.answer = good
        assert one.get("app", 100 * HANG) == FOUND
        assert len(lost.asked) == 1  # those that say something are asked first


def test_an_endpoint_of_another_cluster_is_none() -> None:
    """It does not have the key, and that means nothing."""
    other = says({"header": {**HEADER, "cluster_id": "7"}})
    with etcd(good, other) as (one, (fake, _)):
        assert one.get("app", HANG) == FOUND
        fake.answer = hangs_up
        with pytest.raises(EtcdError, match="belongs to another cluster"):
            one.get("app", HANG)
        fake.answer = good
        assert one.get("app", HANG) == FOUND


def test_endpoints_that_are_not_needed_are_asked_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "WARM", 1.0)
    with etcd(good, good, silent) as (one, (first, second, third)):

        def asked() -> bool:
            assert one.get("app", HANG) == FOUND
            return len(second.asked) > 1 and len(third.asked) > 1

        wait_until(asked, "they are asked")
        for warm in (second, third):
            body = {"key": encoded(b"app"), "serializable": True}
            assert warm.asked[0] == Asked("/v3/kv/range", body, None)
        assert len(first.asked) > len(second.asked)


# Closed


@pytest.mark.usefixtures("hedging")
def test_close_waits_for_nothing() -> None:
    with etcd(silent, silent) as (one, (first, second)):
        fail(one, first, second)
        one.close()
        with pytest.raises(EtcdError, match="closed"):
            one.get("app", HANG)
        wait_until(lambda: first.ended and second.ended, "the connections have ended")


@pytest.mark.usefixtures("hedging")
def test_close_ends_what_still_has_time() -> None:
    with etcd(silent, good) as (one, (late, _)):
        assert one.get("app", 3600) == FOUND  # the first one still has an hour
        wait_until(lambda: late.asked, "it is asked")
        assert late.ended == 0
        one.close()
        wait_until(lambda: late.ended, "the connection has ended")


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
                case Key(revision, value):
                    assert revision > 0 and isinstance(value, bytes)
                case _:
                    assert found is None or isinstance(found, Found)
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
