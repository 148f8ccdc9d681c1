"""What the faults of hosts_faults.py do.

Each action takes the arena, a fault and the name of the host that it strikes; it returns when the
fault is repaired. It raises Skipped if there is nothing to strike. All else that it raises is a
fault of the arena, and ends the campaign.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from tests.chaos.hosts_arena import Arena, Busy, Skipped
from tests.chaos.hosts_faults import MEMBERS, RECEIVER, Fault
from tests.lab.etcd import CLIENTS, PEERS
from tests.lab.machine import MachineError
from tests.lab.nspawn import NspawnError
from tests.lab.network import Block, Direction

Action = Callable[[Arena, Fault, str], None]

LOSS = 20  # percent
SLOW = 1.0  # seconds for each sync
RECEIVER_UNITS = "receiver.socket receiver-tcp.socket receiver.service"
ROOM_LIMIT = 90.0
"""Seconds in which etcd must be got to take something again: members may be off meanwhile."""
UNANSWERED = (MachineError, NspawnError, StopIteration)
"""etcd, or the host of a member, is not there."""
# A signal to all processes of a unit; fails if there are none. What systemd has cloned and not yet
# executed shares PID 1's memory: stopped in that instant, it would stop PID 1.
_SIGNAL = """sent=; for pid in $(cat {groups} 2>/dev/null); do
    if [ "$(readlink /proc/$pid/exe)" != "$(readlink /proc/1/exe)" ]; then
        kill -s {name} $pid && sent=1
    fi
done; [ "$sent" ]"""
_GROUPS = "/sys/fs/cgroup/sendrecv.slice"
# No packet any more on connections that senders of this host have to etcd, its own member's too,
# or on one of them. What they open later works. Nobody is told.
_DEADEN = """ports=$(ss -Htnp state established "dport = :{port}" | grep sendrecv | shuf |
    head -{most} | sed -E 's/^[^:]*:([0-9]+) .*/\\1/' | paste -sd,)
[ "$ports" ] && nft -f - <<END
table inet dead
delete table inet dead
table inet dead {{
    chain input {{
        type filter hook input priority 0
        tcp sport {port} tcp dport {{ $ports }} drop
    }}
}}
END"""


def signal_app(*names: str) -> Action:
    """The signals to the App's process, `hold` seconds apart; the others are a repair."""

    def act(arena: Arena, fault: Fault, host: str) -> None:
        groups = f"{_GROUPS}/sender*@{fault.app}.service/cgroup.procs"
        _signals(arena, fault, host, groups, names)

    return act


def signal_receiver(*names: str) -> Action:
    """The signals to the receiver's processes, `hold` seconds apart."""

    def act(arena: Arena, fault: Fault, host: str) -> None:
        _signals(arena, fault, host, f"{_GROUPS}/receiver.service/cgroup.procs", names)

    return act


def _signals(arena: Arena, fault: Fault, host: str, groups: str, names: Sequence[str]) -> None:
    arena.tell(host, _SIGNAL.format(groups=groups, name=names[0]))
    for name in names[1:]:
        time.sleep(fault.hold)
        arena.tell(host, _SIGNAL.format(groups=groups, name=name), repair=True)


def systemctl(words: str, repair: str = "") -> Action:
    """systemctl with these words, in which % is the App; after `hold` seconds, with the others."""

    def act(arena: Arena, fault: Fault, host: str) -> None:
        arena.tell(host, f"systemctl --no-block {words.replace('%', fault.app)}")
        if repair:
            time.sleep(fault.hold)
            again = f"systemctl --no-block {repair.replace('%', fault.app)}"
            arena.tell(host, again, repair=True)

    return act


def unit_frozen(arena: Arena, fault: Fault, host: str) -> None:
    """Whichever half has a process."""
    halves = f"sender@{fault.app} sender-failover@{fault.app}"
    _frozen(
        arena,
        fault,
        host,
        f"$(for half in {halves}; do" " systemctl is-active -q $half && echo $half; done)",
        halves,
    )


def etcd_frozen(arena: Arena, fault: Fault, host: str) -> None:
    """Connections to it are accepted, and nothing is answered."""
    _frozen(arena, fault, host, "etcd", "etcd")


def _frozen(arena: Arena, fault: Fault, host: str, units: str, thawed: str) -> None:
    arena.tell(host, f"timeout 5 systemctl freeze {units}")
    time.sleep(fault.hold)
    arena.tell(host, f"for unit in {thawed}; do timeout 5 systemctl thaw $unit; done", repair=True)


def move(arena: Arena, fault: Fault, host: str) -> None:
    """Asked for on that host: to itself, or to another one. It goes on if that host has to end."""
    to = MEMBERS[int(fault.chance * len(MEMBERS))]
    arena.tell(host, f"systemd-run -q --collect --no-block sendrecv move {fault.app} {to}")


# Hosts


def power_cut(arena: Arena, fault: Fault, host: str) -> None:
    """Nobody else may boot it."""
    with arena.alone(host):
        arena.cluster.power_cut(host)
        time.sleep(fault.hold)
        arena.boot(host)


def reboot(arena: Arena, _fault: Fault, host: str) -> None:
    """In order, by systemd."""
    with arena.alone(host):
        arena.reboot(host)


def host_frozen(arena: Arena, fault: Fault, host: str) -> None:
    """What a hung kernel is like, or a suspended host."""
    with arena.alone(host):
        arena.cluster.freeze(host)
        try:
            time.sleep(fault.hold)
        finally:
            arena.cluster.thaw(host)


def clock(arena: Arena, fault: Fault, host: str) -> None:
    """Of the receiver's host, one time in four. It stays wrong until the next such fault."""
    name = RECEIVER if fault.chance < 0.25 else host
    arena.set_clock(name, (fault.chance - 0.5) * 86400)


# The network. Each packet that is dropped is lost silently: what was connected is half open.


def cut(arena: Arena, fault: Fault, host: str) -> None:
    """From all others."""
    with arena.rule(lambda: arena.cluster.block(host)):
        time.sleep(fault.hold)


def cut_one_way(arena: Arena, fault: Fault, host: str) -> None:
    """It hears nobody, or nobody hears it."""
    direction: Direction = "in" if fault.chance < 0.5 else "out"
    with arena.rule(lambda: arena.cluster.block(host, direction=direction)):
        time.sleep(fault.hold)


def cut_etcd(arena: Arena, fault: Fault, host: str) -> None:
    """Its senders do not reach the other members, nor its member the others."""
    with arena.rule(lambda: arena.cluster.block(host, ports=(CLIENTS, PEERS))):
        time.sleep(fault.hold)


def half_open(arena: Arena, fault: Fault, host: str) -> None:
    """Packets of other members to its senders are lost, not theirs to the members."""
    others = [name for name in MEMBERS if name != host]

    def make() -> Block:
        return arena.cluster.block(host, direction="in", ports=(CLIENTS,), peers=others)

    with arena.rule(make):
        time.sleep(fault.hold)


def connections_dead(arena: Arena, fault: Fault, host: str) -> None:
    """One connection, mostly a watch, or all. The half that counts may have each as long as it
    likes."""
    most = 1 if fault.chance < 0.5 else 100
    arena.tell(host, _DEADEN.format(port=CLIENTS, most=most))
    time.sleep(fault.hold)
    arena.tell(host, "nft delete table inet dead", repair=True)


def cut_receiver(arena: Arena, fault: Fault, host: str) -> None:
    """Only the receiver, in both directions."""
    with arena.rule(lambda: arena.cluster.block(host, peers=(RECEIVER,))):
        time.sleep(fault.hold)


def loss(arena: Arena, fault: Fault, host: str) -> None:
    """In each direction."""
    with arena.rule(lambda: arena.cluster.loss(host, LOSS)):
        time.sleep(fault.hold)


# etcd


def etcd_kill(arena: Arena, _fault: Fault, host: str) -> None:
    """systemd starts it again, but only five times in ten seconds."""
    arena.tell(host, "systemctl kill -s KILL etcd")
    start = "sleep 0.3; systemctl reset-failed etcd; systemctl --no-block start etcd"
    arena.tell(host, start, repair=True)


def slow_disk(arena: Arena, fault: Fault, host: str) -> None:
    """Until its etcd ends, at most."""
    with arena.alone(host):
        arena.tell(host, "systemctl is-active -q etcd")
        arena.cluster.slow_disk(host, SLOW)
    time.sleep(fault.hold)
    with arena.alone(host, patient=True):
        arena.cluster.slow_disk(host, 0)


def no_majority(arena: Arena, fault: Fault, host: str) -> None:
    """Two members stop: that one, and another one."""
    others = [name for name in MEMBERS if name != host]
    stopped = [host, others[int(fault.chance * len(others))]]
    for name in stopped:
        with contextlib.suppress(Skipped):
            arena.tell(name, "systemctl --no-block stop etcd")
    time.sleep(fault.hold)
    for name in stopped:
        arena.tell(name, "systemctl --no-block start etcd", repair=True)


def etcd_full(arena: Arena, fault: Fault, _host: str) -> None:
    """All members must be there for etcd to get room again, and others may have stopped some."""
    try:
        with arena.etcdctl() as etcd:
            etcd.fill()
    except UNANSWERED as error:
        raise Skipped(f"etcd cannot be filled: {error}") from None
    finally:
        time.sleep(fault.hold)
        _make_room(arena)


def _make_room(arena: Arena) -> None:
    until = time.monotonic() + ROOM_LIMIT
    while True:
        try:
            arena.remember()
            with arena.etcdctl() as etcd:
                return etcd.make_room()
        except UNANSWERED:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)


def compaction(arena: Arena, _fault: Fault, _host: str) -> None:
    """Up to now."""
    try:
        arena.remember()
        with arena.etcdctl() as etcd:
            etcd.compact()
    except UNANSWERED as error:
        raise Skipped(f"no member answers: {error}") from None


ACTIONS: dict[str, Action] = {
    "kill": signal_app("KILL"),
    "segv": signal_app("SEGV"),
    "hang": signal_app("STOP"),
    "pause": signal_app("STOP", "CONT"),
    "unit-frozen": unit_frozen,
    "stop-main": systemctl("stop sender@%"),
    "stop-failover": systemctl("stop sender-failover@%"),
    "hand-back": systemctl("start sender@%"),
    "start-failover": systemctl("start sender-failover@%"),
    "target": systemctl("stop sendrecv@%.target", "start sender@%"),
    "move": move,
    "power-cut": power_cut,
    "reboot": reboot,
    "host-frozen": host_frozen,
    "cut": cut,
    "cut-one-way": cut_one_way,
    "cut-etcd": cut_etcd,
    "cut-receiver": cut_receiver,
    "half-open": half_open,
    "connections-dead": connections_dead,
    "loss": loss,
    "clock": clock,
    "etcd-kill": etcd_kill,
    "etcd-stop": systemctl("stop etcd", "start etcd"),
    "etcd-restart": systemctl("restart etcd"),
    "etcd-frozen": etcd_frozen,
    "slow-disk": slow_disk,
    "no-majority": no_majority,
    "etcd-full": etcd_full,
    "compaction": compaction,
    "receiver-kill": signal_receiver("KILL"),
    "receiver-segv": signal_receiver("SEGV"),
    "receiver-restart": systemctl("restart receiver.service"),
    "receiver-pause": signal_receiver("STOP", "CONT"),
    "receiver-away": systemctl(f"stop {RECEIVER_UNITS}", f"start {RECEIVER_UNITS}"),
    "receiver-power": power_cut,
    "receiver-reboot": reboot,
    "receiver-cut": cut,
    "receiver-loss": loss,
}


def strike(arena: Arena, fault: Fault) -> str:
    """Does the fault, and repairs it; returns the host that it struck. Raises Skipped.

    If another fault has that host for itself, it strikes another one.
    """
    first = arena.where(fault)
    others = [] if first == RECEIVER else [name for name in MEMBERS if name != first]
    for host in (first, *others):
        try:
            ACTIONS[fault.kind](arena, fault, host)
        except Busy:
            continue
        return host
    raise Skipped(f"no host is free for {fault.kind}")
