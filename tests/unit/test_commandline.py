"""How the commands for people parse, print and fail: never with an exit status of a verdict."""

import errno
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sendrecv import commandline
from sendrecv.commandline import Parser, printed
from sendrecv.errors import FAULT, OUTPUT_FAILED, StoreUnusable, UsageError
from tests.lab.waiting import HANG

Command = Callable[[Sequence[str]], int]


def run(command: Command, arguments: Sequence[str], to: Path | int, encoding: str = "utf-8") -> int:
    """The exit status of a command whose standard output goes `to` a file or a descriptor."""
    before, python = os.dup(1), sys.stdout
    new = to if isinstance(to, int) else os.open(to, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(new, 1)
    os.close(new)
    try:
        with open(1, "w", encoding=encoding, closefd=False) as sys.stdout:
            return printed(command, arguments)
    finally:
        sys.stdout = python
        os.dup2(before, 1)
        os.close(before)


@pytest.fixture(name="output")
def fixture_output(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "output"


def says(text: str, status: int = 0) -> Command:
    """A command that prints its arguments and a text."""

    def command(arguments: Sequence[str]) -> int:
        print(*arguments, text)
        return status

    return command


def fails(error: BaseException) -> Command:
    """A command that prints a line, and then fails."""

    def command(_arguments: Sequence[str]) -> int:
        print("a line")
        raise error

    return command


@pytest.mark.parametrize("status", [0, 1, 2, 150])
def test_a_command_prints_and_its_status_is_the_result(output: Path, status: int) -> None:
    assert run(says("c", status), ["a", "b"], output) == status
    assert output.read_text(encoding="ascii") == "a b c\n"


def test_what_an_encoding_does_not_have_is_escaped(output: Path) -> None:
    assert run(says("\u2026"), ["\u00e9"], output, "ascii") == 0
    assert output.read_text(encoding="ascii") == "\\xe9 \\u2026\n"


def test_help_is_printed_and_is_no_failure(output: Path) -> None:
    parser = Parser(prog="sendrecv x", description="Does it.")

    def command(arguments: Sequence[str]) -> int:
        parser.parse_args(arguments)
        return 1

    assert run(command, ["--help"], output) == 0
    assert output.read_text(encoding="ascii").startswith("usage: sendrecv x [-h]\n\nDoes it.\n")
    assert run(command, [], output) == 1


def test_a_wrong_option_is_an_error_of_its_own() -> None:
    parser = Parser(prog="sendrecv x")
    parser.add_argument("app", metavar="APP")
    for arguments, problem in (
        (["--bogus", "a"], "unrecognized arguments: --bogus"),
        ([], "the following arguments are required: APP"),
    ):
        with pytest.raises(UsageError) as failure:
            parser.parse_args(arguments)
        assert str(failure.value) == f"{problem}: see sendrecv x --help"


def test_an_error_of_sendrecv_is_the_callers(output: Path) -> None:
    with pytest.raises(StoreUnusable, match="^no disk$"):
        run(fails(StoreUnusable("no disk")), [], output)


LONG = "x" * 100_000
"""More than a buffer takes: it is written while the command runs, not after it."""


@pytest.mark.parametrize("text", ["", LONG], ids=["at its end", "while it runs"])
def test_a_full_output(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(says(text, 1), [], Path("/dev/full")) == OUTPUT_FAILED
    assert capsys.readouterr().err == "sendrecv: standard output: No space left on device\n"


@pytest.mark.parametrize("text", ["", LONG], ids=["at its end", "while it runs"])
def test_a_reader_that_has_read_enough(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As `| head`: that is no success, and nothing to complain of."""
    reading, writing = os.pipe()
    os.close(reading)
    assert run(says(text), [], writing) == OUTPUT_FAILED
    assert capsys.readouterr().err == ""


def test_an_output_that_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it after >&-
    assert printed(says("lost"), []) == OUTPUT_FAILED
    assert capsys.readouterr().err == "sendrecv: standard output: it is closed\n"


@pytest.mark.parametrize("file", ["/etc/x", None])
def test_an_error_of_another_file_is_not_the_outputs(
    file: str | None, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", file)
    assert run(fails(error), [], output) == OUTPUT_FAILED
    said = capsys.readouterr().err
    assert said == f"sendrecv: {file or 'a file'}: No space left on device\n"


def test_a_fault_has_a_traceback_and_no_result(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fails(KeyError("x")), [], output) == FAULT
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last == "sendrecv: this is a fault of sendrecv: it has no result"


def test_a_terminal_gets_each_line_at_once() -> None:
    """As `sendrecv watch` needs it: nothing waits in a buffer."""
    terminal, end = os.openpty()

    def command(_arguments: Sequence[str]) -> int:
        print("first")
        assert select.select([terminal], [], [], HANG)[0]
        assert os.read(terminal, 100) == b"first\r\n"
        return 0

    assert run(command, [], end) == 0
    os.close(terminal)


def test_nothing_is_said_twice_as_python_ends() -> None:
    """After a full output, in a process of its own."""
    code = f"from {commandline.__name__} import printed; import sys; "
    code += "sys.exit(printed(lambda _: print('x') or 0, []))"
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "sendrecv: standard output: No space left on device\n"
    assert done.returncode == OUTPUT_FAILED
