"""What a fault did to an App, as the receiver's journal has it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.figures import silences
from tests.bench.probe import Line, line_of, now, sleep_until
from tests.lab.hosts import host_of
from tests.lab.machine import Machine, MachineError

TIMEOUT = 30.0
"""Seconds in which an App counts again, or the benchmark ends with an error."""
SURE = 2
"""Counts after which an App is taken to count again."""
FRESH = 1.5
"""Intervals after a count in which an App is taken to count."""


@dataclass(frozen=True)
class Taken:
    """admitted: seconds from the fault to the successor's session; None: the App stayed with its
    sender. silence: seconds, the longest between two counts. before, after: the nodes that counted.
    """

    at: float
    admitted: float | None
    silence: float
    before: str
    after: str

    @property
    def stayed(self) -> bool:
        """Whether the App is on the host where it was."""
        return host_of(self.before) == host_of(self.after)


class Reception:
    """Reads the receiver's journal as it grows: the lines of one App."""

    def __init__(self, receiver: Machine, app: str, interval: float = 1.0) -> None:
        self._receiver = receiver
        self._app = app
        self._interval = interval
        self._cursor = ""
        self.lines: list[Line] = []

    def update(self) -> None:
        """Reads what is new."""
        after = [f"--after-cursor={self._cursor}"] if self._cursor else []
        unit = "_SYSTEMD_UNIT=receiver.service"
        entries = self._receiver.journal(*after, unit, fields=["MESSAGE"])
        if entries:
            self._cursor = str(entries[-1]["__CURSOR"])
        found = [line_of(entry) for entry in entries]
        self.lines += [line for line in found if line is not None and line.app == self._app]

    @property
    def counts(self) -> list[Line]:
        """The lines that are counts."""
        return [line for line in self.lines if line.count >= 0]

    def wait(self, happened: Callable[[], object], what: str) -> None:
        """Reads on until that has happened."""
        deadline = now() + TIMEOUT
        self.update()
        while not happened():
            if now() > deadline:
                tail = "\n".join(map(str, self.lines[-10:]))
                raise MachineError(f"not in {TIMEOUT:g} s: {what}; the last lines:\n{tail}")
            sleep_until(now() + 0.1)
            self.update()

    def newest(self) -> Line:
        """The App's newest count; waits for one if there was none for a while."""
        self.wait(lambda: self._after(now() - FRESH * self._interval), "the App counts")
        return self.counts[-1]

    def struck(
        self,
        act: Callable[[], object],
        phase: float,
        *,
        quiet: float = 0.0,
        moves: bool,
        window: float = 0.0,
    ) -> Taken:
        """Does something `phase` of an interval after a count, and tells what came of it.

        `quiet`: seconds after the fault in which nothing of the benchmark runs. `moves`: whether
        another process of the App must follow. `window`: seconds that the fault lasts at least.
        """
        last = self.newest()
        epoch = max(line.epoch for line in self.lines)
        sleep_until(last.at + next_phase(now() - last.at, phase, self._interval))
        at = now()
        act()
        sleep_until(at + max(quiet, window))
        begun = [at + window] if not moves else []
        self.wait(lambda: self._over(at, epoch, begun), f"the App goes on after {at:.3f}")
        return taken(self.lines, at, epoch)

    def next_after(self, at: float) -> float:
        """When the first count after that time came: waits for it."""
        self.wait(lambda: bool(self._after(at)), f"a count after {at:.3f}")
        return self._after(at)[0].at

    def check(self) -> None:
        """Raises MachineError unless each count came once, in order: else no figure is worth it."""
        for one, two in zip(self.counts, self.counts[1:]):
            if two.count != one.count + 1:
                raise MachineError(f"the receiver printed {two} after {one}")

    def _over(self, at: float, epoch: int, begun: Sequence[float]) -> bool:
        """Whether the App counts again: under a new epoch, or simply after the fault."""
        since = list(begun) or [x.at for x in self.lines if x.epoch > epoch and x.at > at]
        return bool(since) and len(self._after(since[0])) >= SURE

    def _after(self, since: float) -> list[Line]:
        return [line for line in self.counts if line.at > since]


def taken(lines: Sequence[Line], at: float, epoch: int) -> Taken:
    """What a fault at `at` did, when `epoch` was the App's. Raises ValueError without counts."""
    counts = [line for line in lines if line.count >= 0]
    sessions = [line.at for line in lines if line.epoch > epoch and line.at > at]
    silence = silences([line.at for line in counts], [at])[0]
    before = [line.node for line in counts if line.at <= at][-1]
    admitted = sessions[0] - at if sessions else None
    return Taken(at, admitted, silence, before, counts[-1].node)


def next_phase(passed: float, phase: float, interval: float) -> float:
    """Seconds after a count that are `phase` of an interval after one of the counts that follow,
    and not yet over when `passed` seconds are; with some time to spare.
    """
    earliest = passed + 0.05
    return (math.ceil(earliest / interval - phase) + phase) * interval
