"""A simulated connection: bytes in order, lost only when it ends, and even then some arrive later.

What a process that is dead, or has closed it, has sent still arrives, in front of the end; until
then another connection may have overtaken it. A receiver that dies takes its connections with it;
one that has not been accepted yet waits for the next receiver (socket activation).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from sendrecv.core.sender_events import SenderEvent
from sendrecv.core.wire import Claim

if TYPE_CHECKING:
    from tests.simulation.receiver import ReceiverProcess
    from tests.simulation.sender import SenderProcess

Message = tuple[object, ...]
END: Message = ("end",)


class Admission(Enum):
    """What the receiver makes of the connection."""

    NONE = "not accepted yet"
    ASKED = "its claim is being decided"
    ADMITTED = "admitted"
    CLOSED = "closed"


@dataclass(eq=False)
class Connection:
    """One connection. `name`: the receiver's name for it; `number`: the sender's. `post`: where
    the sender's events of it go.
    """

    name: str
    number: int
    sender: SenderProcess
    claim: Claim
    post: Callable[[SenderEvent], None]
    to_receiver: deque[Message] = field(default_factory=deque)
    to_sender: deque[Message] = field(default_factory=deque)
    receiver: ReceiverProcess | None = None
    admission: Admission = Admission.NONE
    busy: bool = False  # the receiver has not answered its last event
    frozen: bool = False  # nothing gets through
    unwanted: bool = False  # the receiver is about to close it
    closed: bool = False  # by the sender
    broken: bool = False  # by the network

    def close(self) -> None:
        """The sender closes it, or is dead."""
        if not self.closed and not self.broken:
            self.to_receiver.append(END)
        self.closed = True

    def end(self, arriving: int) -> None:
        """The receiver closes it, or is dead; `arriving` of its last messages still arrive."""
        self.admission = Admission.CLOSED
        self.to_receiver.clear()
        _shorten(self.to_sender, arriving)

    def cut(self, arriving: int) -> None:
        """The network breaks it; `arriving` messages still arrive, either way."""
        self.broken = True
        _shorten(self.to_receiver, arriving)
        _shorten(self.to_sender, arriving)

    def over(self) -> bool:
        """Nothing will happen on it any more."""
        receiver_done = self.admission is Admission.CLOSED and not self.busy and not self.unwanted
        return receiver_done and (self.closed or not self.to_sender)


def _shorten(queue: deque[Message], length: int) -> None:
    while len(queue) > length:
        queue.pop()
    queue.append(END)
