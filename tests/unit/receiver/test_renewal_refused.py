"""A token that is refused: the receiver says which one it has itself, but not each time."""

import hashlib
import time
from pathlib import Path

import pytest

from sendrecv.receiver import renewal, secrets
from tests.lab.reception import TOKEN, Reception
from tests.lab.waiting import wait_until
from tests.peers.peer import auth


def refuse(reception: Reception, token: str) -> None:
    """A sender with that token is refused."""

    def work() -> object:
        with reception.peer() as peer:
            assert peer.open() == 101
            return (peer.connect(auth("a", token)) or {})["data"]

    assert reception.do(work) == {"reason": "token"}


def test_the_receiver_says_which_token_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(secrets, "REPORT_INTERVAL", 3600.0)
    monkeypatch.setattr(renewal, "LOOK", 3600.0)
    there = tmp_path / "refused/receiver.service"
    with Reception(tmp_path) as reception:
        reception.do(lambda: reception.peer().close())
        assert not there.exists()
        refuse(reception, "another")
        assert there.read_text(encoding="ascii") == hashlib.sha256(TOKEN.encode()).hexdigest()
        there.unlink()
        refuse(reception, "another")
        assert not there.exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_the_receiver_says_it_once_after_its_start_if_the_file_may_be_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    """Nobody is refused: what has changed during the start was told to nobody."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(renewal, "LOOK", 0.01)
    monkeypatch.setattr(renewal, "TOKEN", str(tmp_path))
    monkeypatch.setattr(renewal, "STARTING", 3600.0 if is_new else -3600.0)
    there = tmp_path / "refused/receiver.service"
    with Reception(tmp_path) as reception:
        said = hashlib.sha256(TOKEN.encode()).hexdigest()

        def is_said() -> bool:
            return there.exists() and there.read_text(encoding="ascii") == said

        if is_new:
            reception.do(wait_until, is_said, "it says which token it has")
        reception.do(time.sleep, 0.2)
        assert is_said() == is_new


def test_what_is_new_is_the_file_or_a_link_to_it_or_cannot_be_known(tmp_path: Path) -> None:
    file, link = tmp_path / "token.first", tmp_path / "token"
    file.touch()
    time.sleep(0.05)
    since = time.time()
    time.sleep(0.05)  # the kernel's stamps come some milliseconds late
    link.symlink_to(file)
    assert renewal.is_new(str(link), since) and not renewal.is_new(str(file), since)
    assert renewal.is_new(str(tmp_path / "none"), since)
    file.touch()
    assert renewal.is_new(str(file), since)


def test_a_directory_that_cannot_be_used_is_said_once_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refused").touch()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(secrets, "REPORT_INTERVAL", 0.0)
    with Reception(tmp_path) as reception:
        for _ in range(2):
            refuse(reception, "another")
        lines = [line for line in reception.said() if "a new token is not noticed" in line]
    assert len(lines) == 1 and lines[0].startswith(f"<4>{tmp_path}/refused: ")
