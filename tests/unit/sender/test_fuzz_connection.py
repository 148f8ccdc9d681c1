"""Whatever a receiver says: a connection gives only events that the machine knows, and ends.

The real Connection and its libraries, against a receiver on a loopback socket that is none. What
the machine does with such events is in test_fake_receiver.py.
"""

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sendrecv.core.sender_events import Answered, Closed, Connected, Refused, Resumed
from sendrecv.core.wire import Refusal, Status
from tests.lab.dialogue import (
    ENDS,
    LARGEST,
    SECRET,
    FakeReceiver,
    after,
    assert_known,
    talk,
    text,
    uncaught_kept,
)
from tests.peers.websocket import ADMITTED, OPEN, server_frame
from tests.unit.strategies import frames, numbers

MEMORY = 4_000_000
"""Bytes for one connection."""

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("sockets_left"),
]


@pytest.fixture(autouse=True, scope="module")
def uncaught() -> Iterator[None]:
    """What ends a thread is kept for talk()."""
    with uncaught_kept():
        yield


GONE = Closed(1, "connection lost")
PLANTED: dict[str, list[Any]] = {
    "two ends": [GONE, GONE],
    "no event": [3, GONE],
    "of another": [Connected(2), GONE],
    "admitted twice": [Connected(1), Connected(1), GONE],
    "refused and lost": [Refused(1, Refusal.FULL, 0), GONE],
    "a reason in words": [Refused(1, "stale", 0)],  # type: ignore[arg-type]  # wrong, so
    "an epoch below": [Refused(1, Refusal.STALE, -1)],
    "an epoch beyond": [Refused(1, Refusal.STALE, 2**63)],
    "a count below": [Resumed(1, -2), GONE],
    "a count beyond": [Resumed(1, 2**63), GONE],
    "a float": [Resumed(1, 3.0), GONE],  # type: ignore[arg-type]  # wrong, so
    "a truth": [Answered(1, Status.GAP, True), GONE],
    "a status in words": [Answered(1, "gap", 3), GONE],  # type: ignore[arg-type]  # wrong, so
    "a long reason": [Closed(1, "x" * 301)],
    "lines": [Closed(1, "a\nb")],
    "the token": [Closed(1, f"not a receiver: {SECRET}")],
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_judge_sees(name: str) -> None:
    good = [Connected(1), Resumed(1, -1), Answered(1, Status.GAP, LARGEST), GONE]
    assert_known(good)
    with pytest.raises(AssertionError):
        assert_known(PLANTED[name])


# What it answers

scalars: st.SearchStrategy[object] = (
    st.sampled_from([None, True, False, [[[[[]]]]], {"a": {"b": [{}]}}]) | numbers
)
values = scalars | st.text(max_size=20)
anything = values | st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values)
statuses = st.sampled_from([*"accepted duplicate gap fenced invalid unavailable".split(), "", 1])
lasts = st.integers(-2, 2**63) | st.just(None) | anything
nearly = st.fixed_dictionaries({"status": statuses | anything, "last": lasts})
answers = st.lists(nearly | nearly | anything, min_size=1, max_size=1) | st.lists(anything)
reasons = st.sampled_from([*"token invalid stale unavailable full".split(), "", 7])
refusals = st.fixed_dictionaries(
    {
        "message": anything,
        "data": st.fixed_dictionaries({"reason": reasons, "epoch": lasts}) | anything,
    }
)
greetings = st.just(ADMITTED) | refusals.map(lambda refusal: f"44{json.dumps(refusal)}")


def expected(answer: Sequence[Any]) -> list[tuple[str, int]]:
    """Status and last count in a right answer; written apart from the sender's own rules."""
    reply = answer[0] if answer else None
    if len(answer) > 1 or not isinstance(reply, dict):
        return []
    status, last = reply.get("status"), reply.get("last")
    if not isinstance(status, str) or status not in [each.value for each in Status]:
        return []
    if last is not None and (type(last) is not int or not 0 <= last <= LARGEST):
        return []
    return [(status, -1 if last is None else last)]


@given(greetings, answers, answers)
@settings(max_examples=100)
def test_strange_answers(greeting: str, resumed: list[Any], answered: list[Any]) -> None:
    """Those that are right are events, and no others."""
    parts = [OPEN, greeting, f"431{json.dumps(resumed)}", f"432{json.dumps(answered)}"]
    with FakeReceiver([text(part) for part in parts]) as url:
        events = talk(url)
    assert_known(events)
    assert isinstance(events[-1], ENDS)
    if greeting != ADMITTED:
        assert not any(isinstance(event, (Connected, Resumed, Answered)) for event in events)
        return
    right = [last for status, last in expected(resumed) if status == "accepted"]
    assert [event.last for event in events if isinstance(event, Resumed)] == right
    found = [(one.status.value, one.last) for one in events if isinstance(one, Answered)]
    assert found == (expected(answered) if right else [])


# Below Socket.IO

starts = st.sampled_from(["", *"01234567b", *(f"4{n}" for n in range(7))])
middles = st.sampled_from(
    [
        *("", "1", "0/x,", "/", "1-", "99999999999-", "9" * 120, "2[", "[" * 5000),
        *('["connect"]', '["connect_error",', '["disconnect",7]', '["disconnect"]', '["count"'),
        *('1-["connect",{"_placeholder":true,"num":0}]', '1["resume"]', "1[]"),
        '{"sid":"e","upgrades":[],"pingTimeout":',
        *('{"sid":', '{"sid":[]}', '{"data":{"reason":"stale","epoch":'),
    ]
)
ends = st.text(max_size=10) | anything.map(json.dumps)
packets = st.tuples(starts, middles, ends).map("".join)
timings = st.dictionaries(
    st.sampled_from(["sid", "upgrades", "pingTimeout", "pingInterval"]),
    anything | st.sampled_from([-1, 0, 1e308, "9", "-9", 10**30]),
)
openings = st.just(OPEN) | timings.map(lambda open_: f"0{json.dumps(json.loads(OPEN[1:]) | open_)}")
framed = frames(server_frame, packets)


@given(openings, st.lists(packets, max_size=5), st.booleans())
@settings(max_examples=100)
def test_strange_packets(opening: str, said: list[str], admits: bool) -> None:
    """A first one that may be strange; then others, to a sender that was admitted or was not."""
    parts = [text(opening), *[text(ADMITTED)] * admits, text(*said)]
    with FakeReceiver(parts) as url:
        assert_known(talk(url, after(0.5)))


@given(st.lists(framed, max_size=5), st.booleans())
@settings(max_examples=100)
def test_strange_frames(sent: list[bytes], greets: bool) -> None:
    parts = [*[text(OPEN), text(ADMITTED)] * greets, b"".join(sent)]
    with FakeReceiver(parts) as url:
        assert_known(talk(url, after(0.5)))


PIECES = [
    *(b"HTTP/1.1 101 x", b"HTTP/1.1 ", b"HTTP/1.0 200 ok", b"101", b"302", b"-1", b" ", b"\r\n"),
    *(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: ", b"Location: /"),
    *(b"Content-Length: 5", b"Content-Length: -5", b"Content-Length: 99999999999", b"\r\n\r\n"),
    *(b"Content-Length: " + b"9" * 30, b"Set-Cookie: a=b", b":", b"\x00", b"\xff\xfe", b"x" * 500),
    *(b"Transfer-Encoding: chunked", b"\n", b"\r"),
]
heads = st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=14).map(b"".join)


@given(heads)
@settings(max_examples=100)
def test_strange_handshakes(data: bytes) -> None:
    with FakeReceiver([data], shakes_hands=False) as url:
        events = talk(url)
    assert_known(events)
    assert len(events) == 1 and isinstance(events[0], Closed)


# Too much


def peak() -> int:
    """How many bytes were in use at a time, at most."""
    return tracemalloc.get_traced_memory()[1]


@pytest.fixture
def traced() -> Iterator[None]:
    """The use of memory is measured."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


LINE, HEAD = b"HTTP/1.1 101 x\r\n", b"X: " + b"x" * 8000 + b"\r\n"
HEADS = {
    "a line": (LINE + b"X: " + b"x" * 10_000_000, "line of more than 8192 bytes"),
    "a first line": (b"x" * 10_000_000, "line of more than 8192 bytes"),
    "long lines": (LINE + HEAD * 1000, "head of more than 65536 bytes"),
    "short lines": (LINE + b"X:x\r\n" * 1_000_000, "head of more than 65536 bytes"),
    "cookies": (LINE + b"Set-Cookie: a=b\r\n" * 1_000_000, "head of more than 65536 bytes"),
    "empty lines": (LINE + b"\r" * 10_000_000, "line of more than 8192 bytes"),
}


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", HEADS)
def test_a_head_without_an_end(name: str) -> None:
    """It is given up as soon as it is too long, with the cause, though the peer would go on."""
    data, cause = HEADS[name]
    with FakeReceiver([data], shakes_hands=False, reads=False) as url:
        events = talk(url)
        assert peak() < MEMORY
    assert events == [Closed(1, f"no receiver at {url} ({cause} in its answer)")]


def test_a_head_may_be_long() -> None:
    data = LINE + (b"X: " + b"x" * 8000 + b"\r\n") * 8 + b"\r\n"
    with FakeReceiver([data], shakes_hands=False) as url:
        event = talk(url)[-1]
    assert isinstance(event, Closed) and "(not a receiver: " in event.reason


LARGE = 10_000_000
PINGS = text(f"2{'x' * 10_000}") * 2000
PATIENT = OPEN.replace("20000", "1000000000")
MUCH: dict[str, list[bytes]] = {
    "a frame": [text(OPEN), text(ADMITTED), text(f'431["{"x" * LARGE}"]')],
    "a frame at once": [text(f"0{'x' * LARGE}")],
    "fragments": [
        text(OPEN),
        text(ADMITTED),
        server_frame(b"431[", fin=False) + server_frame(b" " * 10_000, 0, fin=False) * 1000,
    ],
    "events": [text(OPEN), text(ADMITTED), text('42["connect"]') * 5000],
    "refusals": [text(OPEN), text('42["connect_error",{}]') * 5000],
    "refusals after all": [text(OPEN), text(ADMITTED), text("44{}") * 5000],
    "answers to nothing": [text(OPEN), text(ADMITTED), text("439[{}]") * 5000],
    "pings": [text(OPEN), text(ADMITTED), PINGS],
    "pings that are answered in vain": [
        text(PATIENT),
        text(ADMITTED),
        text(f"2{'x' * 99_999}") * 50,
    ],
}


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", MUCH)
def test_too_much(name: str) -> None:
    """It is not stored, neither as data nor as events, and no thread waits for its end."""
    with FakeReceiver(MUCH[name], reads=False) as url:
        assert_known(talk(url, after(5.0)))
        assert peak() < MEMORY


# Without a limit, or a look at what is said, the tests above fail


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("a frame", "patched_websocket.MAX_MESSAGE"),
        ("fragments", "patched_websocket.MAX_MESSAGE"),
        ("pings", "patched_engineio.MAX_UNREAD"),
    ],
)
def test_without_a_limit(monkeypatch: pytest.MonkeyPatch, name: str, limit: str) -> None:
    monkeypatch.setattr(f"sendrecv.sender.{limit}", 1 << 40)
    with FakeReceiver(MUCH[name], reads=False) as url:
        talk(url, lambda: peak() >= MEMORY)
        assert peak() >= MEMORY


def test_without_a_limit_of_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_HEAD", "MAX_LINE"):
        monkeypatch.setattr(f"sendrecv.sender.patched_websocket.{name}", 1 << 40)
    with FakeReceiver([LINE + b"x" * 100_000], shakes_hands=False, reads=False) as url:
        event = talk(url)[-1]
    assert isinstance(event, Closed) and "closed in the handshake" in event.reason


def test_without_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def believing(connection: int, reply: Any) -> Resumed:
        return Resumed(connection, reply["last"])

    monkeypatch.setattr("sendrecv.sender.connection.resumed_by", believing)
    with FakeReceiver([*map(text, (OPEN, ADMITTED, '431[{"last":-5}]'))]) as url:
        events = talk(url)
    with pytest.raises(AssertionError):
        assert_known(events)
