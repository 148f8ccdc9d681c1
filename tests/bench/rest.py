"""Section about what a second costs while all is well: whose CPU it is."""

from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.pairs import SETTLE, lateness
from tests.bench.probe import Probe, now, sleep_until

PAIRS = 100
SECONDS = 60.0


def rest(probe: Probe, kills: int) -> list[Figure]:
    """100 pairs: the CPU of each part of the machine, and of a count."""
    probe.machine.run(f"systemctl start $(seq -f 'sender@rest%g' {PAIRS})")
    sleep_until(now() + SETTLE)
    cursor, before, begun = probe.machine.cursor(), _parts(probe), now()
    sleep_until(begun + min(SECONDS, kills))
    after, took = _parts(probe), now() - begun
    lines = probe.lines(cursor)
    counts = sum(line.count >= 0 for line in lines)
    used = {name: after[name] - seconds for name, seconds in before.items()}
    found = [
        Figure("rest", f"{PAIRS} pairs: {name}", "% of a core", (100 * seconds / took,))
        for name, seconds in used.items()
    ]
    found += [
        Figure("rest", f"of a count: {name}", "ms", (1000 * used[name] / counts,))
        for name in ("receiver", "senders")
    ]
    late = tuple(lateness(lines))
    return [*found, Figure("rest", f"{PAIRS} pairs: lines late by", "ms", late, None, "p99")]


def _parts(probe: Probe) -> dict[str, float]:
    """Seconds of CPU until now. A run of the guard leaves no cgroup, but counts in its slice's."""
    top = probe.group("")
    ours, system = top / "sendrecv.slice", top / "system.slice"
    receiver = _used(ours / "receiver.service")
    units = [group for group in system.iterdir() if group.is_dir() and "guard" not in group.name]
    return {
        "all": _used(top),
        "receiver": receiver,
        "senders": _used(ours) - receiver,
        "PID 1": _used(top / "init.scope"),
        "journald": _used(system / "systemd-journald.service"),
        "guard": _used(system) - sum(map(_used, units)),
    }


def _used(group: Path) -> float:
    text = (group / "cpu.stat").read_text(encoding="ascii")
    return int(text.split()[1]) / 1e6
