"""Sections about footprint: memory of a pair, and how a machine full of them behaves."""

import itertools
import math
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.probe import Line, Probe, now
from tests.bench.rates import rss

NUMBERS = (1, 10, 100, 300)
CROWD = 1000
SETTLE = 12.0
"""Seconds from the first counts to what goes on for ever: a boot's other work is over, and each
sender has ended its streak of starts."""


def memory(probe: Probe, kills: int) -> list[Figure]:
    """Resident memory of a sender and of the receiver, after some takeovers."""
    probe.machine.run(["systemctl", "start", "sender@one"])
    senders, receivers = [], []
    for index in range(max(kills // 20, 3)):
        time.sleep(2)
        half = "sender-failover@one" if index % 2 else "sender@one"
        senders.append(rss(probe, half))
        receivers.append(rss(probe, "receiver.service"))
        probe.machine.kill(half, "KILL")
    return [
        Figure("memory", "a sender, resident", "MiB", tuple(senders), 24, "worst"),
        Figure("memory", "the receiver, resident", "MiB", tuple(receivers), 60, "worst"),
    ]


def pairs(probe: Probe, kills: int) -> list[Figure]:
    """1, 10, 100, 300 pairs: CPU, lateness, memory; and the way back after a power cut."""
    found: list[Figure] = []
    enabled = 0
    for number in (n for n in NUMBERS if n <= 100 or kills >= 100):
        names = [f"sender@p{index}" for index in range(enabled, number)]
        probe.machine.run(["systemctl", "enable", "-q", *names])
        enabled = number
        found += _power_cut(probe, number)
        found += _steady(probe, number, seconds=max(kills // 5, 5))
    return found


def crowd(probe: Probe, kills: int) -> list[Figure]:
    """1,000 pairs: as above, and the silence after a kill."""
    for begin in range(0, CROWD, 100):
        names = [f"sender@p{index}" for index in range(begin, begin + 100)]
        probe.machine.run(["systemctl", "enable", "-q", *names])
    found = _power_cut(probe, CROWD)
    found += _steady(probe, CROWD, seconds=max(kills, 20))
    return [*found, _killed(probe, CROWD, kills)]


def _killed(probe: Probe, number: int, kills: int) -> Figure:
    """Of so many Apps, each once, half a second apart."""
    cursor = probe.machine.cursor()
    apps = [f"p{number // kills * index}" for index in range(kills)]
    for app in apps:
        probe.kill(f"sender@{app}", signal.SIGKILL)
        time.sleep(0.5)
    time.sleep(5)
    times: dict[str, list[float]] = defaultdict(list)
    for line in probe.lines(cursor):
        if line.count >= 0:
            times[line.app].append(line.at)
    silences = tuple(max(b - a for a, b in itertools.pairwise(times[app])) for app in apps)
    return Figure("crowd", f"{number} pairs: silence after a SIGKILL", "s", silences)


def _power_cut(probe: Probe, number: int) -> list[Figure]:
    """Boots the machine from a cut: how long until all count again."""
    probe.machine.power_cut()
    begun = now()
    probe.machine.boot(timeout=600)
    booted = probe.stamp("multi-user.target", "ActiveEnter")
    # To read the journal of a thousand Apps takes a core: only once all run.
    senders = probe.group("sendrecv.slice")
    probe.wait(lambda: len([*senders.glob("sender*@*")]) >= number, 600, "all run again")
    last = probe.wait(lambda: len(_apps(probe, booted)) == number, 120, "all count again")
    first = _apps(probe, begun)
    counting = max(first.values(), default=last) - booted
    boot = Figure("pairs", f"{number} pairs: power on to multi-user.target", "s", (booted - begun,))
    asked = 10 if number == 100 else None
    back = max(counting, 0.0)
    then = Figure("pairs", f"{number} pairs: from then to all counting", "s", (back,), asked)
    return [boot, then]


def _apps(probe: Probe, since: float) -> dict[str, float]:
    """When each App first counted in this boot."""
    first: dict[str, float] = {}
    for line in probe.lines_of_boot():
        if line.count >= 0 and line.at > since - 60:
            first.setdefault(line.app, line.at)
    return first


def _steady(probe: Probe, number: int, seconds: float) -> list[Figure]:
    time.sleep(SETTLE)
    cursor, before, begun = probe.machine.cursor(), probe.cpu(), now()
    time.sleep(seconds)
    used = 100 * (probe.cpu() - before) / (now() - begun)
    late = lateness(probe.lines(cursor))
    pids = probe.pids_of_slice()
    total = sum(_pss(pid) for pid in pids)
    full = number == 100
    name = f"{number} pairs"
    return [
        Figure("pairs", f"{name}: CPU of it all", "% of a core", (used,), 25 if full else None),
        Figure("pairs", f"{name}: lines late by", "ms", tuple(late), 20 if full else None, "p99"),
        Figure("pairs", f"{name}: memory, shared parts once", "MiB", (total,)),
    ]


def lateness(lines: Sequence[Line]) -> list[float]:
    """Milliseconds by which each line comes after its App's beat; the earliest is on time."""
    by_app: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if line.count >= 0:
            by_app[line.app].append(line.at)
    found: list[float] = []
    for times in by_app.values():
        phases = [math.fmod(at - times[0] + 0.5, 1.0) for at in times]
        found += [1000 * (phase - min(phases)) for phase in phases]
    return found


def _pss(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024
