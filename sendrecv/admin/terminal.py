"""A terminal that is taken for a while, and left as it was: also after SIGTERM, or when it is gone.

The drawing is rich's (python3-rich). Signals only wake the loop, which ends in order then.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Sequence
from typing import Any

from sendrecv.errors import MissingPackage, UsageError

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KEYS = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"k": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"j": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b" ": "page down",
    b"q": "q",
    b"Q": "q",
    b"\x04": "q",
}


def _key_in(typed: bytes) -> str:
    """The first key that means something. Of many at once, as on a slow line, the first."""
    one_by_one = [typed] if typed.startswith(b"\x1b") else [typed[n : n + 1] for n in range(64)]
    return next((_KEYS[key] for key in one_by_one if key in _KEYS), "")


class Terminal:
    """A context: the whole screen is ours in it. Raises UsageError if this is no terminal, and
    MissingPackage if there is no library to draw with.
    """

    def __init__(self) -> None:
        is_terminal = sys.stdout.isatty() and os.isatty(0)
        if not is_terminal or os.environ.get("TERM", "dumb") in {"", "dumb"}:
            raise UsageError("watch needs a terminal", "elsewhere, use sendrecv status")
        # Else rich would believe them, and not notice that the window has another size now.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
        try:
            from rich.console import Console
            from rich.live import Live
            from rich.text import Text
        except ImportError:
            raise MissingPackage(
                "watch needs the package python3-rich", "apt install python3-rich"
            ) from None
        self._text = Text
        console = Console(file=sys.stdout, highlight=False)
        self._live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._shown: tuple[object, ...] = ()
        self._ended_by = 0
        self._before: list[Any] = []
        self._wake = (-1, -1)

    def __enter__(self) -> Terminal:
        self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        # First: whatever comes from now on, __exit__() is reached.
        for number in _ENDS:
            signal.signal(number, self._end)
        signal.signal(signal.SIGWINCH, lambda *_: None)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # a shell would not put the screen back
        self._before = termios.tcgetattr(0)
        tty.setcbreak(0)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._live.stop()
            sys.stdout.flush()
        finally:
            with contextlib.suppress(termios.error):  # a terminal that is gone is not put back
                # What was typed, and not read, is not for the shell.
                termios.tcsetattr(0, termios.TCSAFLUSH, self._before)
            signal.set_wakeup_fd(-1)
            for end in self._wake:
                os.close(end)

    def _end(self, number: int, _frame: object) -> None:
        self._ended_by = self._ended_by or number

    @staticmethod
    def size() -> tuple[int, int]:
        """Columns and lines."""
        there = os.get_terminal_size(1)
        return there.columns or 80, there.lines or 24

    def show(self, lines: Sequence[str]) -> None:
        """The whole screen, from the top. Draws only if anything has changed."""
        shown = (*lines, self.size())
        if shown != self._shown:
            self._shown = shown
            text = self._text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop")
            self._live.update(text, refresh=True)

    def wait(self, seconds: float) -> str:
        """A key, by its name; "end" after a signal that ends a program; "resized", or "" after so
        long.
        """
        ends = time.monotonic() + seconds
        while not self._ended_by and (left := ends - time.monotonic()) > 0:
            ready = select.select([0, self._wake[0]], [], [], left)[0]
            if self._wake[0] in ready:
                os.read(self._wake[0], 512)
                return self._after("resized")
            if 0 in ready:
                typed = os.read(0, 64)
                if not typed:  # the terminal is gone
                    return "end"
                if key := _key_in(typed):
                    return key
        return self._after("")

    def _after(self, what: str) -> str:
        return "end" if self._ended_by else what

    def end_as_told(self) -> None:
        """After the context: die of the signal that has ended it, if one has."""
        if self._ended_by == signal.SIGINT:
            raise KeyboardInterrupt
        if self._ended_by:
            signal.signal(self._ended_by, signal.SIG_DFL)
            os.kill(os.getpid(), self._ended_by)
