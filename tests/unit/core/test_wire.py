"""What goes over the wire and onto the journal; a peer's faults are PeerErrors of one line."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.errors import PeerError, quoted
from sendrecv.core.lines import line_of, lines_of, parse_line
from sendrecv.core.receiver_events import Print
from sendrecv.core.wire import (
    MAX_BATCH,
    MAX_COUNT,
    MAX_EPOCH,
    MAX_MESSAGE,
    Claim,
    Refusal,
    Status,
    claim_to_auth,
    is_name,
    parse_answer,
    parse_auth,
    parse_payloads,
    parse_refusal,
    parse_resume,
    parse_resumed,
    payloads,
    resume_arguments,
)

RUN = "0123456789abcdef" * 2
AUTH: dict[str, object] = {"appID": "a", "nodeID": "n", "epoch": 7, "run": RUN, "token": "t"}

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}", fullmatch=True)
counts = st.integers(0, MAX_COUNT)
# What a Socket.IO parser may hand over: JSON, and bytes (attachments).
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def object_with(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have some of these keys, with likely and unlikely values."""
    likely = st.sampled_from([1, 0, -1, True, 2**63, "a", "accepted", "stale", RUN, "a\nb"])
    return st.fixed_dictionaries({}, optional={key: likely | anything for key in keys})


# Names and lines.


@pytest.mark.parametrize("name", ["a", "0", "A" * 64, "a.b_c:d@e-f", "billing", "9.", "host:1"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "-a", "a b", "a\n", "a/b", 'a"', "a\\", "\u00e9", "A" * 65, None, 1, b"a"]
)
def test_no_names(name: object) -> None:
    assert not is_name(name)


@given(names, names, counts)
def test_a_printed_line_is_the_json_of_its_payload(app_id: str, node_id: str, count: int) -> None:
    line = line_of(app_id, node_id, count)
    assert line == json.dumps({"count": count, "appID": app_id, "nodeID": node_id}) + "\n"
    assert parse_line(line) == parse_line(line.rstrip("\n")) == (app_id, node_id, count)


def test_the_line_that_users_are_promised() -> None:
    assert line_of("main", "main", 7) == '{"count": 7, "appID": "main", "nodeID": "main"}\n'


@given(names, names, st.integers(0, 10**6), st.integers(0, 20))
def test_lines_are_the_payloads_in_order(app_id: str, node_id: str, first: int, more: int) -> None:
    expected = "".join(json.dumps(p) + "\n" for p in payloads(first, first + more, app_id, node_id))
    assert lines_of(Print(app_id, node_id, first, first + more)) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Started receiver.service.",
        '{"count": -1, "appID": "a", "nodeID": "n"}',
        '{"count": 1.0, "appID": "a", "nodeID": "n"}',
        '{"count": 1, "appID": "", "nodeID": "n"}',
        '{"count": 1, "nodeID": "n", "appID": "a"}',
        '{"count": 1, "appID": "a", "nodeID": "n"} ',
        ' {"count": 1, "appID": "a", "nodeID": "n"}',
        '{"count": 1, "appID": "a", "nodeID": "n"',
        '{"count": 1, "appID": "a", "nodeID": "n"}\n{"count": 2, "appID": "a", "nodeID": "n"}',
        '{"count": 12345678901234567890, "appID": "a", "nodeID": "n"}',
    ],
)
def test_other_lines_are_none(line: str) -> None:
    assert parse_line(line) is None


@given(st.text())
def test_no_text_breaks_the_parser_of_lines(text: str) -> None:
    assert parse_line(text) is None


def test_the_longest_batch_stays_below_the_longest_message() -> None:
    longest = payloads(MAX_COUNT - MAX_BATCH + 1, MAX_COUNT, "a" * 64, "n" * 64)
    packet = json.dumps(["count", *longest], separators=(",", ":"))
    assert len(packet) + 32 < MAX_MESSAGE  # the packet's type, and the number of its answer


# auth


@given(names, names, st.integers(1, MAX_EPOCH))
def test_a_claim_survives_the_wire(app_id: str, node_id: str, epoch: int) -> None:
    claim = Claim(app_id, node_id, epoch, RUN)
    assert parse_auth(json.loads(json.dumps(claim_to_auth(claim, "secret")))) == claim


@pytest.mark.parametrize("key", ["appID", "nodeID", "epoch", "run"])
@pytest.mark.parametrize("value", [None, "", 0, -1, 1.0, True, [], {}, 2**63, "\u00e9", "f" * 65])
def test_a_wrong_auth_names_the_key(key: str, value: object) -> None:
    with pytest.raises(PeerError, match=f"^auth: {key} is "):
        parse_auth({**AUTH, key: value})


@pytest.mark.parametrize("key", ["appID", "nodeID", "epoch", "run"])
def test_a_key_that_is_missing_is_named(key: str) -> None:
    auth: Mapping[str, object] = {name: value for name, value in AUTH.items() if name != key}
    with pytest.raises(PeerError, match=f"^auth: {key} is None"):
        parse_auth(auth)


@pytest.mark.parametrize("run", [RUN.upper(), RUN[1:], RUN + "\n", " " + RUN[1:]])
def test_a_run_is_32_hexadecimal_digits(run: str) -> None:
    with pytest.raises(PeerError, match="^auth: run is "):
        parse_auth({**AUTH, "run": run})


# count


@given(st.integers(0, MAX_COUNT), st.integers(1, MAX_BATCH))
def test_a_batch_is_its_first_and_last_count(last: int, size: int) -> None:
    first = max(last - size + 1, 0)
    assert parse_payloads(payloads(first, last, "a", "n"), "a", "n") == (first, last)


def batch(*changes: Mapping[str, object]) -> list[object]:
    """Payloads of the counts 5, 6, ..., each with its changes."""
    return [{"count": n, "appID": "a", "nodeID": "n", **c} for n, c in enumerate(changes, 5)]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ([], "0 payloads in one event"),
        (batch(*[{}] * (MAX_BATCH + 1)), "513 payloads in one event"),
        ([None], "payload is None, must be an object"),
        ([[1]], "must be an object"),
        (batch({"more": 1}), "payload has keys"),
        ([{"count": 1}], "payload has keys"),
        (batch({"count": -1}), "count is -1"),
        (batch({"count": MAX_COUNT + 1}), "count is 9223372036854775808"),
        (batch({"count": True}), "count is True"),
        (batch({"count": 5.0}), "count is 5.0"),
        (batch({"count": "5"}), "count is '5'"),
        (batch({"appID": "b"}), "appID is 'b', not the claim's a"),
        (batch({"nodeID": "m"}), "nodeID is 'm', not the claim's n"),
        (batch({}, {"count": 6.0}), "count is 6.0"),
        (batch({"count": 0}, {"count": True}), "count is True"),
        (batch({}, {"nodeID": "m"}), "nodeID is 'm'"),
        (batch({}, {"more": 1}), "payload has keys"),
        ([*batch({}), "x"], "payload is 'x'"),
        (batch({}, {"count": 5}), "must follow one another"),
        (batch({}, {"count": 7}), "must follow one another"),
        (batch({"count": MAX_COUNT}, {"count": MAX_COUNT + 1}), "above 2\\^63-1"),
    ],
)
def test_a_wrong_batch(sent: list[object], error: str) -> None:
    with pytest.raises(PeerError, match=f"^count: .*{error}"):
        parse_payloads(sent, "a", "n")


# answers


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(("last", "expected"), [(None, -1), (0, 0), (MAX_COUNT, MAX_COUNT)])
def test_answers(status: Status, last: int | None, expected: int) -> None:
    assert parse_answer({"status": status.value, "last": last}) == (status, expected)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        "accepted",
        {},
        {"status": "fine"},
        {"status": []},
        {"status": {}},
        {"status": "accepted", "last": -1},
        {"status": "accepted", "last": 1.0},
        {"status": "accepted", "last": True},
        {"status": "accepted", "last": MAX_COUNT + 1},
    ],
)
def test_wrong_answers(reply: object) -> None:
    for parse in (parse_answer, parse_resumed):
        with pytest.raises(PeerError):
            parse(reply)


def test_only_an_accepted_resume_tells_the_last_count() -> None:
    ledger = "0123456789abcdef"
    assert parse_resumed({"status": "accepted", "last": 3, "ledger": ledger}) == (3, ledger)
    assert parse_resumed({"status": "accepted", "last": 3}) == (3, "")
    assert parse_resumed({"status": "accepted"}) == (-1, "")
    wrongs: list[object] = [None, 7, [], "0123", ledger.upper(), ledger * 2]
    for wrong in wrongs:
        with pytest.raises(PeerError, match="ledger"):
            parse_resumed({"status": "accepted", "last": 3, "ledger": wrong})
    for status in set(Status) - {Status.ACCEPTED}:
        with pytest.raises(PeerError, match=status.value):
            parse_resumed({"status": status.value, "last": 3})


@pytest.mark.parametrize("last", [-1, 0, 41, MAX_COUNT])
def test_a_resume_that_names_a_count(last: int) -> None:
    assert parse_resume(resume_arguments(last)) == last


@pytest.mark.parametrize("last", [-1, 1.0, True, "1", None, [], {}, MAX_COUNT + 1])
def test_a_wrong_resume(last: object) -> None:
    for argument in ({"last": last}, last, [last], {"first": last}):
        with pytest.raises(PeerError, match="^resume: "):
            parse_resume([argument])


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"data": {"reason": "stale", "epoch": 9}}, (Refusal.STALE, 9)),
        ({"data": [{"reason": "token"}]}, (Refusal.TOKEN, 0)),
        ({"message": "x", "data": {"reason": "full"}}, (Refusal.FULL, 0)),
    ],
)
def test_refusals(reply: object, expected: tuple[Refusal, int]) -> None:
    assert parse_refusal(reply) == expected


@pytest.mark.parametrize(
    "reply",
    [
        None,
        "stale",
        {},
        {"reason": "stale"},
        {"data": []},
        {"data": {"reason": []}},
        {"data": {"reason": "stale", "epoch": -1}},
        {"data": {"reason": "stale", "epoch": 2**63}},
        {"data": {"reason": "stale", "epoch": True}},
        {"data": {"reason": "stale", "epoch": None}},
    ],
)
def test_wrong_refusals(reply: object) -> None:
    with pytest.raises(PeerError, match="^connect: "):
        parse_refusal(reply)


# Whatever a peer sends, it cannot write to our journal as it likes.

PARSERS: dict[str, tuple[Callable[[Any], object], st.SearchStrategy[Any]]] = {
    "auth": (parse_auth, object_with("appID", "nodeID", "epoch", "run")),
    "count": (
        lambda sent: parse_payloads(sent, "a", "n"),
        st.lists(object_with("count", "appID", "nodeID") | anything, max_size=3),
    ),
    "answer": (parse_answer, object_with("status", "last") | anything),
    "resumed": (parse_resumed, object_with("status", "last") | anything),
    "refusal": (
        parse_refusal,
        st.fixed_dictionaries({"data": object_with("reason", "epoch") | anything}) | anything,
    ),
}


@pytest.mark.parametrize("parser", PARSERS)
@given(data=st.data())
def test_every_text_of_a_peer_error_is_one_printable_line(parser: str, data: st.DataObject) -> None:
    parse, inputs = PARSERS[parser]
    sent = data.draw(inputs)
    try:
        parse(sent)
    except PeerError as error:
        text = str(error)
        assert re.fullmatch(r"[ -~]{1,240}", text), text


@given(anything)
def test_what_is_quoted_is_short_and_printable(value: object) -> None:
    assert re.fullmatch(r"[ -~]{1,60}", quoted(value))


@given(st.text(alphabet="\n\r\0\x1b\u2028\ud800\U0010ffff'\"\\ax", max_size=200))
def test_nothing_gets_through_the_quotes(text: str) -> None:
    assert re.fullmatch(r"[ -~]{2,60}", quoted(text))
