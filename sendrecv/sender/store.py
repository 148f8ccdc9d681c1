"""What a sender needs of a store; store_file.py is the one for a single machine."""

from __future__ import annotations

from typing import Protocol

from sendrecv.core.record import Record
from sendrecv.core.sender_events import Accepted


class Store(Protocol):
    """One App's record, and the lock that makes its holder the only sender.

    Operations may block. Attribute notices: lines for the journal, about damage that acquire() has
    survived.
    """

    @property
    def notices(self) -> list[str]:
        """See above."""

    @property
    def path(self) -> str:
        """Where the record is, for people."""

    def acquire(self) -> tuple[Record | None, int]:
        """Wait for the lock. The record (None: there is none), and an epoch that no earlier holder
        has used.

        Raises StoreUnusable or RecordFromFuture; OSError with ENOSPC or EDQUOT if space is short.
        """

    def verify(self) -> None:
        """Raise LockLost unless the lock is certainly still held."""

    def commit(self, record: Record) -> None:
        """Make `record` durable. Raises LockLost, or OSError if it may not have been written."""

    def accepted(self) -> Accepted | None:
        """What a person has accepted since this was asked last; None for nothing."""

    def release(self) -> None:
        """Free the lock for the next process."""
