"""The journal's files, opened once, for every journalctl of one reading.

journald may rotate at any moment: it renames a file and begins another. journalctl lists a
directory and then opens the files. If a file is renamed in between, journalctl skips it, with exit
status 0. So the files are opened here. The directory is listed again until the list is that of the
open files (names and inodes; an inode that is open is not used again). Each journalctl gets the
descriptors. So it reads the same files, whatever their names are by then: all that journald has
written up to a moment, without a hole.

journalctl does not open a file that was removed meanwhile (vacuumed): "Identifier removed". Then
the reading begins again: see Vanished.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LIVE = (Path("/var/log/journal"), Path("/run/log/journal"))
TRIES = 100
"""An attempt takes 0.2 ms, and 20 us for each file. All attempts fail only if journald rotates more
often than that."""
_JOURNAL = re.compile(r".+\.journal~?")
_MACHINE = re.compile(r"[0-9a-f]{32}(\..+)?")

Inode = tuple[int, int]


class Vanished(Exception):
    """A file was removed before journalctl could open it."""


@dataclass
class Held:
    """Open files, and those that could not be opened."""

    descriptors: dict[Path, int] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)
    steady: bool = True
    """Whether no file is known to have been renamed, made or removed as they were opened."""

    def options(self) -> list[str]:
        """journalctl's options, for a process that is handed all descriptors."""
        return [f"--file=/proc/self/fd/{number}" for number in self.descriptors.values()]

    def named(self, text: str) -> str:
        """What journalctl said, with the files' own names."""
        names = {str(number): str(path) for path, number in self.descriptors.items()}
        return re.sub(r"/proc/self/fd/(\d+)", lambda found: names.get(found[1], found[0]), text)

    def vanished(self) -> bool:
        """Whether a file was removed since it was opened."""
        return any(os.fstat(number).st_nlink == 0 for number in self.descriptors.values())

    def open(self, path: Path) -> Inode | None:
        """Open a file; None if this user may not. Raises FileNotFoundError."""
        try:
            self.descriptors[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except PermissionError:
            self.unreadable.append(path)
            return None
        return _inode(os.fstat(self.descriptors[path]))

    def of(self, paths: Iterable[Path]) -> Held:
        """Only these files. They stay this one's to close."""
        return Held({path: self.descriptors[path] for path in paths if path in self.descriptors})

    def close(self) -> None:
        """Close all of them."""
        while self.descriptors:
            os.close(self.descriptors.popitem()[1])


def _inode(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino


def hold_files(paths: Sequence[Path]) -> Held:
    """Open these files."""
    held = Held()
    for path in paths:
        held.open(path)
    return held


def hold_directories(directory: Path | None) -> Held:
    """Open all files of this directory, or of this machine's journal."""
    _allow_many()
    held = Held()
    for _ in range(TRIES):
        held.close()
        held = Held()
        with contextlib.suppress(FileNotFoundError):
            inodes = {path: held.open(path) for path in _listed(directory, held.unreadable)}
            if _unchanged(directory, inodes):
                return held
    held.steady = False
    return held


def _unchanged(directory: Path | None, opened: dict[Path, Inode | None]) -> bool:
    listed = {path: _inode(path.stat()) for path in _listed(directory, [])}
    return listed.keys() == opened.keys() and all(
        inode is None or inode == listed[path] for path, inode in opened.items()
    )


def _listed(directory: Path | None, unreadable: list[Path]) -> list[Path]:
    found = []
    for one in _directories(directory):
        try:
            found += [path for path in sorted(one.iterdir()) if _JOURNAL.fullmatch(path.name)]
        except PermissionError:
            unreadable.append(one)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def _directories(directory: Path | None) -> Iterator[Path]:
    """As journalctl looks: this machine's own; or a directory, and those of machines in it."""
    if directory is None:
        with contextlib.suppress(OSError):
            machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
            yield from (top / machine for top in LIVE)
        return
    yield directory
    with contextlib.suppress(PermissionError):
        yield from (one for one in sorted(directory.iterdir()) if _MACHINE.fullmatch(one.name))


def _allow_many() -> None:
    """A journal may have more files than a process may usually open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
