"""How short of CPU the host was, and when: if it has none, a slow recovery is its fault."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from pathlib import Path
from typing import Self

_PRESSURE = Path("/proc/pressure/cpu")
_SAMPLE = 0.5
OVERLOADED = 0.85
"""Share of the time in which something that could run had to wait for a CPU. The machine's own work
stays well below that, but for its own starvation faults."""


class Pressure:
    """Samples the host's CPU pressure while the context lasts."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._stalls: list[float] = []  # seconds in all, at these times
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def share(self, begin: float, end: float) -> float:
        """The share of that time (monotonic, seconds) in which somebody had to wait for a CPU.

        0 where the kernel does not tell.
        """
        first = max(bisect_left(self._times, begin) - 1, 0)
        last = min(bisect_left(self._times, end), len(self._times) - 1)
        if last <= first:
            return 0.0
        waited = self._stalls[last] - self._stalls[first]
        return waited / (self._times[last] - self._times[first])

    def _sample(self) -> None:
        while _PRESSURE.exists() and not self._done.wait(_SAMPLE):
            some = _PRESSURE.read_text(encoding="ascii").splitlines()[0]
            self._stalls.append(int(some.rpartition("total=")[2]) / 1e6)
            self._times.append(time.monotonic())
