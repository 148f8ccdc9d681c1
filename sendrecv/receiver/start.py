"""The receiver's start: opens the ledger, and prints what an earlier process could not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.recovery import missing, rows_of
from sendrecv.core.errors import ERROR
from sendrecv.errors import LedgerBroken
from sendrecv.receiver.ledger import Ledger
from sendrecv.systemd import Notifier

PRINTED = Path("/run/sendrecv-receiver-journal/printed")
"""The journal's last lines of this unit, put there by the unit's ExecStartPre=."""
END = b"end\n"
"""The last line of a complete file."""
OPEN_RETRY = 1.0


class Clock(Protocol):
    """A monotonic clock, in seconds."""

    def monotonic(self) -> float:
        """See time.monotonic()."""

    def sleep(self, seconds: float) -> None:
        """See time.sleep()."""


class Ports(NamedTuple):
    """All that a start needs from outside. printed: the journal's last lines, see printed_lines().

    open_ledger: see Ledger. print_orders: see printing.py.
    """

    open_ledger: Callable[[], Ledger]
    printed: Callable[[], Iterable[str]]
    print_orders: Callable[[Sequence[Print]], None]
    notifier: Notifier
    clock: Clock


def open_ledger(ports: Ports) -> Ledger:
    """The ledger, with nothing left in it that is not printed. Waits while it cannot be used.

    Raises LedgerBroken if another process had it first: what was read of the journal, before this
    process began, may lack what that one still wrote. The unit starts again and reads it anew.
    """
    waited_for_lock = reported = False
    while True:
        try:
            ledger = ports.open_ledger()
            if waited_for_lock:
                raise LedgerBroken("ledger: another receiver has just ended", "starting again")
            _prepare(ledger, ports)
        except (sqlite3.OperationalError, OSError) as error:
            waited_for_lock |= isinstance(error, BlockingIOError)
            if not reported:
                ports.notifier.log(ERROR, f"ledger: {error}, waiting until it can be used")
            reported = True
            ports.notifier.status("waiting for the ledger")
            ports.clock.sleep(OPEN_RETRY)
        else:
            return ledger


def printed_lines() -> Iterator[str]:
    """The journal's last lines of this unit. Raises FileNotFoundError if nobody has read them,
    LedgerBroken if not all of them are there: the next start reads them anew.
    """
    with PRINTED.open("rb") as printed:
        printed.seek(max(printed.seek(0, os.SEEK_END) - len(END), 0))
        if printed.read() != END:
            raise LedgerBroken(f"{PRINTED}: incomplete", "starting again")
    with PRINTED.open(encoding="utf-8", errors="replace") as lines:
        yield from lines


def _prepare(ledger: Ledger, ports: Ports) -> None:
    try:
        _empty_outbox(ledger, ports)
    except BaseException:
        ledger.close()  # or the next attempt would find it locked
        raise


def _empty_outbox(ledger: Ledger, ports: Ports) -> None:
    now = ports.clock.monotonic()
    if ledger.is_new:
        ledger.commit(_rows_of_the_journal(ports), [], now)
    outbox = ledger.outbox()
    orders = missing(outbox, ports.printed()) if outbox else []
    ledger.replace_outbox(orders, now)
    ports.print_orders(orders)


def _rows_of_the_journal(ports: Ports) -> list[Row]:
    """The journal may know more of what was printed than any sender does."""
    try:
        return rows_of(ports.printed())
    except FileNotFoundError:
        return []  # there never was a receiver here
