"""The common part of the commands for people: how they parse arguments, and how they print."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from sendrecv.errors import DONE, FAULT, OUTPUT_FAILED, SendrecvError, UsageError


class Parser(argparse.ArgumentParser):
    """argparse would exit with 2, which is a verdict of `sendrecv proof`."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


class _OutputError(Exception):
    """An error of the output. An OSError could be the output's or another file's."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror)
        self.is_broken_pipe = isinstance(cause, BrokenPipeError)


class _Output(io.FileIO):
    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]  # a buffer, as FileIO has it
        except OSError as error:
            raise _OutputError(error) from None


def printed(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a command that prints. Returns its exit status; after a failure, one from 64 on, so that
    no failure looks like a verdict.

    Raises the command's SendrecvError.
    """
    output = _named_output()
    if output is None:
        return _failed("standard output", "it is closed", OUTPUT_FAILED)
    sys.stdout = output
    try:
        status = _run(command, arguments)
        output.flush()
    except _OutputError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries it again as it ends
        if error.is_broken_pipe:  # the reader has read enough, as with `| head`
            return OUTPUT_FAILED
        return _failed("standard output", str(error), OUTPUT_FAILED)
    except OSError as error:
        return _failed(str(error.filename or "a file"), str(error.strerror), OUTPUT_FAILED)
    except SendrecvError:
        raise
    except Exception:  # pylint: disable=broad-exception-caught  # Python exits with 1: VIOLATED
        traceback.print_exc()
        return _failed("this is a fault of sendrecv", "it has no result", FAULT)
    return status


def _run(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return command(arguments)
    except SystemExit as end:  # argparse's, after --help
        return int(end.code or DONE)


def _named_output() -> io.TextIOWrapper | None:
    """Standard output, which tells its own errors from those of other files.

    Characters that its encoding does not have are written escaped.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):  # closed, or Python's own is not there
        return None
    buffered = io.BufferedWriter(_Output(1, "w", closefd=False))
    encoding, is_terminal = sys.stdout.encoding, sys.stdout.isatty()
    return io.TextIOWrapper(buffered, encoding, "backslashreplace", line_buffering=is_terminal)


def _failed(what: str, why: str, status: int) -> int:
    print(f"sendrecv: {what}: {why}", file=sys.stderr)
    return status
