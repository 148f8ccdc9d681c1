"""Both halves fail for minutes: they must neither spin nor give up.

    python3 -m tests.chaos.endure --suite trixie --minutes 10
    python3 -m tests.chaos.endure --suite trixie --minutes 4 --apps 10 --troubles "user missing"

First the machine is watched while its Apps count, then in each trouble. Spinning is work that
nothing asks for: starts, journal lines, processes, wake-ups, and the CPU they take. Starts and
lines are counted, and there may be no more lines for many Apps than for one; of the rest a trouble
may take a few times what the quiet Apps take in the same machine. Then the trouble is over, nobody
types anything, and each App must count again.

The faster the machine, the less CPU the quiet Apps take, and a loop without a pause takes the more:
so the limit of CPU is what of both allows more. The figures are printed, for a person.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sendrecv.backoff import LONGEST
from tests.chaos.arena import Arena
from tests.judges.checker import STARTING
from tests.lab import roots
from tests.lab.machine import HANG
from tests.system.trouble import allow_tcp

APP = "main"
LINES_A_MINUTE = 9
"""Of the journal, of everything in the machine, in the worst minute."""
TIMES_QUIET = 3.0
"""How many times as many wake-ups and processes a trouble may take as the quiet App. A thread that
polls every 10 ms is woken 6,000 times a minute, the whole of the quiet machine 2,000 times."""
GUARD_PERIOD = 3.0
"""Seconds: OnCalendar= of sendrecv-guard.timer."""
PROCESSES_A_LOOK = 30
"""The guard is a shell script. It starts some twenty processes when it finds an App that should
run and does not, and half as many in a quiet machine: what it may start is so many for each look,
however few the quiet machine had. A loop that starts processes without a pause starts hundreds."""
TIMES_QUIET_CPU = 5.0
"""The same of CPU, which also depends on what else the host does."""
PART_OF_LOOP = 1 / 3
"""Or so much of what a loop without a pause takes in that machine. Nothing else shows such a loop,
which starts no process and never sleeps."""
LOOPS = 3
"""Seconds for which such a loop is watched."""
STARTS_TO_RESUME = 2
"""Of each unit, once the trouble is over: a start that waits may have read what was wrong."""
NOT_GOOD = "NOT GOOD"


@dataclass(frozen=True)
class Work:
    """What all that runs in the machine has done in so many seconds.

    cpu: in seconds. wakeups: how often a process that was there all the time went to sleep.
    processes: how many were begun. starts: of each unit of ours. said: the lines in the journal.
    worst_minute: how many of them were in one minute.
    """

    seconds: float
    cpu: float
    wakeups: int
    processes: int
    starts: dict[str, int]
    said: tuple[str, ...]
    worst_minute: int

    def __str__(self) -> str:
        minutes = self.seconds / 60
        return (
            f"{self.cpu / self.seconds:.2%} of a core; a minute: {self.wakeups / minutes:.0f}"
            f" wake-ups, {self.processes / minutes:.0f} processes,"
            f" {max(self.starts.values(), default=0) / minutes:.1f} starts of a unit,"
            f" {len(self.said) / minutes:.1f} lines, {self.worst_minute} in the worst one"
        )

    def too_much(self, quiet: Work, loop: Work, rest: float) -> list[str]:
        """What is more than it may be, if starts are to rest so many seconds."""
        times = self.seconds / quiet.seconds
        part = PART_OF_LOOP * loop.cpu * self.seconds / loop.seconds
        looks = PROCESSES_A_LOOK * self.seconds / GUARD_PERIOD
        return [
            f"{what}: {value:.4g}, may be {limit:.4g}"
            for what, value, limit in (
                ("lines in a minute", self.worst_minute, LINES_A_MINUTE),
                # Twice what the back-off allows, whose series of starts may have begun later.
                ("starts", max(self.starts.values(), default=0), 1 + 2 * self.seconds / rest),
                ("wake-ups", self.wakeups, TIMES_QUIET * quiet.wakeups * times),
                ("processes", self.processes, TIMES_QUIET * quiet.processes * times + looks),
                ("seconds of CPU", self.cpu, max(TIMES_QUIET_CPU * quiet.cpu * times, part)),
            )
            if value > limit
        ]


class Meter:
    """Counts the work of the machine from now on."""

    def __init__(self, arena: Arena) -> None:
        self._machine = arena.machine
        self._cursor = self._machine.cursor()
        self._begin = time.monotonic()
        self._before = self._read()

    def work(self) -> Work:
        """Since the beginning."""
        took, after = time.monotonic() - self._begin, self._read()
        lasting = after[2].keys() & self._before[2].keys()
        entries = self._entries()
        minutes = Counter(
            int(str(entry["__MONOTONIC_TIMESTAMP"])) // 60_000_000 for entry in entries
        )
        return Work(
            took,
            after[0] - self._before[0],
            sum(after[2][task] - self._before[2][task] for task in lasting),
            after[1] - self._before[1],
            self.starts(),
            tuple(str(entry.get("MESSAGE")) for entry in entries),
            max(minutes.values(), default=0),
        )

    def starts(self) -> dict[str, int]:
        """How often each unit of ours was started since the beginning."""
        units = [str(e["UNIT"]) for e in self._entries() if e.get("MESSAGE_ID") == STARTING]
        ours = [unit for unit in units if re.match(r"sender|receiver", unit)]
        return {unit: ours.count(unit) for unit in ours}

    def _entries(self) -> list[dict[str, object]]:
        fields = ["MESSAGE", "MESSAGE_ID", "UNIT"]
        return self._machine.journal(f"--after-cursor={self._cursor}", fields=fields)

    def _read(self) -> tuple[float, int, dict[str, int]]:
        """CPU in seconds; the number of the last process; each task's voluntary switches."""
        look = "cat /sys/fs/cgroup/cpu.stat /proc/loadavg"
        look += "; grep -s ^voluntary_ctxt /proc/[0-9]*/task/*/status"
        said = self._machine.run(look, check=False).stdout
        cpu = re.search(r"^usage_usec (\d+)", said, re.M)
        last = re.search(r"\d+/\d+ (\d+)$", said, re.M)
        task = r"^/proc/(\d+/task/\d+)/status:voluntary_ctxt_switches:\s+(\d+)"
        tasks = re.findall(task, said, re.M)
        assert cpu and last and tasks, said
        return int(cpu[1]) / 1e6, int(last[1]), {task: int(count) for task, count in tasks}


@dataclass(frozen=True)
class Endured:
    """One trouble: the work while it lasted, the seconds until the App counted after it.

    wrong: what was more than it may be.
    """

    trouble: str
    work: Work
    resumed: float
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        said = [*self.wrong, *self.work.said[:20]] if self.wrong else []
        told = "".join(f"\n    {line}" for line in said)
        verdict = f"  {NOT_GOOD}{told}" if self.wrong else ""
        return f"{self.trouble}: {self.work}; counts again after {self.resumed:.1f} s{verdict}"


def token_missing(arena: Arena) -> Callable[[], None]:
    """No token file."""
    _run(arena, "mv /etc/sendrecv/token /root/token")
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


def user_missing(arena: Arena) -> Callable[[], None]:
    """The senders' user is gone: systemd cannot run anything as it."""
    return _without_user(arena, "sendrecv")


def receivers_user_missing(arena: Arena) -> Callable[[], None]:
    """The same of the receiver."""
    return _without_user(arena, "sendrecv-receiver")


def state_linked(arena: Arena) -> Callable[[], None]:
    """The state directory is a symbolic link to another disk, which systemd refuses."""
    there, disk = "/var/lib/sendrecv", "/mnt/chaos/state/inside"
    _run(arena, f"umount -l {there}; rmdir {there}; ln -s {disk} {there}")
    return lambda: _run(arena, f"rm {there}; mkdir {there}; mount --bind {disk} {there}")


def program_gone(arena: Arena) -> Callable[[], None]:
    """There is nothing to start."""
    _run(arena, "mv /usr/bin/sendrecv /root")
    return lambda: _run(arena, "mv /root/sendrecv /usr/bin")


def setting_wrong(arena: Arena) -> Callable[[], None]:
    """A setting of the App has no value that it can have."""
    _run(arena, f"cd /etc/sendrecv; cp -p {APP}.env /root; echo SENDRECV_INTERVAL=x >> {APP}.env")
    return lambda: _run(arena, f"mv /root/{APP}.env /etc/sendrecv")


def receivers_setting_wrong(arena: Arena) -> Callable[[], None]:
    """The same of the receiver."""
    _run(arena, "echo SENDRECV_MAX_CONNECTIONS=x > /etc/sendrecv/receiver.env")
    return lambda: _run(arena, "rm /etc/sendrecv/receiver.env")


def other_server(arena: Arena) -> Callable[[], None]:
    """Another server has the receiver's port."""
    serve = "systemd-run --quiet --unit=other -p StandardOutput=null -p StandardError=null"
    serve += " python3 -m http.server --bind 127.0.0.1 3000"  # its lines are not ours
    sockets = "receiver-tcp.socket receiver.socket"
    _run(arena, f"systemctl stop {sockets} receiver; {serve} > /dev/null 2>&1")
    return lambda: _run(arena, f"systemctl stop other; systemctl start {sockets}")


def _without_user(arena: Arena, user: str) -> Callable[[], None]:
    _run(arena, f"cp -p /etc/passwd /root && sed -i '/^{user}:/d' /etc/passwd")
    return lambda: _run(arena, "cp -p /root/passwd /etc/passwd")


def _fill_state(arena: Arena) -> None:
    """Stopped first: a process that has the record open keeps its space for its successor."""
    _run(arena, "systemctl stop 'sendrecv@*.target'; rm /var/lib/sendrecv/*")
    arena.fill("state")
    _run(arena, f"systemctl --no-block start {_mains(arena)}")


def _mains(arena: Arena) -> str:
    return " ".join(f"sender@{app}" for app in arena.apps)


TROUBLES: dict[str, Callable[[Arena], Callable[[], None]]] = {
    "token missing": token_missing,
    "token garbage": token_garbage,
    "records' disk full": state_full,
    "ledger's disk full": ledger_full,
    "both disks full": everything_full,
    "user missing": user_missing,
    "receiver's user missing": receivers_user_missing,
    "state directory linked": state_linked,
    "program gone": program_gone,
    "setting wrong": setting_wrong,
    "receiver's setting wrong": receivers_setting_wrong,
    "another server on the port": other_server,
}


@dataclass(frozen=True)
class Floor:
    """What the machine does while its Apps count and nothing is wrong, and with a loop beside."""

    quiet: Work
    loop: Work


def endure(arena: Arena, name: str, floor: Floor, first: float, measured: float) -> Endured:
    """That trouble: `first` seconds, then `measured` seconds that count, then its end."""
    wait_for_counts(arena)
    mend = TROUBLES[name](arena)
    # Whoever has the old token, or a connection, must see the trouble too.
    _run(arena, "systemctl kill -s KILL 'sender@*' 'sender-failover@*' receiver")
    time.sleep(first)
    meter = Meter(arena)
    time.sleep(measured)
    work = meter.work()
    wrong = work.too_much(floor.quiet, floor.loop, min(first, LONGEST))
    meter, begin = Meter(arena), time.monotonic()
    mend()
    wait_for_counts(arena)
    resumed = time.monotonic() - begin
    wrong += [f"{unit}: {n} starts" for unit, n in meter.starts().items() if n > STARTS_TO_RESUME]
    return Endured(name, work, resumed, tuple(wrong))


def watch_quiet(arena: Arena, seconds: float) -> Floor:
    """Watches it for so long, and then a loop."""
    wait_for_counts(arena)
    meter = Meter(arena)
    time.sleep(seconds)
    quiet, meter = meter.work(), Meter(arena)
    _run(arena, f"timeout {LOOPS} sh -c 'while :; do :; done'")
    return Floor(quiet, meter.work())


def _run(arena: Arena, command: str) -> None:
    arena.machine.run(command, check=False)


def wait_for_counts(arena: Arena) -> None:
    """The next line of each App."""
    missing = set(arena.apps)

    def is_last(entry: dict[str, object]) -> bool:
        missing.difference_update(re.findall('"appID": "([^"]+)"', str(entry["MESSAGE"])))
        return not missing

    arena.machine.wait_entry(
        is_last,
        *("_SYSTEMD_UNIT=receiver.service", "PRIORITY=6"),
        after=arena.machine.cursor(),
        timeout=HANG,
        what="a count of each App",
    )


@contextmanager
def arena_for(suite: str, apps: int = 1) -> Iterator[Arena]:
    """A machine with so many Apps, which use the port: they have every trouble, a token's too."""
    names = [APP, *(f"{APP}{number}" for number in range(2, apps + 1))]
    with Arena(suite, dict.fromkeys(names, 1.0)) as arena:
        allow_tcp(arena.machine)
        _run(arena, "systemctl enable receiver-tcp.socket")
        for name in names:
            _run(arena, f"echo SENDRECV_URL=http://127.0.0.1:3000 >> /etc/sendrecv/{name}.env")
        _run(arena, f"systemctl stop 'sendrecv@*.target'; systemctl start {_mains(arena)}")
        yield arena


def main(arguments: Sequence[str] | None = None) -> int:
    """Endure all troubles; 0 if all limits were kept."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.endure", description=__doc__)
    parser.add_argument("--suite", choices=roots.RELEASES, default="trixie")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each trouble")
    parser.add_argument("--first", type=float, default=60.0, help="seconds that do not count")
    parser.add_argument("--apps", type=int, default=1, help="how many of them there are")
    parser.add_argument("--troubles", nargs="*", choices=[[], *TROUBLES], default=[*TROUBLES])
    given = parser.parse_args(arguments)
    measured = given.minutes * 60 - given.first
    good = True
    with arena_for(given.suite, given.apps) as arena:
        floor = watch_quiet(arena, min(measured, 60.0))
        print(f"{given.suite}: no trouble: {floor.quiet}", flush=True)
        for name in given.troubles:
            endured = endure(arena, name, floor, given.first, measured)
            print(f"{given.suite}: {endured}", flush=True)
            good = good and not endured.wrong
    return 0 if good else 1


if __name__ == "__main__":
    if "--in-namespace" not in sys.argv:
        again = [sys.executable, "-m", "tests.chaos.endure", *sys.argv[1:], "--in-namespace"]
        os.execvp("unshare", ["unshare", "--mount", *again])
    sys.argv.remove("--in-namespace")
    sys.exit(main())
