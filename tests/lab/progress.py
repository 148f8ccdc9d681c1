"""What a long step shows on the terminal: one line with its seconds. Its output goes to a log.

    with step("building sendrecv.deb", "deb") as log:
        subprocess.run(command, stdout=log, stderr=log, check=True)

prints "building sendrecv.deb ... " at once, and "21 s" behind it at the end. A step that fails
prints the end of its log and the log's name, and ends the process with status 1.

Only plain text is printed, so that a log of CI reads like a terminal. Lines go to standard error:
standard output is for results.
"""

import contextlib
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.lab import paths

TAIL = 20


class StepFailed(SystemExit):
    """A step failed. What there is to say has been printed."""

    def __init__(self, what: str, log: Path) -> None:
        """`log`: the file that holds the step's output."""
        super().__init__(1)
        self.what = what
        self.log = log

    def __str__(self) -> str:
        return f"{self.what}: failed, log: {self.log}"


class _Terminal:
    """Standard error, shared by threads. Its last line may wait for its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = ""

    def begin(self, what: str) -> None:
        """Prints a line without its end."""
        with self._lock:
            self._break()
            print(f"{what} ... ", end="", file=sys.stderr, flush=True)
            self._waiting = what

    def end(self, what: str, result: str) -> None:
        """Ends that line, or prints it again if other lines came after it."""
        with self._lock:
            if self._waiting == what:
                print(result, file=sys.stderr, flush=True)
                self._waiting = ""
            else:
                self._break()
                print(f"{what} ... {result}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Prints whole lines on standard output."""
        with self._lock:
            self._break()
            print(text, flush=True)

    def _break(self) -> None:
        if self._waiting:
            print(file=sys.stderr, flush=True)
            self._waiting = ""


_TERMINAL = _Terminal()
say = _TERMINAL.say


@contextlib.contextmanager
def step(what: str, name: str) -> Iterator[IO[str]]:
    """Prints that line; yields the log, .build/log/NAME.log, for the step's output."""
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    file = paths.LOGS / f"{name}.log"
    started = time.monotonic()
    with file.open("w", encoding="utf-8", errors="replace") as log:
        _TERMINAL.begin(what)
        try:
            yield log
        except Exception as error:  # pylint: disable=broad-exception-caught  # shown, and raised
            log.write(_reason(error))
            log.flush()
            _TERMINAL.end(what, f"FAILED after {_seconds(started)}\n{excerpt(file)}\nlog: {file}")
            raise StepFailed(what, file) from error
        except BaseException:
            _TERMINAL.end(what, f"stopped after {_seconds(started)}")
            raise
    _TERMINAL.end(what, _seconds(started))


def excerpt(log: Path, lines: int = TAIL) -> str:
    """The last lines of a log, indented."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def _reason(error: Exception) -> str:
    """A command that failed has said why in the log: a traceback would push that out of sight."""
    if isinstance(error, subprocess.CalledProcessError):
        program = error.cmd if isinstance(error.cmd, str) else error.cmd[0]
        return f"{subprocess.CalledProcessError(error.returncode, program)}\n"
    return "".join(traceback.format_exception(error))


def _seconds(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"
