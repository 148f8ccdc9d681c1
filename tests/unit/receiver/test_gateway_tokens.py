"""Several tokens: who has one App's can neither claim nor see another App."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.reception import Reception
from tests.peers.peer import auth, payload

ALL, MAIN, OTHER = "0a1b2c3d" * 8, "4e5f6a7b" * 8, "8c9d0e1f" * 8
FILE = f"here * {ALL}\nberlin main,spare {MAIN}\nparis other {OTHER}\nwrong\n"


@pytest.fixture(name="reception")
def fixture_reception(tmp_path: Path) -> Iterator[Reception]:
    """It has the Apps main and other, each with a count."""
    with Reception(tmp_path, tokens=FILE) as one:
        for app_id, token in (("main", MAIN), ("other", OTHER)):
            assert "sid" in one.do(connect, one, app_id, token)
        yield one


def connect(reception: Reception, app_id: str, token: str) -> dict[str, object]:
    """What the receiver answers to a claim; if it admits, the first count follows."""
    with reception.peer() as peer:
        assert peer.open() == 101
        reply = peer.connect(auth(app_id, token, epoch=7)) or {}
        if "sid" in reply:
            assert peer.call("count", payload(0, app_id))["last"] == 0
        return reply


def seen(reception: Reception, token: str) -> tuple[int, set[str]]:
    """The Apps in the answer to GET /apps."""

    def ask() -> tuple[int, bytes]:
        with reception.peer() as peer:
            return peer.request(f"GET /apps HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}")

    status, body = reception.do(ask)
    return status, set(json.loads(body)) if status == 200 else set()


def test_each_token_sees_its_apps(reception: Reception) -> None:
    assert seen(reception, ALL) == (200, {"main", "other"})
    assert seen(reception, MAIN) == (200, {"main"})
    assert seen(reception, OTHER) == (200, {"other"})
    for nobodys in ("", "*", FILE, "here", f"here * {ALL}", ALL[:-1], ALL + "a", "wrong"):
        status, _ = seen(reception, nobodys.replace("\n", " "))
        assert status == 401


def test_only_a_token_for_all_apps_sees_what_concerns_all(reception: Reception) -> None:
    """How many connections there are, and who was refused, tells of other Apps."""

    def ask(token: str) -> tuple[int, bytes]:
        with reception.peer() as peer:
            return peer.request(f"GET /status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}")

    assert reception.do(connect, reception, "other", MAIN)["data"] == {"reason": "token"}
    every, one = (json.loads(reception.do(ask, token)[1]) for token in (ALL, MAIN))
    assert every["schema"] == one["schema"] == 1
    assert set(every["apps"]) == {"main", "other"} and set(one["apps"]) == {"main"}
    assert one["receiver"] is None
    own = every["receiver"]
    assert (own["connections"], own["counts"], own["refusals"]) == (0, 2, {"token": 1})
    assert own["commits"]["count"] > 0 < own["commits"]["seconds"]
    refusal = {key: own["lastRefusal"][key] for key in ("reason", "appID")}
    assert refusal == {"reason": "token", "appID": "other"}
    assert reception.do(ask, "wrong")[0] == 401


@pytest.mark.parametrize(
    ("app_id", "token", "name"),
    [("other", MAIN, "berlin"), ("new", MAIN, "berlin"), ("main", OTHER, "paris")],
)
def test_nobody_claims_another_app(
    reception: Reception, app_id: str, token: str, name: str
) -> None:
    """Nor learns whether there is such an App, or its epoch."""
    assert reception.do(connect, reception, app_id, token)["data"] == {"reason": "token"}
    said = [line for line in reception.said() if "refused" in line]
    assert said == [f"<4>the token {name} is not for App {app_id}, refused, ignoring"]
    assert seen(reception, ALL) == (200, {"main", "other"})


@pytest.mark.parametrize("app_id", ["main", "other", "new"])
def test_a_token_for_all_claims_any(reception: Reception, app_id: str) -> None:
    def work() -> dict[str, object]:
        with reception.peer() as peer:
            assert peer.open() == 101
            return peer.connect(auth(app_id, ALL, epoch=8)) or {}

    assert "sid" in reception.do(work)


def test_what_is_wrong_with_the_file_is_said_without_a_token(reception: Reception) -> None:
    lines = [line for line in reception.said() if "/etc/sendrecv/token" in line]
    assert lines == ["<4>/etc/sendrecv/token: line 4: must be NAME APPS TOKEN, ignoring"]
    assert not any(token[:16] in line for line in reception.said() for token in (ALL, MAIN, OTHER))
