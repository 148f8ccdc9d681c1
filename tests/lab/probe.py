"""Whether a machine stood still: a process beside the senders does what their watchdogs ask for.

It does nothing else. Where it is as late as a ping may be, the machine gave nobody a CPU, or its
disk answered nobody, and a watchdog that kills then has done what it must. So a test can say, on a
machine of any speed, that nobody takes a slow process for one that hangs.

    probe = Probe(machine)
    ...
    assert all(probe.stop().excuse(kill, 1.3) for kill in kills)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.judges.checker import Entry
from tests.lab.machine import Machine

BEAT = 0.05
"""Seconds. The shorter it is, the less of a standstill falls between two beats."""
SLACK = 0.2
"""Of a watchdog's limit: pings are at most 0.8 of it apart, so one may be so late."""
PUNCTUAL = 2 * BEAT
"""Seconds. What is no longer than that is no delay."""
SENT = "_SOURCE_REALTIME_TIMESTAMP"
"""When PID 1 said it. journald may read that seconds later."""
# As a sender does at each count: it waits for the time, writes its record, and pings after that.
_SCRIPT = f"""
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
file = os.open("/var/lib/probe", os.O_WRONLY | os.O_CREAT)
times = [time.monotonic()]
try:
    while True:
        time.sleep({BEAT})
        os.pwrite(file, b"x" * 4096, 0)
        os.fdatasync(file)
        times.append(time.monotonic())
finally:
    print(json.dumps([*times, time.monotonic()]), flush=True)
"""


@dataclass(frozen=True)
class Beats:
    """When each beat was over, in seconds of the monotonic clock. The last one was cut short."""

    times: Sequence[float]

    def __len__(self) -> int:
        return len(self.times) - 1

    def late(self, begin: float, end: float) -> float:
        """The seconds of that time for which the machine stood still."""
        beats = zip(self.times, self.times[1:], strict=False)
        took = [after - before for before, after in beats if before < end and after > begin]
        return sum(seconds - BEAT for seconds in took if seconds > PUNCTUAL)

    def excuse(self, kill: Entry, limit: float) -> bool:
        """Whether a watchdog with that limit had to kill, as the machine stood still meanwhile."""
        read, sent = int(str(kill["__REALTIME_TIMESTAMP"])), int(str(kill.get(SENT, 0)))
        ago = (read - sent) / 1e6 if sent else 0.0
        at = int(str(kill["__MONOTONIC_TIMESTAMP"])) / 1e6 - ago
        return self.late(at - limit, at) >= SLACK * limit - BEAT


class Probe:
    """The process, from now on, in the senders' slice."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        unit = ["--unit=probe", "--slice=sendrecv.slice"]
        unit += ["--property=StandardOutput=truncate:/run/probe"]
        machine.run(["systemd-run", "-q", *unit, "python3", "-c", _SCRIPT])

    def stop(self) -> Beats:
        """Ends it. Fails if it had ended by itself."""
        self._machine.run("systemctl is-active probe && systemctl stop probe")
        return Beats(json.loads(self._machine.run("cat /run/probe").stdout))
