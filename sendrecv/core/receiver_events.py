"""The receiver's machine as seen from outside: the events that go in, the commands that come out.

The gateway makes the events, and the loop in receiver/loop.py carries out the commands in order. A
`connection` is a name that the gateway chooses.
"""

from __future__ import annotations

from sendrecv.core.values import Value
from sendrecv.core.wire import Claim, Refusal, Status


class Row(Value):
    """The receiver's durable knowledge of one App. last: the last count accepted, None for none."""

    app_id: str
    epoch: int
    run: str
    node_id: str
    last: int | None


# Events. Each is answered by one Reply, but for ConnectionClosed.


class AdmissionAsked(Value):
    """A connection asks to be admitted; its token has been checked.

    known: what the ledger has of its App, if the machine has nothing. room: whether the ledger has
    room for one more App.
    """

    connection: str
    claim: Claim
    known: Row | None = None
    room: bool = True


class ResumeAsked(Value):
    """A connection that was admitted for `app_id` asks for the last count. last: the one that this
    ledger had, or may have had, if the sender knows that it is an old copy; else -1.
    """

    connection: str
    app_id: str
    last: int = -1


class CountsSent(Value):
    """A connection that was admitted for `app_id` sends the counts `first` to `last`."""

    connection: str
    app_id: str
    first: int
    last: int


class ConnectionClosed(Value):
    """A connection that was admitted for `app_id` has ended."""

    connection: str
    app_id: str


ReceiverEvent = AdmissionAsked | ResumeAsked | CountsSent | ConnectionClosed

# Commands.


class StoreRow(Value):
    """Make `row` durable, in one transaction with everything else of its group."""

    row: Row


class Print(Value):
    """Print the payloads `first` to `last`, once the group is durable."""

    app_id: str
    node_id: str
    first: int
    last: int


class Unproven(Value):
    """Say that nobody can tell whether these counts were printed."""

    order: Print


class Answer(Value):
    """Answer a resume, or a batch of counts."""

    status: Status
    last: int | None


class Admit(Value):
    """Admit the connection. new: whether its epoch is new."""

    row: Row
    new: bool


class Refuse(Value):
    """Refuse the connection. epoch: the one that made it stale."""

    reason: Refusal
    epoch: int | None = None


class CutOff(Value):
    """Close a connection: another one of its App has taken its place."""

    connection: str


Reply = Admit | Refuse | Answer
ReceiverCommand = StoreRow | Print | Unproven | CutOff | Reply
