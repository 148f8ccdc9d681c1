"""Sections about a host that lives: a process dies there, or the App leaves on purpose."""

import os
import signal
from collections.abc import Callable, Mapping

from tests.bench.figures import Figure
from tests.bench.hosts.reception import Reception, Taken
from tests.bench.hosts.scene import (
    APP,
    Scene,
    admitted,
    booted,
    repeated,
    silence,
    stays,
)
from tests.bench.probe import Probe
from tests.lab.etcd import Etcd
from tests.lab.hosts import units
from tests.lab.machine import DEB, Machine

BEAT_KEPT = 1.1
MORE = 25.0
"""Milliseconds that a takeover may take longer than on a single machine."""
PLANNED = 150.0, 1.15
"""Milliseconds to the successor admitted, seconds of silence."""
UNDISTURBED = 0.5
WATCHDOG = 1.3
"""Seconds: WatchdogSec= of the senders."""


def process(releases: Mapping[str, str], kills: int) -> list[Figure]:
    """SIGKILL, a crash, a hang; in turn on several hosts and on a single machine."""
    figures: list[Figure] = []
    with booted(releases, Etcd()) as scene, Machine(releases["a"]) as machine:
        machine.install_deb(DEB)
        machine.run(["systemctl", "start", f"sender@{APP}"])
        alone = Reception(machine, APP)
        scene.settle()
        for name, number in (
            ("SIGKILL", signal.SIGKILL),
            ("SIGSEGV", signal.SIGSEGV),
            ("SIGSTOP", signal.SIGSTOP),
        ):
            quiet = UNDISTURBED + (WATCHDOG if number == signal.SIGSTOP else 0.0)
            single, several = [], []
            for index in range(kills):
                phase = index / kills
                single.append(_signalled(alone, machine, number, phase, quiet))
                host = scene[scene.holder]
                several.append(_signalled(scene.reception, host, number, phase, quiet))
            figures += _compared(name, single, several)
        alone.check()
    return figures


def _signalled(
    reception: Reception, machine: Machine, number: signal.Signals, phase: float, quiet: float
) -> Taken:
    """The signal to the process of that machine that counts."""
    main, failover = units(APP)
    is_main = not reception.newest().node.endswith("failover")
    pid = Probe(machine).host_pid(main if is_main else failover)
    return reception.struck(lambda: os.kill(pid, number), phase, quiet=quiet, moves=True)


def _compared(name: str, single: list[Taken], several: list[Taken]) -> list[Figure]:
    section = "hosts.process"
    hangs = name == "SIGSTOP"
    alone = admitted(section, f"{name}, on a single machine", "ms", single, None, "median")
    asked = alone.median + MORE
    return [
        alone,
        admitted(section, name, "ms", several, asked, "median"),
        silence(section, name, several, None if hangs else BEAT_KEPT),
        stays(section, name, several, 100),
    ]


def moved(releases: Mapping[str, str], kills: int) -> list[Figure]:
    """`sendrecv move`, the stop of the App on the host that counts, reboot and shutdown of it."""
    figures: list[Figure] = []
    with booted(releases, Etcd()) as scene:
        for name, act, repair in (
            ("systemctl stop of the target", _stop_target, _start),
            ("reboot", _reboot, _nothing),
            ("shutdown", _shut_down, _boot),
            ("sendrecv move", _move, _nothing),
        ):
            found = _left(scene, kills, act, repair)
            milliseconds, seconds = PLANNED
            figures += [
                admitted("hosts.moved", name, "ms", found, milliseconds, "worst"),
                silence("hosts.moved", name, found, seconds),
            ]
    return figures


Act = Callable[[Scene, str], None]


def _left(scene: Scene, kills: int, act: Act, repair: Act) -> list[Taken]:
    """The App leaves its host. In every second case, that host has etcd's leader."""

    def once(index: int, phase: float) -> Taken:
        scene.settle()
        name = scene.holder
        scene.settle(leader=[name, scene.others(name)[0]][index % 2])
        found = scene.reception.struck(
            lambda: act(scene, name), phase, quiet=UNDISTURBED, moves=True
        )
        repair(scene, name)
        return found

    return repeated(kills, once)


def _move(scene: Scene, name: str) -> None:
    scene[name].run(["sendrecv", "move", APP, scene.others(name)[0]])


def _stop_target(scene: Scene, name: str) -> None:
    scene[name].run(["systemctl", "stop", f"sendrecv@{APP}.target"])


def _start(scene: Scene, name: str) -> None:
    scene[name].run(["systemctl", "start", f"sender@{APP}"])


def _reboot(scene: Scene, name: str) -> None:
    scene[name].reboot()


def _shut_down(scene: Scene, name: str) -> None:
    scene[name].poweroff()


def _boot(scene: Scene, name: str) -> None:
    scene[name].boot()


def _nothing(_scene: Scene, _name: str) -> None:
    pass
