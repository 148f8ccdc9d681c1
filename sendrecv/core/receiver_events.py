"""The receiver's machine as seen from outside: the commands that come out of it.

receiver/loop.py carries the commands out in order.
"""

from __future__ import annotations

from sendrecv.core.values import Value
from sendrecv.core.wire import Refusal, Status

# Commands of the receiver's machine.


class Row(Value):
    """The receiver's durable knowledge of one App. last: the last count accepted, None for none."""

    app_id: str
    epoch: int
    run: str
    node_id: str
    last: int | None


class Store(Value):
    """Make `row` durable, in one transaction with everything else of its group."""

    row: Row


class Print(Value):
    """Print the payloads `first` to `last`, once the group is durable."""

    app_id: str
    node_id: str
    first: int
    last: int


class Answer(Value):
    """Answer event number `ticket` of the group: a resume, or a batch of counts."""

    ticket: int
    status: Status
    last: int | None


class Admit(Value):
    """Let the connection of event `ticket` in; `new` if its epoch is."""

    ticket: int
    row: Row
    new: bool


class Refuse(Value):
    """Refuse the connection of event `ticket`. epoch: the one that made it stale."""

    ticket: int
    reason: Refusal
    epoch: int | None = None


class CutOff(Value):
    """Close a connection: another one of its App has taken its place."""

    connection: str


ReceiverCommand = Store | Print | Answer | Admit | Refuse | CutOff
