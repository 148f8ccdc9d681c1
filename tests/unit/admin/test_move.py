"""`sendrecv move` as it is typed, on a systemctl of a few lines. On hosts: system/test_hosts.py."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sendrecv.admin import move, move_half
from sendrecv.errors import ReceiverUnavailable, StoreUnusable, UsageError
from tests.lab.waiting import HANG

HERE = os.uname().nodename.partition(".")[0]
OTHER = "standing by, b (b-failover) counts since 2026-11-27 04:34:52 UTC, count 7"
OWN = "counting here since 2026-11-27 04:34:52 UTC, count 7, connected, epoch 2"

HELD = (
    "standing by, nothing counts: b has released the App"
    ", paused by root since 2026-11-27 05:00:00 UTC"
)


class Systemctl:
    """What it is asked, and what it answers: of each half, a state and a status."""

    def __init__(self, *halves: tuple[str, str]) -> None:
        self.halves = dict(zip(("sender@x.service", "sender-failover@x.service"), halves))
        self.killed: list[str] = []
        self.then: Callable[[], None] = lambda: None

    def __call__(self, *words: str) -> str:
        if words[0] == "kill":
            assert words[1:3] == ("--kill-whom=main", "--signal=USR1")
            self.killed.append(words[3])
            self.then()
            return ""
        shown = [self.halves.get(unit, ("inactive", "")) for unit in words[2:]]
        return "\n".join(f"StatusText={text}\nActiveState={state}\n" for state, text in shown)


@pytest.fixture(name="run")
def fixture_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Takes a Systemctl; returns the path of the request."""
    monkeypatch.setattr(move, "RUNTIME", tmp_path)
    monkeypatch.setattr(move, "PATIENCE", HANG)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def use(systemctl: Systemctl) -> Path:
        monkeypatch.setattr(move, "_systemctl", systemctl)
        return tmp_path / "x.move"

    return use


Run = Callable[[Systemctl], Path]


@pytest.fixture
def impatient(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is waited for in vain."""
    del run  # it comes first
    monkeypatch.setattr(move, "PATIENCE", 0.3)


def test_the_sender_is_asked_and_the_move_is_waited_for(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    systemctl = Systemctl(("failed", ""), ("active", OTHER))
    path = run(systemctl)

    def take() -> None:
        assert path.read_text(encoding="utf-8") == "c\nkernel update\n"
        assert path.stat().st_mode & 0o777 == 0o644
        systemctl.halves["sender-failover@x.service"] = ("active", OTHER.replace("b (b", "c (c"))

    systemctl.then = take
    assert move.main(["x", "c", "--reason", "kernel update"]) == 0
    assert systemctl.killed == ["sender-failover@x.service"]
    assert capsys.readouterr().out == "App x counts on c now\n"


@pytest.mark.parametrize(("status", "host"), [(OTHER, "b"), (OWN, HERE)])
def test_an_app_that_is_there_already(
    run: Run, capsys: pytest.CaptureFixture[str], status: str, host: str
) -> None:
    systemctl = Systemctl(("active", status))
    run(systemctl)
    assert move.main(["x", host]) == 0
    assert not systemctl.killed
    assert capsys.readouterr().out == f"App x counts on {host} already\n"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "counts"),
    [(OTHER, "b"), (OWN, HERE), ("waiting until the record can be written", "no host")],
)
def test_a_host_that_does_not_take_it(run: Run, status: str, counts: str) -> None:
    run(Systemctl(("active", status)))
    with pytest.raises(ReceiverUnavailable) as caught:
        move.main(["x", "c"])
    assert f"c has not taken App x within 0.3 s: it counts on {counts}; is" in str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_an_app_that_is_paused_and_that_nothing_counts(run: Run) -> None:
    run(Systemctl(("active", HELD)))
    with pytest.raises(ReceiverUnavailable) as caught:
        move.main(["x", "c"])
    assert str(caught.value).endswith("it is paused, and nothing counts: sendrecv resume x")


@pytest.mark.parametrize(
    ("arguments", "halves", "why"),
    [
        (["x", "c"], [("inactive", ""), ("failed", "")], "no sender of App x runs on this host"),
        (["x", "c"], [("active", "connected, epoch 2")], "is an App of this machine alone"),
        (["x", "c"], [("active", "not connected, epoch 2, count 4")], "of this machine alone"),
        (["../x", "c"], [], "'../x' is no instance"),
        (["x", "a b"], [], "'a b' is no half and no host"),
        (["x"], [("active", OWN)], "App x is one of several hosts: name the one"),
        (["x", "failover"], [("active", OTHER)], "App x counts on b: name a host, or type"),
        (["x", "main"], [("active", "no host counts")], "does not count here"),
        (["x", "c", "--reason", "a\nb"], [], "the reason must be one line"),
        (["x", "c", "--reason", "x" * 201], [], "of at most 200 characters"),
        (["x", "y", "z"], [], "see sendrecv move --help"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, arguments: list[str], halves: list[tuple[str, str]], why: str
) -> None:
    systemctl = Systemctl(*halves)
    path = run(systemctl)
    with pytest.raises(UsageError) as caught:
        move.main(arguments)
    assert why in str(caught.value) and not path.exists() and not systemctl.killed


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["x"], "connected, epoch 2"),
        (["sender@x", "failover"], "connecting, epoch 2"),
        (["x", "main"], OWN),
    ],
)
def test_a_half_is_moved_on_this_machine(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: str
) -> None:
    moved: list[tuple[str, str, str]] = []

    def note(*words: str) -> int:
        moved.append((words[0], words[1], words[2]))
        return 0

    monkeypatch.setattr(move_half, "move", note)
    systemctl = Systemctl(("active", status))
    run(systemctl)
    assert move.main([*arguments, "--reason", "why"]) == 0
    assert moved == [("x", "".join(arguments[1:]), "why")] and not systemctl.killed
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(UsageError, match="type: sudo sendrecv move x"):
        move.main(arguments)


@pytest.mark.usefixtures("impatient")
def test_a_link_in_the_senders_directory_is_not_followed(run: Run, tmp_path: Path) -> None:
    path = run(Systemctl(("active", OTHER)))
    target = tmp_path / "target"
    target.write_text("as it was", encoding="utf-8")
    for link in (path, path.with_name("x.move.new")):
        link.symlink_to(target)
    with pytest.raises(ReceiverUnavailable):
        move.main(["x", "c"])
    assert target.read_text(encoding="utf-8") == "as it was" and not path.is_symlink()


def test_who_may_not_write_there_is_told_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Systemctl(("active", OTHER)))
    monkeypatch.setattr(move, "RUNTIME", tmp_path / "missing")
    with pytest.raises(StoreUnusable, match="run this as root"):
        move.main(["x", "c"])
