"""/usr/bin/sendrecv as a process: its exit status, and one line for each failure."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sendrecv import __version__

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
    assert done.stderr == f"sendrecv: {problem}: see sendrecv --help\n"


def test_a_wrong_setting() -> None:
    done = sendrecv("send", "billing", "main", SENDRECV_INTERVAL="fast")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "sendrecv: the environment: SENDRECV_INTERVAL='fast':" " must be a number from 0 to 86400\n"
    )


def test_no_state_directory() -> None:
    done = sendrecv("send", "billing", "main")
    assert (done.returncode, done.stdout) == (73, "")
    (state,) = done.stderr.splitlines()  # nothing of a token, which the Unix socket does not need
    assert state.startswith("sendrecv: STATE_DIRECTORY is not set")


def test_a_state_directory_that_is_none(tmp_path: Path) -> None:
    done = sendrecv("send", "billing", "main", STATE_DIRECTORY=str(tmp_path / "none"))
    assert done.returncode == 73
    path = tmp_path / "none" / "billing.record"
    assert done.stderr.splitlines()[-1] == f"sendrecv: {path}: No such file or directory"


def test_no_listening_socket() -> None:
    done = sendrecv("receive")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == ("sendrecv: no listening socket was handed over: start receiver.socket\n")


def test_an_error_on_the_journals_stream_says_its_severity() -> None:
    code = (
        "import os, sys; there = os.fstat(2); "
        "os.environ['JOURNAL_STREAM'] = f'{there.st_dev}:{there.st_ino}'; "
        "sys.argv = ['sendrecv', 'bogus']; from sendrecv.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("<3>sendrecv: unknown command")


@pytest.mark.parametrize("command", ["status", "proof"])
def test_an_option_that_is_none_is_no_verdict(command: str) -> None:
    done = sendrecv(command, "--bogus")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == (
        f"sendrecv: unrecognized arguments: --bogus: see sendrecv {command} --help\n"
    )


@pytest.mark.parametrize(
    ("command", "stderr"),
    [
        ("proof --help > /dev/full", "sendrecv: standard output: No space left on device\n"),
        ("proof --help | true", ""),
        ("proof --help >&-", "sendrecv: standard output: it is closed\n"),
        ("--help > /dev/full", "sendrecv: standard output: No space left on device\n"),
        ("--version > /dev/full", "sendrecv: standard output: No space left on device\n"),
    ],
)
def test_an_output_that_cannot_be_written_is_no_verdict(command: str, stderr: str) -> None:
    script = f'set -o pipefail; "$0" -c "from sendrecv.cli import main; main()" {command}'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable],
        env=ALONE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (74, stderr)


def _after(fault: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process in which something is wrong that nobody has foreseen."""
    code = f"{fault}; from sendrecv.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=ALONE, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "fault",
    [
        "import sendrecv.proof.prove as p; p.Reading = None",
        "import sys; sys.modules['sendrecv.proof.judge.verdict'] = None",
        "import sendrecv.proof.prove as p; del p.EXIT_STATUS",
    ],
)
def test_a_fault_of_the_program_is_no_verdict(fault: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    assert _after("pass", "proof", "--file", str(journal)).returncode == 2
    done = _after(fault, "proof", "--file", str(journal))
    first, *_, last = done.stderr.splitlines()
    assert (done.returncode, first) == (70, "Traceback (most recent call last):")
    assert last == "sendrecv: this is a fault of sendrecv: it has no result"


def test_an_error_of_another_file_is_not_the_outputs(tmp_path: Path) -> None:
    fault = (
        "import errno, sendrecv.proof.prove as p\n"
        "def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "p.Reading = full"
    )
    journal = tmp_path / "journal"
    journal.touch()
    done = _after(fault, "proof", "--file", str(journal))
    assert (done.returncode, done.stderr) == (74, "sendrecv: a file: No space left on device\n")


def test_a_terminal_without_unicode_gets_a_verdict(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    done = sendrecv("proof", "--file", str(journal), "\u2026", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("INCONCLUSIVE: no App or instance '\\u2026'")


def test_interrupted(tmp_path: Path) -> None:
    """While it waits for the lock: the signals are handled from the first count on."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from sendrecv.cli import main; main()"
    )
    record = tmp_path / "x.record"
    environ = {**ALONE, "STATE_DIRECTORY": str(tmp_path)}
    with record.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-c", code, "send", "x", "main"]
        with subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL) as sender:
            # Before that, the exception might be one that sdnotify swallows.
            while not re.search(
                rf"-> FLOCK .* {sender.pid} ", Path("/proc/locks").read_text("ascii")
            ):
                time.sleep(0.01)
            sender.send_signal(signal.SIGINT)
            assert sender.wait() == 130
