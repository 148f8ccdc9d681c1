"""The lines of the payloads, to the journal by way of standard output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from sendrecv import systemd
from sendrecv.core.lines import lines_of
from sendrecv.core.receiver_events import Print
from sendrecv.core.errors import INFO
from sendrecv.errors import LedgerBroken

WHOLE = 16_384
"""Bytes that a stream socket takes in one piece or not at all (one buffer of the kernel's, up to 32
KiB): a receiver that is killed while it writes leaves no half of a line in the journal."""


def print_orders(orders: Iterable[Print]) -> None:
    """Write the lines of `orders` to standard output, as few whole chunks as it takes.

    Raises LedgerBroken if it does not: they are durable, and the next start will print them.
    """
    text = "".join(map(lines_of, orders))
    # At a severity that nothing else in this unit has: a traceback must not look like payloads.
    data = text.replace("{", systemd.prefix(INFO, 1) + "{").encode("ascii")
    try:
        for chunk in _chunks(data):
            _write_all(chunk)
    except OSError as error:
        raise LedgerBroken(f"standard output: {error.strerror}") from None


def _chunks(data: bytes) -> Iterator[bytes]:
    """`data` in parts of whole lines, each at most WHOLE bytes."""
    start = 0
    while start < len(data):
        end = min(start + WHOLE, len(data))
        if end < len(data):
            end = data.rindex(b"\n", start, end) + 1
        yield data[start:end]
        start = end


def _write_all(chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(1, left) :]
