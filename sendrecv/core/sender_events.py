"""The sender's machine as seen from outside: the commands that come out of it.

sender/loop.py carries the commands out in order.
"""

from __future__ import annotations

from sendrecv.core.record import Record
from sendrecv.core.values import Value
from sendrecv.core.wire import Claim

# Commands of the sender's machine.


class Persist(Value):
    """Make the record durable; nothing after this command may happen before it is."""

    record: Record


class Ready(Value):
    """Tell the service manager that the App runs."""


class Connect(Value):
    """Open connection number `link`; an older one is closed first."""

    link: int
    claim: Claim


class Resume(Value):
    """Ask on connection `link` for the last count that the receiver has."""

    link: int


class Emit(Value):
    """Send the counts `first` to `last`, both included, on connection `link`."""

    link: int
    first: int
    last: int


class Disconnect(Value):
    """Close connection `link`."""

    link: int


class VerifyLock(Value):
    """Raise LockLost unless the lock is held and still is the file at its path."""


class Report(Value):
    """One line for the journal. severity: one of severity.py's."""

    severity: int
    text: str


class Exit(Value):
    """End the process cleanly."""


SenderCommand = Persist | Ready | Connect | Resume | Emit | Disconnect | VerifyLock | Report | Exit
