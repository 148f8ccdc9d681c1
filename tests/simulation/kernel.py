"""A simulated disk and its locks: what store_file.py asks of the kernel, and what a crash, a full
disk and a power cut do to it.

Written is what other processes see; durable is what a power cut leaves for certain. Of a write that
was not yet synced, a power cut leaves all, nothing, or a torn part.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import Protocol

from tests.simulation.process import Thread

DIRECTORY = "/state"


class Choices(Protocol):
    """Where the world takes its decisions from."""

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""


@dataclass(frozen=True)
class Stat:
    """What stat(2) tells."""

    st_ino: int
    st_dev: int = 1


@dataclass(eq=False)
class Inode:
    """A file, whatever its name."""

    number: int
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)  # offset -1: truncation
    promised: bytes = b""  # the last write that was synced by who wrote it
    named: bool = False  # its name is durable
    holder: System | None = None

    def write(self, offset: int, data: bytes) -> None:
        """A write that is not yet durable."""
        self.unsynced.append((offset, data))
        _apply(self.data, offset, data)

    def sync(self) -> None:
        """All that was written is durable."""
        if self.unsynced:
            self.promised = self.unsynced[-1][1]
        self.durable = bytearray(self.data)
        self.unsynced.clear()

    def lose_power(self, choices: Choices) -> None:
        """Of what was not synced: all, nothing, or a torn part of each write."""
        for offset, data in self.unsynced:
            start, end = sorted((choices.below(len(data) + 1), choices.below(len(data) + 1)))
            fate = choices.below(3)
            if fate == 1 or not data:
                _apply(self.durable, offset, data)
            elif fate == 2:
                _apply(self.durable, offset + start, data[start:end])
        self.data = bytearray(self.durable)
        self.unsynced.clear()
        self.holder = None


def _apply(content: bytearray, offset: int, data: bytes) -> None:
    if offset < 0:
        content.clear()
    else:
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data


class Disk:
    """The state directory. `full`: no new block; `broken`: writes fail after so many bytes."""

    def __init__(self) -> None:
        self.names: dict[str, Inode] = {}
        self.full = False
        self.broken: int | None = None
        self._inodes = 0

    def create(self, path: str) -> Inode:
        """A new file; an older one of that name lives on without it."""
        self._inodes += 1
        self.names[path] = Inode(self._inodes)
        return self.names[path]

    def remove(self, path: str) -> None:
        """The name goes; whoever has the file open still has it."""
        self.names.pop(path, None)

    def replace(self, path: str, content: bytes, new_file: bool) -> None:
        """Somebody puts other bytes there, durably."""
        inode = self.create(path) if new_file or path not in self.names else self.names[path]
        inode.sync()  # a write under way was in vain, but its writer has kept its promise
        inode.data, inode.durable = bytearray(content), bytearray(content)
        inode.named = True

    def lose_power(self, choices: Choices) -> None:
        """Everything that was not synced is at stake."""
        for path, inode in list(self.names.items()):
            inode.lose_power(choices)
            if not inode.named and choices.below(2):
                self.remove(path)


class System:
    """The system calls of one thread: stands in for the modules os and fcntl of store_file.py.

    Each of them begins with a pause, in which the process may end.
    """

    O_RDWR, O_CREAT, O_CLOEXEC = os.O_RDWR, os.O_CREAT, os.O_CLOEXEC
    O_NOFOLLOW, O_RDONLY, O_DIRECTORY = os.O_NOFOLLOW, os.O_RDONLY, os.O_DIRECTORY
    LOCK_EX = 2
    path = os.path
    strerror = staticmethod(os.strerror)
    fspath = staticmethod(os.fspath)

    def __init__(self, disk: Disk, thread: Thread) -> None:
        self._disk = disk
        self._thread = thread
        self._files: dict[int, Inode | None] = {}  # None: the directory
        self._next = 3

    def end(self) -> None:
        """The process has ended: its files are closed, its lock is free."""
        for inode in self._files.values():
            self._unlock(inode)
        self._files.clear()

    def holds(self) -> Inode | None:
        """The file that this process has locked."""
        held = (inode for inode in self._files.values() if inode and inode.holder is self)
        return next(held, None)

    def open(self, path: str, _flags: int, _mode: int = 0) -> int:
        """open(2)."""
        self._thread.pause()
        inode = None
        if path != DIRECTORY:
            inode = self._disk.names.get(path) or self._create(path)
        self._next += 1
        self._files[self._next] = inode
        return self._next

    def close(self, number: int) -> None:
        """close(2)."""
        self._thread.pause()
        self._unlock(self._files.pop(number))

    def stat(self, path: str) -> Stat:
        """stat(2)."""
        self._thread.pause()
        if path not in self._disk.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return Stat(self._disk.names[path].number)

    def fstat(self, number: int) -> Stat:
        """fstat(2)."""
        self._thread.pause()
        return Stat(self._file(number).number)

    def flock(self, number: int, _operation: int) -> None:
        """flock(2), exclusive."""
        inode = self._file(number)
        self._thread.pause(until=lambda: inode.holder is None)
        inode.holder = self

    def pread(self, number: int, length: int, offset: int) -> bytes:
        """pread(2)."""
        self._thread.pause()
        return bytes(self._file(number).data[offset : offset + length])

    def pwrite(self, number: int, data: bytes, offset: int) -> int:
        """pwrite(2), which leaves a torn write if the disk is broken."""
        self._thread.pause()
        inode = self._file(number)
        if self._disk.broken is not None:
            inode.write(offset, data[: self._disk.broken])
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self._disk.full and offset + len(data) > len(inode.data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        inode.write(offset, data)
        return len(data)

    def fdatasync(self, number: int) -> None:
        """fdatasync(2)."""
        self._thread.pause()
        if self._disk.broken is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._file(number).sync()

    def fsync(self, number: int) -> None:
        """fsync(2), of a file or the directory."""
        self._thread.pause()
        inode = self._files[number]
        if inode:
            inode.sync()
        else:
            for named in self._disk.names.values():
                named.named = True

    def ftruncate(self, number: int, _length: int) -> None:
        """ftruncate(2), to nothing."""
        self._thread.pause()
        self._file(number).write(-1, b"")

    def posix_fallocate(self, number: int, _offset: int, length: int) -> None:
        """posix_fallocate(3)."""
        self._thread.pause()
        if self._disk.full or self._disk.broken is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._file(number).write(0, bytes(length))

    def _create(self, path: str) -> Inode:
        if self._disk.broken is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._disk.create(path)

    def _file(self, number: int) -> Inode:
        inode = self._files[number]
        if inode is None:
            raise IsADirectoryError
        return inode

    def _unlock(self, inode: Inode | None) -> None:
        if inode and inode.holder is self:
            inode.holder = None
