"""GET /apps and /status of a receiver that knows ten thousand Apps, on the real receiver."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sendrecv.core.receiver_events import Row
from sendrecv.receiver import crowds
from sendrecv.receiver.ledger import Ledger
from tests.lab.reception import BOOT, Reception
from tests.peers.peer import Peer

ALL, ONE = "1" * 64, "2" * 64
TOKENS = f"all * {ALL}\none app7,unheard-of {ONE}\n"
APPS = 10_000
PEERS = 120
LARGEST = 100_000_000
"""Bytes. Without a limit, so many peers would have twice as much, an answer being 1.8 MB."""


@pytest.fixture(scope="module", name="reception")
def fixture_reception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reception]:
    directory = tmp_path_factory.mktemp("reception")
    ledger = Ledger(directory, BOOT)
    ledger.commit([Row(f"app{n}", 1, "a" * 32, "main", 5) for n in range(APPS)], [], 1.0)
    ledger.close()
    with Reception(directory, max_connections=1000, tokens=TOKENS) as reception:
        yield reception


def head(path: str, token: str = ALL, method: str = "GET") -> str:
    """A request's, without the empty line."""
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}"


def asked(reception: Reception, path: str, token: str = ALL) -> Any:
    """The answer."""
    with reception.peer() as peer:
        status, body = peer.request(head(path, token))
        assert status == 200 and peer.fields["content-type"] == "application/json; charset=utf-8"
        return json.loads(body)


def resident() -> int:
    """Bytes of memory that this process, and so the receiver, has."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_large_answers_are_whole(reception: Reception) -> None:
    def scenario() -> None:
        apps = asked(reception, "/apps")
        assert list(apps) == sorted(f"app{n}" for n in range(APPS))
        assert asked(reception, "/status")["apps"].keys() == apps.keys()
        with reception.peer() as peer:
            peer.send(f"{head('/apps', method='HEAD')}\r\n\r\n".encode())
            peer._socket.shutdown(socket.SHUT_WR)  # pylint: disable=protected-access
            data = peer._stream.read()  # pylint: disable=protected-access
            assert data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"\r\n\r\n")

    reception.do(scenario)


def test_a_token_shows_its_apps_alone(reception: Reception) -> None:
    def scenario() -> None:
        assert list(asked(reception, "/apps", ONE)) == ["app7"]
        told = asked(reception, "/status", ONE)
        assert list(told["apps"]) == ["app7"] and told["receiver"] is None
        assert len(asked(reception, "/status")["apps"]) == APPS

    reception.do(scenario)


def test_answers_that_nobody_reads_take_little_memory(reception: Reception) -> None:
    def scenario() -> None:
        asked(reception, "/status")
        before = resident()
        with ExitStack() as stack:
            peers = [stack.enter_context(reception.peer(receive_buffer=4096)) for _ in range(PEERS)]
            for peer in peers:
                peer.send(f"{head('/status')}\r\n\r\n".encode())
            asked(reception, "/status")  # those who came before have been served
            assert resident() - before < LARGEST

    reception.do(scenario)


def test_few_may_leave_much_unread(reception: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "PAUSED", 3)

    def scenario() -> None:
        with ExitStack() as stack:
            peers: list[Peer] = []
            while not any("with unread answers" in line for line in reception.said()):
                peers.append(stack.enter_context(reception.peer(receive_buffer=4096)))
                peers[-1].send(f"{head('/status')}\r\n\r\n".encode())
                time.sleep(0.05)
            assert len(peers) > 3
            assert len(asked(reception, "/status")["apps"]) == APPS

    reception.do(scenario)
