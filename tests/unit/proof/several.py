"""Made-up journals of several hosts: an App x on a, b and c, and its receiver on r."""

import hashlib
from collections.abc import Sequence

from tests.unit.proof.journals import Fields, Sender, World

HOURS = 3_600_000_000


def machine_id(name: str) -> str:
    return hashlib.md5(name.encode()).hexdigest()


class Several:
    """Each host is a World. Their clocks run at the same rate, and show different times."""

    def __init__(self, names: str = "abc", app: str = "x") -> None:
        self.receiver = self._host("r", 0)
        self.hosts = {name: self._host(name, place) for place, name in enumerate(names, 1)}
        self.app = app
        self.holder = ""
        self.epoch = 0
        self.receiver.start_receiver()

    @staticmethod
    def _host(name: str, place: int) -> World:
        host = World(machine=machine_id(name), name=name, numbering=str(place) * 32)
        host.now += place * 71_000_000
        host.clock = (-1) ** place * place * 5 * HOURS
        return host

    @property
    def all(self) -> dict[str, World]:
        return {**self.hosts, "r": self.receiver}

    def wait(self, seconds: float) -> None:
        for host in self.all.values():
            host.wait(seconds)

    def sender(self, name: str = "") -> Sender:
        """The process of that host, or of the one that counts."""
        return self.hosts[name or self.holder].senders[self.app]

    def node(self, sender: Sender, name: str) -> str:
        return name if sender.role == "main" else f"{name}-failover"

    def stand_by(self, *names: str, role: str = "main") -> None:
        """A process starts there, and waits for the lease."""
        for name in names:
            self.hosts[name].start(self.app, role)
            self.wait(0.1)

    def take(self, name: str) -> None:
        """The process of that host takes the lease, is admitted, and counts."""
        sender = self.sender(name)
        self.epoch += 1
        sender.epoch, self.holder = self.epoch, name
        self.receiver.admit(sender, self.app, self.node(sender, name))
        self.count(2)

    def count(self, times: int = 1) -> None:
        node = self.node(self.sender(), self.holder)
        for _ in range(times):
            self.wait(1)
            number = self.receiver.counts.get(self.app, 0)
            self.receiver.print(self.app, node, number)
            self.receiver.counts[self.app] = number + 1

    def up(self) -> "Several":
        """All hosts have a process; the first one's counts from 0."""
        self.stand_by(*self.hosts)
        self.take(next(iter(self.hosts)))
        return self

    def power_cut(self, name: str) -> None:
        self.hosts[name].boot(clean=False)

    def half_ends(self, name: str, how: str = "signal") -> None:
        """A process ends; the other half of the host starts."""
        before = self.sender(name)
        self.hosts[name].exit(before, how)
        self.stand_by(name, role="failover" if before.role == "main" else "main")

    def entries(self, without: str = "") -> list[Fields]:
        """One host after the other, but for these."""
        return [
            entry
            for name, host in self.all.items()
            if name not in without
            for entry in host.entries
        ]


def interleaved(several: Several, choices: Sequence[int]) -> list[Fields]:
    """The entries of all hosts, each host's in their order, mixed as the numbers say."""
    left = [list(host.entries) for host in several.all.values()]
    mixed: list[Fields] = []
    place = 0
    while left := [entries for entries in left if entries]:
        choice = choices[place % len(choices)] if choices else 0
        place += 1
        chosen = left[choice % len(left)]
        for _ in range(1 + choice % 5):
            if chosen:
                mixed.append(chosen.pop(0))
    return mixed
