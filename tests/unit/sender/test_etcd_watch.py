"""A watch of etcd: it wakes the caller after a change, or dies without harm."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.sender import etcd_messages as messages
from sendrecv.sender import etcd_watch
from sendrecv.sender.etcd import Credentials, Etcd, EtcdKey
from sendrecv.sender.etcd_connection import MAX_ANSWER
from tests.lab.waiting import wait_until
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
    says,
    silent,
)
from tests.unit.strategies import anything

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BEGUN = {"result": {"header": HEADER, "created": True}}
CHANGED = {"result": {"header": HEADER, "events": [{"kv": {"key": encoded(b"app")}}]}}
PROGRESS = {"result": {"header": HEADER}}
OVER = {"result": {"header": HEADER, "canceled": True, "cancel_reason": "etcdserver: no leader"}}
NO_TOKEN = {
    "result": {
        **{"header": HEADER, "watch_id": "-1", "created": True, "canceled": True},
        "cancel_reason": "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
    }
}
FAILED = {"error": {"grpc_code": 14, "http_code": 503, "message": "etcdserver: no leader"}}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def line(value: object) -> bytes:
    return chunk(json.dumps(value).encode() + b"\n")


class Channel:
    """An Answer to one watch: what is put on `parts` is sent; None ends the connection."""

    def __init__(self, *parts: bytes | None) -> None:
        self.parts: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for part in parts:
            self.parts.put(part)

    def __call__(self, _asked: Asked) -> Iterable[bytes]:
        while (part := self.parts.get()) is not None:
            yield part
        raise HangUp


class Channels:
    """An Answer: the first watch has the first channel, and so on; then there is silence."""

    def __init__(self, *channels: Channel) -> None:
        self.channels = channels
        self._left = list(channels)

    def __call__(self, asked: Asked) -> Iterable[bytes]:
        return self._left.pop(0)(asked) if self._left else ()

    def end(self) -> None:
        """Nothing waits for a part any more."""
        for channel in self.channels:
            channel.parts.put(None)


class Wakes:
    """How often the watch has called."""

    def __init__(self) -> None:
        self.count = 0
        self.keys: list[EtcdKey | None] = []

    def __call__(self, key: EtcdKey | None) -> None:
        self.count += 1
        self.keys.append(key)

    def wait(self, count: int) -> None:
        wait_until(lambda: self.count >= count, f"{count} calls")
        assert self.count == count


@contextmanager
def watched(
    *answers: Answer, wake: Callable[[EtcdKey | None], None], credentials: Credentials | None = None
) -> Iterator[list[FakeEtcd]]:
    """A watch of a client of these endpoints; its thread is over at the end."""
    with ExitStack() as stack:
        fakes = [stack.enter_context(FakeEtcd(answer)) for answer in answers]
        client = Etcd([fake.endpoint for fake in fakes], credentials)
        watch = client.watch("app", wake)
        try:
            yield fakes
        finally:
            watch.close()
            wait_until(lambda: not watching(), "its thread has ended")
            client.close()
            for answer in answers:
                if isinstance(answer, Channels):
                    answer.end()


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "etcd watch"]


def test_it_wakes_when_it_begins_and_at_each_change() -> None:
    channel, wakes = Channel(HEAD), Wakes()
    with watched(Channels(channel), wake=wakes) as (fake,):
        wait_until(lambda: fake.asked, "it is asked for")
        assert fake.asked == [
            Asked("/v3/watch", {"create_request": {"key": encoded(b"app")}}, None)
        ]
        assert wakes.count == 0
        channel.parts.put(line(BEGUN))
        wakes.wait(1)
        for count in (2, 3):
            channel.parts.put(line(PROGRESS) + line(CHANGED))
            wakes.wait(count)


def test_lines_that_come_in_pieces() -> None:
    data = HEAD + line(BEGUN) + line(CHANGED)
    channel, wakes = Channel(*(bytes([byte]) for byte in data)), Wakes()
    with watched(Channels(channel), wake=wakes):
        wakes.wait(2)


@pytest.mark.parametrize(
    "end",
    [
        None,
        line(OVER),
        line(FAILED),
        line({"result": {}, "error": {}}),
        b"0\r\n\r\n",
        b"garbage\r\n",
        chunk(b"garbage\n"),
        chunk(b"[" * 60_000 + b"\n"),
        chunk(b" " * (MAX_ANSWER + 1) + b"\n"),
    ],
)
def test_another_one_begins_after_its_end(end: bytes | None) -> None:
    """And wakes, for the key may have changed meanwhile."""
    channels = Channels(Channel(HEAD, line(BEGUN), end), Channel(HEAD, line(BEGUN)))
    wakes = Wakes()
    with watched(channels, wake=wakes) as (fake,):
        wakes.wait(2)
        assert len(fake.asked) == 2


@pytest.mark.parametrize(
    "bad",
    [
        hangs_up,
        says({}, "404 Not Found"),
        error("etcdserver: permission denied", 7, "403 Forbidden"),
        lambda _asked: [http(b"busy", "503 Service Unavailable")],
        lambda _asked: [b"\x00" * 1000],
    ],
)
def test_the_next_endpoint_is_watched(bad: Answer) -> None:
    wakes = Wakes()
    with watched(bad, Channels(Channel(HEAD, line(BEGUN))), wake=wakes):
        wakes.wait(1)


def begins(_asked: Asked) -> Iterable[bytes]:
    """A watch in which nothing changes."""
    yield HEAD + line(BEGUN)


def test_an_endpoint_that_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_watch, "FIRST_LINE", 0.3)
    wakes = Wakes()
    with watched(silent, wake=wakes) as (fake,):
        wait_until(lambda: fake.connections > 1, "the first attempt has ended")
        assert wakes.count == 0
        fake.answer = begins
        wait_until(lambda: wakes.count, "it has begun")


def test_a_watch_that_has_begun_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time-out ends it while nothing changes."""
    monkeypatch.setattr(etcd_watch, "FIRST_LINE", 0.5)
    wakes = Wakes()
    with watched(begins, wake=wakes) as (fake,):
        wait_until(lambda: wakes.count, "it has begun")
        before = (fake.connections, fake.ended)
        time.sleep(1.0)
        assert (fake.connections, fake.ended) == before


def test_a_token_is_fetched_and_fetched_again() -> None:
    channels = Channels(Channel(HEAD, line(NO_TOKEN)), Channel(HEAD, line(BEGUN)))
    tokens, wakes = iter(["old", "new"]), Wakes()

    def guarded(asked: Asked) -> Iterable[bytes]:
        if asked.path == messages.AUTHENTICATE:
            return says({"header": HEADER, "token": next(tokens)})(asked)
        return channels(asked)

    credentials = Credentials("one", "password")
    with watched(guarded, wake=wakes, credentials=credentials) as (fake,):
        wakes.wait(1)
        assert [asked.token for asked in fake.asked] == [None, "old", None, "new"]
        channels.end()


def test_no_busy_loop_when_nobody_answers() -> None:
    """Each attempt is a connection. There is a wait before each one but the first."""
    wakes = Wakes()
    began = time.monotonic()
    with watched(hangs_up, wake=wakes) as (fake,):
        wait_until(lambda: fake.connections >= 4, "four attempts")
        count, passed = fake.connections, time.monotonic() - began
        assert passed >= etcd_watch.SHORTEST * 7  # 1 + 2 + 4
        assert count <= 1 + passed / etcd_watch.SHORTEST
        assert wakes.count == 0


def test_a_flood_of_changes_wakes_now_and_then() -> None:
    wakes = Wakes()

    def flood(_asked: Asked) -> Iterable[bytes]:
        yield HEAD + line(BEGUN)
        while True:
            yield line(CHANGED) * 100

    began = time.monotonic()
    with watched(flood, wake=wakes):
        wait_until(lambda: wakes.count >= 20, "it has woken")
        assert wakes.count <= 1 + (time.monotonic() - began) / etcd_watch.PAUSE


def test_it_is_closed_with_the_client() -> None:
    wakes = Wakes()
    with FakeEtcd(silent) as fake:
        client = Etcd([fake.endpoint], None)
        client.watch("app", wakes)
        wait_until(lambda: fake.asked, "it is asked for")
        client.close()
        wait_until(lambda: not watching(), "its thread has ended")
    assert wakes.count == 0


@given(st.binary(max_size=50) | anything.map(lambda value: json.dumps(value).encode()))
def test_strange_lines(data: bytes) -> None:
    """Whatever a line says, a watch goes on or ends."""
    try:
        change = messages.change_in(data)
    except (messages.EtcdError, messages.PeerError):
        return
    assert {change.is_first, change.changed} <= {False, True}


def test_a_change_says_what_the_key_is_now_if_that_is_right() -> None:
    there: dict[str, object] = {"key": encoded(b"app"), "value": encoded(b"x"), "mod_revision": "7"}
    for events, key in (
        ([{"kv": there}], EtcdKey(7, b"x")),
        ([{"type": "PUT", "kv": {**there, "mod_revision": "6"}}, {"kv": there}], EtcdKey(7, b"x")),
        ([{"kv": there}, {"type": "DELETE", "kv": there}], None),
        ([{"kv": {**there, "mod_revision": 7}}], None),
        ([{"kv": {**there, "value": "?"}}], None),
        ([{"kv": None}], None),
        ([7], None),
        ({"kv": there}, None),
    ):
        result = {"header": HEADER, "events": events}
        change = messages.change_in(json.dumps({"result": result}).encode())
        assert change == messages.WatchResponse(False, True, key)
