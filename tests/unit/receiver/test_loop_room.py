"""Apps for which the receiver has room in memory, and in its ledger."""

from pathlib import Path

import pytest

from sendrecv.receiver import complaints, ledger, loop
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
        assert [line for line in reception.said() if f"f/main: {complaints.FULL}" in line]


def test_what_is_said_are_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert str(loop.MAX_APPS) in complaints.FULL and str(ledger.MAX_NAMES) in complaints.FULL


def test_a_ledger_is_not_raised_by_whoever_says_that_it_is_old(tmp_path: Path) -> None:
    """One line has both numbers, and what to do."""
    with Reception(tmp_path) as reception:

        def work() -> list[object]:
            with reception.peer() as peer:
                assert claimed(peer, "a") == ""
                counts = peer.call("count", payload(100, "a"))
                return [counts, *(peer.call("resume", {"last": last}) for last in (2**53, 100))]

        counts, refused, resumed = reception.do(work)
        assert counts == {"status": "accepted", "last": 100}
        assert isinstance(refused, dict) and (refused["status"], refused["last"]) == (
            "invalid",
            100,
        )
        assert isinstance(resumed, dict) and (resumed["status"], resumed["last"]) == (
            "accepted",
            100,
        )
        (line,) = [line for line in reception.said() if "old copy" in line]
        assert line.startswith(
            f"<4>a/main: resume: the ledger had count {2**53}, and is an old copy"
        )
        assert "as it has 100, " in line and "restart receiver.service" in line
        assert not [line for line in reception.said() if "unproven" in line]
