"""Sections about a host that is lost: power, kernel or link; with and without etcd's leader."""

from collections.abc import Callable, Mapping, Sequence

from tests.bench.figures import Figure
from tests.bench.hosts.floor import Floor
from tests.bench.hosts.reception import Taken
from tests.bench.hosts.scene import LEASE, Scene, admitted, booted, repeated, silence
from tests.lab.cluster import Cluster
from tests.lab.etcd import Etcd

Fault = Callable[[Cluster, str], object]
FAULTS: dict[str, Fault] = {
    "power cut": Cluster.power_cut,
    "frozen": Cluster.freeze,
    "link cut": Cluster.cut,
}


def lost(releases: Mapping[str, str], kills: int) -> list[Figure]:
    """The host that counts, while another host is etcd's leader; then both at once."""
    figures: list[Figure] = []
    with booted(releases, Etcd()) as scene:
        losses = _Losses(scene, LEASE)
        for name, fault in FAULTS.items():
            found, bare = losses.repeat(kills, [fault], with_leader=False)
            figures += _figures("hosts.lost", name, found, bare, (LEASE + 0.2, 3.3))
        found, bare = losses.repeat(kills, list(FAULTS.values()), with_leader=True)
        both = "host and etcd's leader"
        figures += _both("hosts.lost", both, found, bare, (LEASE + 0.5, LEASE + 1.5))
    return figures


def short(releases: Mapping[str, str], kills: int) -> list[Figure]:
    """The same with a lease of 1 s, and etcd with a heartbeat of 50 and an election of 500 ms."""
    faults = list(FAULTS.values())
    with booted(releases, Etcd(heartbeat=50, election=500), "SENDRECV_LEASE=1") as scene:
        losses = _Losses(scene, 1.0)
        found, bare = losses.repeat(kills, faults, with_leader=False)
        figures = _figures("hosts.short", "lease 1 s: host", found, bare, (1.2, None))
        found, bare = losses.repeat(kills, faults, with_leader=True)
        both = "lease 1 s: host and leader"
        return figures + _both("hosts.short", both, found, bare, (1.3, 2.0))


class _Losses:
    """Loses the host that counts, again and again; the bare lease is held there too."""

    def __init__(self, scene: Scene, lease: float) -> None:
        self._scene = scene
        self._lease = lease
        self._floor = Floor(scene.hosts, lease)

    def repeat(
        self, number: int, faults: Sequence[Fault], *, with_leader: bool
    ) -> tuple[list[Taken], list[float]]:
        """What the faults, in turn, did to the App; and the floor, in seconds."""
        bare: list[float] = []

        def once(index: int, phase: float) -> Taken:
            found, floor = self._once(faults[index % len(faults)], phase, with_leader)
            bare.append(floor)
            return found

        return repeated(number, once), bare

    def _once(self, fault: Fault, phase: float, with_leader: bool) -> tuple[Taken, float]:
        scene = self._scene
        scene.settle()
        name = scene.holder
        scene.settle(leader=name if with_leader else scene.others(name)[0])
        self._floor.place(name)
        found = scene.reception.struck(
            lambda: fault(scene.cluster, name), phase, quiet=self._lease * 0.7, moves=True
        )
        floor = self._floor.taken(found.at) - found.at
        scene.cluster.repair()
        return found, floor


def _figures(
    section: str,
    name: str,
    found: Sequence[Taken],
    bare: Sequence[float],
    asked: tuple[float, float | None],
) -> list[Figure]:
    floor = Figure(section, f"{name}, floor: the bare lease", "s", tuple(bare))
    ours = admitted(section, name, "s", found, asked[0], "worst")
    return [floor, ours.over(floor.median), silence(section, name, found, asked[1])]


def _both(
    section: str,
    name: str,
    found: Sequence[Taken],
    bare: Sequence[float],
    asked: tuple[float, float],
) -> list[Figure]:
    """`asked`: the median, and the worst."""
    median, worst = asked
    floor, ours, silent = _figures(section, name, found, bare, (worst, None))
    half = admitted(section, name, "s", found, median, "median")
    return [floor, half.over(floor.median), ours, silent]
