"""Four busy loops a core for minutes: nobody may take a slow process for one that hangs.

python3 -m tests.chaos.starve --suite trixie --minutes 5
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence

from tests.judges import checker
from tests.lab import roots
from tests.lab.machine import Machine
from tests.system.app import FIELDS

APPS = ("main", "billing", "orders")
LOOPS_PER_CORE = 4
WATCHDOG = "Watchdog timeout"

WATCHDOG_SECONDS = 1.3
"""WatchdogSec= of a sender."""
PERIOD, LATE = 1.0, 0.25
"""Seconds between two pings of a sender, and how much later than that the watchdog may kill it:
pings are up to 1.04 s apart."""
PROBE = f"""
import json, signal, time
going = True
def stop(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
beats, late = 0, []
while going:
    begin = time.monotonic()
    time.sleep({PERIOD})
    beats += 1
    if time.monotonic() > begin + {PERIOD + LATE}:
        late.append([begin, time.monotonic()])
print(json.dumps([beats, late]), flush=True)
"""
"""A process that does only what a watchdog asks for, in the senders' slice: where it is late, the
machine stood still, and a watchdog that kills then has done what it must."""


def starve(machine: Machine, seconds: float) -> tuple[checker.Verdict, list[str]]:
    """Starts the Apps, starves them. The verdict, and what went wrong, apart from its faults."""
    machine.run(["systemctl", "start", *(f"sender@{app}" for app in APPS)])
    loops = LOOPS_PER_CORE * (os.cpu_count() or 1)
    script = f"for i in $(seq {loops}); do (while :; do :; done) & done; wait"
    machine.run(["systemd-run", "-q", "--unit=starve", "sh", "-c", script])
    probe = ["--unit=probe", "--slice=sendrecv.slice", "-pStandardOutput=file:/run/probe"]
    machine.run(["systemd-run", "-q", *probe, "python3", "-c", PROBE])
    time.sleep(seconds)
    busy = machine.run("systemctl is-active starve probe", check=False).stdout
    machine.run("systemctl stop probe starve; journalctl --sync")
    beats, late = json.loads(machine.run("cat /run/probe").stdout)
    entries = machine.journal(fields=FIELDS)
    verdict = checker.check(entries)
    wrong = [] if busy == "active\n" * 2 else ["the busy loops did not last"]
    kills = [entry for entry in entries if WATCHDOG in str(entry.get("MESSAGE"))]
    excused = [str(kill.get("UNIT")) for kill in kills if _stood_still(kill, late)]
    wrong += [str(kill["MESSAGE"]) for kill in kills if not _stood_still(kill, late)]
    for app in APPS:
        wrong += _judge(app, verdict, sum(f"@{app}." in unit for unit in excused), beats)
    return verdict, wrong


def _judge(app: str, verdict: checker.Verdict, takeovers: int, beats: int) -> Iterator[str]:
    """Whether the App ran as often as it had to, and counted."""
    runs = [run.unit for run in verdict.runs.get(app, ())]
    if len(runs) != 1 + takeovers:
        yield f"{app}: runs of {', '.join(runs) or 'nobody'}"
    # It counts once a second: half of what is due, by the probe's idea of a second.
    if (counts := len(verdict.lines.get(app, ()))) < beats * PERIOD / 2:
        yield f"{app}: {counts} counts in {beats} beats of {PERIOD} s"


def _stood_still(kill: checker.Entry, late: Sequence[tuple[float, float]]) -> bool:
    """Whether the probe was late, too, in the time that made the watchdog kill."""
    at = int(kill["__MONOTONIC_TIMESTAMP"]) / 1e6
    return any(begin - LATE < at < end + WATCHDOG_SECONDS + LATE for begin, end in late)


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
