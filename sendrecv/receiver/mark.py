"""How much of the ledger's last group was printed: a file that survives the receiver, but no boot.

A few bytes in the unit's RuntimeDirectory=, written in place by one pwrite(2) before and after each
chunk of lines, so that it needs no space and is never half written when the process is killed. With
it a receiver knows without asking anybody what its predecessor had printed:

    the mark's serial is            means
    the ledger's                    so many lines of the last group are printed; those between
                                    `written` and `intended`, if any, are in doubt
    the ledger's, less 1            nothing of the last group is printed
    above the ledger's              the ledger is older than what was printed
    of another ledger, or missing   nothing is known

In doubt is what was about to be written at the instant of a kill: at most one chunk, and only if
the kill came between two system calls that follow each other at once.
"""

from __future__ import annotations

import os
import struct
from enum import Enum
from pathlib import Path
from typing import NamedTuple

_FORMAT = struct.Struct("<16s16sQQQ")


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
        self._file = -1
        self._progress = Progress(0, 0, 0)

    def compare(self, identity: str, serial: int) -> tuple[Standing, Progress]:
        """What the predecessor's mark says of the ledger of that identity and serial."""
        nothing = Progress(serial, 0, 0)
        try:
            data = self._path.read_bytes()
            boot, ledger, *numbers = _FORMAT.unpack(data)
        except (OSError, struct.error):
            return Standing.UNKNOWN, nothing
        found = Progress(*numbers)
        if boot != self._boot:
            return Standing.UNKNOWN, nothing
        if ledger != bytes.fromhex(identity) or found.serial > serial:
            return Standing.OLD, nothing
        if found.serial == serial:
            return Standing.CONTINUES, found
        if found.serial == serial - 1:
            return Standing.CONTINUES, nothing
        return Standing.UNKNOWN, nothing

    def open(self, identity: str) -> OSError | None:
        """Begin to write, for the ledger of that identity. What keeps it from that, if anything
        does: then there is no mark. Raises OSError if an old one cannot be removed either.
        """
        self.close()  # an earlier attempt of this start may have opened it
        self._identity = bytes.fromhex(identity)
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

    def _write(self, progress: Progress) -> None:
        self._progress = progress
        if self._file < 0:
            return
        try:
            os.pwrite(self._file, _FORMAT.pack(self._boot, self._identity, *progress), 0)
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
