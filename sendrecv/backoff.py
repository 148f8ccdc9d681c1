"""Back-off: how long a start waits when many starts follow each other, so that nothing spins.

A *streak* is a series of starts none of which has worked. Its first ten starts do not wait: a
takeover must be fast, and no series of single faults is so long. Each later start waits as long
as the streak has lasted, but at most LONGEST. So each wait is twice as long as the wait before. A
streak ends when counts are acknowledged (a sender) or printed (the receiver). A sender's streak
also ends when a process has lived for ENOUGH seconds: otherwise rare kills of an App with a long
interval would look like a loop.

A wait ends early when a file changes that may be the reason for the trouble. Then the streak ends
too. This process still has the old settings and may fail again, but the next one has the new ones.

The streak is kept in the units' RuntimeDirectory= (a tmpfs), not in the App's record. So the
back-off also delays starts that fail before there is a record, and a reboot ends the streak.
"""

from __future__ import annotations

import os
import stat
import time
import zlib

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sendrecv.systemd import Notifier

AT_ONCE = 10
CONFIGURATION = ("/etc/sendrecv", "/etc/systemd/system", "/run/systemd/system")
LONGEST = 60.0
"""Seconds. A failed start writes six lines to the journal, so fewer than ten a minute."""
LOOK_EVERY = 0.5
"""Seconds between two looks at the files."""
ENOUGH = 10.0


class Backoff:
    """The streak of one instance, in a file that both halves share; "" for none.

    A file that cannot be read or written means no delay; systemd's start limit still holds.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def begin(self, now: float, digest: Callable[[], str] = lambda: "") -> float:
        """Count this start. Returns the seconds that it has to wait. now: monotonic, in seconds.

        `digest` tells of the files that may be the reason for the streak. A change since the last
        start ends it. A takeover does not wait for that: the first starts of a streak do not ask.
        """
        starts, since, before = self._read()
        seen = digest() if starts >= AT_ONCE - 1 else ""
        if not 0 <= since <= now or (before and seen != before):
            starts, since = 0, now
        self._write(f"{starts + 1} {since} {seen}".rstrip() + "\n")
        return delay(starts + 1, now - since)

    def end(self) -> None:
        """The streak has ended: this process works."""
        if self._path:
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def _read(self) -> tuple[int, float, str]:
        try:
            with open(self._path, encoding="ascii") as file:
                starts, since, *before = file.read(64).split()
            return int(starts), float(since), "".join(before)
        except (OSError, ValueError):
            return 0, -1.0, ""

    def _write(self, text: str) -> None:
        if self._path:
            draft = f"{self._path}.{os.getpid()}"
            try:
                with open(draft, "w", encoding="ascii") as file:
                    file.write(text)
                os.replace(draft, self._path)
            except OSError:
                pass


def wait_if_too_many_starts(instance: str, notifier: Notifier) -> Backoff:
    """Count this start of `instance`, and wait if there were too many. Returns the streak."""
    directory = os.environ.get("RUNTIME_DIRECTORY")
    backoff = Backoff(os.path.join(directory, f"{instance}.starts") if directory else "")
    seconds = backoff.begin(time.monotonic(), _digest)
    if seconds:
        notifier.status(f"too many starts one after the other, waiting {seconds:.0f} s")
        if _wait(seconds):
            backoff.end()
    return backoff


def _wait(seconds: float) -> bool:
    """Wait. Whether that ended early, because a file has changed."""
    before = _digest()
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_EVERY))
        if _digest() != before:
            return True
    return False


def _digest() -> str:
    return f"{zlib.crc32(repr(list(_files())).encode()):08x}"


def _files() -> Iterator[tuple[object, ...]]:
    """What to compare of each file that may keep a process from working."""
    for directory in (*CONFIGURATION, os.path.dirname(__file__)):
        for path, there in _stats(directory):
            if stat.S_ISCHR(there.st_mode):  # /dev/null, of a masked unit: new in each sandbox
                yield path, there.st_mode
            else:
                yield path, there.st_ino, there.st_mode, there.st_size, there.st_ctime_ns
    # Not the times of the records, nor of the directory: other Apps write there.
    for path, there in _stats(os.environ.get("STATE_DIRECTORY", "")):
        ledger = (there.st_size, there.st_mtime_ns) if path.endswith(".db") else ()
        yield path, there.st_ino, there.st_mode, there.st_uid, *ledger


def _stats(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """The directory and what is in it."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        names = []
    for path in (directory, *(os.path.join(directory, name) for name in names)):
        try:
            yield path, os.stat(path)
        except OSError:
            continue


def delay(starts: int, age: float) -> float:
    """Seconds to wait before start number `starts` of a streak that began `age` seconds ago."""
    return 0.0 if starts <= AT_ONCE else min(max(age, 0.1), LONGEST)
