"""The sender's machine as seen from outside: the events that go in, the commands that come out.

The loop in sender/loop.py makes the events, and carries out the commands in order. A `connection`
is a number: 1 for the first connection that the machine asked for, 2 for the next.
"""

from __future__ import annotations

from sendrecv.core.errors import PeerError
from sendrecv.core.record import Record
from sendrecv.core.values import Value
from sendrecv.core.wire import Claim, Refusal, Status, parse_answer, parse_refusal, parse_resumed

# Events.


class Started(Value):
    """The lock is held, and the record is read."""


class TimePassed(Value):
    """A deadline of the machine may have come."""


class Connected(Value):
    """The receiver has admitted a connection."""

    connection: int


class Refused(Value):
    """The receiver has refused a connection. epoch: the receiver's, 0 if the refusal has none."""

    connection: int
    reason: Refusal
    epoch: int


class Resumed(Value):
    """The receiver has sent its last count of this App; -1 if it has none. ledger: the name of its
    ledger, "" if it does not tell.
    """

    connection: int
    last: int
    ledger: str = ""


class Answered(Value):
    """The receiver has answered the batch in flight, with its last count; -1 for none."""

    connection: int
    status: Status
    last: int


class Closed(Value):
    """A connection has ended, or could not be opened. reason: for people."""

    connection: int
    reason: str


class StopAsked(Value):
    """The process has been told to end."""


class Accepted(Value):
    """A person has accepted what the machine did not believe: a last count, or an epoch, up to this
    number. count: -1 for none. epoch: 0 for none.
    """

    count: int = -1
    epoch: int = 0

    def text(self) -> str:
        """For people."""
        return f"count {self.count}" if self.count >= 0 else f"epoch {self.epoch}"


SenderEvent = (
    Started | TimePassed | Connected | Refused | Resumed | Answered | Closed | StopAsked | Accepted
)

# What the receiver says, as events. If it does not follow the protocol, the connection is Closed.


def resumed_by(connection: int, reply: object) -> Resumed | Closed:
    """Its answer to `resume`."""
    try:
        return Resumed(connection, *parse_resumed(reply))
    except PeerError as error:
        return Closed(connection, str(error))


def answered_by(connection: int, reply: object) -> Answered | Closed:
    """Its answer to `count`."""
    try:
        return Answered(connection, *parse_answer(reply))
    except PeerError as error:
        return Closed(connection, str(error))


def refused_by(connection: int, reply: object) -> Refused | Closed:
    """Its answer to a CONNECT packet, if it is a refusal."""
    try:
        return Refused(connection, *parse_refusal(reply))
    except PeerError as error:
        return Closed(connection, str(error))


# Commands.


class Persist(Value):
    """Make the record durable; nothing after this command may happen before it is."""

    record: Record


class Ready(Value):
    """Tell the service manager that the App runs."""


class Connect(Value):
    """Open a connection; an older one is closed first."""

    connection: int
    claim: Claim


class Resume(Value):
    """Ask for the last count that the receiver has. last: the one that its ledger had, or may have
    had, before it was put back from an old copy; -1 if it was not.
    """

    connection: int
    last: int = -1


class Emit(Value):
    """Send the counts `first` to `last`, both included."""

    connection: int
    first: int
    last: int


class Disconnect(Value):
    """Close a connection."""

    connection: int


class VerifyLock(Value):
    """Raise LockLost unless the lock is held and still is the file at its path."""


class Report(Value):
    """One line for the journal. severity: one of errors.py's."""

    severity: int
    text: str


class Exit(Value):
    """End the process cleanly."""


SenderCommand = Persist | Ready | Connect | Resume | Emit | Disconnect | VerifyLock | Report | Exit
