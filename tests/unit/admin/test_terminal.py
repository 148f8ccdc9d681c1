"""How `sendrecv watch` takes a terminal and leaves it as it was, on a real one (a pty)."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.lab.waiting import HANG

WATCH = [sys.executable, "-c", "from sendrecv.cli import main; main()", "watch"]
OWNS_IT = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
"""Signals of the terminal go to whoever has it: a change of its size, Ctrl-C."""
NO_RICH = "import sys; sys.modules['rich.console'] = None; "


class Pty:
    """A terminal with a program in it."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (80, 24)) -> None:
        self.ours, self.theirs = os.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.theirs)
        self.said = b""
        self.process = subprocess.Popen(
            command,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
        )

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, text: bytes) -> bytes:
        """All that is drawn until that is."""
        drawn, ends = b"", time.monotonic() + HANG
        while text not in drawn:
            ready = select.select([self.ours], [], [], max(ends - time.monotonic(), 0))[0]
            assert ready, (text, drawn)
            drawn += os.read(self.ours, 65536)
        return drawn

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def hang_up(self) -> None:
        """It is gone, as when a connection to the machine ends."""
        for end in (self.ours, self.theirs):
            os.close(end)
        self.ours, self.theirs = os.openpty()

    def ended(self) -> int:
        """The exit status; the terminal is as it was."""
        last = self.wait_for(b"\x1b[?1049l")  # the screen before
        status = self.process.wait(HANG)
        assert b"\x1b[?25h" in last, "the cursor is still hidden"
        after = termios.tcgetattr(self.theirs)
        assert after == self.before
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self.ours)
        os.close(self.theirs)


@contextmanager
def running(command: Sequence[str], first: bytes) -> Iterator[Pty]:
    """A terminal that this program has taken. first: what it draws then."""
    pty = Pty(command)
    try:
        drawn = pty.wait_for(first)
        assert b"\x1b[?1049h" in drawn and termios.tcgetattr(pty.theirs) != pty.before
        yield pty
    finally:
        pty.close()


@pytest.fixture(name="terminal")
def fixture_terminal() -> Iterator[Pty]:
    with running([*WATCH[:2], OWNS_IT + WATCH[2], *WATCH[3:]], b"q quits") as pty:
        yield pty


@pytest.mark.parametrize(
    ("key", "status"), [(b"q", 0), (b"\x03", 130), (b"\x04", 0)], ids=["q", "Ctrl-C", "Ctrl-D"]
)
def test_a_key_ends_it(terminal: Pty, key: bytes, status: int) -> None:
    terminal.type(key)
    assert terminal.ended() == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it(terminal: Pty, number: int) -> None:
    terminal.process.send_signal(number)
    assert terminal.ended() == -number


def test_it_follows_the_size(terminal: Pty) -> None:
    for columns, lines in ((40, 8), (132, 50)):
        terminal.resize(columns, lines)
        drawn = terminal.wait_for(b"q quits").decode()
        rows = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).split("\n")
        assert len(rows) >= lines and max(len(row.rstrip("\r")) for row in rows[-lines:]) <= columns
    terminal.type(b"\x1a")  # Ctrl-Z
    terminal.type(b"xq")
    assert terminal.ended() == 0


KEYS = """
import sys
from sendrecv import commandline
from sendrecv.admin.terminal import Terminal

def main(_arguments):
    terminal, key = Terminal(), "begun"
    with terminal:
        while key != "end":
            terminal.show([f"<{key}>"])
            key = terminal.wait(600)
    terminal.end_as_told()
    return 0

sys.exit(commandline.printed(main, ()))
"""
"""Shows what each key is called, and draws nothing meanwhile."""


@pytest.mark.parametrize(
    ("own", "status"), [(OWNS_IT, -signal.SIGHUP), ("", 0)], ids=["its own", "not its own"]
)
def test_a_terminal_that_is_gone_is_no_fault(own: str, status: int) -> None:
    """If it was the program's own, the kernel sends it SIGHUP; else there is no more to read."""
    with running([sys.executable, "-c", own + KEYS], b"<begun>") as pty:
        pty.hang_up()
        _, said = pty.process.communicate(timeout=HANG)
        assert (pty.process.returncode, said) == (status, b"")


def test_the_names_of_keys() -> None:
    """As terminals send them. Of many at once, the first that means something."""
    with running([sys.executable, "-c", KEYS], b"<begun>") as pty:
        for typed, key in (
            (b"\x1b[A", "up"),
            (b"\x1b[B", "down"),
            (b"\x1bOA", "up"),
            (b"\x1bOB", "down"),
            (b"k", "up"),
            (b"jjjjkkk", "down"),
            (b"\x1b[5~", "page up"),
            (b"\x1b[6~", "page down"),
            ("\u00e9xk ".encode(), "up"),
            (b" ", "page down"),
            (b"Q", "q"),
        ):
            pty.type(typed)
            drawn = pty.wait_for(b">")
            assert f"<{key}>".encode() in drawn, (typed, drawn)


@pytest.mark.parametrize(
    ("before", "term", "status", "words"),
    [
        ("", "xterm", 64, "watch needs a terminal: elsewhere, use sendrecv status"),
        ("tty", "dumb", 64, "watch needs a terminal: elsewhere, use sendrecv status"),
        (f"tty{NO_RICH}", "xterm", 72, "python3-rich: apt install python3-rich"),
    ],
)
def test_where_it_cannot_be_shown(before: str, term: str, status: int, words: str) -> None:
    ours, theirs = os.openpty()
    is_terminal = before.startswith("tty")
    command = [*WATCH[:2], before.removeprefix("tty") + WATCH[2], "watch"]
    given = theirs if is_terminal else subprocess.PIPE
    done = subprocess.run(
        command,
        stdin=theirs,
        stdout=given,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": term},
        text=True,
        timeout=HANG,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1) and words in done.stderr
