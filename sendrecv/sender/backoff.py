"""Back-off: how long a start waits when many starts follow each other, so that nothing spins.

A *streak* is a series of starts none of which has worked. Its first ten starts do not wait: a
takeover must be fast, and no series of single faults is so long. Each later start waits for half
of the time that the streak has lasted, but at most LONGEST. So each wait is one and a half times as
long as the wait before. A streak ends with an acknowledged count, or when a process has lived for
ENOUGH seconds. (Without the second rule, rare kills of an App with a long interval would look like
a loop.)

The streak is kept in the units' RuntimeDirectory= (a tmpfs), not in the App's record. So the
back-off also delays starts that fail before there is a record, and a reboot ends the streak.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from sendrecv.systemd import Notifier

AT_ONCE = 10
LONGEST = 12.0
"""Seconds. If the fault is fixed just after a wait has begun, the App still counts within 30 s."""
ENOUGH = 10.0


class Backoff:
    """The streak of one instance, in a file that both halves share; "" for none.

    A file that cannot be read or written means no delay; systemd's start limit still holds.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def begin(self, now: float) -> float:
        """Count this start. Returns the seconds that it has to wait. now: monotonic, in seconds."""
        starts, since = self._read()
        if not 0 <= since <= now:
            starts, since = 0, now
        self._write(f"{starts + 1} {since}\n")
        return delay(starts + 1, now - since)

    def end(self) -> None:
        """The streak has ended: this process works."""
        if self._path:
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def _read(self) -> tuple[int, float]:
        try:
            with open(self._path, encoding="ascii") as file:
                starts, since = file.read(64).split()
            return int(starts), float(since)
        except (OSError, ValueError):
            return 0, -1.0

    def _write(self, text: str) -> None:
        if self._path:
            draft = f"{self._path}.{os.getpid()}"
            try:
                with open(draft, "w", encoding="ascii") as file:
                    file.write(text)
                os.replace(draft, self._path)
            except OSError:
                pass


def braked(instance: str, notifier: Notifier) -> Backoff:
    """The streak of `instance`, with this start counted. Waits, if there were too many."""
    directory = os.environ.get("RUNTIME_DIRECTORY")
    backoff = Backoff(os.path.join(directory, f"{instance}.starts") if directory else "")
    seconds = backoff.begin(time.monotonic())
    if seconds:
        notifier.status(f"too many starts one after the other, waiting {seconds:.0f} s")
        time.sleep(seconds)
    return backoff


def delay(starts: int, age: float) -> float:
    """Seconds to wait before start number `starts` of a streak that began `age` seconds ago."""
    return 0.0 if starts <= AT_ONCE else min(max(age, 0.2) / 2, LONGEST)
