"""A machine that is measured: faults at exact times, and when lines came, from its journal.

Host and machine share one monotonic clock, which is what all times here are in, as seconds.
"""

import functools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.machine import Machine, MachineError

UNDISTURBED = 0.3
"""Seconds after a fault in which nothing of the benchmark runs."""

_CGROUPS = Path("/sys/fs/cgroup")
_PAYLOAD = re.compile(r'\{"count": (\d+), "appID": "([^"]+)", "nodeID": "([^"]+)"\}')
_SESSION = re.compile(r'session .*"appID": "([^"]+)", "nodeID": "([^"]+)", "epoch": (\d+)')


@dataclass(frozen=True)
class Line:
    """A count in the journal; or, with count -1, a session, which has an epoch."""

    at: float
    app: str
    node: str
    count: int
    epoch: int = 0


def now() -> float:
    """Seconds of the monotonic clock."""
    return time.monotonic()


def sleep_until(at: float) -> None:
    """Returns at that time: a sleep, then a short spin, for sleep alone is late by some 0.1 ms."""
    while (left := at - now()) > 0:
        if left > 0.001:
            time.sleep(left - 0.001)


class Probe:
    """One booted machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @property
    def root(self) -> Path:
        """The machine's root directory, seen from the host."""
        return Path(f"/proc/{self.machine.leader}/root")

    def host_pid(self, unit: str) -> int:
        """The unit's main process as the host sees it, so that a signal needs no nsenter."""
        pids = self.host_pids(unit)
        main = str(self.machine.pid(unit))
        for pid in pids:
            if _inner_pid(pid) == main:
                return pid
        raise MachineError(f"{unit} has no process")

    def host_pids(self, unit: str) -> list[int]:
        """All processes of the unit."""
        group = self.group(self.machine.show(unit, "ControlGroup"))
        return [int(pid) for pid in (group / "cgroup.procs").read_text(encoding="ascii").split()]

    def pids_of_slice(self) -> list[int]:
        """All processes of senders and receiver."""
        lists = self.group("sendrecv.slice").glob("*/cgroup.procs")
        return [int(pid) for file in lists for pid in file.read_text(encoding="ascii").split()]

    def cpu(self) -> float:
        """Seconds of CPU that the whole machine has used, its PID 1 and journald included."""
        text = (self.group("") / "cpu.stat").read_text(encoding="ascii")
        return int(text.split()[1]) / 1e6

    def group(self, inside: str) -> Path:
        """The machine's cgroup of that name."""
        payload = Path(f"/proc/{self.machine.leader}/cgroup").read_text(encoding="ascii")
        top = next(line[3:] for line in payload.splitlines() if line.startswith("0::"))
        mount = _CGROUPS if (_CGROUPS / "cgroup.controllers").exists() else _CGROUPS / "unified"
        return mount / top.removesuffix("/init.scope").lstrip("/") / inside.lstrip("/")

    def record(self, app: str) -> dict[str, Any]:
        """The App's newest record, with what nodeID wrote it and when the next count is due."""
        data = (self.root / f"var/lib/sendrecv/{app}.record").read_bytes()
        slots = re.findall(rb"(\{.*?\}) crc32=", data)
        newest: dict[str, Any] = max(map(json.loads, slots), key=lambda slot: int(slot["serial"]))
        return newest

    def due(self, app: str) -> float:
        """When the App's next count is due."""
        return int(str(self.record(app)["due"])) / 1e9

    def kill(self, unit: str, number: signal.Signals, at: float = 0.0) -> float:
        """Sends the signal to the unit's main process at that time, or at once; returns when."""
        pid = self.host_pid(unit)
        sleep_until(at)
        at = now()
        os.kill(pid, number)
        return at

    def ready(self, unit: str, after: float, timeout: float = 10) -> float:
        """When the unit became active, which it has to do after that time.

        PID 1 notes it; it is asked only afterwards, for a question keeps it from its work.
        """
        sleep_until(after + UNDISTURBED)
        self.wait(lambda: self.stamp(unit, "ActiveEnter") > after, timeout, f"{unit} active")
        return self.stamp(unit, "ActiveEnter")

    def stamp(self, unit: str, key: str) -> float:
        """A property of the unit that is a monotonic time stamp."""
        return int(self.machine.show(unit, f"{key}TimestampMonotonic")) / 1e6

    def lines(self, cursor: str, unit: str = "receiver.service") -> list[Line]:
        """What the receiver has written since."""
        after = [f"--after-cursor={cursor}"] if cursor else []
        entries = self.machine.journal(*after, f"_SYSTEMD_UNIT={unit}", fields=["MESSAGE"])
        found = (line_of(entry) for entry in entries)
        return [line for line in found if line is not None]

    def lines_of_boot(self) -> list[Line]:
        """What the receiver has written since the machine was switched on."""
        entries = self.machine.journal("-b", "-u", "receiver.service", fields=["MESSAGE"])
        found = (line_of(entry) for entry in entries)
        return [line for line in found if line is not None]

    def wait(self, predicate: Callable[[], object], timeout: float, what: str) -> float:
        """Waits for the predicate to hold; returns when it did."""
        deadline = now() + timeout
        while not predicate():
            if now() > deadline:
                raise MachineError(f"not in {timeout} s: {what}")
            time.sleep(0.02)
        return now()


def _inner_pid(pid: int) -> str:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return ""
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]


def line_of(entry: Mapping[str, object]) -> Line | None:
    """What an entry of the receiver's says; None if it is neither a count nor a session."""
    at = int(str(entry["__MONOTONIC_TIMESTAMP"])) / 1e6
    text = str(entry.get("MESSAGE"))
    if found := _PAYLOAD.fullmatch(text):
        return Line(at, found[2], found[3], int(found[1]))
    if found := _SESSION.match(text):
        return Line(at, found[1], found[2], -1, int(found[3]))
    return None


@functools.cache
def load_now() -> str:
    """The host's load before the benchmark began, for the output."""
    return " ".join(Path("/proc/loadavg").read_text(encoding="ascii").split()[:3])
