"""The faults of several hosts, and the schedule that a seed makes of them.

A schedule is a pure function of seed, number and Apps. It is made of rounds: at the end of each,
all faults are repaired, and all Apps must count again. In a round, faults overlap.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.faults import Kind

ROUND = 10
"""Faults of one round."""
RATE = 0.8
"""Instants a second at which something goes wrong, on average; at some, several things do."""
SEVERAL = 0.25
"""How often a fault comes together with one or two others, at the same instant."""
HOLDER, LEADER = "holder", "leader"
"""The host that counts for the fault's App; that of etcd's leader. Known only as it strikes."""
MEMBERS = ("a", "b", "c")
RECEIVER = "r"

# Scopes: "app", one App on a host; "host", a host; "etcd", a member; "cluster", all of etcd;
# "receiver". Of the Apps' leases, the longest is 2 s. Watchdogs: 1.3 s of a sender.
KINDS = (
    Kind("kill", "app", 8, "SIGKILL of the App's process on a host"),
    Kind("segv", "app", 3, "SIGSEGV of it"),
    Kind("hang", "app", 3, "SIGSTOP of it, never continued"),
    Kind("pause", "app", 6, "SIGSTOP of it, then SIGCONT, before or after its deadline", (0.1, 3)),
    Kind("unit-frozen", "app", 4, "systemctl freeze of its unit, then thaw", (0.3, 4.0)),
    Kind("stop-main", "app", 3, "systemctl stop sender@"),
    Kind("stop-failover", "app", 2, "systemctl stop sender-failover@"),
    Kind("hand-back", "app", 3, "systemctl start sender@"),
    Kind("start-failover", "app", 2, "systemctl start sender-failover@"),
    Kind("target", "app", 5, "systemctl stop sendrecv@.target, then start sender@", (0.2, 4.0)),
    Kind("move", "app", 5, "sendrecv move to a host"),
    Kind("power-cut", "host", 8, "power cut, then boot", (0.0, 4.0)),
    Kind("reboot", "host", 3, "systemctl reboot"),
    Kind("host-frozen", "host", 6, "all that runs on a host is stopped, then goes on", (0.3, 5.0)),
    Kind("cut", "host", 6, "link cut, in both directions", (0.3, 5.0)),
    Kind("cut-one-way", "host", 4, "link cut in one direction", (0.3, 5.0)),
    Kind("cut-etcd", "host", 5, "no etcd for a host: of others and for others", (0.3, 5.0)),
    Kind("cut-receiver", "host", 4, "no packets between a host and the receiver's", (0.3, 5.0)),
    Kind("half-open", "host", 3, "no answers of etcd to a host's senders", (0.3, 5.0)),
    Kind("connections-dead", "host", 4, "its senders' open connections to etcd die", (0.3, 5.0)),
    Kind("loss", "host", 5, "20 % of a host's packets lost", (1.0, 6.0)),
    Kind("clock", "host", 3, "wall clock of the senders, or of the receiver, changed by hours"),
    Kind("etcd-kill", "etcd", 5, "SIGKILL of a member; systemd starts it again"),
    Kind("etcd-stop", "etcd", 4, "systemctl stop of a member, then start", (0.2, 4.0)),
    Kind("etcd-restart", "etcd", 3, "systemctl restart of a member"),
    Kind("etcd-frozen", "etcd", 4, "a member answers nothing, then goes on", (0.3, 4.0)),
    Kind("slow-disk", "etcd", 4, "1 s more for each sync of a member to its disk", (1.0, 5.0)),
    Kind("no-majority", "cluster", 4, "two members stopped, then started", (0.2, 5.0)),
    Kind("etcd-full", "cluster", 2, "etcd has no space, then gets some", (0.2, 3.0)),
    Kind("compaction", "cluster", 3, "etcd forgets what was overwritten"),
    Kind("receiver-kill", "receiver", 5, "SIGKILL of the receiver"),
    Kind("receiver-segv", "receiver", 2, "SIGSEGV of the receiver"),
    Kind("receiver-restart", "receiver", 3, "systemctl restart receiver"),
    Kind("receiver-pause", "receiver", 3, "SIGSTOP of the receiver, then SIGCONT", (0.05, 1.2)),
    Kind("receiver-away", "receiver", 3, "the receiver and its sockets stopped", (0.5, 5.0)),
    Kind("receiver-power", "receiver", 2, "power cut of the receiver's host, then boot", (0, 3.0)),
    Kind("receiver-reboot", "receiver", 1, "systemctl reboot of the receiver's host"),
    Kind("receiver-cut", "receiver", 3, "link of the receiver's host cut", (0.3, 5.0)),
    Kind("receiver-loss", "receiver", 2, "20 % of the packets of its host lost", (1.0, 6.0)),
)
BY_NAME = {kind.name: kind for kind in KINDS}
SCOPES = {"app": 40, "host": 30, "etcd": 14, "cluster": 6, "receiver": 10}
"""Of 100 faults, how many are of each scope."""


@dataclass(frozen=True)
class Fault:
    """One fault to inject. at: seconds after the round's begin. app: of whose holder it may be.

    host: one of MEMBERS, RECEIVER, HOLDER or LEADER. hold: seconds it lasts. chance: 0 to 1, which
    of its kind's variants.
    """

    number: int
    kind: str
    app: str
    host: str
    at: float
    hold: float
    chance: float

    @property
    def concerns(self) -> str:
        """The App that it may harm; "" for all."""
        return self.app if BY_NAME[self.kind].scope == "app" else ""


def schedule(seed: int, faults: int, apps: Sequence[str], size: int = ROUND) -> list[list[Fault]]:
    """The faults in rounds of so many, numbered from 0."""
    source = random.Random(seed)
    rounds = []
    for first in range(0, faults, size):
        entries = _round(source, first, apps)
        rounds.append([next(entries) for _ in range(min(size, faults - first))])
    return rounds


def _round(source: random.Random, number: int, apps: Sequence[str]) -> Iterator[Fault]:
    at = 0.0
    while True:
        for _ in range(source.randint(2, 3) if source.random() < SEVERAL else 1):
            yield _fault(source, number, source.choice(apps), at)
            number += 1
        at += source.expovariate(RATE)


def _fault(source: random.Random, number: int, app: str, at: float) -> Fault:
    scope = source.choices([*SCOPES], [*SCOPES.values()])[0]
    kinds = [kind for kind in KINDS if kind.scope == scope]
    kind = source.choices(kinds, [kind.weight for kind in kinds])[0]
    return Fault(
        number=number,
        kind=kind.name,
        app=app,
        host=_host(source, scope),
        at=round(at, 6),
        hold=round(source.uniform(*kind.hold), 6),
        chance=round(source.random(), 6),
    )


def _host(source: random.Random, scope: str) -> str:
    """Mostly one that matters."""
    if scope == "receiver":
        return RECEIVER
    special = LEADER if scope in {"etcd", "cluster"} else HOLDER
    return special if source.random() < 0.6 else source.choice(MEMBERS)
