"""The ledger's files, as this process has left them: it is seen if somebody else writes to them.

SQLite does not see that. A copy that is put back with cp(1) is written into the files that are
open. SQLite has many pages in its cache, takes the others as they are now, and writes its own
newest ones over them. What comes of it is a mixture of old and new state, which has the newest
serial.

SQLite writes to the database only when it merges the log into it, and to the log only in a
transaction. Before each transaction and each merge, inode, size and time of change are compared
with those after the last one. The next receiver of this boot compares the database's with those in
the mark (mark.py): it may be put back while no receiver runs, or just before one ends.

What is not seen: what somebody writes to the log, all of it, within one transaction, or to the
database within one merge; or with the same size as before, in the same tick (4 ms) of the kernel's
clock as a transaction's or a merge's end; or by somebody who sets back the time of change.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from sendrecv.errors import LedgerBroken


class Stamp(NamedTuple):
    """What a file is like. written: its time of change, in nanoseconds."""

    inode: int
    size: int
    written: int


UNKNOWN = Stamp(0, 0, 0)
"""Of a file that is not there, or is being written."""
WhenWritten = Callable[[Stamp, Stamp], None]
"""Is called before and after this process writes to the database: with the stamp that it had, and
with the one that it has."""


class Files:
    """The database at `path`, and its log; both are there, and open. Attribute database: its stamp.
    unmerged: for the ledger, which counts there what is in the log only.

    Each method raises LedgerBroken if somebody else has replaced, removed or written to them.
    """

    def __init__(self, path: Path, written: WhenWritten) -> None:
        self._path = str(path)
        self._log_path = f"{path}-wal"
        self._written = written
        self.database = self._stamp(self._path)
        self.unmerged = 0
        self._log = self._stamp(self._log_path)

    def verify(self) -> None:
        """Nobody has."""
        self._compare(self._path, self.database)
        self._compare(self._log_path, self._log)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """In this context SQLite writes to the log."""
        self.verify()
        try:
            yield
        finally:
            before, self._log = self._log, self._stamp(self._log_path)
            # SQLite writes over its beginning again and again, and never makes it shorter.
            if self._log.inode != before.inode or self._log.size < before.size:
                raise self._broken(self._log_path, before, self._log)

    @contextlib.contextmanager
    def merge(self) -> Iterator[None]:
        """In this context SQLite writes to the database."""
        self.verify()
        before = self.database
        self._written(before, UNKNOWN)
        try:
            yield
        finally:
            self.database = self._stamp(self._path)
            self._written(UNKNOWN, self.database)

    def _compare(self, path: str, before: Stamp) -> None:
        now = self._stamp(path)
        if now != before:
            raise self._broken(path, before, now)

    def _broken(self, path: str, before: Stamp, now: Stamp) -> LedgerBroken:
        is_same = now.inode == before.inode
        how = "written to by another process" if is_same else "replaced by another file"
        return LedgerBroken(f"{path}: {how} while in use")

    def _stamp(self, path: str) -> Stamp:
        try:
            return stamp(path)
        except OSError as error:
            raise LedgerBroken(f"{path}: {error.strerror} while in use") from None


def stamp(path: str) -> Stamp:
    """Of that file. Raises OSError."""
    there = os.stat(path)
    return Stamp(there.st_ino, there.st_size, there.st_mtime_ns)


def locked(path: Path) -> int:
    """A descriptor of the file at `path`, locked. Raises BlockingIOError if it is already."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
