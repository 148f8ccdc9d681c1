"""Apps for which the receiver has room in memory, and in its ledger."""

from pathlib import Path

import pytest

from sendrecv.receiver import gateway, ledger, loop
from tests.lab.reception import TOKEN, Reception
from tests.lab.waiting import wait_until
from tests.peers.peer import Peer, auth, payload


def claimed(peer: Peer, app_id: str, epoch: int = 1) -> object:
    """ "" if that App is admitted, or the reason why not."""
    assert peer.open() == 101
    reply = peer.connect(auth(app_id, TOKEN, epoch=epoch)) or {}
    return "" if "sid" in reply else reply["data"]


def counted(reception: Reception, app_id: str, epoch: int, count: int) -> object:
    """The answer to that count of an App that comes, counts, and goes."""
    with reception.peer() as peer:
        assert claimed(peer, app_id, epoch) == ""
        last = peer.call("resume")["last"]
        status = peer.call("count", payload(count, app_id))["status"]
    apps = reception.receiver.apps()
    wait_until(lambda: not apps[app_id].connection, "the receiver notices")
    return last, status


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "MAX_APPS", 2)
    monkeypatch.setattr(ledger, "MAX_NAMES", 5)


def test_an_app_that_gave_way_goes_on_where_it_was(tmp_path: Path) -> None:
    with Reception(tmp_path) as reception:

        def work() -> list[object]:
            return [counted(reception, name, 1, 0) for name in "abcde"] + [
                counted(reception, name, 2, 0) for name in "abcde"
            ]

        new, again = (None, "accepted"), (0, "duplicate")
        assert reception.do(work) == [new] * 5 + [again] * 5
        assert len(reception.receiver.apps()) <= 2
        assert len(reception.printed()) == 5


def test_a_ledger_that_is_full_says_so(tmp_path: Path) -> None:
    with Reception(tmp_path) as reception:

        def work() -> object:
            for name in "abcde":
                counted(reception, name, 1, 0)
            with reception.peer() as peer:
                refused = claimed(peer, "f")
            return refused, counted(reception, "a", 2, 1)

        assert reception.do(work) == ({"reason": "full"}, (0, "accepted"))
        assert [line for line in reception.said() if f"f/main: {gateway.FULL}" in line]


def test_what_is_said_are_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert str(loop.MAX_APPS) in gateway.FULL and str(ledger.MAX_NAMES) in gateway.FULL
