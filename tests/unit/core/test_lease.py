"""The lease: what a key says, how long a holder may send, when a stand-by may take the App."""

import json

import pytest

from sendrecv.core.errors import UnknownFormat
from sendrecv.core.lease import (
    NOTHING_SEEN,
    Growth,
    Here,
    Holding,
    Move,
    Pause,
    Sight,
    Taken,
    Tenure,
    decode,
    decode_move,
    decode_pause,
    encode,
    encode_move,
    encode_pause,
)
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND

LEASE = 2 * SECOND
RECORD = Record("one", 3, 7, 6, 123, "b" * 32, "a", "r" * 32)
HELD = Holding(RECORD, "a", "a" * 32, 1_700_000_000, LEASE)
HERE = Here("b", "b" * 32, LEASE)


def test_a_key_says_what_was_written() -> None:
    for holding in (HELD, HELD.replace(released=True, to="c")):
        assert decode(encode(holding)) == holding
    assert encode(HELD).isascii() and len(encode(HELD)) < 1000


WRONG: dict[str, list[object]] = {
    "format": ["1", None, 0, True, -1],
    "host": ["", "a b", 7],
    "place": [7, None],
    "since": [-1, 1.5, "now"],
    "lease": [0, -1, "2"],
    "released": [0, "no"],
    "to": ["a b", None],
    "why": [7, None, "a\nb", "x" * 201],
    "serial": ["1", None],
    "record": [None, [], {}, {"app_id": "one"}],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_what_is_not_right_is_no_holding(name: str, value: object) -> None:
    values = json.loads(encode(HELD))
    assert decode(json.dumps(values | {name: value}).encode()) is None
    del values[name]
    assert decode(json.dumps(values).encode()) is None


@pytest.mark.parametrize("value", [b"", b"[]", b"7", b"\xff", b"{", encode(HELD)[:-1], b"[" * 5000])
def test_what_is_no_value_is_no_holding(value: bytes) -> None:
    assert decode(value) is None


def test_a_wish_to_move() -> None:
    move = Move(7, "c", "kernel update")
    assert decode_move(encode_move(move)) == move
    values = json.loads(encode_move(move))
    for name, value in (
        *(("format", 2), ("epoch", "7"), ("to", "a b"), ("to", None)),
        *(("why", 7), ("why", "a\nb"), ("why", "x" * 201)),
    ):
        assert decode_move(json.dumps(values | {name: value}).encode()) is None
    assert decode_move(b"") is None


def test_a_pause_says_what_was_written() -> None:
    pause = Pause(1_795_764_433, "user:1000", "a new disk, b\u00e4r")
    assert decode_pause(encode_pause(pause)) == pause
    wrong = ("since", -1), ("since", 1 << 40), ("by", "a b"), ("by", ""), ("reason", "a\nb")
    for name, value in (*wrong, ("reason", "x" * 201), ("since", "1")):
        spoilt = json.dumps({"format": 1, **pause.as_dict(), name: value}).encode()
        assert decode_pause(spoilt) == Pause(), name


OURS = HELD.replace(host="b", place="c" * 32)
"""This host held it, in another boot."""


@pytest.mark.parametrize(
    ("holding", "by_person", "by_itself"),
    [
        (None, True, False),
        (HELD, False, False),
        (HELD.replace(released=True), False, False),
        (HELD.replace(released=True, to="c"), False, False),
        (HELD.replace(released=True, to="b"), True, True),
        (OURS, True, False),
        (OURS.replace(released=True), True, False),
        (OURS.replace(released=True, to="c"), True, False),
        (OURS.replace(released=True, to="c", record=RECORD.replace(run="h" * 32)), True, True),
    ],
)
def test_who_may_take_an_app_that_is_paused(
    holding: Holding | None, by_person: bool, by_itself: bool
) -> None:
    run = "h" * 32
    assert HERE.is_asked(holding, run, by_person=True) is by_person
    assert HERE.is_asked(holding, run, by_person=False) is by_itself


def test_whoever_has_seen_a_key_that_is_gone_is_asked_no_more() -> None:
    assert not HERE.is_asked(None, "h" * 32, by_person=True, seen=True)


def test_a_newer_format_is_said_to_be_newer() -> None:
    with pytest.raises(UnknownFormat, match="key has format 2, this version knows up to 1"):
        decode(json.dumps(json.loads(encode(HELD)) | {"format": 2}).encode())


def test_a_holder_sends_until_its_deadline_and_writes_long_before() -> None:
    tenure = Tenure(5, SECOND, LEASE)
    deadline = SECOND + LEASE * 7 // 10
    assert tenure.may_send(SECOND) and tenure.may_send(deadline - 1)
    assert not tenure.may_send(deadline)
    assert tenure.renews_at() == SECOND + LEASE // 8


def seen(*answers: tuple[int, int, int], lost: int = -1) -> Sight:
    """What is seen after those answers (revision, first seen, now). lost: the number of one that
    never came.
    """
    sight = NOTHING_SEEN
    for number, answer in enumerate(answers):
        sight = sight.unanswered() if number == lost else sight.shown(*answer)
    return sight


@pytest.mark.parametrize(
    ("holding", "why"),
    [
        (None, "no host held the App"),
        (HELD, ""),
        (HELD.replace(released=True), "a released the App"),
        (HELD.replace(released=True, to="b"), "a released the App"),
        (HELD.replace(released=True, to="c"), ""),
        (HELD.replace(place="b" * 32), "this host held the App"),
    ],
)
def test_what_may_be_taken_at_once(holding: Holding | None, why: str) -> None:
    sight = seen((9, 0, 0))
    assert HERE.why(sight, holding, 0) == why
    assert HERE.why(sight.unanswered(), holding, 0) == ""
    assert HERE.why(NOTHING_SEEN, holding, 0) == ""


def test_what_the_other_host_does_not_take_goes_back_and_then_to_any() -> None:
    sight = seen((9, 40, 40))
    released = HELD.replace(released=True, to="c")
    for here, wait in ((HERE, LEASE // 2), (Here("a", "a" * 32, LEASE), LEASE // 4)):
        assert here.gives_up_at(sight, released) == 40 + wait
        assert here.why(sight, released, 39 + wait) == ""
        assert here.why(sight, released, 40 + wait) == (
            "a released the App for c, which does not take it"
        )


def test_another_hosts_lease_is_waited_for_from_the_answer_that_showed_it() -> None:
    sight = seen((9, 40, 40), (9, 510, 510), (9, 1010, 1010))
    assert sight.expires_at(LEASE) == 40 + LEASE
    assert HERE.why(sight, HELD, 39 + LEASE) == ""
    assert HERE.why(sight, HELD, 40 + LEASE) == "a has not renewed its lease"
    # It was renewed, and a watch has shown that a little before.
    assert sight.shown(10, 2010, 2020).expires_at(LEASE) == 2010 + LEASE


def test_a_key_that_was_deleted_may_have_a_holder() -> None:
    sight = seen((9, 0, 0), (0, 40, 40))
    assert HERE.why(sight, None, 39 + LEASE, seen=True) == ""
    assert HERE.why(sight, None, 40 + LEASE, seen=True) == "no host held the App"
    assert HERE.why(sight, None, 40) == "no host held the App"


def test_the_longer_of_two_settings_counts() -> None:
    sight = seen((9, 0, 0))
    longer = HELD.replace(lease=2 * LEASE)
    assert HERE.why(sight, longer, 2 * LEASE - 1) == ""
    assert HERE.why(sight, longer, 2 * LEASE)
    assert not Here("b", "b" * 32, 3 * LEASE).why(sight, longer, 3 * LEASE - 1)


def test_after_an_outage_of_etcd_the_holder_is_given_a_quarter_of_the_lease() -> None:
    again = 5 * SECOND
    sight = seen((9, 0, 0), (9, 0, 0), (9, again, again), lost=1)
    assert sight == Sight(9, 0, again)
    assert sight.expires_at(LEASE) == again + LEASE // 4
    assert HERE.why(sight, HELD, again + LEASE // 4 - 1) == ""
    assert HERE.why(sight, HELD, again + LEASE // 4)
    # Until it answers, nobody knows when.
    assert seen((9, 0, 0), (9, 0, 0), lost=1).expires_at(LEASE) == LEASE


@pytest.mark.parametrize(
    ("holding", "known", "taken"),
    [
        (None, None, Taken(None, "", "b")),
        (None, RECORD, Taken(RECORD, "", "b", "no-key")),
        (HELD, RECORD, Taken(RECORD, "a", "b", "lease-expired")),
        (HELD.replace(place="b" * 32, host="b"), RECORD, Taken(RECORD, "b", "b")),
        (HELD.replace(released=True, why="stopped"), RECORD, Taken(RECORD, "a", "b", "released")),
        (HELD.replace(released=True, to="c"), RECORD, Taken(RECORD, "a", "b", "returned")),
        (
            HELD.replace(released=True, to="b", why="disk"),
            RECORD,
            Taken(RECORD, "a", "b", "moved", "disk"),
        ),
    ],
)
def test_how_the_lease_was_taken(
    holding: Holding | None, known: Record | None, taken: Taken
) -> None:
    assert HERE.taken(holding, known) == taken


def test_when_the_count_has_grown() -> None:
    """Since when is known only of a count that was not there at the look before."""
    growth = Growth().shown(7, 100)
    assert growth == Growth(7, 100, -1)
    growth = growth.shown(7, 200).shown(8, 300).shown(8, 400)
    assert growth == Growth(8, 400, 200)
    assert growth.shown(9, 500).since == 400
