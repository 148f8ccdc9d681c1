"""Sections about silence: how long nobody counts when something is killed, hangs, or is stopped."""

import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench import floor
from tests.bench.figures import Figure, silences
from tests.bench.probe import Line, Probe, now, sleep_until
from tests.lab.paths import TOP

APP = "bench"
UNIT = {"main": f"sender@{APP}.service", "failover": f"sender-failover@{APP}.service"}
OTHER = {"main": "failover", "failover": "main"}
BEAT_KEPT = 1.1
WATCHDOG_MARGIN = 0.15
SANDBOX = {
    "mounts": (
        *("BindPaths", "BindReadOnlyPaths", "MountAPIVFS", "RootDirectory"),
        *("PrivateIPC", "ProcSubset", "ProtectProc"),
    ),
    "system call filters": (
        *("LockPersonality", "MemoryDenyWriteExecute", "RestrictAddressFamilies"),
        *("RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
        *("SystemCallArchitectures", "SystemCallErrorNumber", "SystemCallFilter"),
    ),
    "user namespace": ("PrivateUsers",),
}
"""Directives of the senders' units, by what they are made of."""


@dataclass(frozen=True)
class Fault:
    """Something done to the half `node` at `at`; its successor was READY at `ready`."""

    at: float
    node: str
    ready: float


def start(probe: Probe) -> str:
    """Starts the App; returns the journal's cursor from before, once it counts."""
    cursor = probe.machine.cursor()
    probe.machine.run(["systemctl", "start", UNIT["main"]])
    probe.wait(lambda: len(probe.lines(cursor)) > 2, 10, "the App counts")
    return cursor


def stop(probe: Probe) -> None:
    """Stops the App, both halves."""
    probe.machine.run(["systemctl", "stop", f"sendrecv@{APP}.target"])


def takeover(probe: Probe, kills: int) -> list[Figure]:
    """SIGKILL: to READY, to admitted by the receiver, to the first count; and the floors."""
    floor.install(probe)
    bare = floor.kills(probe, "floor", kills // 2)
    boxed = floor.kills(probe, "boxed", kills // 2)
    cursor = start(probe)
    # One half just before a count is due, so that the successor has one to send as soon as it can.
    faults = [strike(probe, signal.SIGKILL, 0.999) for _ in range(kills // 2)]
    # The other evenly over the beat.
    spread = [strike(probe, signal.SIGKILL, index / kills) for index in range(kills)]
    stop(probe)
    lines = probe.lines(cursor)
    up = [admitted(lines, fault) for fault in [*faults, *spread]]
    counted = [first_count(lines, fault) - fault.at for fault in faults]
    everything = [
        Figure("takeover", "floor: SIGKILL to READY, bare", "ms", _ms(bare)),
        Figure("takeover", "floor: the same in the sandbox", "ms", _ms(boxed)),
        Figure("takeover", "SIGKILL to READY", "ms", _ms(f.ready - f.at for f in faults + spread)),
        Figure("takeover", "SIGKILL to READY and connected", "ms", _ms(up), 65),
        Figure("takeover", "SIGKILL to a count printed", "ms", _ms(counted)),
    ]
    base = everything[0].median
    return [
        *(everything[:1]),
        *(_with_floor(figure, base) for figure in everything[1:]),
        _silence("takeover", "SIGKILL", lines, [fault.at for fault in spread], BEAT_KEPT),
    ]


def sandbox(probe: Probe, kills: int) -> list[Figure]:
    """What the parts of the sandbox take: the floor in the sandbox, without each of them."""
    names = {f"lacks{number}": part for number, part in enumerate(SANDBOX)}
    floor.install(probe, {name: SANDBOX[part] for name, part in names.items()})
    labels = {"floor": "without all of it", "boxed": "the whole sandbox"}
    labels |= {name: f"without its {part}" for name, part in names.items()}
    return [
        Figure("sandbox", f"SIGKILL to READY, {label}", "ms", _ms(floor.kills(probe, name, kills)))
        for name, label in labels.items()
    ]


def _with_floor(figure: Figure, base: float) -> Figure:
    ratio = 1.8 if figure.asked else None
    return Figure(**{**vars(figure), "floor": base, "at_most_ratio": ratio})


def hang(probe: Probe, kills: int) -> list[Figure]:
    """SIGSTOP, spread over the beat."""
    cursor = start(probe)
    watchdog = _seconds(probe.machine.show(UNIT["main"], "WatchdogUSec"))
    number = max(kills // 5, 5)
    faults = [strike(probe, signal.SIGSTOP, index / number) for index in range(number)]
    stop(probe)
    lines = probe.lines(cursor)
    asked = min(watchdog + WATCHDOG_MARGIN, 1.5)
    up = tuple(admitted(lines, fault) for fault in faults)
    worst = Figure("hang", "SIGSTOP to READY and connected", "s", up, asked, "worst")
    return [worst, _silence("hang", "SIGSTOP", lines, [f.at for f in faults], None)]


def planned(probe: Probe, kills: int) -> list[Figure]:
    """Stop of main, hand-back, upgrade of the package."""
    number = max(kills // 5, 5)
    acts: list[tuple[str, Callable[[], object]]] = [
        ("stop of main", lambda: probe.machine.run(["systemctl", "stop", UNIT["main"]])),
        ("hand-back", lambda: probe.machine.run(["systemctl", "start", UNIT["main"]])),
    ]
    figures = _acts(probe, "planned", acts, number, BEAT_KEPT)
    upgrade: list[tuple[str, Callable[[], object]]] = [
        ("upgrade", probe.machine.install_deb),
    ]
    return [*figures, *_acts(probe, "planned", upgrade, max(number // 4, 2), BEAT_KEPT)]


def receiver(probe: Probe, kills: int) -> list[Figure]:
    """The receiver killed, restarted, hung; and killed while others flood the journal."""
    number = max(kills // 5, 5)
    unit = "receiver.service"
    figures: list[Figure] = []
    for name, act, asked in (
        ("receiver SIGKILL", lambda: probe.kill(unit, signal.SIGKILL), 1.15),
        ("receiver restart", lambda: probe.machine.run(["systemctl", "restart", unit]), 1.15),
        ("receiver SIGSTOP", lambda: probe.kill(unit, signal.SIGSTOP), 2.5),
    ):
        figures += _acts(probe, "receiver", [(name, act)], number, asked)
    probe.machine.put(TOP / "tests/lab/flood.py", "/opt/flood.py")
    flood = "systemd-run -q --collect --uid=nobody --unit=flood{} python3 /opt/flood.py"
    in_a_flood: list[tuple[str, Callable[[], object]]] = [
        ("a flood begins", lambda: probe.machine.run("; ".join(map(flood.format, range(3))))),
        ("receiver SIGKILL in it", lambda: probe.kill(unit, signal.SIGKILL)),
        ("the flood's end", lambda: probe.machine.run("systemctl stop 'flood*'")),
    ]
    return figures + _acts(probe, "receiver", in_a_flood, number, 2.0)


def _acts(
    probe: Probe,
    section: str,
    acts: Sequence[tuple[str, Callable[[], object]]],
    number: int,
    asked: float,
) -> list[Figure]:
    """Does them in turn, `number` times each, spread over the beat."""
    cursor = start(probe)
    times: dict[str, list[float]] = {name: [] for name, _ in acts}
    for index in range(number):
        for name, act in acts:
            sleep_until(probe.due(APP) + index / number)
            times[name].append(now())
            act()
            sleep_until(max(now(), times[name][-1]) + 2.6)
    stop(probe)
    lines = probe.lines(cursor)
    faults = sorted(at for row in times.values() for at in row)
    found = dict(zip(faults, silences(_times(lines), faults), strict=True))
    return [
        Figure(section, name, "s", tuple(found[at] for at in row), asked, "worst", silence=True)
        for name, row in times.items()
    ]


def strike(probe: Probe, number: signal.Signals, phase: float) -> Fault:
    """A signal to the half that counts, `phase` seconds after a count of its own is due."""
    node = str(probe.record(APP)["node_id"])
    due = probe.due(APP)
    at = due + phase - (1 if due + phase - now() > 1.3 else 0)
    at = probe.kill(UNIT[node], number, at)
    ready = probe.ready(UNIT[OTHER[node]], at)
    probe.wait(lambda: probe.due(APP) > at + 1, 10, "the successor counts")
    sleep_until(max(probe.due(APP) - 0.6, now() + 0.1))
    return Fault(at, node, ready)


def admitted(lines: Sequence[Line], fault: Fault) -> float:
    """Seconds from the fault to the later of READY and the receiver's word on the successor."""
    other = OTHER[fault.node]
    session = next(x.at for x in lines if x.count < 0 and x.at > fault.at and x.node == other)
    return max(session, fault.ready) - fault.at


def first_count(lines: Sequence[Line], fault: Fault) -> float:
    """When the successor's first count was printed."""
    other = OTHER[fault.node]
    return next(x.at for x in lines if x.count >= 0 and x.at > fault.at and x.node == other)


def _silence(
    section: str, name: str, lines: Sequence[Line], faults: Sequence[float], asked: float | None
) -> Figure:
    found = tuple(silence_of(lines, faults))
    return Figure(section, name, "s", found, asked, "worst", silence=True)


def silence_of(lines: Sequence[Line], faults: Sequence[float]) -> list[float]:
    """Seconds between the counts before and after each fault."""
    return silences(_times(lines), faults)


def _times(lines: Sequence[Line]) -> list[float]:
    return [line.at for line in lines if line.count >= 0]


def _ms(seconds: Iterable[float]) -> tuple[float, ...]:
    return tuple(1000 * value for value in seconds)


def _seconds(text: str) -> float:
    """What systemctl shows of a *USec property, such as "1.300s"."""
    return float(text.removesuffix("s"))
