"""Which Apps are paused: a file for each one, that only root can write, and everybody can read.

Not in /etc: a copy of /etc on another machine would pause the App there. Not in the senders' own
directory: a sender must not be able to end a pause. The units' scripts ask only whether there is
such a file. An App on several hosts has a key in etcd in its place (core/lease.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from sendrecv.admin.screen import moment, plain
from sendrecv.core import lease
from sendrecv.core.values import Value
from sendrecv.core.wire import is_name
from sendrecv.errors import StoreUnusable

DIRECTORY = Path("/var/lib/sendrecv-pause")
MAX_SIZE = 4096


class Pause(Value):
    """since: in seconds of the wall clock. by: who has typed it. reason: what was given. None if
    that is not known, and "" for the texts.
    """

    since: float | None = None
    by: str = ""
    reason: str = ""

    @classmethod
    def of(cls, pause: lease.Pause) -> Pause:
        """As the key of an App on several hosts has it."""
        return cls(float(pause.since) if pause.since else None, pause.by, pause.reason)

    def words(self, now: float) -> str:
        """For people: since when, by whom, and why."""
        since = f"since {moment(self.since, now)} " if self.since else ""
        return plain(f"{since}by {self.by or 'somebody'}" + f" ({self.reason})" * bool(self.reason))


def paused() -> Mapping[str, Pause]:
    """By instance. A file that is damaged pauses the App all the same."""
    try:
        names = os.listdir(DIRECTORY)
    except OSError:
        return {}
    return {name: _read(DIRECTORY / name) for name in names if is_name(name)}


def _read(path: Path) -> Pause:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return Pause()
    try:
        is_file = stat.S_ISREG(os.fstat(file).st_mode)
        return parse(os.pread(file, MAX_SIZE, 0)) if is_file else Pause()
    except OSError:
        return Pause()
    finally:
        os.close(file)


def parse(text: bytes) -> Pause:
    """What such a file says."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return Pause()
    match values:
        case {"since": int() | float() as since, "by": str(by), "reason": str(reason)}:
            return Pause(float(since), by, reason)
    return Pause()


def write(instance: str, pause: Pause) -> None:
    """On disk, whatever happens then. Raises StoreUnusable."""
    new = DIRECTORY / f".{instance}.new"
    try:
        DIRECTORY.mkdir(0o755, exist_ok=True)
        with open(new, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(f"{json.dumps(pause.as_dict())}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, DIRECTORY / instance)
        _sync()
    except OSError as error:
        raise StoreUnusable(f"{error.filename or DIRECTORY}: {error.strerror}") from None


def remove(instance: str) -> None:
    """On disk, too. Raises StoreUnusable."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(DIRECTORY / instance)
            _sync()
    except OSError as error:
        raise StoreUnusable(f"{error.filename or DIRECTORY}: {error.strerror}") from None


def _sync() -> None:
    directory = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
