"""The lines of the payloads, to the journal by way of standard output; and how many are out."""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from sendrecv import descriptors, systemd
from sendrecv.core.errors import INFO
from sendrecv.core.lines import lines_of, probe_line
from sendrecv.core.receiver_events import Print
from sendrecv.errors import LedgerBroken
from sendrecv.receiver.mark import Mark

WHOLE = 16_384
"""Bytes that a stream socket takes in one piece or not at all (one buffer of the kernel's, up to 32
KiB): a receiver that is killed while it writes leaves no half of a line in the journal."""


STREAM = "stdout"
"""The name under which systemd keeps a receiver's standard output for the next one."""
LOOK = 0.02
"""Seconds between two looks at it, at most."""


class Printer:
    """Prints groups of the ledger, and keeps the mark: what of the last group is out."""

    def __init__(
        self, mark: Mark, write: Callable[[bytes], None], wait: Callable[[], None]
    ) -> None:
        """`write` writes the whole of a chunk, or raises OSError. `wait` returns when it would not
        block.
        """
        self._mark = mark
        self._write = write
        self._wait = wait

    def nothing_left(self, serial: int, orders: Sequence[Print]) -> None:
        """All lines of group number `serial` are out."""
        self._mark.group(serial, lines_in(orders))

    def print_group(self, serial: int, orders: Sequence[Print]) -> None:
        """Print the lines of group number `serial`.

        Raises LedgerBroken if it cannot: they are durable, and the next start prints them.
        """
        lines = (_prefix() + line for order in orders for line in _lines(order))
        written = 0
        try:
            self._mark.group(serial, 0)
            for chunk, count in _chunks(lines):
                written += count
                self._wait()  # or a kill while it blocks would leave the chunk in doubt
                self._mark.intend(written)
                self._write(chunk)
                self._mark.done()
        except OSError as error:
            raise LedgerBroken(f"standard output: {error.strerror}") from None

    def print_probe(self, at: int) -> None:
        """Print a probe where payloads go, and as they are. Raises LedgerBroken if it cannot."""
        try:
            self._wait()
            self._write(_prefix() + probe_line(at).encode("ascii"))
        except OSError as error:
            raise LedgerBroken(f"standard output: {error.strerror}") from None


def _prefix() -> bytes:
    """The severity of payloads. Nothing else in this unit has it: a traceback must not look like
    payloads.
    """
    return systemd.prefix(INFO, 1).encode("ascii")


def lines_in(orders: Sequence[Print]) -> int:
    """How many lines that are."""
    return sum(order.last - order.first + 1 for order in orders)


def _lines(order: Print) -> list[bytes]:
    return lines_of(order).encode("ascii").splitlines(keepends=True)


def _chunks(lines: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """Whole lines, together at most WHOLE bytes; and how many they are."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if size + len(line) > WHOLE:
            yield b"".join(chunk), len(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield b"".join(chunk), len(chunk)


def wait_for_stdout() -> None:
    """Until standard output takes more."""
    select.select([], [1], [])


def write_to_stdout(chunk: bytes) -> None:
    """All of it. Raises OSError."""
    left = memoryview(chunk)
    while left:
        left = left[os.write(1, left) :]


def take_over(before: Iterable[int], status: Callable[[str], None]) -> None:
    """Begin to print, after the receivers before this one, whose standard output `before` is.
    `status` is told what is waited for.

    Each receiver has a stream of its own to journald, which takes turns with all streams. When much
    is logged, what a killed receiver has printed may wait there for seconds, and lines of the next
    one would come before it. So that one waits until journald has read it.
    """
    for descriptor in before:
        if _unread(descriptor):
            status("waiting until journald has read what was printed before")
            wait_until_read(descriptor)
        os.close(descriptor)
    if _prefix():
        descriptors.store(STREAM, 1)


def wait_until_read(descriptor: int, at_most: float = float("inf")) -> bool:
    """Until journald has read all that was written there, or is gone; or for so many seconds.
    Whether it has.
    """
    deadline, pause = time.monotonic() + at_most, 0.0005
    while _unread(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, LOOK)
    return True


def _unread(descriptor: int) -> int:
    """Bytes that nobody has read yet, with what the kernel needs for them (unix(7), SIOCOUTQ); 0 if
    it is no socket.
    """
    try:
        queued = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(queued, sys.byteorder)
