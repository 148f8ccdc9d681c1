"""Both halves fail for minutes: they must neither spin nor give up.

    python3 -m tests.chaos.endure --suite trixie --minutes 10

For each trouble: everything works, then the trouble begins; after the first minute CPU and journal
are measured until it is mended; then nobody types anything, and the App must count again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos.arena import Arena
from tests.lab import roots

APP = "main"
CPU_LIMIT = 0.02
"""Share of one core, of everything in the machine."""
LINES_LIMIT = 10.0
"""Journal lines a minute, of everything in the machine."""
RESUME_LIMIT = 30.0
"""Seconds after the mending."""


@dataclass(frozen=True)
class Endured:
    """One trouble: CPU share and lines a minute while it lasted, seconds to resume after it.

    said: the lines.
    """

    trouble: str
    cpu: float
    lines: float
    resumed: float
    said: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether all limits were kept."""
        kept = self.cpu < CPU_LIMIT, self.lines < LINES_LIMIT, self.resumed < RESUME_LIMIT
        return all(kept)

    def __str__(self) -> str:
        said = "".join(f"\n    {line}" for line in self.said[:20])
        verdict = "" if self.good else f"  NOT GOOD{said}"
        return (
            f"{self.trouble:20} {self.cpu:6.2%} of a core, {self.lines:5.1f} lines a minute, "
            f"counts again after {self.resumed:.1f} s{verdict}"
        )


def token_missing(arena: Arena) -> Callable[[], None]:
    """No token file."""
    arena.machine.run("mv /etc/sendrecv/token /root/token")
    return lambda: _run(arena, "mv /root/token /etc/sendrecv/token")


def token_garbage(arena: Arena) -> Callable[[], None]:
    """A token file that holds no token."""
    _run(arena, "cp -p /etc/sendrecv/token /root && head -c 99 /dev/urandom > /etc/sendrecv/token")
    return lambda: _run(arena, "cat /root/token > /etc/sendrecv/token")


def state_full(arena: Arena) -> Callable[[], None]:
    """No space for the record, which is lost."""
    _fill_state(arena)
    return arena.make_room


def ledger_full(arena: Arena) -> Callable[[], None]:
    """No space for the ledger."""
    arena.fill("ledger")
    return arena.make_room


def everything_full(arena: Arena) -> Callable[[], None]:
    """No space for either."""
    _fill_state(arena)
    arena.fill("ledger")
    return arena.make_room


def _fill_state(arena: Arena) -> None:
    """Stopped first: a process that has the record open keeps its space for its successor."""
    _run(arena, f"systemctl stop sendrecv@{APP}.target; rm /var/lib/sendrecv/*")
    arena.fill("state")
    _run(arena, f"systemctl --no-block start sender@{APP}")


TROUBLES: dict[str, Callable[[Arena], Callable[[], None]]] = {
    "token missing": token_missing,
    "token garbage": token_garbage,
    "records' disk full": state_full,
    "ledger's disk full": ledger_full,
    "both disks full": everything_full,
}


def endure(arena: Arena, name: str, first: float, measured: float) -> Endured:
    """That trouble: `first` seconds, then `measured` seconds that count, then the mending."""
    _wait_for_count(arena, 60)
    mend = TROUBLES[name](arena)
    # Whoever has the old token, or a connection, must see the trouble too.
    _run(arena, f"systemctl kill -s KILL sender@{APP} sender-failover@{APP} receiver")
    time.sleep(first)
    cursor, used, begin = arena.machine.cursor(), _cpu(arena), time.monotonic()
    time.sleep(measured)
    took = time.monotonic() - begin
    cpu = (_cpu(arena) - used) / took
    entries = arena.machine.journal(f"--after-cursor={cursor}", fields=["MESSAGE"])
    said = tuple(str(entry["MESSAGE"]) for entry in entries)
    mend()
    return Endured(name, cpu, len(said) * 60 / took, _wait_for_count(arena, 120), said)


def _run(arena: Arena, command: str) -> None:
    arena.machine.run(command, check=False)


def _cpu(arena: Arena) -> float:
    """Seconds of CPU that everything in the machine has used, PID 1 included."""
    stat = arena.machine.run("cat /sys/fs/cgroup/cpu.stat").stdout.split()
    return int(stat[stat.index("usage_usec") + 1]) / 1e6


def _wait_for_count(arena: Arena, limit: float) -> float:
    """Seconds until the App's next line."""
    begin = time.monotonic()
    arena.machine.wait_entry(
        lambda entry: f'"appID": "{APP}"' in str(entry["MESSAGE"]),
        *("_SYSTEMD_UNIT=receiver.service", "PRIORITY=6"),
        after=arena.machine.cursor(),
        timeout=limit,
        what="a count",
    )
    return time.monotonic() - begin


@contextmanager
def arena_for(suite: str) -> Iterator[Arena]:
    """A machine with one App as anybody has it."""
    with Arena(suite, {APP: 1.0}) as arena:
        yield arena


def main(arguments: Sequence[str] | None = None) -> int:
    """Endure all troubles; 0 if all limits were kept."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.endure", description=__doc__)
    parser.add_argument("--suite", choices=roots.RELEASES, default="trixie")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each trouble")
    parser.add_argument("--first", type=float, default=60.0, help="seconds that do not count")
    parser.add_argument("--troubles", nargs="*", choices=[[], *TROUBLES], default=[*TROUBLES])
    given = parser.parse_args(arguments)
    good = True
    with arena_for(given.suite) as arena:
        for name in given.troubles:
            endured = endure(arena, name, given.first, given.minutes * 60 - given.first)
            print(f"{given.suite}: {endured}", flush=True)
            good = good and endured.good
    return 0 if good else 1


if __name__ == "__main__":
    if "--in-namespace" not in sys.argv:
        again = [sys.executable, "-m", "tests.chaos.endure", *sys.argv[1:], "--in-namespace"]
        os.execvp("unshare", ["unshare", "--mount", *again])
    sys.argv.remove("--in-namespace")
    sys.exit(main())
