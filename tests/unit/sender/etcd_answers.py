"""A client of etcd and endpoints that are none, and what these answer. For tests/unit/sender."""

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

import pytest

from sendrecv.sender.etcd import Credentials, Endpoint, Etcd, EtcdKey
from sendrecv.sender.etcd_connection import MAX_ANSWER
from tests.lab.waiting import wait_until
from tests.peers.fake_etcd import (
    HEADER,
    Answer,
    Asked,
    FakeEtcd,
    HangUp,
    error,
    hangs_up,
    http,
    pair,
    says,
    silent,
)

VALUE = b"\x00\xff what is there"
FOUND = EtcdKey(5, VALUE)
GOOD = {"header": HEADER, "kvs": [pair("app", VALUE)], "count": "1"}
good = says(GOOD)
SHORT = 0.3
"""Seconds for a call that no endpoint answers."""


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
