"""`sendrecv watch`: what it draws, and how it leaves a terminal, on a real one (a pty)."""

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
from collections.abc import Iterator

import pytest

from sendrecv.admin import watch
from sendrecv.admin.facts import App, Facts
from sendrecv.admin.receiver import Receiver
from sendrecv.admin.units import half_of
from tests.lab.waiting import HANG
from tests.unit.admin.journals import EVENT
from tests.unit.admin.test_schema import FACTS

WATCH = [sys.executable, "-c", "from sendrecv.cli import main; main()", "watch"]
OWNS_IT = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
"""Signals of the terminal go to whoever has it: a change of its size, Ctrl-C."""
NO_RICH = "import sys; sys.modules['rich.console'] = None; "


class Terminal:
    """A pty with the command in it."""

    def __init__(self, size: tuple[int, int] = (80, 24)) -> None:
        self.ours, self.theirs = os.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.theirs)
        self.said = b""
        self.process = subprocess.Popen(
            [*WATCH[:2], OWNS_IT + WATCH[2], *WATCH[3:]],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
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
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture(name="terminal")
def fixture_terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    try:
        drawn = terminal.wait_for(b"q quits")
        assert b"\x1b[?1049h" in drawn and termios.tcgetattr(terminal.theirs) != terminal.before
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("key", "status"), [(b"q", 0), (b"\x03", 130), (b"\x04", 0)], ids=["q", "Ctrl-C", "Ctrl-D"]
)
def test_a_key_ends_it(terminal: Terminal, key: bytes, status: int) -> None:
    terminal.type(key)
    assert terminal.ended() == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it(terminal: Terminal, number: int) -> None:
    terminal.process.send_signal(number)
    assert terminal.ended() == -number


def test_it_follows_the_size(terminal: Terminal) -> None:
    for columns, lines in ((40, 8), (132, 50)):
        terminal.resize(columns, lines)
        drawn = terminal.wait_for(b"q quits").decode()
        rows = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).split("\n")
        assert len(rows) >= lines and max(len(row.rstrip("\r")) for row in rows[-lines:]) <= columns
    terminal.type(b"\x1a")  # Ctrl-Z
    terminal.type(b"xq")
    assert terminal.ended() == 0


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


# What is drawn.


def view(found: Facts, first: int) -> watch.View:
    """Of all Apps, of which one is known for some seconds."""
    events = [EVENT.__class__(**{**vars(EVENT), "instance": "app7"})]
    return watch.View(found, found.apps, {"app7": [-1, 0, 1, 3]}, events, first)


def facts(number: int) -> Facts:
    apps = tuple(
        App(f"app{n}", f"app{n}", "counting", True, True, (half_of("x", "main"),) * 2, "main")
        for n in range(number)
    )
    return FACTS.replace(apps=apps, receiver=Receiver("unix:///x", error="no\x1b answer"))


@pytest.mark.parametrize("size", [(80, 24), (40, 8), (20, 3), (200, 60), (80, 1)])
@pytest.mark.parametrize("number", [0, 1, 8, 100])
def test_it_fits_whatever_the_size_is(
    size: tuple[int, int], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = facts(number)
    for first in (0, number // 2, max(number - 1, 0)):
        lines = watch.lines_of(view(found, first), *size)
        assert len(lines) <= size[1] and "\x1b" not in "".join(lines)
        if size == (80, 24):
            assert max(map(len, lines)) <= 80 and lines[-1].startswith("q quits")
            assert number == 0 or any(line.startswith(f"app{first}") for line in lines)


def test_the_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = facts(8)
    lines = watch.lines_of(view(found, 0), 100, 30)
    (row,) = (line for line in lines if line.startswith("app7 "))
    assert row.endswith((" \u00b7\u2022\u2022", " .||"))
    assert any("app7 by " in line for line in lines)


def test_what_came_in_each_second() -> None:
    strips = watch.Strips()
    one = facts(1).apps[0]
    for count in (None, 5, 5, 8, 2):
        strips.add([one.replace(count=count)])
    assert strips.of_apps == {"app0": [-1, -1, 0, 3, 0]}
    for count in range(2 * watch.STRIP):
        strips.add([one.replace(count=count)])
    assert len(strips.of_apps["app0"]) == watch.STRIP
    strips.add([])
    assert not strips.of_apps
