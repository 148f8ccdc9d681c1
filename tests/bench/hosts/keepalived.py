"""A peer: keepalived (VRRP) with Debian's defaults on three hosts, one of which loses its power."""

from collections.abc import Mapping

from tests.bench.figures import Figure
from tests.bench.probe import now, sleep_until
from tests.lab.cluster import Cluster
from tests.lab.machine import MachineError

# All begin as backups, and whoever is the master stays it.
_CONFIGURATION = """vrrp_instance bench {{
    state BACKUP
    nopreempt
    interface host0
    virtual_router_id 77
    priority {priority}
    virtual_ipaddress {{
        10.77.0.77/24
    }}
}}
"""
_MASTER = "Entering MASTER STATE"
MEMBERS = ("a", "b", "c")


def keepalived(releases: Mapping[str, str], kills: int) -> list[Figure]:
    """From the power cut to another master. Nothing is fenced, and nobody counts."""
    hosts = {name: releases[name] for name in MEMBERS}
    with Cluster(hosts, members=()) as cluster:
        for number, name in enumerate(MEMBERS):
            text = _CONFIGURATION.format(priority=100 + number)
            cluster[name].write("/etc/keepalived/keepalived.conf", text)
            cluster[name].run("systemctl enable -q keepalived; systemctl restart keepalived")
        found = []
        master = _master(cluster, 0.0)
        for _ in range(kills):
            sleep_until(now() + 2)  # each backup has heard it
            at = now()
            cluster.power_cut(master)
            sleep_until(at + 3)
            master = _master(cluster, at)
            found.append(_since(cluster, master, at)[0] - at)
            cluster.repair()
    name = "keepalived: power cut, to another master"
    return [Figure("hosts.keepalived", name, "s", tuple(found))]


def _master(cluster: Cluster, after: float) -> str:
    """Waits until a host has become the master after that time; returns its name."""
    deadline = now() + 30
    while now() < deadline:
        for name in MEMBERS:
            if cluster[name].running and _since(cluster, name, after):
                return name
        sleep_until(now() + 0.2)
    raise MachineError("keepalived has no master")


def _since(cluster: Cluster, name: str, after: float) -> list[float]:
    """When it became the master after that time, in seconds of the monotonic clock."""
    entries = cluster[name].journal("-b", "-u", "keepalived", fields=["MESSAGE"])
    times = {int(e["__MONOTONIC_TIMESTAMP"]) / 1e6: str(e["MESSAGE"]) for e in entries}
    return [at for at, text in times.items() if at > after and _MASTER in text]
