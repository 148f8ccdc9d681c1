"""Sections about etcd: its leader lost elsewhere, a member restarted, no majority."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.bench.figures import Figure
from tests.bench.hosts.floor import Answers
from tests.bench.hosts.living import BEAT_KEPT
from tests.bench.hosts.reception import Taken
from tests.bench.hosts.scene import MEMBERS, Scene, booted, repeated, silence, stays
from tests.bench.probe import now
from tests.lab.etcd import Etcd

ELECTION = 3.0
"""Seconds in which an election is over; a lease of another host would be, too."""
OUTAGE = 4.0
"""Seconds without a majority: twice the lease."""
STAYS = 95.0
"""Percent: 19 of 20."""
SILENCE = 2.5


def member(releases: Mapping[str, str], kills: int) -> list[Figure]:
    """Another host is lost, which is etcd's leader; and each etcd is restarted, also the leader."""
    with booted(releases, Etcd()) as scene:
        leader = repeated(kills, partial(_leader, scene))
        restarted = repeated(kills, partial(_restarted, scene))
    section = "hosts.member"
    return [
        stays(section, "etcd's leader lost elsewhere", leader, STAYS),
        silence(section, "etcd's leader lost elsewhere", leader, SILENCE),
        stays(section, "an etcd restarted", restarted, STAYS),
        silence(section, "an etcd restarted", restarted, SILENCE),
    ]


def _leader(scene: Scene, index: int, phase: float) -> Taken:
    scene.settle()
    name = scene.others(scene.holder)[index % 2]
    scene.settle(leader=name)
    found = scene.reception.struck(
        lambda: scene.cluster.power_cut(name), phase, moves=False, window=ELECTION
    )
    scene.cluster.repair()
    return found


def _restarted(scene: Scene, index: int, phase: float) -> Taken:
    name = MEMBERS[index % 3]
    scene.settle(leader=MEMBERS[index // 3 % 3])
    command = ["systemctl", "restart", "--no-block", "etcd"]
    return scene.reception.struck(
        lambda: scene[name].run(command), phase, moves=False, window=ELECTION
    )


def majority(releases: Mapping[str, str], kills: int) -> list[Figure]:
    """Two of three etcds are stopped and started again; with both settings of an outage."""
    with booted(releases, Etcd()) as scene:
        answers = Answers(scene.hosts)
        pairs = [_outage(scene, answers, index, index / kills) for index in range(kills)]
    back = tuple(after for _, after in pairs)
    with booted(releases, Etcd(), "SENDRECV_ETCD_OUTAGE=continue") as scene:
        answers = Answers(scene.hosts)
        found = [_outage(scene, answers, index, index / kills)[0] for index in range(kills)]
    name, section = "no majority", "hosts.majority"
    return [
        Figure(section, f"{name}, stop: from its return to a count", "s", back, 1.0, "worst"),
        silence(section, f"{name} for {OUTAGE:g} s, stop", [one for one, _ in pairs], None),
        silence(section, f"{name} for {OUTAGE:g} s, continue", found, BEAT_KEPT),
        stays(section, f"{name}, continue", found, 100),
    ]


def _outage(scene: Scene, answers: Answers, index: int, phase: float) -> tuple[Taken, float]:
    """Seconds from etcd's return to the next count, too."""
    scene.settle()
    names = [MEMBERS[(index + more) % 3] for more in range(2)]
    ends: list[float] = []

    def act() -> None:
        _each(names, lambda name: scene[name].run(["systemctl", "stop", "etcd"]))
        time.sleep(OUTAGE)
        ends.append(now())
        _each(names, lambda name: scene[name].run(["systemctl", "start", "--no-block", "etcd"]))

    found = scene.reception.struck(act, phase, moves=False, window=OUTAGE + ELECTION)
    first = scene.reception.next_after(ends[0])
    return found, max(first - answers.returned(ends[0]), 0.0)


def _each(names: list[str], act: Callable[[str], object]) -> None:
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(act, names))
