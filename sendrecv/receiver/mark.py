"""How much of the ledger's last group was printed: a file that survives the receiver, but no boot.

A few bytes in the unit's RuntimeDirectory=, written in place by one pwrite(2) before and after each
chunk of lines, so that it needs no space and is never half written when the process is killed. With
it a receiver knows without asking anybody what its predecessor had printed:

    the mark's serial is            means
    the ledger's                    so many lines of the last group are printed; those between
                                    `written` and `intended`, if any, are in doubt
    the ledger's, less 1            nothing of the last group is printed
    above the ledger's              the ledger is older than what was printed
    of another ledger               the same
    missing, or another boot's      nothing is known

It has the stamp of the ledger's database, too (files.py). If that is another one, somebody has put
back or changed the database, and the ledger is taken for an older one, whatever its serial: its log
may be of a later time than the database itself.

In doubt is what was about to be written at the instant of a kill: at most one chunk, and only if
the kill came between two system calls that follow each other at once.
"""

from __future__ import annotations

import os
import struct
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from sendrecv.receiver.files import UNKNOWN, Stamp

_FORMAT = struct.Struct("<16s16sQQQ")
_STAMP = struct.Struct("<QQQ")
"""Behind it. Earlier versions wrote none."""


class Standing(Enum):
    """What is known of a ledger's last group at a start."""

    CONTINUES = "so many lines of it are printed"
    OLD = "the ledger is older than what was printed"
    UNKNOWN = "nothing is known"


class Progress(NamedTuple):
    """Lines of the group `serial`: `written` are printed, and those up to `intended` may be."""

    serial: int
    intended: int
    written: int


class Mark:
    """The file at `path`, for one boot. A receiver can work without it: then the next start has to
    ask the journal.
    """

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self._boot = bytes.fromhex(boot)
        self._identity = b""
        self._stamp = UNKNOWN
        self._file = -1
        self._progress = Progress(0, 0, 0)

    def compare(self, identity: str, serial: int, database: Stamp) -> tuple[Standing, Progress]:
        """What the predecessor's mark says of the ledger of that identity and serial, and of the
        file that it is in.
        """
        nothing = Progress(serial, 0, 0)
        try:
            data = self._path.read_bytes()
            boot, ledger, *numbers = _FORMAT.unpack_from(data)
        except (OSError, struct.error):
            return Standing.UNKNOWN, nothing
        found = Progress(*numbers)
        if boot != self._boot:
            return Standing.UNKNOWN, nothing
        if ledger != bytes.fromhex(identity) or found.serial > serial:
            return Standing.OLD, nothing
        if _stamp_in(data) not in (UNKNOWN, database):
            return Standing.OLD, nothing
        if found.serial == serial:
            return Standing.CONTINUES, found
        if found.serial == serial - 1:
            return Standing.CONTINUES, nothing
        return Standing.UNKNOWN, nothing

    def open(self, identity: str, database: Stamp) -> OSError | None:
        """Begin to write, for the ledger of that identity, in that file. What keeps it from that,
        if anything does: then there is no mark. Raises OSError if an old one cannot be removed
        either.
        """
        self.close()  # an earlier attempt of this start may have opened it
        self._identity, self._stamp = bytes.fromhex(identity), database
        try:
            self._file = self._open()
        except OSError as error:
            self._remove()
            return error
        return None

    def close(self) -> None:
        """It stays as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def group(self, serial: int, written: int) -> None:
        """Group number `serial` is durable, and so many of its lines are printed."""
        self._write(Progress(serial, written, written))

    def intend(self, lines: int) -> None:
        """So many lines of the group will be printed when the next write is done."""
        self._write(self._progress._replace(intended=lines))

    def done(self) -> None:
        """That write is done."""
        self._write(self._progress._replace(written=self._progress.intended))

    def written(self, before: Stamp, after: Stamp) -> None:
        """The receiver itself has written to the ledger's database. The mark may still be the
        predecessor's: if that has not known the database either, it stays as it is.
        """
        if self._stamp == before:
            self._stamp = after
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if _stamp_in(os.pread(file, _FORMAT.size + _STAMP.size, 0)) == before:
                os.pwrite(file, _STAMP.pack(*after), _FORMAT.size)
        finally:
            os.close(file)

    def _write(self, progress: Progress) -> None:
        self._progress = progress
        if self._file < 0:
            return
        try:
            numbers = _FORMAT.pack(self._boot, self._identity, *progress)
            os.pwrite(self._file, numbers + _STAMP.pack(*self._stamp), 0)
        except OSError:
            self.close()
            self._remove()

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _remove(self) -> None:
        """No mark is right. An old one is wrong: it says that nothing of the last group is printed,
        or even that an older ledger goes on.
        """
        self._path.unlink(missing_ok=True)


def _stamp_in(data: bytes) -> Stamp:
    """What a mark says of the database."""
    found = data[_FORMAT.size :]
    return Stamp(*_STAMP.unpack(found)) if len(found) == _STAMP.size else UNKNOWN
