"""The bare lease beside the App: on the same hosts, in the same fault."""

from pathlib import Path

from tests.bench.hosts import bare_lease
from tests.lab.hosts import Hosts
from tests.lab.machine import Machine

SCRIPT = "/usr/local/lib/bare-lease.py"
UNIT = "bare-lease"


class Floor:
    """One bare lease on each host that has etcd."""

    def __init__(self, hosts: Hosts, lease: float) -> None:
        """`lease`: seconds."""
        self._hosts = hosts
        self._lease = lease
        for name in hosts.cluster.members:
            put(hosts[name])

    def place(self, name: str) -> None:
        """Makes that host the holder, and lets the others stand by."""
        members = self._hosts.cluster.members
        for other in members:
            self._hosts[other].run(["systemctl", "stop", UNIT], check=False)
        self._hosts.cluster.etcdctl(name, "del", bare_lease.KEY)
        self._start(name)
        self._hosts[name].wait_until(lambda: self._holder() == name, f"a bare lease on {name}")
        for other in members:
            if other != name:
                self._start(other)

    def taken(self, after: float) -> float:
        """When a host first took the lease, after that time; waits for it."""
        machines = [self._hosts[name] for name in self._hosts.cluster.members]

        def found() -> list[float]:
            taken = [at for host in machines if host.running for at in times(host, UNIT, "taken")]
            return [at for at in taken if at > after]

        return min(self._hosts.receiver.wait_until(found, "a host takes the bare lease"))

    def _start(self, name: str) -> None:
        endpoints = ",".join([f"{name}:2379", *self._others(name)])
        start(self._hosts[name], UNIT, "hold", name, str(self._lease), endpoints)

    def _others(self, name: str) -> list[str]:
        return [f"{other}:2379" for other in self._hosts.cluster.members if other != name]

    def _holder(self) -> str:
        cluster = self._hosts.cluster
        name = next(name for name in cluster.members if cluster[name].running)
        command = ["get", "--print-value-only", bare_lease.KEY]
        return cluster.etcdctl(name, *command, check=False).stdout.strip()


class Answers:
    """Asks etcd all the time, from the receiver's host: when does it answer, and when not?"""

    def __init__(self, hosts: Hosts) -> None:
        self._receiver = hosts.receiver
        put(self._receiver)
        endpoints = ",".join(f"{name}:2379" for name in hosts.cluster.members)
        start(self._receiver, UNIT, "answers", endpoints)

    def returned(self, after: float) -> float:
        """When it first answered again, after that time."""

        def found() -> list[float]:
            return [at for at in times(self._receiver, UNIT, "answers") if at > after]

        return min(self._receiver.wait_until(found, "etcd answers again"))


def put(machine: Machine) -> None:
    """Copies the script into the machine."""
    machine.put(Path(bare_lease.__file__), SCRIPT)


def start(machine: Machine, unit: str, *arguments: str) -> None:
    """Runs the script there, as a unit of that name."""
    command = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--slice=system.slice"]
    machine.run([*command, "/usr/bin/python3", "-IS", SCRIPT, *arguments])


def times(machine: Machine, unit: str, word: str) -> list[float]:
    """When the script there said that word, in seconds of the monotonic clock."""
    lines = machine.run(["journalctl", "-q", "-o", "cat", "-u", unit]).stdout.splitlines()
    pairs = [line.split() for line in lines]
    return [float(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == word]
