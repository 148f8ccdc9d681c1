"""Four busy loops a core for minutes: nobody may take a slow process for one that hangs.

python3 -m tests.chaos.starve --suite trixie --minutes 5
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence

from tests.judges import checker
from tests.lab import roots
from tests.lab.machine import Machine
from tests.lab.probe import BEAT, SENT, Probe
from tests.system.app import FIELDS

APPS = ("main", "billing", "orders")
LOOPS_PER_CORE = 4
WATCHDOG = "Watchdog timeout"

WATCHDOG_SECONDS = 1.3
"""WatchdogSec= of a sender."""


def starve(machine: Machine, seconds: float) -> tuple[checker.Verdict, list[str]]:
    """Starts the Apps, starves them. The verdict, and what went wrong, apart from its faults."""
    machine.run(["systemctl", "start", *(f"sender@{app}" for app in APPS)])
    loops = LOOPS_PER_CORE * (os.cpu_count() or 1)
    script = f"for i in $(seq {loops}); do (while :; do :; done) & done; wait"
    machine.run(["systemd-run", "-q", "--unit=starve", "sh", "-c", script])
    probe = Probe(machine)
    time.sleep(seconds)
    busy = machine.run("systemctl is-active starve", check=False).stdout
    beats = probe.stop()
    machine.run("systemctl stop starve; journalctl --sync")
    entries = machine.journal(fields=[*FIELDS, SENT])
    verdict = checker.check(entries)
    wrong = [] if busy == "active\n" else ["the busy loops did not last"]
    kills = [entry for entry in entries if WATCHDOG in str(entry.get("MESSAGE"))]
    excused = [kill for kill in kills if beats.excuse(kill, WATCHDOG_SECONDS)]
    wrong += [str(kill["MESSAGE"]) for kill in kills if kill not in excused]
    for app in APPS:
        takeovers = sum(f"@{app}." in str(kill.get("UNIT")) for kill in excused)
        wrong += _judge(app, verdict, takeovers, len(beats))
    return verdict, wrong


def _judge(app: str, verdict: checker.Verdict, takeovers: int, beats: int) -> Iterator[str]:
    """Whether the App ran as often as it had to, and counted."""
    runs = [run.unit for run in verdict.runs.get(app, ())]
    if len(runs) != 1 + takeovers:
        yield f"{app}: runs of {', '.join(runs) or 'nobody'}"
    # It counts once a second: half of what is due, by the probe's idea of a second.
    if (counts := len(verdict.lines.get(app, ()))) < beats * BEAT / 2:
        yield f"{app}: {counts} counts in {beats} beats of {BEAT} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every App stayed with main."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.starve", description=__doc__)
    parser.add_argument("--suite", choices=roots.RELEASES, default="trixie")
    parser.add_argument("--minutes", type=float, default=5.0)
    given = parser.parse_args(arguments)
    with Machine(given.suite) as machine:
        machine.install_deb()
        verdict, wrong = starve(machine, given.minutes * 60)
    worst = max(verdict.silences(app)[0].seconds for app in APPS)
    print(f"{given.suite}, {given.minutes:g} minutes: {verdict}; worst silence {worst:.2f} s")
    for text in wrong:
        print(text)
    return 1 if wrong or verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
