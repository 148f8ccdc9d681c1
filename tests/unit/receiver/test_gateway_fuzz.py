"""Whatever a peer sends: only right payloads are printed, each once, and the receiver goes on.

Against the real receiver, on a loopback socket (tests/lab/reception.py). For longer, and guided by
coverage: tests/fuzz/gateway.py.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.reception import TOKEN, Reception, assert_sound
from tests.peers.peer import Peer, auth, frame, payload
from tests.unit.strategies import anything, frames

LARGEST = 2**63 - 1
FIRST_EPOCH, EPOCH_STEP = 2**53, 2**20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
RUN = re.compile(r"[0-9a-f]{32}")

_numbers = count(1)

names = st.from_regex(NAME, fullmatch=True)


@pytest.fixture(scope="module")
def reception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reception]:
    """One receiver for all examples; what it printed and said is judged at the end, too."""
    directory: Path = tmp_path_factory.mktemp("reception")
    with Reception(directory) as reception:
        yield reception
        assert_sound(reception.printed(), reception.said(), TOKEN)


def unique() -> str:
    """An appID that no other example has."""
    return f"app{next(_numbers)}"


def admitted(reception: Reception, app_id: str) -> Peer:
    """A peer that was admitted."""
    peer = reception.peer()
    assert peer.open() == 101
    reply = peer.connect(auth(app_id, TOKEN))
    assert reply and "sid" in reply
    return peer


def still_serves(reception: Reception) -> None:
    """A sender that did nothing wrong is served at once."""
    app_id = unique()
    with admitted(reception, app_id) as peer:
        assert peer.call("count", payload(7, app_id)) == {"status": "accepted", "last": 7}


GOOD = '{"count": 3, "appID": "a", "nodeID": "main"}'
PLANTED = {
    "twice": ([GOOD, GOOD], []),
    "a gap": ([GOOD, GOOD.replace("3", "5")], []),
    "another form": ([GOOD.replace(" ", "")], []),
    "two in one": ([GOOD + GOOD], []),
    "nothing at all": ([], []),
    "a line of its own": ([GOOD], ["<4>a complaint", "and more of it"]),
    "not readable": ([GOOD], ["<4>\x1b[2J"]),
    "the token": ([GOOD], [f"<4>{TOKEN}"]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_judge_sees(name: str) -> None:
    assert_sound([GOOD, GOOD.replace("3", "4")], ["<4>a complaint, ignoring"], TOKEN)
    with pytest.raises(AssertionError):
        assert_sound(*PLANTED[name], TOKEN)


# The handshake

Known = tuple[int, str, str]
"""Epoch, run and nodeID that an App was last admitted with."""


def verdict(claim: object, known: dict[str, Known]) -> str:
    """What the receiver should say to this; written apart from its own rules."""
    if not isinstance(claim, dict) or claim.get("token") != TOKEN:
        return "token"
    for key, form in (("appID", NAME), ("nodeID", NAME), ("run", RUN)):
        if not isinstance(claim.get(key), str) or not form.fullmatch(claim[key]):
            return "invalid"
    epoch = claim.get("epoch")
    if type(epoch) is not int or epoch < 1:
        return "invalid"
    before = known.get(claim["appID"])
    if epoch > max(FIRST_EPOCH, before[0] + EPOCH_STEP if before else 0):
        return "invalid"
    ours = (epoch, claim["run"], claim["nodeID"])
    return "admitted" if before is None or epoch > before[0] or ours == before else "stale"


KNOWN = {"a": (7, "0" * 32, "main")}
RIGHT = {"token": TOKEN, "appID": "a", "nodeID": "main", "run": "0" * 32, "epoch": 7}
VERDICTS: list[tuple[object, str]] = [
    (RIGHT, "admitted"),
    (RIGHT | {"epoch": FIRST_EPOCH, "run": "1" * 32}, "admitted"),
    (RIGHT | {"epoch": FIRST_EPOCH + 1}, "invalid"),
    (RIGHT | {"run": "1" * 32}, "stale"),
    (RIGHT | {"nodeID": "other"}, "stale"),
    (RIGHT | {"epoch": 6}, "stale"),
    (RIGHT | {"appID": "b", "epoch": FIRST_EPOCH}, "admitted"),
    (RIGHT | {"appID": "b", "epoch": FIRST_EPOCH + 1}, "invalid"),
    (RIGHT | {"epoch": True}, "invalid"),
    (RIGHT | {"epoch": 0}, "invalid"),
    (RIGHT | {"token": ""}, "token"),
    ([RIGHT], "token"),
]


@pytest.mark.parametrize(("claim", "expected"), VERDICTS)
def test_the_receiver_says_that_too(reception: Reception, claim: object, expected: str) -> None:
    assert verdict(claim, KNOWN) == expected
    app_id = unique()
    assert handshake(reception, RIGHT | {"appID": app_id}) == "admitted"
    if isinstance(claim, dict):
        claim = claim | {"appID": app_id if claim["appID"] == "a" else unique()}
    assert handshake(reception, claim) == expected


def handshake(reception: Reception, claim: object) -> str:
    """What the receiver says to that; "" if it hangs up."""

    def scenario() -> dict[str, Any] | None:
        with reception.peer() as peer:
            assert peer.open() == 101
            return peer.connect(claim)

    reply = reception.do(scenario)
    if not reply:
        return ""
    return "admitted" if "sid" in reply else str(reply["data"]["reason"])


wrong_tokens = st.sampled_from([TOKEN[:-1], TOKEN + "0", TOKEN.upper(), "", None]) | anything
claims = anything | st.fixed_dictionaries(
    {
        "appID": names | anything,
        "nodeID": names | anything,
        "epoch": st.integers(0, 9) | st.integers(0, 2**64) | anything,
        "run": st.from_regex(RUN, fullmatch=True) | st.text("0123456789abcdefg") | anything,
        "token": st.just(TOKEN) | wrong_tokens,
    },
    optional={"more": anything},
)


admitted_before: dict[str, Known] = {}


@given(claims)
@settings(max_examples=250)
def test_only_the_right_handshake_is_admitted(reception: Reception, claim: object) -> None:
    reply = handshake(reception, claim)
    if type(claim) is int and claim >= 0:
        assert reply != "admitted", "reads it as the packet's number"
    elif not isinstance(claim, dict | list | None):
        assert reply == "", "hangs up: that is no packet"
    else:
        assert reply == verdict(claim, admitted_before)
        if reply == "admitted" and isinstance(claim, dict):
            admitted_before[claim["appID"]] = claim["epoch"], claim["run"], claim["nodeID"]


# Payloads


def expected(batch: list[Any], app_id: str, last: int | None) -> tuple[str, int | None]:
    """What the receiver should say to that batch, and its last count then."""
    first = batch[0].get("count") if batch and isinstance(batch[0], dict) else None
    if type(first) is not int or first < 0 or len(batch) > 512:
        return "invalid", last
    right = [payload(first + n, app_id) for n in range(len(batch))]
    end = first + len(batch) - 1
    # repr() tells 1 from 1.0 and from True, as == does not.
    if end > LARGEST or [*map(repr, batch)] != [*map(repr, right)]:
        return "invalid", last
    if last is not None and end <= last:
        return "duplicate", last
    if last is not None and first > last + 1:
        return "gap", last
    return "accepted", end


WRONG = [1.0, True, "1", -1, 2**63, None, "a\nb", '"', "\x00", "x" * 10_000]
WAYS = ["right", "right", "wrong key", "wrong value", "wrong item", "large"]


@st.composite
def batches(draw: st.DrawFn) -> list[Any]:
    """A batch, mostly almost right: its counts are relative to the last one, and made so later."""
    start, way = draw(st.integers(-3, 3)), draw(st.sampled_from(WAYS))
    size = draw(st.sampled_from([100, 512, 513]) if way == "large" else st.integers(0, 4))
    batch: list[Any] = [payload(start + n, "") for n in range(size)]
    if way == "wrong item":
        batch.insert(draw(st.integers(0, len(batch))), draw(anything))
    elif batch and way == "wrong key":
        key = draw(st.sampled_from(["count", "appID", "", "x"]))
        draw(st.sampled_from(batch))[key] = draw(anything)
    elif batch and way == "wrong value":
        key = draw(st.sampled_from(["count", "appID", "nodeID"]))
        draw(st.sampled_from(batch))[key] = draw(st.sampled_from(WRONG))
    return batch


def made_absolute(batch: list[Any], app_id: str, last: int | None) -> list[Any]:
    """The batch with the appID, and counts that are about to follow `last`."""
    base = 5 if last is None else last + 1
    for item in batch:
        if isinstance(item, dict) and item.get("appID") == "":
            item["appID"] = app_id
        if isinstance(item, dict) and type(item.get("count")) is int and abs(item["count"]) < 1000:
            item["count"] += base
    return json.loads(json.dumps(batch))  # type: ignore[no-any-return]  # what the receiver sees


def play(reception: Reception, app_id: str, script: list[list[Any]]) -> list[int]:
    """Sends the batches, looks at each answer, and returns the counts that were accepted."""
    last: int | None = None
    accepted: list[int] = []
    with admitted(reception, app_id) as peer:
        for relative in script:
            batch = made_absolute(relative, app_id, last)
            status, after = expected(batch, app_id, last)
            said = None if status == "invalid" else after
            assert peer.call("count", *batch) == {"status": status, "last": said}
            if status == "accepted" and after is not None:
                accepted += range(batch[0]["count"] if last is None else last + 1, after + 1)
            last = after
    return accepted


@given(st.lists(batches(), min_size=1, max_size=6))
@settings(max_examples=150)
def test_only_right_payloads_are_printed(reception: Reception, script: list[list[Any]]) -> None:
    app_id = unique()
    accepted = reception.do(play, reception, app_id, script)
    tail = f', "appID": "{app_id}", "nodeID": "main"}}'
    printed = [line for line in reception.printed() if line.endswith(tail)]
    assert printed == [f'{{"count": {n}{tail}' for n in accepted]


# Below Socket.IO

starts = st.sampled_from(["", *"01234567b", *(f"4{n}" for n in range(7))])
middles = st.sampled_from(
    [
        *("", "1", "0/x,", "/", "1-", "99999999999-", "9" * 120, "2[", "[" * 5000),
        *(
            '["count"',
            '["connect"]',
            '["disconnect",7]',
            '["resume"]',
            '["resume",{"last":7}]',
            '["resume",{"last":-1}]',
        ),
    ]
)
ends = st.text(max_size=10) | anything.map(json.dumps)
packets = st.tuples(starts, middles, ends).map("".join)
framed = frames(frame, packets)


@given(st.lists(packets, max_size=5), st.booleans())
@settings(max_examples=100)
def test_strange_packets(reception: Reception, texts: list[str], with_token: bool) -> None:
    def scenario() -> None:
        with admitted(reception, unique()) if with_token else reception.peer() as peer:
            with contextlib.suppress(ConnectionError):
                if with_token or peer.open() == 101:
                    for text in texts:
                        peer.send_text(text)
        still_serves(reception)

    reception.do(scenario)


@given(st.lists(framed, max_size=5), st.booleans())
@settings(max_examples=100)
def test_strange_frames(reception: Reception, sent: list[bytes], with_token: bool) -> None:
    def scenario() -> None:
        with admitted(reception, unique()) if with_token else reception.peer() as peer:
            with contextlib.suppress(ConnectionError):
                if with_token or peer.open() == 101:
                    peer.send(b"".join(sent))
        still_serves(reception)

    reception.do(scenario)


PIECES = [
    *(b"GET ", b"POST ", b"OPTIONS ", b"/socket.io/", b"?EIO=4", b"&transport=polling", b"&sid=a"),
    *(b"&transport=websocket", b"&j=0", b"/apps", b"/healthz", b" HTTP/1.1", b" HTTP/1.0", b"\r\n"),
    *(b"Host: a", b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 5"),
    *(b"Transfer-Encoding: chunked", b"5\r\n", b"Content-Encoding: deflate", b"40{}", b"\x00"),
    *(b"Authorization: Bearer ", TOKEN[:20].encode(), b"\r\n\r\n", b"\xff"),
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
]
heads = st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=14).map(b"".join)


@given(heads)
@settings(max_examples=100)
def test_strange_requests(reception: Reception, data: bytes) -> None:
    def scenario() -> None:
        with reception.peer() as peer:
            peer.send(data)
        still_serves(reception)

    reception.do(scenario)
