"""Whatever a peer gets wrong: an answer, one clear line, and nobody else notices."""

import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machine import TOP, Machine
from tests.peers.peer import RUN, payload
from tests.system.app import App
from tests.system.trouble import Said, app_on, assert_sound, assert_unbroken, is_printed

_numbers = itertools.count()
INVALID = {"status": "invalid", "last": None}


@pytest.fixture(scope="module")
def host(release: str, installed_disk: Path) -> Iterator[Machine]:
    """One machine for all tests, whose journal is looked at once more in the end."""
    with Machine(release, layer=installed_disk, binds={TOP / "tests": "/opt/tests"}) as machine:
        machine.run("systemctl start receiver-tcp.socket")
        yield machine
        assert_unbroken(machine)


@pytest.fixture(scope="module")
def good(host: Machine) -> Iterator[App]:
    """An App that does nothing wrong, counts all the time, and must not notice a thing."""
    with app_on(host) as app:
        yield app
        assert_sound(app)
        verdict = app.verdict()
        assert [line.node for line in verdict.lines[app.name]].count("failover") == 0
        assert len(verdict.runs[app.name]) == 1


def claim(**other: object) -> dict[str, object]:
    """An auth object without a token, of an App of its own."""
    app_id = f"peer{next(_numbers)}"
    return {"appID": app_id, "nodeID": "main", "epoch": 1, "run": RUN, **other}


_played: deque[float] = deque([0.0] * 18, maxlen=18)


def play(machine: Machine, **step: object) -> dict[str, Any]:
    """What the receiver says to one connection; see tests/peers/peer.py.

    The receiver complains at most 20 times in 10 seconds: if need be, this waits.
    """
    time.sleep(max(_played[0] + 10.5 - time.monotonic(), 0))
    _played.append(time.monotonic())
    command = ["env", "PYTHONPATH=/opt", "python3", "-m", "tests.peers.peer"]
    return dict(json.loads(machine.run(command, input=json.dumps([step])).stdout)[0])


def printed_of(machine: Machine, app_id: object) -> list[str]:
    """The payloads with that appID in the journal."""
    machine.run(["journalctl", "--sync"])
    entries = machine.journal("_SYSTEMD_UNIT=receiver.service")
    printed = [str(entry["MESSAGE"]) for entry in entries if is_printed(entry)]
    return [line for line in printed if f'"appID": "{app_id}"' in line]


REFUSED = "connection without the right token refused"
NAMES = "must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -"
WRONG_CLAIMS: dict[str, tuple[dict[str, object], str, str]] = {
    "wrong token": ({"token": "0" * 64}, "token", REFUSED),
    "no token": ({"token": None}, "token", REFUSED),
    "empty token": ({"token": ""}, "token", REFUSED),
    "empty appID": ({"appID": ""}, "invalid", f"auth: appID is '', {NAMES}"),
    "long appID": ({"appID": "x" * 10_000}, "invalid", "auth: appID is 'xxx"),
    "newline": ({"appID": "a\nb"}, "invalid", r"auth: appID is 'a\nb'"),
    "quote": ({"appID": 'a"b'}, "invalid", "auth: appID is 'a\"b'"),
    "control": ({"appID": "a\x07\x1b[2J"}, "invalid", r"auth: appID is 'a\x07\x1b[2J'"),
    "not ASCII": ({"nodeID": "mäin"}, "invalid", r"auth: nodeID is 'm\xe4in'"),
    "no string": ({"nodeID": ["main"]}, "invalid", "auth: nodeID is ['main']"),
    "epoch 0": ({"epoch": 0}, "invalid", "auth: epoch is 0, must be an integer from 1 to 2^63-1"),
    "epoch 2^63": ({"epoch": 2**63}, "invalid", "auth: epoch is 9223372036854775808"),
    "epoch text": ({"epoch": "1"}, "invalid", "auth: epoch is '1'"),
    "wrong run": ({"run": "A" * 32}, "invalid", "auth: run is 'AAAA"),
}


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_a_wrong_handshake(host: Machine, name: str) -> None:
    wrong, reason, complaint = WRONG_CLAIMS[name]
    said = Said(host)
    assert play(host, auth=claim(**wrong))["connect"] == {"reason": reason}
    said.wait(complaint)
    said.assert_one_line(complaint)


def count_of(count: object) -> dict[str, object]:
    """What is wrong with a payload."""
    return {"count": count}


COUNTS = "must be an integer from 0 to 2^63-1"
WRONG_PAYLOADS: dict[str, tuple[object, str]] = {
    "text": ("text", "count: payload is 'text', must be an object"),
    "null": (None, "count: payload is None, must be an object"),
    "array": ([], "count: payload is [], must be an object"),
    "number": (7, "count: payload is 7, must be an object"),
    "count negative": (count_of(-1), f"count: count is -1, {COUNTS}"),
    "count text": (count_of("1"), f"count: count is '1', {COUNTS}"),
    "count float": (count_of(1.0), f"count: count is 1.0, {COUNTS}"),
    "count true": (count_of(True), f"count: count is True, {COUNTS}"),
    "count 2^63": (count_of(2**63), f"count: count is 9223372036854775808, {COUNTS}"),
    "count null": (count_of(None), f"count: count is None, {COUNTS}"),
    "appID other": ({"appID": "other"}, "count: appID is 'other', not the claim's peer"),
    "appID empty": ({"appID": ""}, "count: appID is '', not the claim's peer"),
    "appID long": ({"appID": "x" * 10_000}, "count: appID is 'xxx"),
    "appID newline": ({"appID": 'a\n{"'}, r"count: appID is 'a\n{" + '"'),
    "appID control": ({"appID": "\x00\x1b[1m"}, r"count: appID is '\x00\x1b[1m'"),
    "nodeID other": ({"nodeID": "failover"}, "count: nodeID is 'failover', not the claim's main"),
    "key more": ({"more": 1}, "count: payload has keys ['appID', 'count', 'more', 'nodeID']"),
}


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("name", WRONG_PAYLOADS)
def test_a_wrong_payload(host: Machine, name: str) -> None:
    wrong, complaint = WRONG_PAYLOADS[name]
    auth, said = claim(), Said(host)
    right = payload(5, auth["appID"])
    sent = right | wrong if isinstance(wrong, dict) else wrong
    done = play(host, auth=auth, calls=[["count", sent], ["count", right]])
    assert done["answers"] == [INVALID, {"status": "accepted", "last": 5}]
    said.wait(f"{auth['appID']}/main: {complaint}")
    said.assert_one_line(f"{auth['appID']}/main: {complaint}")
    assert printed_of(host, auth["appID"]) == [json.dumps(right)]


WRONG_EVENTS: dict[str, tuple[list[object], str]] = {
    "no payload": (["count"], "count: 0 payloads in one event, must be 1 to 512"),
    "too many": (["count", *[{}] * 513], "count: 513 payloads in one event, must be 1 to 512"),
    "unknown": (["counts", {}], "unknown event 'counts'"),
    "unknown and long": (["c\n" * 5000], r"unknown event 'c\nc\n"),
    "empty": ([""], "unknown event ''"),
}


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("name", WRONG_EVENTS)
def test_a_wrong_event(host: Machine, name: str) -> None:
    event, complaint = WRONG_EVENTS[name]
    auth, said = claim(), Said(host)
    done = play(host, auth=auth, calls=[event, ["count", payload(0, auth["appID"])]])
    assert done["answers"] == [INVALID, {"status": "accepted", "last": 0}]
    said.wait(f"{auth['appID']}/main: {complaint}")
    said.assert_one_line(f"{auth['appID']}/main: {complaint}")


WRONG_MESSAGES: dict[str, tuple[dict[str, object], str, bool]] = {
    "100 MB": ({"large": 100_000_000}, "message of 100000014 bytes, must be at most 131072", False),
    "just too large": ({"large": 131_060}, "message of 131074 bytes, must be at most", False),
    "attachments": (
        {"raw": ['451-["count",{"_placeholder":true,"num":0}]'], "binary": ["00ff"]},
        "packet with binary attachments",
        True,
    ),
    "binary": ({"binary": ["7b7d"]}, "binary attachment", True),
    "no JSON": ({"raw": ['42["count",{]']}, "malformed packet (JSONDecodeError)", True),
    "nested": ({"raw": ["42" + "[" * 100_000]}, "malformed packet (RecursionError)", True),
    "no array": ({"raw": ['42"x"']}, "packet whose data is neither", True),
    "no event": ({"raw": ["42[]"]}, "event without a name", True),
    "reserved": ({"raw": ['42["disconnect"]']}, "event without a name", True),
    "no packet": ({"raw": ["rubbish"]}, "message that is no Engine.IO packet", False),
}


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("name", WRONG_MESSAGES)
def test_a_wrong_message(host: Machine, name: str) -> None:
    wrong, complaint, goes_on = WRONG_MESSAGES[name]
    auth, said = claim(), Said(host)
    right = payload(0, auth["appID"])
    if goes_on:
        done = play(host, auth=auth, calls=[["count", right]], **wrong)
        assert done["answers"] == [{"status": "accepted", "last": 0}]
    else:
        assert play(host, auth=auth, **wrong)["connect"] is True
    said.wait(f"{auth['appID']}/main: {complaint}")
    assert printed_of(host, auth["appID"]) == [json.dumps(right)] * goes_on


def test_a_claim_does_not_use_up_the_numbers_of_a_new_app(host: Machine) -> None:
    said, new = Said(host), claim()
    assert play(host, auth={**new, "epoch": 2**63 - 1})["connect"] == {"reason": "invalid"}
    said.wait(f"{new['appID']}/main: epoch {2**63 - 1} is too far")
    counts = [["count", payload(count, new["appID"])] for count in (2**63 - 1, 0)]
    first, then = play(host, auth=new, calls=counts)["answers"]
    assert (first, then) == (INVALID, {"status": "accepted", "last": 0})


def all_answered(machine: Machine, app: App, calls: list[Any]) -> list[Any]:
    """The answers to whoever takes the App with a later epoch. Its own sender takes it back, and
    may be the faster one.
    """
    for epoch in range(1000, 20_000, 1000):
        holder = claim(appID=app.name, epoch=epoch)
        answers = play(machine, auth=holder, calls=calls)["answers"]
        if None not in answers:
            return list(answers)
    raise AssertionError("its own sender was faster each time")


def test_a_claim_does_not_use_up_the_numbers_of_an_app_that_counts(host: Machine) -> None:
    """Nor does it say that there were counts of which nobody knows. Its own sender goes on."""
    said = Said(host)
    with app_on(host) as app:
        for epoch in (2**63 - 1, 2**53 + 1):
            refused = play(host, auth=claim(appID=app.name, epoch=epoch))["connect"]
            assert refused == {"reason": "invalid"}
        calls = [["resume"], ["resume", {"last": 2**53}], ["resume", {"last": 2**63 - 1}]]
        resumed, *refused = all_answered(host, app, calls)
        assert resumed["status"] == "accepted" and resumed["last"] >= 0
        invalid = {"status": "invalid", "last": resumed["last"]}
        assert all(one.items() >= invalid.items() for one in refused), (resumed, refused)
        said.wait(f"the ledger had count {2**53}, and is an old copy: not believed, as it has")
        app.count(3)
        verdict = app.verdict()
        assert {fault.kind for fault in verdict.faults} == {"unknown run"}, verdict  # the holder's
        assert [line.node for line in verdict.lines[app.name]].count("failover") == 0
    assert not said.lines(f'unproven {{"appID": "{app.name}"')


def test_the_same_app_cannot_be_taken_over_by_a_guess(host: Machine, good: App) -> None:
    said = Said(host)
    older = play(host, auth=claim(appID=good.name, epoch=1))["connect"]
    assert older["reason"] == "stale" and older["epoch"] >= 1
    refused = play(host, auth=claim(appID=good.name, epoch=2**62, token="f" * 64))["connect"]
    assert refused == {"reason": "token"}
    assert not said.lines(f'"appID": "{good.name}", "nodeID": "main", "epoch"')
