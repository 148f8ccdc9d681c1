"""What the sender's loop needs of a clock, a queue and a connection.

For type checkers: a start does not import this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sendrecv.core.sender_events import SenderEvent
from sendrecv.core.wire import Claim


class Clock(Protocol):
    """A monotonic clock."""

    def now(self) -> int:
        """Nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """See time.sleep()."""


class Queue(Protocol):
    """The events: put by any thread or signal handler, got by the loop."""

    def put(self, event: SenderEvent) -> None:
        """See queue.SimpleQueue."""

    def get(self, *, timeout: float) -> SenderEvent:
        """See queue.SimpleQueue. Raises queue.Empty."""


class SenderConnection(Protocol):
    """A connection. It puts its events on the queue, and none after close()."""

    def resume(self, last: int) -> None:
        """Ask for the last count. The answer is Resumed. See sender_events.Resume."""

    def emit(self, first: int, last: int) -> None:
        """Send counts. The answer is Answered."""

    def close(self) -> None:
        """Close the connection, without waiting for anything."""


OpenConnection = Callable[[int, Claim, Callable[[SenderEvent], None]], SenderConnection]
