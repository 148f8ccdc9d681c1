"""make audit MINUTES=20 RELEASE=trixie|bookworm: audits of a journal that forgets all the time.

    python3 -m tests.chaos.audits --suite trixie --minutes 20 --seed 1

A journal of 8 MB that rotates all the time, ten Apps at 20 counts a second, an audit each minute
and whenever journald rotates; and at random kills, hangs, stops, hand-backs, reboots, power cuts.
At the end each App must be PROVEN from count 0 on, or the doubts must be named and true, by an
observer outside the journal (tests/lab/observer.py).
"""

from __future__ import annotations

import argparse
import random
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sendrecv.proof.chain.store import Chain
from tests.judges import outside
from tests.judges.checker import Line
from tests.lab import roots
from tests.lab.machine import DEB, HANG, TOP, Machine

APPS = tuple(f"app{number}" for number in range(10))
INTERVAL = 0.05
STATE = "/var/lib/sendrecv-audit"
OBSERVED = "/var/lib/observed"
UNSEEN_LIMIT = 0.05
"""Share of the counts that the observer may miss, at boots."""
BOOT = 0.5
"""Seconds without a line of an App, which a boot takes at least, and no batch."""
_LOST = re.compile("count ([0-9]+) was lost as the machine went down, and printed again")
_JOURNALD = """[Journal]
SystemMaxUse=8M
RuntimeMaxUse=8M
ForwardToSyslog=yes
MaxLevelSyslog=info
"""
_OBSERVER = f"""[Unit]
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target receiver.service
[Service]
Type=exec
ExecStartPre=-/bin/sh -c 'echo 10000 > /proc/sys/net/unix/max_dgram_qlen'
ExecStart=/usr/bin/python3 /usr/local/lib/observer.py {OBSERVED}
Restart=always
[Install]
WantedBy=sysinit.target
"""
_EACH_MINUTE = "[Timer]\nOnCalendar=\nOnCalendar=minutely\nAccuracySec=1s\n"


@dataclass
class Outcome:
    """audits: how many there were. faults: how many of each kind. counts: of all Apps, as the chain
    has them. doubts: those of each App. problems: what must not be.
    """

    audits: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    counts: int = 0
    doubts: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Arena:
    """The machine, and the faults that can be injected into it."""

    def __init__(self, machine: Machine, dice: random.Random) -> None:
        self.machine, self._dice = machine, dice
        self.faults: Mapping[str, Callable[[], None]] = {
            "kill": self._kill,
            "hang": lambda: self._signal("STOP"),
            "stop": lambda: self._systemctl("stop", f"{self._half()}@{self._app()}"),
            "hand back": lambda: self._systemctl("start", f"sender@{self._app()}"),
            "kill the receiver": lambda: self._systemctl("kill", "-sKILL", "receiver"),
            "restart the receiver": lambda: self._systemctl("restart", "receiver"),
            "restart journald": lambda: self._systemctl("restart", "systemd-journald"),
            "rotate": lambda: self._run("journalctl --rotate"),
            "kill the audit": lambda: self._systemctl("kill", "-sKILL", "sendrecv-audit"),
            "reboot": machine.reboot,
            "power cut": self._cut_power,
        }

    def furnish(self) -> None:
        """Install all, and let the Apps count."""
        machine = self.machine
        machine.install_deb(DEB)
        machine.put(TOP / "tests/lab/observer.py", "/usr/local/lib/observer.py")
        machine.write("/etc/systemd/journald.conf.d/small.conf", _JOURNALD)
        machine.write("/etc/systemd/system/observer.service", _OBSERVER)
        machine.write("/etc/systemd/system/sendrecv-audit.timer.d/minute.conf", _EACH_MINUTE)
        for app in APPS:
            machine.write(f"/etc/sendrecv/{app}.env", f"SENDRECV_INTERVAL={INTERVAL}\n")
        units = " ".join(f"sender@{app}" for app in APPS)
        machine.run(f"systemctl daemon-reload && systemctl -q enable observer {units}")
        # There is one file, as large as the limit, which the first rotation would remove.
        machine.run("systemctl restart systemd-journald; journalctl --rotate --vacuum-size=1")
        machine.reboot()

    def inject(self) -> str:
        """One fault, and a pause; returns which one it was."""
        names = [*self.faults]
        weights = [6, 2, 2, 3, 2, 2, 1, 2, 1, 0.5, 0.5]
        (name,) = self._dice.choices(names, weights)
        self.faults[name]()
        time.sleep(self._dice.uniform(0.0, 6.0))
        return name

    def _app(self) -> str:
        return self._dice.choice(APPS)

    def _half(self) -> str:
        return self._dice.choice(("sender", "sender-failover"))

    def _kill(self) -> None:
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        app = self._app()
        units = (f"sender@{app}", f"sender-failover@{app}")
        self._systemctl("kill", f"-s{name}", "--kill-whom=main", *units)

    def _systemctl(self, *words: str) -> None:
        self._run(["systemctl", *words])

    def _run(self, command: str | Sequence[str]) -> None:
        self.machine.run(command, check=False)

    def _cut_power(self) -> None:
        self.machine.power_cut()
        self.machine.boot()


def main() -> int:
    """Run it; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.audits", description=__doc__)
    parser.add_argument("--suite", choices=roots.RELEASES, default="trixie")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=None, help="default: at random, and printed")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    print(f"{options.suite}, {options.minutes:g} minutes, seed {seed}", flush=True)
    with Machine(options.suite) as machine:
        outcome = run(machine, options.minutes * 60, random.Random(seed))
    faults = ", ".join(f"{number} {name}" for name, number in sorted(outcome.faults.items()))
    print(f"{outcome.audits} audits, {outcome.counts} counts; {faults}")
    for app, doubts in outcome.doubts.items():
        print(f"{app}: INCONCLUSIVE for {len(doubts)} periods:")
        print("\n".join(f"  {text}" for text in doubts[:5]))
    print("\n".join(outcome.problems[:40]))
    return 1 if outcome.problems or not outcome.counts else 0


def run(machine: Machine, seconds: float, dice: random.Random) -> Outcome:
    """Inject for so long, and judge."""
    arena, outcome = Arena(machine, dice), Outcome()
    arena.furnish()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = arena.inject()
        outcome.faults[name] = outcome.faults.get(name, 0) + 1
    machine.run("systemctl stop 'sendrecv@*.target'", timeout=HANG)
    machine.run("journalctl --sync; systemctl reset-failed sendrecv-audit", check=False)
    # Not by its unit: a start while that runs waits for an audit that does not have the last lines.
    machine.run("sendrecv audit", check=False)
    with tempfile.TemporaryDirectory() as top:
        machine.run(f"tar -C {STATE} -cf /tmp/chain.tar .")
        machine.get("/tmp/chain.tar", Path(top) / "chain.tar")
        machine.get(OBSERVED, Path(top) / "observed")
        directory = Path(top) / "chain"
        directory.mkdir()
        subprocess.run(["tar", "-C", directory, "-xf", f"{top}/chain.tar"], check=True)
        chain = Chain.read(directory)
        log = (Path(top) / "observed").read_text("utf-8", "replace")
    if chain is None:
        outcome.problems.append("there is no chain")
        return outcome
    outcome.audits = chain.head.number
    for app in APPS:
        outcome.problems += judged(app, [*chain.lines(app)], outside.read(log), outcome)
    return outcome


def judged(
    app: str, lines: Sequence[Mapping[str, Any]], observed: outside.Observed, outcome: Outcome
) -> Iterator[str]:
    """What is wrong with the chain's word on that App, by the observer. Notes its figures."""
    seen = [line.count for line in observed.lines.get(app, ())]
    if not lines or not seen:
        yield f"{app}: the chain has {len(lines)} lines, and the observer {len(seen)} counts"
        return
    outcome.counts += sum(line["counts"] for line in lines)
    last = max(line["last"] or 0 for line in lines)
    if max(seen) > last:
        yield f"{app}: the chain ends with {last}, and the observer saw {max(seen)}"
    if len(set(seen)) < (1 - UNSEEN_LIMIT) * (max(seen) + 1):
        yield f"{app}: the observer saw {len(set(seen))} of {max(seen) + 1} counts"
    late = _after_a_boot(observed.lines[app]) if outcome.faults.get("power cut") else set()
    if fault := _fault(lines, last, len(seen) != len(set(seen)), late):
        yield f"{app}: {fault}"
    if lines[-1]["whole"] == "INCONCLUSIVE":
        outcome.doubts[app] = [one["text"] for line in lines for one in line.get("doubts", ())]


def _after_a_boot(lines: Sequence[Line]) -> set[int]:
    """The counts that may be the first ones after a boot: the observer saw nothing for so long
    before them. A receiver prints what a power cut has kept the one before from printing within the
    same moment.
    """
    found, began = set[int](), float("-inf")
    for before, line in zip(lines, lines[1:], strict=False):
        if line.at - before.at > BOOT:
            began = line.at
        if line.at - began < BOOT:
            found.add(line.count)
    return found


def _fault(
    lines: Sequence[Mapping[str, Any]], last: int, is_twice: bool, late: Container[int]
) -> str:
    """What is wrong with the last verdict. is_twice: whether the observer saw a count twice. late:
    the counts that a receiver may have printed for one that lost its power.
    """
    counts = sum(line["counts"] for line in lines)
    status = lines[-1]["whole"]
    if status == "VIOLATED":
        found = [one["text"] for line in lines for one in line.get("witnesses", ())]
        return "" if is_twice else f"VIOLATED, and the observer saw nothing of it: {found[:3]}"
    if status == "PROVEN":
        is_all = counts == last + 1 and lines[0]["first"] == 0
        said = f"PROVEN, with {counts} counts, {lines[0]['first']} to {last}; twice: {is_twice}"
        return "" if is_all and not is_twice else said
    doubts = [one["text"] for line in lines for one in line.get("doubts", ())]
    if not doubts:
        return "INCONCLUSIVE, and no line names a doubt"
    cut = [int(match[1]) for text in doubts if (match := _LOST.match(text))]
    is_true = counts < last + 1 or any("missing" in text or "gone" in text for text in doubts)
    is_true = is_true or (len(cut) == len(doubts) and all(count in late for count in cut))
    return "" if is_true else f"INCONCLUSIVE, and nothing is missing: {doubts[:3]}"


if __name__ == "__main__":
    sys.exit(main())
