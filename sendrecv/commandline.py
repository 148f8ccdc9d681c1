"""What the commands for people have in common: how they parse, and how they print."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from sendrecv.errors import UsageError

OUTPUT_FAILED = 74  # EX_IOERR


class Parser(argparse.ArgumentParser):
    """argparse would exit with 2, which is a verdict of `sendrecv proof`."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


def printed(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a command that prints; its exit status, or OUTPUT_FAILED, never a verdict by accident."""
    try:
        try:
            status = command(arguments)
        except SystemExit as end:  # argparse's, after --help
            status = int(end.code or 0)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # not the output's
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter tries it again at its end
        if not isinstance(error, BrokenPipeError):  # as of `| head`: what was read was enough
            print(f"sendrecv: standard output: {error.strerror}", file=sys.stderr)
        return OUTPUT_FAILED
    return status
