"""What is answered to plain HTTP, and to whom: of Apps that are made up, word for word.

Which socket needs a token is in test_gateway_listeners.py; what several tokens may see of a real
receiver, in test_gateway_tokens.py.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

import pytest
from aiohttp import web

from sendrecv.core.receiver import AppState
from sendrecv.core.receiver_events import Row
from sendrecv.core.wire import Claim, Refusal
from sendrecv.receiver.answers import Answers
from sendrecv.receiver.pace import Paces
from sendrecv.receiver.report import Own
from sendrecv.receiver.secrets import Secrets
from tests.lab.reception import TOKEN
from tests.peers.peer import Address, Peer
from tests.unit.only import only

Result = TypeVar("Result")
ONE = "a-token-for-the-App-one-only"
FILE = f"all * {TOKEN}\nsome one {ONE}\n"
RUN = "1" * 32
APPS = {
    "two": AppState(Row("two", 3, RUN, "main", None)),
    "one": AppState(Row("one", 7, RUN, "failover", 41), "sid-1"),
}
LONG_AGO = 1000.0
"""Seconds before the question in which the last count came."""


class Known:
    """In place of the receiver's loop."""

    def __init__(self) -> None:
        self._paces = Paces(9)

    def counted(self, now: float) -> None:
        """Counts of App one, every half a second, that long ago."""
        for number in range(6):
            self._paces.counted("one", 1, now - LONG_AGO - (5 - number) / 2, APPS)

    def apps(self) -> Mapping[str, AppState]:
        """See answers.AppStates."""
        return APPS

    def paces(self) -> Paces:
        """See answers.AppStates."""
        return self._paces


class Senders:
    """In place of the gateway."""

    def __init__(self) -> None:
        self.own = Own(1_790_000_000.5)

    def connections(self) -> int:
        """See answers.ConnectedSenders."""
        return 1

    def since(self, sid: str | None) -> float | None:
        """See answers.ConnectedSenders."""
        return 1_790_000_009.25 if sid == "sid-1" else None


class Asked:
    """Answers at an address, and what they complain of."""

    def __init__(self) -> None:
        self.known, self.senders = Known(), Senders()
        self.complaints: list[str] = []

    def get(self, path: str, *authorization: str) -> tuple[int, str]:
        """Status and text."""

        def ask(address: Address) -> tuple[int, bytes]:
            with Peer(address) as peer:
                more = "".join(f"\r\nAuthorization: {it}" for it in authorization)
                return peer.request(f"GET {path} HTTP/1.1\r\nHost: a{more}")

        status, body = asyncio.run(self._serve(ask))
        return status, body.decode()

    async def _serve(self, work: Callable[[Address], Result]) -> Result:
        self.known.counted(asyncio.get_running_loop().time())
        app = web.Application()
        Answers(self.known, self.senders, Secrets(FILE), self.complaints.append).add_to(app)
        runner = web.AppRunner(app, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return await asyncio.to_thread(work, only(runner.addresses))
        finally:
            await runner.cleanup()


@pytest.fixture(name="asked")
def fixture_asked() -> Asked:
    return Asked()


def test_whoever_asks_is_told_that_it_is_there(asked: Asked) -> None:
    for given in ((), (f"Bearer {TOKEN}",), ("Bearer wrong",)):
        assert asked.get("/healthz", *given) == (200, "ok\n")
    assert not asked.complaints


def test_of_an_app_that_counts_and_of_one_that_has_not_begun(asked: Asked) -> None:
    status, text = asked.get("/apps", f"Bearer {TOKEN}")
    assert status == 200
    said = json.loads(text)
    ago = said["one"].pop("lastCountAgo")
    assert LONG_AGO <= ago == round(ago, 3)
    assert list(said) == ["one", "two"]
    assert said["one"] == {
        **{"nodeID": "failover", "epoch": 7, "count": 41, "run": RUN},
        **{"connectedSince": 1_790_000_009.25, "beat": 0.5},
    }
    assert said["two"] == {
        **{"nodeID": "main", "epoch": 3, "count": None, "run": RUN},
        **{"connectedSince": None, "lastCountAgo": None, "beat": None},
    }


def test_the_status_has_the_apps_and_the_receiver(asked: Asked) -> None:
    claim = Claim("one", "main", 6, RUN)
    asked.senders.own.refused(Refusal.STALE, claim, 1_790_000_007.0)
    asked.senders.own.refused(Refusal.TOKEN, None, 1_790_000_008.0)
    said = json.loads(asked.get("/status", f"Bearer {TOKEN}")[1])
    assert (said["schema"], list(said["apps"])) == (1, ["one", "two"])
    assert {"count": 0, "seconds": 0}.items() <= said["receiver"].pop("commits").items()
    assert said["receiver"].pop("rate") < 0.01  # 4 counts in more than a quarter of an hour
    assert said["receiver"] == {
        **{"since": 1_790_000_000.5, "connections": 1, "counts": 6},
        **{"refusals": {"stale": 1, "token": 1}},
        **{"lastRefusal": {"when": 1_790_000_008.0, "reason": "token", "appID": None}},
    }


def test_a_token_for_one_app_shows_that_one_and_nothing_of_the_receiver(asked: Asked) -> None:
    said = json.loads(asked.get("/status", f"Bearer {ONE}")[1])
    assert list(said["apps"]) == ["one"] and said["receiver"] is None
    assert list(json.loads(asked.get("/apps", f"Bearer {ONE}")[1])) == ["one"]


@pytest.mark.parametrize("path", ["/apps", "/status"])
@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"bearer {TOKEN}", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"],
)
def test_without_the_token_nothing_is_shown_nor_repeated(
    asked: Asked, path: str, given: str
) -> None:
    assert asked.get(path, given) == (401, "the token is needed\n")
    assert asked.complaints == [f"GET {path} without the right token refused"]
