"""What systemd knows of the units of Apps and of the receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sendrecv.admin.bus import Bus, BusError, Listed
from sendrecv.admin.files import OF_AN_APP
from sendrecv.core.values import Value

HALVES = {"sender": "main", "sender-failover": "failover"}
ACTIVE = frozenset({"active", "reloading"})
_OF_APPS = ("sender@*.service", "sender-failover@*.service", "sendrecv@*.target")
_OF_RECEIVER = ("receiver.service", "receiver.socket", "receiver-tcp.socket")
_PATTERNS = (*_OF_APPS, *_OF_RECEIVER, "sendrecv-audit.timer", "sendrecv-audit.service")


class Half(Value):
    """One unit of a sender. state: its ActiveState=. masked: whether a start would be refused.
    result, status: why it ended last, and its exit status. needs_token: whether it cannot start
    without the token file. since: when it became active. run: its InvocationID=. text: its STATUS=.
    These are "", 0, False and None if they are not known, or say nothing of a unit in that state.
    """

    unit: str
    instance: str
    role: str
    state: str = "inactive"
    masked: bool = False
    result: str = ""
    status: int = 0
    needs_token: bool = False
    since: float | None = None
    run: str = ""
    text: str = ""


class Units(Value):
    """halves: those in memory or masked, by instance and role. meant: the instances whose target is
    active. others: ActiveState= of the receiver's units, and of the audit's, that are in memory.
    began: when receiver.service became active, None if it is not. masked: the names of all units
    that are. error: why systemd cannot be asked, "" if it can.
    """

    halves: Mapping[tuple[str, str], Half]
    meant: frozenset[str] = frozenset()
    others: Mapping[str, str] = {}
    began: float | None = None
    masked: frozenset[str] = frozenset()
    error: str = ""


def half_of(instance: str, role: str) -> Half:
    """That half, of which nothing is known yet."""
    prefix = {role: prefix for prefix, role in HALVES.items()}[role]
    return Half(f"{prefix}@{instance}.service", instance, role)


def read(
    masked: frozenset[str], reuse: Callable[[Half], Half | None] = lambda _half: None
) -> Units:
    """As they are now. masked: the names of the units that are. reuse: given a half with its state,
    what is known of the rest; None if it is to be asked.
    """
    there = [match for match in map(OF_AN_APP.fullmatch, masked) if match and match[1] in HALVES]
    halves = {}
    for match in there:
        half = half_of(match[2], HALVES[match[1]])
        halves[half.instance, half.role] = half.replace(masked=True)
    try:
        with Bus() as bus:
            return _asked(bus, halves, reuse).replace(masked=masked)
    except BusError as error:
        return Units(halves, masked=masked, error=f"systemd cannot be asked: {error}")


def _asked(
    bus: Bus, halves: dict[tuple[str, str], Half], reuse: Callable[[Half], Half | None]
) -> Units:
    listed = bus.units(_PATTERNS)
    found = sort_out(listed, halves)
    began = None
    if found.others.get("receiver.service") in ACTIVE:
        began = bus.number("receiver.service", "ActiveEnterTimestamp") / 1e6
    # systemd forgets a half that could not be started.
    meant = {(name, role): half_of(name, role) for name in found.meant for role in HALVES.values()}
    # One question for each property of a unit: so not of units that nobody will look at.
    return found.replace(
        began=began,
        halves={
            key: (
                reuse(half) or _completed(bus, half)
                if half.state != "inactive" or key in meant
                else half
            )
            for key, half in {**meant, **found.halves}.items()
        },
    )


def sort_out(listed: Iterable[Listed], halves: Mapping[tuple[str, str], Half]) -> Units:
    """Those units by their kind. halves: those that are known to be masked."""
    found, meant, others = dict(halves), set(), {}
    for unit in listed:
        match = OF_AN_APP.fullmatch(unit.name)
        if match is None:
            others[unit.name] = unit.active
        elif match[1] in HALVES:
            half = half_of(match[2], HALVES[match[1]])
            masked = (half.instance, half.role) in halves
            found[half.instance, half.role] = half.replace(state=unit.active, masked=masked)
        elif unit.active == "active":
            meant.add(match[2])
    return Units(found, frozenset(meant), others)


def _completed(bus: Bus, half: Half) -> Half:
    try:
        if half.state in ACTIVE or half.state == "activating":
            return half.replace(
                since=bus.number(half.unit, "ActiveEnterTimestamp") / 1e6 or None,
                run=bus.run(half.unit),
                text=bus.text(half.unit, "StatusText", "Service"),
            )
        if half.masked:  # nothing of its last start is known any more
            return half
        return half.replace(
            result=bus.text(half.unit, "Result", "Service"),
            status=bus.status(half.unit, "ExecMainStatus"),
            # As network.conf has it, which asserts that the file is there. Of the assertion itself
            # systemd remembers nothing, once it has forgotten the unit.
            needs_token=bus.text(half.unit, "StandardInput", "Service").startswith("file"),
        )
    except BusError:  # it has gone meanwhile
        return half
