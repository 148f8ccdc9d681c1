"""Never spin: how long a start waits when starts have followed each other for a while.

The first ten starts in a row are immediate: a takeover must not wait, and no series of single
faults is so long. After that a start waits for half of the time that the row has lasted, so that
the rests grow by half each time, up to LONGEST. The row ends with an acknowledged count, or a life
of ENOUGH seconds (or rare kills of a slow App would look like a loop).

The row is kept in the units' RuntimeDirectory= (a tmpfs), not in the App's record: it also brakes
starts that fail before there is a record, and a reboot forgets it.
"""

from __future__ import annotations

import contextlib
import os
import time

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from sendrecv.systemd import Notifier

AT_ONCE = 10
LONGEST = 12.0
"""Seconds. Two such rests, should the first have begun just before the mending, are below 30 s."""
ENOUGH = 10.0


class Backoff:
    """The row of starts of one instance, in a file that both halves share; "" for none.

    A file that cannot be read or written means no delay; systemd's start limit still holds.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def begin(self, now: float) -> float:
        """Count this start, `now` in seconds of the monotonic clock. How long it has to wait."""
        starts, since = self._read()
        if not 0 <= since <= now:
            starts, since = 0, now
        self._write(f"{starts + 1} {since}\n")
        return delay(starts + 1, now - since)

    def end(self) -> None:
        """The row has ended: this process works."""
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

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
            with contextlib.suppress(OSError):
                with open(draft, "w", encoding="ascii") as file:
                    file.write(text)
                os.replace(draft, self._path)


def braked(instance: str, notifier: Notifier) -> Backoff:
    """The row of `instance`, with this start counted and, if there were too many, waited for."""
    directory = os.environ.get("RUNTIME_DIRECTORY")
    backoff = Backoff(os.path.join(directory, f"{instance}.starts") if directory else "")
    seconds = backoff.begin(time.monotonic())
    if seconds:
        notifier.status(f"too many starts in a row, waiting {seconds:.0f} s")
        time.sleep(seconds)
    return backoff


def delay(starts: int, age: float) -> float:
    """Seconds to wait before start number `starts` of a row that began `age` seconds ago."""
    return 0.0 if starts <= AT_ONCE else min(max(age, 0.2) / 2, LONGEST)
