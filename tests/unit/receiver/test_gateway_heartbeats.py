"""Silence is noticed, by heartbeats that are ours; and no failure of one session keeps the others
from being ended. On the real receiver and a loopback socket.
"""

import asyncio
import contextlib
import time
from asyncio import selector_events
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sendrecv.patching import Misfit, module
from sendrecv.receiver import admission, complaints, gateway, patched_engineio, tls
from tests.lab.reception import TOKEN, Reception
from tests.lab.waiting import HANG
from tests.peers.peer import Peer, auth, payload

SOON = 0.3


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short intervals, and nothing is left unsaid."""
    for place, names in (
        (patched_engineio, ["PING_INTERVAL", "PING_TIMEOUT"]),
        (gateway, ["SWEEP_INTERVAL"]),
    ):
        for name in names:
            monkeypatch.setattr(place, name, SOON)
    monkeypatch.setattr(complaints, "REPEATS", 10_000)


@pytest.fixture
def reception(tmp_path: Path) -> Iterator[Reception]:
    with Reception(tmp_path) as reception:
        yield reception


def admitted(reception: Reception, app_id: str) -> Peer:
    """A sender."""
    peer = reception.peer()
    assert peer.open() == 101
    assert "sid" in (peer.connect(auth(app_id, TOKEN, epoch=time.monotonic_ns() // 1000)) or {})
    return peer


def ping_tasks(reception: Reception) -> list[str]:
    """The tasks of engineio that wait until they send a ping."""
    tasks: set[asyncio.Task[Any]] = asyncio.all_tasks(reception._loop)
    names = (getattr(task.get_coro(), "__qualname__", "") for task in tasks)
    return [name for name in names if "send_ping" in name]


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """The next call of that method, of whatever instance, raises RuntimeError; the others work."""
    real: Callable[..., Any] = getattr(owner, name)
    failures = [RuntimeError("planted")]

    def method(*arguments: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, method)


def complaints_of(reception: Reception, text: str) -> list[str]:
    """The lines with that in it."""
    return [line for line in reception.said() if text in line]


# Heartbeats


def test_a_heartbeat_is_answered_once_and_silence_is_noticed(reception: Reception) -> None:
    def scenario() -> None:
        started = time.monotonic()  # before anybody connects: so it is never less than that
        with admitted(reception, "a") as peer:
            peer.send_text("3")  # nobody has asked
            assert [peer.read_raw(), peer.read_raw()] == ["2", None]
            assert time.monotonic() - started > 1.5 * SOON

    reception.do(scenario)


def test_who_answers_is_asked_again_and_again(
    reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patched_engineio, "PING_TIMEOUT", HANG)  # it may answer late

    def scenario() -> None:
        with admitted(reception, "a") as peer:
            for _ in range(4):
                assert peer.read_raw() == "2"
                peer.send_text("3")
                assert ping_tasks(reception) == []
            assert peer.call("count", payload(0, "a"))["status"] == "accepted"

    reception.do(scenario)


def test_without_ours_engineio_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above looks for the right thing."""

    def misfit() -> None:
        raise Misfit("planted")

    monkeypatch.setattr(patched_engineio, "_check_heartbeats", misfit)
    with Reception(tmp_path) as reception:

        def scenario() -> None:
            with admitted(reception, "a") as peer:
                assert len(ping_tasks(reception)) == 1
                assert [peer.read_raw(), peer.read_raw()] == ["2", None]

        reception.do(scenario)


def test_a_ping_that_cannot_be_sent_ends_its_session_only(
    reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scenario() -> None:
        with admitted(reception, "a") as first:
            fail_once(monkeypatch, asyncio.Queue, "put_nowait")
            assert first.read_raw() is None
        with admitted(reception, "b") as second:
            assert second.read_raw() == "2"

    reception.do(scenario)
    assert len(complaints_of(reception, "(RuntimeError)")) == 1


# The sweep


@pytest.fixture
def sweep_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Who shows no token is swept out as soon as this is called, and by nothing but the sweep."""

    def set_limit(seconds: float) -> None:
        for place in (gateway, admission):
            monkeypatch.setattr(place, "AUTHENTICATION_TIMEOUT", seconds)

    monkeypatch.setattr(patched_engineio, "PING_INTERVAL", HANG)
    set_limit(HANG)
    return lambda: set_limit(0.0)


@pytest.mark.parametrize("what", ["session", "connection"])
def test_one_that_cannot_be_ended_does_not_keep_the_others_in(
    reception: Reception,
    monkeypatch: pytest.MonkeyPatch,
    sweep_out: Callable[[], None],
    what: str,
) -> None:
    failing: dict[str, tuple[Any, str]] = {
        "session": (
            module("engineio.async_socket", "engineio.asyncio_socket").AsyncSocket,
            "close",
        ),
        # Private, so typeshed does not have it.
        "connection": (selector_events._SelectorTransport, "abort"),  # type: ignore[attr-defined]
    }

    def scenario() -> None:
        with contextlib.ExitStack() as peers:
            opened = [peers.enter_context(reception.peer()) for _ in range(3)]
            if what == "session":
                assert [peer.open() for peer in opened] == [101] * 3
            fail_once(monkeypatch, *failing[what])
            sweep_out()
            assert [peer.read() for peer in opened] == [None] * 3
            assert peers.enter_context(reception.peer()).read() is None

    reception.do(scenario)
    assert len(complaints_of(reception, "(RuntimeError), ignoring")) == 1


def test_a_certificate_that_cannot_be_taken_over_does_not_keep_anybody_in(
    reception: Reception, monkeypatch: pytest.MonkeyPatch, sweep_out: Callable[[], None]
) -> None:
    def scenario() -> None:
        with reception.peer() as peer:
            assert peer.open() == 101
            fail_once(monkeypatch, tls.Secured, "refresh")
            sweep_out()
            assert peer.read() is None

    reception.do(scenario)
    assert len(complaints_of(reception, "TLS: no certificate taken over (RuntimeError)")) == 1
