"""Four busy loops a core for minutes: nobody may take a slow process for one that hangs.

python3 -m tests.chaos.starve --suite trixie --minutes 5
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.judges import checker
from tests.lab import roots
from tests.lab.machine import Machine
from tests.system.app import FIELDS

APPS = ("main", "billing", "orders")
LOOPS_PER_CORE = 4
WATCHDOG = "Watchdog timeout"


def starve(machine: Machine, seconds: float) -> tuple[checker.Verdict, list[str]]:
    """Starts the Apps, starves them. The verdict, and what went wrong, apart from its faults."""
    units = [f"sender@{app}" for app in APPS]
    machine.run(["systemctl", "start", *units])
    loops = LOOPS_PER_CORE * (os.cpu_count() or 1)
    script = f"for i in $(seq {loops}); do (while :; do :; done) & done; wait"
    machine.run(["systemd-run", "-q", "--unit=starve", "sh", "-c", script])
    time.sleep(seconds)
    busy = machine.run("systemctl is-active starve", check=False).stdout
    machine.run("systemctl stop starve")
    time.sleep(1.5)
    entries = machine.journal(fields=FIELDS)
    verdict = checker.check(entries)
    wrong = [] if busy.startswith("active") else ["the busy loops did not last"]
    for app in APPS:
        runs = verdict.runs.get(app, ())
        if [run.unit for run in runs] != [f"sender@{app}.service"]:
            wrong.append(f"{app}: runs of {', '.join(run.unit for run in runs) or 'nobody'}")
        if len(verdict.lines.get(app, ())) < seconds / 2:
            wrong.append(f"{app}: {len(verdict.lines.get(app, ()))} counts in {seconds:.0f} s")
    wrong += [str(e["MESSAGE"]) for e in entries if WATCHDOG in str(e.get("MESSAGE"))]
    return verdict, wrong


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
