"""Sections about a machine that is full of other things: mounts, units, a journal, Apps.

What it takes must be what it takes on an empty machine, or nearly. Each size is measured in the
same boot as the size before, beside the bare script and the bare script in the senders' sandbox.
"""

import signal
from collections.abc import Callable, Iterable, Sequence

from tests.bench import floor
from tests.bench.figures import Figure
from tests.bench.probe import Line, Probe, now, sleep_until
from tests.bench.takeover import APP, UNIT, admitted, silence_of, start, stop, strike

MOUNTS = 0, 100, 500, 1000
UNITS = 0, 1000
JOURNAL = 0, 2048
"""MiB."""
APPS = 1, 100
MORE = 150.0
"""Milliseconds that a takeover, or a receiver's start, may take longer with all the mounts."""
RATIO = 1.15
"""How much longer with all the units, and with the journal."""
BEAT_KEPT = 1.2
AT_REST = 10.0
"""Seconds."""

_MOUNT = """\
mkdir -p /mnt/growth; mountpoint -q /mnt/growth || mount -t tmpfs none /mnt/growth
while [ "$(grep -c ' /mnt/growth/' /proc/self/mountinfo)" -lt {0} ]; do
    at=/mnt/growth/$(date +%N); mkdir $at; mount --bind $at $at
done
"""
_LOAD = """\
mkdir -p /run/systemd/system; cd /run/systemd/system
for i in $(seq {0}); do
    printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=true\\n' > growth$i.service
done
systemctl daemon-reload
for i in $(seq {0}); do echo growth$i.service; done | xargs -r -n 100 systemctl start
"""
_FILL = """\
mkdir -p /etc/systemd/journald.conf.d
cd /etc/systemd/journald.conf.d
printf '[Journal]\\nSystemMaxUse=4G\\nRateLimitBurst=0\\n' > growth.conf
systemctl restart systemd-journald
used() {{ du -sm /var/log/journal | cut -f1; }}
while [ "$(used)" -lt {0} ]; do head -c 48M /dev/urandom | base64 -w 900 | systemd-cat; done
journalctl --sync
"""
_START_APPS = "systemctl start $(seq -f 'sender@growth%g' 2 {0})"


def mounts(probe: Probe, kills: int) -> list[Figure]:
    """0, 100, 500, 1,000 more mounts."""
    return _grown(probe, "growth.mounts", MOUNTS, _MOUNT, kills, "more mounts")


def units(probe: Probe, kills: int) -> list[Figure]:
    """1,000 more units, all of them active."""
    return _grown(probe, "growth.units", UNITS, _LOAD, kills, "more units")


def journal(probe: Probe, kills: int) -> list[Figure]:
    """A journal of 2 GB."""
    return _grown(probe, "growth.journal", JOURNAL, _FILL, kills, "MiB more of journal")


def apps(probe: Probe, kills: int) -> list[Figure]:
    """100 Apps that count, of which one is killed."""
    return _grown(probe, "growth.apps", APPS, _START_APPS, kills, "Apps")


def _grown(
    probe: Probe, section: str, sizes: Sequence[int], command: str, kills: int, what: str
) -> list[Figure]:
    """All of it at each size, and what was asked of the sizes above the first."""
    floor.install(probe)
    found: list[Figure] = []
    bases: dict[str, float] = {}
    for size in sizes:
        if size:
            probe.machine.run(command.format(size))
        for name, values in _measured(probe, kills).items():
            asked = _asked(section, name, bases, size)
            bases.setdefault(name, sorted(values)[len(values) // 2])
            unit = {"CPU": "% of a core", "sil": "s"}.get(name[:3], "ms")
            judged = "worst" if unit == "s" else "median"
            label = f"{size} {what}: {name}"
            found.append(Figure(section, label, unit, tuple(values), asked, judged))
    return found


def _asked(section: str, name: str, bases: dict[str, float], size: int) -> float | None:
    if name.startswith("silence"):
        return BEAT_KEPT
    if not size or name not in bases or not name.startswith("SIGKILL"):
        return None
    return bases[name] + MORE if section == "growth.mounts" else bases[name] * RATIO


def _measured(probe: Probe, kills: int) -> dict[str, list[float]]:
    """Samples by name, at the size that the machine has."""
    found = {
        "floor, bare": _ms(floor.kills(probe, "floor", kills)),
        "floor, in the sandbox": _ms(floor.kills(probe, "boxed", kills)),
    }
    cursor = start(probe)
    faults = [strike(probe, signal.SIGKILL, index / kills) for index in range(kills)]
    sleep_until(now() + 1.5)
    struck = probe.lines(cursor)  # what follows is the receiver's
    receiver = [_receiver_killed(probe, cursor) for _ in range(kills)]
    used, begun = probe.cpu(), now()
    sleep_until(begun + AT_REST)
    at_rest = 100 * (probe.cpu() - used) / (now() - begun)
    lines = probe.lines(cursor)
    stop(probe)
    mine, of_the_kills = ([x for x in each if x.app == APP] for each in (lines, struck))
    return found | {
        "SIGKILL to READY": _ms(fault.ready - fault.at for fault in faults),
        "SIGKILL to connected": _ms(admitted(mine, fault) for fault in faults),
        "SIGKILL of the receiver to a count printed": _ms(at - killed for killed, at in receiver),
        "silence after a SIGKILL": [*silence_of(of_the_kills, [fault.at for fault in faults])],
        "silence after a SIGKILL of the receiver": silence_of(mine, [at for at, _ in receiver]),
        "CPU at rest": [at_rest],
        "a start of the App to its first count": _ms(_started(probe) for _ in range(kills)),
    }


def _receiver_killed(probe: Probe, cursor: str) -> tuple[float, float]:
    """When it was killed, just before a count was due, and when that count was printed."""
    at = probe.kill("receiver.service", signal.SIGKILL, probe.due(APP) + 0.97)
    sleep_until(at + 1.6)
    return at, next(x.at for x in _counts(probe, cursor) if x.at > at)


def _started(probe: Probe) -> float:
    cursor, at = probe.machine.cursor(), now()
    probe.machine.run(["systemctl", "start", UNIT["main"]])
    probe.wait(lambda: _counts(probe, cursor), 10, "the App counts")
    stop(probe)
    return _counts(probe, cursor)[0].at - at


def _counts(probe: Probe, cursor: str) -> list[Line]:
    return [line for line in probe.lines(cursor) if line.app == APP and line.count >= 0]


def _ms(seconds: Iterable[float]) -> list[float]:
    return [1000 * value for value in seconds]


SECTIONS: dict[str, Callable[[Probe, int], list[Figure]]] = {
    "growth.mounts": mounts,
    "growth.units": units,
    "growth.journal": journal,
    "growth.apps": apps,
}
