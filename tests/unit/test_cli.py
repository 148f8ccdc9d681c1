"""/usr/bin/sendrecv as a process: its exit status, and one line for each failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sendrecv import __version__, errors
from sendrecv.errors import SendrecvError

ALONE = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}


def sendrecv(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """One run, with no service manager around it."""
    command = [sys.executable, "-c", "from sendrecv.cli import main; main()", *arguments]
    return subprocess.run(
        command,
        env={**ALONE, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [("--help",), ("-h",), ("help",), ("send", "--help"), ("receive", "-h")]
)
def test_help(arguments: tuple[str, ...]) -> None:
    done = sendrecv(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: sendrecv COMMAND")
    for command in ("send INSTANCE", "receive", "status", "proof"):
        assert f"\n  {command}" in done.stdout


def test_version() -> None:
    done = sendrecv("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"sendrecv {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "no command"),
        (("bogus",), "unknown command: 'bogus'"),
        (("send",), "unknown command: 'send'"),
        (("send", "main", "third"), "unknown command: 'send main third'"),
        (("receive", "now"), "unknown command: 'receive now'"),
        (("a\nb\x1b[0m\u2028",), r"unknown command: 'a\nb\x1b[0m\u2028'"),
    ],
)
def test_a_wrong_command_line(arguments: tuple[str, ...], problem: str) -> None:
    done = sendrecv(*arguments, PYTHONUTF8="1")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == f"<3>sendrecv: {problem}: see sendrecv --help\n"


def test_a_wrong_setting() -> None:
    done = sendrecv("send", "billing", "main", SENDRECV_INTERVAL="fast")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "<3>sendrecv: /etc/sendrecv/billing.env: SENDRECV_INTERVAL='fast':"
        " must be a number from 0 to 86400\n"
    )


def test_no_state_directory() -> None:
    done = sendrecv("send", "billing", "main")
    assert (done.returncode, done.stdout) == (73, "")
    token, state = done.stderr.splitlines()  # it goes on without a token, which may come
    assert token.startswith("<3>the token was not handed over")
    assert state.startswith("<3>sendrecv: STATE_DIRECTORY is not set")


def test_a_state_directory_that_is_none(tmp_path: Path) -> None:
    done = sendrecv("send", "billing", "main", STATE_DIRECTORY=str(tmp_path / "none"))
    assert done.returncode == 73
    path = tmp_path / "none" / "billing.record"
    assert done.stderr.splitlines()[-1] == f"<3>sendrecv: {path}: No such file or directory"


def test_no_listening_socket() -> None:
    done = sendrecv("receive")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == (
        "<3>sendrecv: no listening socket was handed over: start receiver.socket\n"
    )


def test_each_class_of_failure_has_an_exit_status_of_its_own() -> None:
    classes: list[type[SendrecvError]] = [SendrecvError, *SendrecvError.__subclasses__()]
    assert len(classes) >= 9 and all(kind.__module__ == errors.__name__ for kind in classes)
    statuses = {kind.exit_status for kind in classes}
    assert len(statuses) == len(classes)
    assert all(64 <= status <= 78 for status in statuses)  # those of sysexits(3)


def test_the_hint_follows_the_message() -> None:
    assert str(SendrecvError("what", "do this")) == "what: do this"
    assert str(SendrecvError("what")) == "what"
