"""`systemctl reload receiver`, as the receiver sees it: a file of its run, and SIGHUP."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sendrecv.receiver import main, renewal, secrets
from tests.lab.reception import Reception
from tests.peers.peer import Peer, auth, payload

A, B, C = "0a1b2c3d" * 8, "4e5f6a7b" * 8, "8c9d0e1f" * 8
RUN = "c" * 32
BEFORE = f"here * {A}\nberlin main {B}\n"


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is handed over to a receiver of this run."""
    monkeypatch.setattr(main, "HANDED_OVER", str(tmp_path))
    monkeypatch.setenv("INVOCATION_ID", RUN)
    return tmp_path / RUN


@pytest.fixture(name="reception")
def fixture_reception(place: Path, tmp_path: Path) -> Iterator[Reception]:
    """A receiver with two tokens."""
    assert not place.exists()
    with Reception(tmp_path, tokens=BEFORE) as one:
        yield one


def reload(reception: Reception) -> str:
    """What it says to SIGHUP. For use in do() only."""
    said = len(reception.said())
    os.kill(os.getpid(), signal.SIGHUP)
    while len(reception.said()) == said:
        time.sleep(0.01)
    return "\n".join(reception.said()[said:])


def connect(reception: Reception, token: str, app_id: str = "main") -> Peer:
    """A sender that is admitted."""
    peer = reception.peer()
    assert peer.open() == 101
    assert "sid" in (peer.connect(auth(app_id, token, epoch=7)) or {})
    return peer


def is_refused(reception: Reception, token: str, app_id: str = "main") -> bool:
    """Whether it is, for its token."""
    with reception.peer() as peer:
        assert peer.open() == 101
        answer = peer.connect(auth(app_id, token, epoch=1)) or {}
    return answer.get("data") == {"reason": "token"}


def test_nobody_is_cut_off_by_a_changed_token(reception: Reception, place: Path) -> None:
    def work() -> None:
        with connect(reception, B) as peer:
            assert peer.call("count", payload(0, "main"))["last"] == 0
            place.write_text(f"here * {A}\nberlin main {C}\n", encoding="ascii")
            assert "tokens: changed berlin (the old one is valid until " in reload(reception)
            assert peer.call("count", payload(1, "main"))["last"] == 1
        for token in (A, B, C):
            assert not is_refused(reception, token)
        assert is_refused(reception, B, "other")

    reception.do(work)
    assert not any(token[:16] in line for line in reception.said() for token in (A, B, C))


def test_who_is_removed_is_cut_off_at_once_and_nobody_else(
    reception: Reception, place: Path
) -> None:
    def work() -> None:
        with connect(reception, B) as gone, connect(reception, A, "other") as kept:
            place.write_text(f"here * {A}\n", encoding="ascii")
            assert "removed berlin (shut out); connections ended: 1" in reload(reception)
            while gone.read() is not None:
                pass
            assert kept.call("count", payload(0, "other"))["last"] == 0
        assert is_refused(reception, B)

    reception.do(work)


@pytest.mark.parametrize(
    "text", ["", "short", f"here * {A}\nberlin main", f"here * {A}\nberlin main \udcff{B}"]
)
def test_a_bad_file_changes_nothing(reception: Reception, place: Path, text: str) -> None:
    def work() -> None:
        with connect(reception, B) as peer:
            place.write_bytes(text.encode("utf-8", "surrogateescape"))
            assert "; the tokens stay as they were" in reload(reception)
            assert peer.call("count", payload(0, "main"))["last"] == 0
        assert not is_refused(reception, A) and not is_refused(reception, B)

    reception.do(work)


def test_a_signal_alone_changes_nothing(reception: Reception, place: Path) -> None:
    """Nor does what was handed over to an earlier receiver."""
    place.with_name("d" * 32).write_text(f"here * {C}\n", encoding="ascii")

    def work() -> None:
        for _ in range(3):
            said = reload(reception)
            assert "no token was handed over to this receiver: use: systemctl reload" in said
        assert is_refused(reception, C) and not is_refused(reception, B)

    reception.do(work)


def test_the_end_of_an_old_one_is_said_and_ends_no_connection(
    reception: Reception, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(peer: Peer, number: int) -> None:
        place.write_text(f"here * {A}\nberlin main {C}\n", encoding="ascii")
        reload(reception)
        assert peer.call("count", payload(number, "main"))["last"] == number

    def work(late: Callable[[], float]) -> None:
        with connect(reception, B) as peer:
            ends(peer, 0)
            monkeypatch.setattr(secrets, "_now", late)
            while not any("old token of berlin" in line for line in reception.said()):
                peer.call("resume", 0)
            assert peer.call("count", payload(1, "main"))["last"] == 1
        assert is_refused(reception, B) and not is_refused(reception, C)

    monkeypatch.setattr(renewal, "LOOK", 0.01)
    later = secrets._now() + 2 * secrets.OVERLAP  # pylint: disable=protected-access
    reception.do(work, lambda: later)
    (line,) = [line for line in reception.said() if "old token of berlin" in line]
    assert (
        line == "<4>the old token of berlin is not valid any more, and cannot connect again"
        " with it: main"
    )
