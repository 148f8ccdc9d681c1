"""The hosts on which an App is measured: who counts, who stands by, which etcd is the leader."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from tests.bench.figures import Figure
from tests.bench.hosts.reception import Reception, Taken
from tests.lab.etcd import Etcd
from tests.lab.hosts import Hosts, host_of
from tests.lab.machine import Machine

APP = "bench"
MEMBERS = ("a", "b", "c")
LEASE = 2.0
"""Seconds: the default of SENDRECV_LEASE."""
MIXED = {"a": "bookworm", "b": "trixie", "c": "bookworm", "r": "trixie"}
"""The releases of a mixed cluster."""


class Scene:
    """Three hosts with etcd, a receiver's, and an App that counts."""

    def __init__(self, hosts: Hosts, settings: str = "") -> None:
        """`settings`: lines of the App's settings file."""
        self.hosts = hosts
        self.cluster = hosts.cluster
        hosts.add(APP, settings)
        for name in MEMBERS:
            hosts[name].run(["systemctl", "enable", "-q", f"sender@{APP}"])
        self.reception = Reception(hosts.receiver, APP)

    def __getitem__(self, name: str) -> Machine:
        return self.hosts[name]

    @property
    def holder(self) -> str:
        """The host that counts, by the receiver's last line."""
        self.reception.wait(lambda: self.reception.counts, "the first count")
        return host_of(self.reception.counts[-1].node)

    def others(self, name: str) -> list[str]:
        """The members but this one."""
        return [other for other in MEMBERS if other != name]

    def settle(self, *, leader: str = "") -> None:
        """Waits until the next fault may come: etcd is whole, and all other hosts stand by.

        `leader`: which member is to be etcd's leader then; "": any.
        """
        self.cluster.wait_healthy()
        if leader:
            self.cluster.move_leader(leader)
        holder = self.holder
        for name in self.others(holder):
            what = f"{name} stands by for {holder}"
            self[name].wait_until(partial(self._stands_by, name, holder), what)

    def _stands_by(self, name: str, holder: str) -> bool:
        return f"standing by, {holder} " in self.hosts.status(APP, name)


@contextlib.contextmanager
def booted(releases: Mapping[str, str], etcd: Etcd, settings: str = "") -> Iterator[Scene]:
    """The scene, as long as the context lasts. At the end, each count must have come once."""
    with Hosts(releases, etcd=etcd) as hosts:
        scene = Scene(hosts, settings)
        yield scene
        scene.reception.update()
        scene.reception.check()


def repeated(number: int, once: Callable[[int, float], Taken]) -> list[Taken]:
    """Does it so many times, with its number and a phase of the beat."""
    return [once(index, index / number) for index in range(number)]


def admitted(
    section: str, name: str, unit: str, found: Sequence[Taken], asked: float | None, judged: str
) -> Figure:
    """The times from the fault to the successor's session. `unit`: s or ms."""
    many = 1000 if unit == "ms" else 1
    values = tuple(many * one.admitted for one in found if one.admitted is not None)
    return Figure(section, f"{name}, admitted", unit, values, asked, judged)


def silence(section: str, name: str, found: Sequence[Taken], asked: float | None) -> Figure:
    """The silences."""
    values = tuple(one.silence for one in found)
    return Figure(section, f"{name}, silence", "s", values, asked, "worst", silence=True)


def stays(section: str, name: str, found: Sequence[Taken], asked: float) -> Figure:
    """How often the App stayed on its host."""
    share = 100 * sum(one.stayed for one in found) / len(found)
    return Figure(section, f"{name}: the App stays, of {len(found)}", "%", (share,), asked)
