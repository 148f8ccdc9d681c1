"""What Apps cost etcd: writes, reads and bytes a second, and the CPU of its leader."""

import time
from collections.abc import Mapping, Sequence

from tests.bench.figures import Figure
from tests.bench.hosts.scene import MEMBERS, booted
from tests.lab.etcd import CLIENTS, Etcd
from tests.lab.machine import Machine

APPS = (1, 10, 100)
SECONDS = 20.0
"""Of one measurement."""
COUNTERS = {
    "writes": "etcd_mvcc_put_total",
    "reads": "etcd_mvcc_range_total",
    "bytes": "etcd_debugging_mvcc_total_put_size_in_bytes",
}
"""As etcd 3.4 and 3.5 name them, in /metrics."""
TICKS = 100.0
"""Of a second in /proc/PID/stat, see sysconf(3)."""


def sizing(releases: Mapping[str, str], _kills: int) -> list[Figure]:
    """Of 1, 10 and 100 Apps with the default settings, on one cluster."""
    figures: list[Figure] = []
    with booted(releases, Etcd()) as scene:
        added = 1  # the scene's own
        for number in APPS:
            for index in range(added, number):
                scene.hosts.add(f"more{index}")
            added = number
            names = [f"more{index}" for index in range(1, number)]
            for name in names:
                scene.hosts.wait_holder(name, "".join(MEMBERS))
            scene.cluster.wait_healthy()
            time.sleep(SECONDS / 4)
            figures += _measured([scene.hosts[name] for name in MEMBERS], number)
    return figures


def _measured(hosts: Sequence[Machine], number: int) -> list[Figure]:
    began, before = time.monotonic(), [_counters(host) for host in hosts]
    time.sleep(SECONDS)
    seconds, after = time.monotonic() - began, [_counters(host) for host in hosts]
    found = []
    for name in (*COUNTERS, "cpu"):
        rates = [(new[name] - old[name]) / seconds for old, new in zip(before, after, strict=True)]
        # Each member applies all writes; a read is counted where it is asked.
        rate = sum(rates) if name == "reads" else max(rates)
        unit = "% of a core" if name == "cpu" else "B/s" if name == "bytes" else "per s"
        value = rate * 100 if name == "cpu" else rate
        found.append(Figure("hosts.sizing", f"{number} Apps: {name}", unit, (value,)))
    return found


def _counters(host: Machine) -> dict[str, float]:
    said = host.run(f"curl -s http://127.0.0.1:{CLIENTS}/metrics; cat /proc/$(pidof etcd)/stat")
    lines = said.stdout.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines[:-1] if not line.startswith("#"))
    found = {name: float(values[metric]) for name, metric in COUNTERS.items()}
    stat = lines[-1].rpartition(")")[2].split()
    found["cpu"] = (int(stat[11]) + int(stat[12])) / TICKS
    return found
