"""The faults that chaos knows, and the schedule that a seed makes of them.

A schedule is a pure function of seed, number and Apps. What it does to the machine is not: when
a trigger comes, and which process is hit, is up to the machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

RATE = 1.9
"""Instants a second at which something goes wrong, on average; at some, several things do."""


@dataclass(frozen=True)
class Kind:
    """One way to go wrong. weight: how often, relative to the others of its scope.

    scope: "app" (one instance), "system" (all of them), "power" (ends a batch).
    hold: the shortest and longest time in seconds for which it lasts, if it does.
    """

    name: str
    scope: str
    weight: float
    what: str
    hold: tuple[float, float] = (0.0, 0.0)


# Watchdogs: 1.3 s of a sender, 1.05 s of the receiver.
KINDS = (
    Kind("kill", "app", 12, "SIGKILL of the active half"),
    Kind("segv", "app", 4, "SIGSEGV of the active half"),
    Kind("term", "app", 5, "SIGTERM of the active half"),
    Kind("hang", "app", 5, "SIGSTOP of the active half, never continued"),
    Kind("pause", "app", 6, "SIGSTOP, then SIGCONT before the watchdog's limit", (0.02, 1.0)),
    Kind("late-pause", "app", 3, "SIGSTOP, then SIGCONT near the watchdog's limit", (1.0, 2.2)),
    Kind("kill-twice", "app", 4, "SIGKILL of the active half, and of its successor as it starts"),
    Kind("kill-row", "app", 2, "SIGKILL of the active half, 3 to 8 times, 50 ms apart"),
    Kind("memory", "app", 3, "the active half killed by the kernel: out of memory"),
    Kind("stop-main", "app", 4, "systemctl stop sender@"),
    Kind("stop-failover", "app", 4, "systemctl stop sender-failover@"),
    Kind("restart", "app", 4, "systemctl restart of the active half"),
    Kind("try-restart", "app", 3, "systemctl try-restart of both halves, one after the other"),
    Kind("hand-back", "app", 5, "systemctl start sender@"),
    Kind("start-failover", "app", 4, "systemctl start sender-failover@"),
    Kind("start-both", "app", 3, "systemctl start of both halves in one command"),
    Kind("pair-stop", "app", 2, "systemctl stop of both halves, then start of main", (0.1, 1.5)),
    Kind("lock-removed", "app", 3, "the record, which is the lock, removed"),
    Kind("lock-replaced", "app", 2, "the record replaced by a copy of itself"),
    Kind("record-noise", "app", 4, "the record, or one slot of it, overwritten with noise"),
    Kind("receiver-kill", "system", 8, "SIGKILL of the receiver"),
    Kind("receiver-segv", "system", 3, "SIGSEGV of the receiver"),
    Kind("receiver-term", "system", 3, "SIGTERM of the receiver"),
    Kind("receiver-hang", "system", 3, "SIGSTOP of the receiver, never continued"),
    Kind("receiver-pause", "system", 4, "SIGSTOP of the receiver, then SIGCONT", (0.02, 1.2)),
    Kind("receiver-memory", "system", 2, "the receiver killed by the kernel: out of memory"),
    Kind("receiver-stop", "system", 3, "systemctl stop receiver"),
    Kind("receiver-restart", "system", 3, "systemctl restart receiver"),
    Kind("socket-restart", "system", 3, "systemctl restart receiver.socket"),
    Kind("journald-restart", "system", 2, "systemctl restart systemd-journald"),
    Kind("journald-kill", "system", 2, "SIGKILL of systemd-journald"),
    Kind("clock", "system", 3, "wall clock of journald, senders and receiver changed by hours"),
    Kind("starve", "system", 1, "four busy loops for each core", (1.0, 4.0)),
    Kind(
        "state-full", "system", 2, "no space for the records; half the time one is lost", (0.3, 3)
    ),
    Kind("ledger-full", "system", 3, "no space for the ledger", (0.3, 3.0)),
    Kind("ledger-deleted", "system", 1, "the ledger's files deleted"),
    Kind("rotate", "system", 4, "the journal rotated, once or up to ten times"),
    Kind("rotate-start", "system", 4, "the journal rotated 15 times while a receiver starts"),
    Kind("vacuum", "system", 4, "--rotate --vacuum-size=1; half the time, receiver killed"),
    Kind("vacuum-files", "system", 2, "--rotate --vacuum-files=2; half the time, receiver killed"),
    Kind("restore", "system", 4, "the receiver's state put back from a copy"),
    Kind("restore-all", "system", 3, "the same, and the senders' records; all stopped meanwhile"),
    Kind("log-removed", "system", 3, "the ledger's write-ahead log removed"),
    Kind("flood", "system", 3, "foreign journal lines, a receiver killed meanwhile", (1.0, 3.0)),
    Kind("run-full", "system", 3, "no space in /run; half the time, receiver killed", (0.3, 3.0)),
    Kind("reexec", "system", 1, "systemctl daemon-reexec"),
    Kind("reload", "system", 1, "systemctl daemon-reload"),
    Kind("power-cut", "power", 3, "SIGKILL of the machine's PID 1, then boot"),
    Kind("journal-lost", "power", 1, "a power cut that also loses the journal's last seconds"),
    Kind("reboot", "power", 1, "systemctl reboot"),
)
VACUUMS = {"vacuum", "vacuum-files"}
FORGETFUL = {"restore", "restore-all", "log-removed", "ledger-deleted"}
"""What makes the receiver ask the journal."""
BY_NAME = {kind.name: kind for kind in KINDS}

# When a fault strikes: at any time; around the time at which the next line is expected; after the
# record was written to; after the ledger was; after a line was seen in the journal.
TRIGGERS = {"any": 30, "beat": 25, "record": 15, "ledger": 15, "line": 15}
SEVERAL = 0.12
"""How often a fault comes together with one to three others, at the same instant."""


@dataclass(frozen=True)
class Fault:
    """One fault to inject. at: seconds after the batch's begin. app: "" if it concerns all.

    watch: the App whose beat, record or line is the trigger. offset: seconds after the trigger.
    hold: seconds it lasts. chance: 0 to 1, which of its kind's variants.
    """

    number: int
    kind: str
    app: str
    at: float
    trigger: str
    watch: str
    offset: float
    hold: float
    chance: float


def schedule(seed: int, faults: int, apps: Sequence[str], batch: int) -> list[list[Fault]]:
    """The faults in batches, numbered from 0. Every other batch ends with a loss of power."""
    source = random.Random(seed)
    batches: list[list[Fault]] = []
    for first in range(0, faults, batch):
        size = min(batch, faults - first)
        power = len(batches) % 2 == 1
        entries = _batch(source, first, size - power, apps)
        if power:
            at = max((fault.at for fault in entries), default=0.0) + source.uniform(0, 1)
            entries.append(_fault(source, first + size - 1, "power", source.choice(apps), at))
        batches.append(entries)
    return batches


def _batch(source: random.Random, first: int, size: int, apps: Sequence[str]) -> list[Fault]:
    entries: list[Fault] = []
    at = 0.0
    while len(entries) < size:
        at += source.expovariate(RATE)
        some = [*_together(source, first + len(entries), apps, at)]
        entries += some[: size - len(entries)]
    return entries


def _together(
    source: random.Random, number: int, apps: Sequence[str], at: float
) -> Iterator[Fault]:
    """One fault, or several at one instant: those strike after the same trigger."""
    count = source.randint(2, 4) if source.random() < SEVERAL else 1
    one = source.choice(apps)
    leader: Fault | None = None
    kinds: set[str] = set()
    for index in range(count):
        scope = "app" if source.random() < 0.7 else "system"
        app = one if source.random() < 0.6 else source.choice(apps)
        fault = _fault(source, number + index, scope, app, at)
        while _leave_nothing({*kinds, fault.kind}):
            fault = _fault(source, number + index, scope, app, at)
        kinds.add(fault.kind)
        leader = leader or fault
        yield replace(fault, trigger=leader.trigger, watch=leader.watch, offset=leader.offset)


def _leave_nothing(kinds: set[str]) -> bool:
    """Whether state and journal would forget at one instant: nobody could then know any count.

    It still happens when the Apps stand still between the two faults; see memory.py.
    """
    return bool(kinds & VACUUMS and kinds & FORGETFUL)


def _fault(source: random.Random, number: int, scope: str, app: str, at: float) -> Fault:
    kinds = [kind for kind in KINDS if kind.scope == scope]
    kind = source.choices(kinds, [kind.weight for kind in kinds])[0]
    trigger = source.choices([*TRIGGERS], [*TRIGGERS.values()])[0]
    # What follows a trigger is over in a few milliseconds, nearly always.
    offset = source.uniform(-0.025, 0.015) if trigger == "beat" else source.expovariate(400)
    return Fault(
        number=number,
        kind=kind.name,
        app=app if scope == "app" else "",
        watch=app,
        at=round(at, 6),
        trigger=trigger,
        offset=round(offset, 6),
        hold=round(source.uniform(*kind.hold), 6),
        chance=round(source.random(), 6),
    )
