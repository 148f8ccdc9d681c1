"""The store of a single machine: one file for each App, locked with flock(2) for life."""

from __future__ import annotations

import errno
import fcntl
import os

from sendrecv.core import record as slots
from sendrecv.core.errors import UnknownFormat
from sendrecv.core.record import Record
from sendrecv.core.sender_events import Accepted
from sendrecv.errors import LockLost, RecordFromFuture, StoreUnusable


ACCEPTED = ".accepted"


class StateFile:
    """The file store. `path` is the App's record; its directory must exist.

    The file is written in place. A new file that is renamed over it would be a new inode, and the
    lock belongs to the old one. If somebody removes or replaces the file, just that happens. So
    commit() and verify() compare the inode at the path with the inode that is locked.

    Attribute notices: lines for the journal, in order, about damage that was survived.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.notices: list[str] = []
        self._fd = -1
        self._serial = 0

    def acquire(self) -> tuple[Record | None, int]:
        """See store.Store. A damaged file is kept aside, and its App starts from no record."""
        self._open_locked()
        try:
            record = self._read()
        except BaseException:
            self.release()  # a second attempt would wait for the lock of the first
            raise
        return record, record.epoch + 1 if record else 1

    def verify(self) -> None:
        """See store.Store."""
        try:
            there = os.stat(self.path)
        except OSError as error:
            raise LockLost(f"{self.path}: {error.strerror} while locked") from None
        held = os.fstat(self._fd)
        if (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            raise LockLost(f"{self.path}: replaced by another file while locked")

    def commit(self, record: Record) -> None:
        """See store.Store. The lock is verified first: a file that was replaced is not written."""
        self.verify()
        serial = self._serial + 1
        slot = slots.encode(record, serial)
        if os.pwrite(self._fd, slot, slots.slot_offset(serial)) != len(slot):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fdatasync(self._fd)
        # Only now: after a failed write, the same slot is tried again, and the other stays whole.
        self._serial = serial

    def accepted(self) -> Accepted | None:
        """See store.Store. `sendrecv accept` has made a file beside the record; it is removed."""
        path = f"{self.path}{ACCEPTED}"
        try:
            with open(path, "rb") as file:
                words = file.read(64).split()
            os.unlink(path)
        except OSError:
            return None
        match words:
            case [b"count" | b"epoch" as what, number] if number.isdigit():
                return Accepted(**{what.decode(): int(number)})
        return None

    def release(self) -> None:
        """See store.Store."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> Record | None:
        data = os.pread(self._fd, 65536, 0)
        try:
            found = slots.decode(data)
        except UnknownFormat as error:
            raise RecordFromFuture(f"{self.path}: {error}", "install that version") from None
        if found.damaged:
            self._keep_aside(data, found.record is not None)
        if found.record is None:
            self._allocate()
        self._serial = found.serial
        return found.record

    def _open_locked(self) -> None:
        while True:
            self._open()
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                return self.verify()
            except LockLost:  # the file was removed while we waited: lock the one that is there now
                self.release()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StoreUnusable(f"{self.path}: {error.strerror}") from None

    def _allocate(self) -> None:
        """Reserve the file's blocks: no later commit can fail for lack of space."""
        os.ftruncate(self._fd, 0)
        os.posix_fallocate(self._fd, 0, slots.FILE_SIZE)
        os.fsync(self._fd)
        directory = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)  # or the new file's name does not survive a power cut
        finally:
            os.close(directory)

    def _keep_aside(self, data: bytes, other_slot_is_whole: bool) -> None:
        aside = f"{self.path}.damaged"  # one name, so that such files do not pile up
        goes_on = "its older slot" if other_slot_is_whole else "the receiver's last count"
        try:
            with open(aside, "wb") as file:
                file.write(data)
            kept = f"kept as {aside}"
        except OSError as error:
            kept = f"could not be kept aside ({error.strerror})"
        self.notices.append(f"{self.path}: damaged, {kept}, going on from {goes_on}, ignoring")
