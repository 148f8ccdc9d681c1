"""`sendrecv forget`, with a real record, its lock and the receiver's requests.

What systemctl does is a script here. On systemd, and with a proof: tests/system/test_forget.py.
"""

import errno
import io
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from sendrecv.admin import ask, forget
from sendrecv.core import record as slots
from sendrecv.core.record import Record
from sendrecv.errors import ReceiverUnavailable, SendrecvError, StoreUnusable, UsageError
from sendrecv.receiver.requests import Requests
from sendrecv.sender.store_file import StateFile
from tests.unit.admin.journals import does

RECORD = Record("one", 3, 9, 7, 0, "b" * 32, "main", "a" * 32)
DONE = 'rm "$REQUESTS"/forget-one'
"""What a receiver does that forgets the App one."""


class Scene:
    """One machine, with the record of the App one, which is stopped."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.records, self.requests = top / "records", top / "requests"
        self.known: dict[str, Mapping[str, object]] = {"one": {"count": 7, "epoch": 3}}
        self.systemctl = top / "bin/systemctl"
        self.does = monkeypatch
        for directory in (self.records, self.requests, self.systemctl.parent):
            directory.mkdir()
        monkeypatch.setenv("PATH", f"{self.systemctl.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("REQUESTS", str(self.requests))
        monkeypatch.setattr(forget, "RECORDS", self.records)
        monkeypatch.setattr(forget, "REQUESTS", self.requests)
        monkeypatch.setattr(ask, "apps", lambda: self.known)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        self.restart(DONE)
        store = self.store()
        store.acquire()
        store.commit(RECORD)
        store.release()

    def store(self) -> StateFile:
        """As the App's sender has it."""
        return StateFile(self.records / "one.record")

    def restart(self, script: str) -> None:
        """What `systemctl restart receiver.service` does; its arguments are kept."""
        does(self.systemctl, f'echo "$@" >> "{self.top}/typed"; {script}')

    def typed(self) -> str:
        """What systemctl was told."""
        path = self.top / "typed"
        return path.read_text(encoding="ascii") if path.exists() else ""

    def answer(self, text: str) -> None:
        """What a person answers."""
        self.does.setattr(sys, "stdin", io.StringIO(text))

    def left(self) -> list[str]:
        """The files of records and requests."""
        return sorted(os.listdir(self.records) + os.listdir(self.requests))

    def refuses(self, kind: type[SendrecvError], *arguments: str) -> str:
        """The command fails, and nothing is changed; the line that says why."""
        before = self.left()
        with pytest.raises(kind) as failure:
            forget.main(arguments)
        assert self.left() == before
        return str(failure.value)


@pytest.fixture(name="scene")
def fixture_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


@pytest.mark.parametrize("arguments", [["--yes", "one"], ["one"]])
def test_an_app_is_forgotten(
    scene: Scene, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """By the receiver first; then its record goes, and what a person had accepted for it."""
    (scene.records / "one.record.accepted").write_text("count 7\n", encoding="ascii")
    (scene.records / "two.record").touch()
    scene.restart(f'ls "{scene.records}" >> "{scene.top}/typed"; {DONE}')
    scene.answer(" Yes\n")
    assert forget.main(arguments) == 0
    assert scene.typed().split() == [
        *("restart", "receiver.service"),
        *("one.record", "one.record.accepted", "two.record"),
    ]
    assert scene.left() == ["two.record"]
    assert scene.store().acquire() == (None, 1)
    said = capsys.readouterr().out
    assert "  its record:   count 9, epoch 3\n  the receiver: count 7, epoch 3\n" in said
    assert "  LOST: 2 counts that the receiver may not have, the last ones\n" in said
    assert said.endswith("App one is forgotten. When it is started, it counts from 0.\n")
    assert ("Forget App one? [y/N]" in said) == (len(arguments) == 1)


def two_apps(scene: Scene) -> None:
    """There is the App two as well, which only the receiver knows."""
    scene.known = {**scene.known, "two": {"count": 1, "epoch": 1}}


def test_several_apps_are_forgotten_with_one_question_and_one_restart(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    two_apps(scene)
    scene.restart(f'{DONE} "$REQUESTS"/forget-two')
    scene.answer("y\n")
    assert forget.main(["two", "one", "two"]) == 0
    assert scene.typed() == "restart receiver.service\n" and scene.left() == []
    said = capsys.readouterr().out
    assert said.count("[y/N]") == 1 and "Forget these 2 Apps? [y/N]" in said
    assert said.startswith("App two\n  the receiver: count 1, epoch 1\nApp one\n  its record: ")
    assert said.count(forget.KEPT) == 1
    assert said.endswith(
        "App two is forgotten. When it is started, it counts from 0.\n"
        "App one is forgotten. When it is started, it counts from 0.\n"
    )


def test_if_one_of_several_runs_none_is_forgotten(scene: Scene) -> None:
    two_apps(scene)
    sender = scene.store()
    sender.acquire()
    assert scene.refuses(UsageError, "two", "one", "--yes") == f"App one runs: {STOP}"
    sender.release()
    assert scene.refuses(UsageError, "one", "three", "--yes").startswith("no App is called three")
    assert not scene.typed()


def test_those_that_the_receiver_has_not_forgotten_are_named(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    two_apps(scene)
    (scene.records / "two.record").touch()
    with pytest.raises(ReceiverUnavailable, match="^App two is not forgotten: see journalctl"):
        forget.main(["one", "two", "--yes"])
    assert scene.left() == ["two.record"]
    assert "App one is forgotten." in capsys.readouterr().out


def test_a_request_that_cannot_be_made_takes_back_the_others(scene: Scene) -> None:
    two_apps(scene)
    (scene.requests / "forget-two").symlink_to("elsewhere")
    assert scene.refuses(StoreUnusable, "one", "two", "--yes").startswith(
        f"{scene.requests}/forget-two: "
    )
    assert not scene.typed()


@pytest.mark.parametrize("text", ["", "\n", "n\n", "yep\n"])
def test_who_does_not_say_yes_forgets_nothing(scene: Scene, text: str) -> None:
    scene.answer(text)
    said = scene.refuses(UsageError, "one")
    assert said == "not confirmed: nothing is changed: answer y, or use --yes"
    assert not scene.typed()


STOP = "stop it first, as with: systemctl stop sendrecv@one.target"


def test_an_app_that_runs_is_not_forgotten(scene: Scene) -> None:
    """Its sender holds the lock of its record; one of another machine is seen by the receiver."""
    scene.known = {"one": {"count": 9, "epoch": 3, "connectedSince": 7.5}}
    said = scene.refuses(UsageError, "one", "--yes")
    assert said == f"App one is connected to the receiver: {STOP}"
    scene.known = {}
    sender = scene.store()
    sender.acquire()
    assert scene.refuses(UsageError, "one", "--yes") == f"App one runs: {STOP}"
    sender.verify()
    sender.release()
    assert not scene.typed()


def test_no_sender_starts_meanwhile(scene: Scene) -> None:
    """The lock of the record is held while the receiver forgets."""
    flock = f'flock --nonblock "{scene.records}/one.record" true && echo free >> "$0.was"'
    scene.restart(f"{flock}; {DONE}")
    assert forget.main(["one", "--yes"]) == 0
    assert not Path(f"{scene.systemctl}.was").exists()


@pytest.mark.parametrize(
    "script",
    ["true", f"{DONE}; exit 1", "exit 1"],
    ids=["it does not do what it is asked", "it does not start again", "neither"],
)
def test_a_receiver_that_has_not_forgotten(scene: Scene, script: str) -> None:
    """The record stays, so the App goes on; and the receiver's next start does not forget it."""
    scene.restart(script)
    said = scene.refuses(ReceiverUnavailable, "one", "--yes")
    assert said == "App one is not forgotten: see journalctl -u receiver"
    assert scene.left() == ["one.record"]


def test_a_request_of_an_interrupted_command_is_used(scene: Scene) -> None:
    (scene.requests / "forget-one").touch()
    assert Requests(scene.requests).apps() == ["one"]
    assert forget.main(["one", "--yes"]) == 0
    assert scene.left() == []


def test_an_app_that_only_the_receiver_knows(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    (scene.records / "one.record").unlink()
    assert forget.main(["one", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "its record:" not in said and "LOST" not in said and "the receiver: count 7" in said


def test_a_record_of_a_newer_version_is_no_reason_to_keep_it(scene: Scene) -> None:
    slot = slots.encode(RECORD, 1).replace(b'"format": 1', b'"format": 2')
    body = slot.rpartition(b" crc32=")[0]
    line = body + b" crc32=%08x" % zlib.crc32(body)
    (scene.records / "one.record").write_bytes(line.ljust(slots.SLOT_SIZE - 1) + b"\n")
    assert forget.main(["one", "--yes"]) == 0
    assert scene.left() == []


def test_names_of_no_app(scene: Scene) -> None:
    assert scene.refuses(UsageError, "../one", "--yes").startswith("'../one' is not an appID")
    said = scene.refuses(UsageError, "two", "--yes")
    assert said == "no App is called two: the receiver knows: one"
    scene.known = {}
    said = scene.refuses(UsageError, "two", "--yes")
    assert said == "no App is called two: the receiver knows: none"


def test_only_root_may(scene: Scene) -> None:
    scene.does.setattr(os, "geteuid", lambda: 1000)
    assert scene.refuses(UsageError, "one", "--yes") == (
        "only root may do that: type: sudo sendrecv forget one, or, with polkit: pkexec sendrecv"
        " forget one"
    )


def test_files_that_are_links_are_not_followed(scene: Scene, tmp_path: Path) -> None:
    """The directories belong to other users than root."""
    victim = tmp_path / "victim"
    (scene.requests / "forget-one").symlink_to(victim)
    said = scene.refuses(StoreUnusable, "one", "--yes")
    assert said.startswith(f"{scene.requests}/forget-one: ") and not victim.exists()
    path = scene.records / "one.record"
    path.rename(victim)
    path.symlink_to(victim)
    assert scene.refuses(StoreUnusable, "one", "--yes").startswith(f"{path}: ")


def test_a_receiver_that_never_ran_has_no_place_for_requests(scene: Scene) -> None:
    scene.requests.rmdir()
    with pytest.raises(StoreUnusable, match=f"{scene.requests}: No such file or directory"):
        forget.main(["one", "--yes"])
    assert os.listdir(scene.records) == ["one.record"]


def test_a_fault_meanwhile_is_not_taken_for_the_lock(scene: Scene) -> None:
    """As when the kernel has no room for one more process. No later start forgets the App then."""

    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    scene.does.setattr(subprocess, "run", full)
    with pytest.raises(BlockingIOError):
        forget.main(["one", "--yes"])
    assert scene.left() == ["one.record"]


# Python kills systemctl then, and does not wait for it.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupted_command_leaves_no_request(scene: Scene) -> None:
    scene.restart("kill -INT $PPID; exec sleep 9")
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # in the background, it is off
    try:
        with pytest.raises(KeyboardInterrupt):
            forget.main(["one", "--yes"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert scene.left() == ["one.record"]
