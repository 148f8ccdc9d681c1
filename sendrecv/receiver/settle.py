"""`sendrecv receive settle`: run by sendrecv-settle.service, after an orderly end of the receiver.

A receiver that ends in order waits until journald has read what it printed, and then says so in a
file. If its ledger has not changed since, all that is in the outbox is printed: another boot need
not ask the journal, which may be one that a reboot has emptied.
"""

from __future__ import annotations

import time
from pathlib import Path

from sendrecv import systemd
from sendrecv.core.errors import NOTICE
from sendrecv.errors import DONE
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark

ENDED = "ended"
"""The file, in the receiver's RuntimeDirectory=: the identity and the serial of the ledger."""


def note(directory: Path, ledger: Ledger) -> None:
    """journald has read all that was printed of this ledger. Raises OSError."""
    (directory / ENDED).write_text(_name(ledger), encoding="ascii")


def main() -> int:
    """Run once, when the receiver has ended. Raises what Ledger does."""
    try:
        settle(Path(systemd.state_directory()), Path(systemd.runtime_directory()))
    except BlockingIOError:
        systemd.log(NOTICE, "the receiver runs, and knows by itself what it has printed")
    return DONE


def settle(state: Path, runtime: Path) -> None:
    """Empty the outbox, if all of it is printed. Raises what Ledger does."""
    if not (state / "ledger.db").exists():
        return
    boot = systemd.boot_id()
    # The mark learns what is written here: if the machine does not go down, it is still true.
    mark = Mark(runtime / "mark", boot)
    ledger = Ledger(state, boot, written=mark.written)
    try:
        if _read(runtime / ENDED) == _name(ledger):
            ledger.empty_outbox(time.monotonic())
    finally:
        ledger.close()


def _name(ledger: Ledger) -> str:
    return f"{ledger.identity} {ledger.serial}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
