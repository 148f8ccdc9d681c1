"""Units: whether they are as they were delivered in what the promises rest on (promises.py)."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from sendrecv.admin.bus import Bus, BusError
from sendrecv.admin.checks import promises
from sendrecv.admin.checks.journald import seconds
from sendrecv.admin.checks.promises import Promise, PropertyValue
from sendrecv.admin.facts import STOPPED, App, Facts
from sendrecv.admin.problems import Problem
from sendrecv.admin.screen import duration, plain
from sendrecv.admin.units import ACTIVE
from sendrecv.core.values import Value

PACKAGED = "/usr/lib/systemd/system"
COMMON = "10-sender.conf"
"""The drop-in in which both halves have what they have in common."""
MAX_FILE = 65_536
RELOAD = "systemctl daemon-reload"
_HELPERS = {
    "sendrecv-guard.timer": (
        "an App whose takeovers have ended is not started again",
        "systemctl start sendrecv-guard.timer",
    ),
    "sendrecv-mask.path": (
        "a half that is masked while it runs hands over only seconds later",
        "systemctl start sendrecv-mask.path",
    ),
    "sendrecv-token.path": (
        "a new token is not noticed: senders and receiver keep the old one",
        "systemctl start sendrecv-token.path",
    ),
}
"""Units that each App wants. What it costs if one does not run, and how it is started."""
_OF_RECEIVER = {
    "receiver-status.socket": (
        "sendrecv status cannot ask the receiver",
        "systemctl restart receiver.socket",
    ),
    "sendrecv-journal.socket": (
        "the receiver cannot ask the journal what was printed, if that is in doubt",
        "systemctl start sendrecv-journal.socket",
    ),
}
_REQUIRES = ("Requires", "Requisite", "BindsTo")
_ALWAYS_THERE = {"sysinit.target", "-.mount", "run.mount", "usr.mount"}
"""What a sender requires, whatever is in its files, and without which nothing runs."""
_ROOT = "sendrecv-root.service"
"""Mounts the root of senders and receiver. Each start of one of them starts this unit."""


class Look(Value):
    """What systemd has of a unit. role: a key of promises.OF. load: its LoadState=. drop_ins: the
    files, in the order in which they are obeyed. is_old: whether its files have changed since
    systemd read them. found: the properties that are promised. watchdog: microseconds, None if it
    has none to have. level: LogLevelMax=, -1 for none. burst: lines a second, None for no limit.
    command: the words of ExecStart=. requires: the units without which it fails.
    """

    unit: str
    role: str
    instance: str = ""
    load: str = "loaded"
    fragment: str = ""
    drop_ins: tuple[str, ...] = ()
    is_old: bool = False
    found: Mapping[str, PropertyValue] = {}
    watchdog: int | None = None
    level: int = -1
    burst: float | None = None
    command: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


def problems(facts: Facts, apps: Iterable[App]) -> Iterator[Problem]:
    """Of the units of these Apps, and of those that all Apps use."""
    apps = [*apps]
    looked_at = {half.unit for app in apps for half in app.halves}
    looked_at |= {"receiver.service", "receiver.socket"}
    yield from _masked(facts, apps, looked_at)
    if facts.units.error:  # which was said already
        return
    said = _said_to_be_masked(facts, apps)
    try:
        with Bus() as bus:
            yield from _helpers(bus, facts)
            yield from _root(bus)
            for look in looks(bus, apps):
                if look.load != "masked" or look.unit not in said:
                    yield from judge(look)
    except BusError as error:
        yield Problem("", "systemd", f"systemd cannot be asked: {error}", ("systemctl status",))
    yield from _at_boot(apps)


def looks(bus: Bus, apps: Iterable[App]) -> Iterator[Look]:
    """One look at each unit. Instances whose files are the same ones are asked for properties
    once: an answer keeps PID 1 from starting senders for a moment.
    """
    known: dict[tuple[object, ...], Look] = {}
    wanted = [
        Look("receiver.service", "receiver.service"),
        Look("receiver.socket", "receiver.socket"),
    ]
    for app in apps:
        wanted += [Look(half.unit, half.role, app.instance) for half in app.halves]
        wanted.append(Look(f"sendrecv@{app.instance}.target", "target", app.instance))
    for look in wanted:
        look = _files_of(bus, look)
        key = (look.role, look.load, look.fragment, look.drop_ins)
        if key in known and look.instance:
            yield look
            continue
        known[key] = look
        yield _properties_of(bus, look) if look.load == "loaded" else look


def _files_of(bus: Bus, look: Look) -> Look:
    return look.replace(
        load=bus.text(look.unit, "LoadState"),
        fragment=bus.text(look.unit, "FragmentPath"),
        drop_ins=bus.texts(look.unit, "DropInPaths"),
        is_old=bus.switch(look.unit, "NeedDaemonReload"),
    )


def _properties_of(bus: Bus, look: Look) -> Look:
    found = {one.key: _property(bus, look.unit, one) for one in promises.OF[look.role]}
    look = look.replace(found=found)
    if look.role not in promises.WATCHDOG:
        return look
    every = bus.number(look.unit, "LogRateLimitIntervalUSec", "Service")
    burst = bus.count(look.unit, "LogRateLimitBurst")
    kinds = _REQUIRES if look.role == "failover" else ()
    return look.replace(
        requires=tuple(unit for kind in kinds for unit in bus.texts(look.unit, kind)),
        watchdog=watchdog_in((look.fragment, *look.drop_ins)),
        level=bus.status(look.unit, "LogLevelMax"),
        burst=burst / (every / 1e6) if every and burst else None,
        command=bus.command(look.unit),
    )


def watchdog_in(files: Iterable[str]) -> int | None:
    """The last WatchdogSec= in those files, in microseconds; 0 if there is none, None if a file
    cannot be read. systemd's own property is that of the process that runs, or 0.
    """
    found = 0
    for path in filter(None, files):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(MAX_FILE)
        except OSError:
            return None
        for value in re.findall(r"^[ \t]*WatchdogSec[ \t]*=(.*)$", text, re.M):
            found = int((seconds(value.strip()) or 0) * 1_000_000)
    return found


def _property(bus: Bus, unit: str, promise: Promise) -> PropertyValue:
    key, kind = promise.key, promise.kind
    if key == "Listen":
        return tuple(address for _, address in bus.pairs(unit, key, kind))
    if isinstance(promise.wanted, tuple):
        return bus.texts(unit, key, kind)
    if isinstance(promise.wanted, bool):
        return bus.switch(unit, key, kind)
    if isinstance(promise.wanted, int):
        return bus.status(unit, key)
    return bus.text(unit, key, kind)


def judge(look: Look) -> Iterator[Problem]:
    """What is wrong with that unit."""
    if look.load == "masked":
        text, command = f"{look.unit} is masked", f"systemctl unmask {look.unit}"
        yield Problem(look.instance, "unit-masked", text, (command,), False, "it cannot be started")
        return
    if look.load != "loaded":
        text = f"systemd cannot load {look.unit} ({look.load})"
        look_at = (f"systemctl status {look.unit}", f"systemd-analyze verify {look.unit}")
        yield Problem(look.instance, "unit-broken", text, look_at, True, "it cannot be started")
        return
    yield from _files(look)
    names = _names(look)
    for promise in promises.OF[look.role]:
        found = look.found.get(promise.key)
        if found is not None and not promises.holds(promise, found, names):
            yield _broken(look, promise, found, names)
    yield from _watchdog(look)
    yield from _logging(look)
    yield from _command(look)
    yield from _required(look)


def _names(look: Look) -> Mapping[str, str]:
    other = {"main": "failover", "failover": "main"}.get(look.role, "")
    prefix = "sender-failover" if other == "failover" else "sender"
    return {
        "instance": look.instance,
        "other": f"{prefix}@{look.instance}.service",
        "starter": f"sender-start-{other}@{look.instance}.service",
    }


def _files(look: Look) -> Iterator[Problem]:
    if look.is_old:
        text = f"the files of {look.unit} have changed since systemd read them"
        yield Problem(look.instance, "unit-old", text, (RELOAD,), False, "the change has no effect")
    if look.fragment and not os.path.realpath(look.fragment).startswith(f"{PACKAGED}/"):
        name = look.fragment.rpartition("/")[2]
        text = f"{look.fragment} is used in place of the package's own file"
        commands = (f"diff {PACKAGED}/{_template(look.unit)} {look.fragment}", _edit(look.fragment))
        cost = f"no update of the package reaches {name}"
        yield Problem(look.instance, "unit-copied", text, commands, False, cost)
    if look.role in {"main", "failover"} and not any(
        _is_packaged(path) and path.endswith(f"/{COMMON}") for path in look.drop_ins
    ):
        text = f"{look.unit} does not have the package's drop-in {COMMON}"
        commands = (f"systemctl cat {look.unit}", "apt install --reinstall sendrecv")
        cost = "what both halves have in common is missing: order, watchdog, sandbox"
        yield Problem(look.instance, "unit-drop-in", text, commands, True, cost)


def _is_packaged(path: str) -> bool:
    return os.path.realpath(path).startswith((f"{PACKAGED}/", "/usr/lib/sendrecv/"))


def _template(unit: str) -> str:
    prefix, at, rest = unit.partition("@")
    return f"{prefix}@.{rest.rpartition('.')[2]}" if at else unit


def _broken(
    look: Look, promise: Promise, found: PropertyValue, names: Mapping[str, str]
) -> Problem:
    if isinstance(promise.wanted, tuple):
        there = found if isinstance(found, tuple) else ()
        missing = [one.format(**names) for one in promise.wanted]
        missing = [one for one in missing if one not in there]
        text = f"{look.unit} has no {promise.setting}={' '.join(missing)}"
    else:
        shown = {True: "yes", False: "no", "": "nothing"}.get(found, found)
        text = f"{look.unit} has {promise.setting}={plain(str(shown))}"
    cost = promise.cost.format(**names)
    place, commands = _source(look, promise.setting)
    return Problem(look.instance, "unit-edited", text + place, commands, promise.is_error, cost)


def _source(look: Look, setting: str) -> tuple[str, tuple[str, ...]]:
    """Where that was set, in words, and what to type."""
    own = [path for path in (look.fragment, *look.drop_ins) if path and not _is_packaged(path)]
    found = [path for path in own if _sets(path, setting)]
    if not found and len(own) != 1:
        return "", (f"systemctl cat {look.unit}",)
    path = (found or own)[-1]
    return f" in {path}", (_edit(path), RELOAD)


def _edit(path: str) -> str:
    return f"sensible-editor {path}"


def _sets(path: str, setting: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_FILE)
    except OSError:
        return False
    return bool(re.search(rf"^[ \t]*{re.escape(setting)}[ \t]*=", text, re.M))


def _watchdog(look: Look) -> Iterator[Problem]:
    shipped = promises.WATCHDOG.get(look.role)
    if look.watchdog is None or shipped is None or look.watchdog == shipped:
        return
    place, commands = _source(look, "WatchdogSec")
    now, was = look.watchdog / 1e6, shipped / 1e6
    if not 0 < look.watchdog < 1 << 63:
        text, cost = "no WatchdogSec=", "a process that hangs is never replaced: silence for ever"
    elif look.watchdog > shipped:
        text = f"WatchdogSec={duration(now)}, and not {was:g} s"
        cost = f"a process that hangs is replaced only after {duration(now)}"
    else:
        text = f"WatchdogSec={now:g}s, and not {was:g} s"
        cost = "on a busy machine, processes that are well look as if they hang, and are killed"
    is_error = not 0 < look.watchdog < 30_000_000
    text = f"{look.unit} has {text}{place}"
    yield Problem(look.instance, "unit-watchdog", text, commands, is_error, cost)


def _logging(look: Look) -> Iterator[Problem]:
    if 0 <= look.level < promises.INFO and look.role == "receiver.service":
        place, commands = _source(look, "LogLevelMax")
        text = f"{look.unit} has LogLevelMax={look.level}{place}"
        cost = "payloads have the severity info (6), and are not stored: no count is in the journal"
        yield Problem("", "unit-log-level", text, commands, True, cost)
    if look.burst is not None and look.burst < promises.BURST and look.role == "receiver.service":
        place, commands = _source(look, "LogRateLimitBurst")
        text = f"{look.unit} may write {look.burst:.0f} lines a second{place}"
        cost = "journald drops what is above that, and nobody is told which counts these were"
        yield Problem("", "unit-rate-limit", text, commands, False, cost)


def _command(look: Look) -> Iterator[Problem]:
    wanted = {
        "main": ("send", look.instance, "main"),
        "failover": ("send", look.instance, "failover"),
        "receiver.service": ("receive",),
    }.get(look.role)
    if not look.command or not wanted:
        return
    *_, name = ("", *look.command[: -len(wanted)])
    if look.command[-len(wanted) :] != wanted or not name.endswith("/sendrecv"):
        place, commands = _source(look, "ExecStart")
        text = f"{look.unit} runs {plain(' '.join(look.command))[:80]}{place}"
        cost = "it is not the program that keeps the promises"
        yield Problem(look.instance, "unit-command", text, commands, True, cost)


def _required(look: Look) -> Iterator[Problem]:
    """See "The halves require nothing that can fail" in docs/architecture.md."""
    kept = {*_ALWAYS_THERE, f"sendrecv@{look.instance}.target"}
    more = [unit for unit in look.requires if unit not in kept and not unit.endswith(".slice")]
    if not more:
        return
    kind = next((kind for kind in _REQUIRES if _source(look, kind)[0]), "Requires")
    place, commands = _source(look, kind)
    text = f"{look.unit} requires {plain(' '.join(sorted(more)))[:80]}{place}"
    cost = "if main requires it too, and it fails, systemd starts the halves in turn, without end"
    cost += ", and does nothing else: Wants= is enough"
    yield Problem(look.instance, "unit-requires", text, commands, True, cost)


def _said_to_be_masked(facts: Facts, apps: Iterable[App]) -> set[str]:
    """The units of which `sendrecv status` says that."""
    halves = {half.unit for app in apps for half in app.halves if app.state != STOPPED}
    return ({"receiver.service", "receiver.socket"} | halves) & facts.units.masked


def _masked(facts: Facts, apps: Iterable[App], looked_at: Collection[str]) -> Iterator[Problem]:
    """Units that are masked, beside those whose properties are looked at."""
    own = {unit: app for app in apps for unit in _units_of(app)}
    for unit in sorted(facts.units.masked - {*looked_at, _ROOT}):
        if "@" in unit and "@." not in unit and unit not in own:
            continue  # of an App that is not shown
        app = own.get(unit)
        text, command = f"{unit} is masked", f"systemctl unmask {unit}"
        cost = _HELPERS.get(unit, _OF_RECEIVER.get(unit, ("it cannot be started",)))[0]
        yield Problem(app.instance if app else "", "unit-masked", text, (command,), False, cost)


def _units_of(app: App) -> Iterator[str]:
    yield f"sendrecv@{app.instance}.target"
    yield from (f"sender-start-{half.role}@{app.instance}.service" for half in app.halves)


def _helpers(bus: Bus, facts: Facts) -> Iterator[Problem]:
    """Units that are to be active, beside those that status names."""
    wanted = dict(_HELPERS) if facts.units.meant else {}
    if facts.units.others.get("receiver.service") in ACTIVE:
        wanted |= _OF_RECEIVER
    for unit, (cost, command) in wanted.items():
        if unit in facts.units.masked:
            continue
        state = bus.text(unit, "ActiveState")
        if state not in {*ACTIVE, "activating"}:
            is_error = unit == "sendrecv-guard.timer"
            text = f"{unit} is {state}"
            yield Problem("", "unit-inactive", text, (command,), is_error, cost)


def _root(bus: Bus) -> Iterator[Problem]:
    cost = "no sender and no receiver can be started"
    if bus.text(_ROOT, "LoadState") == "masked":
        commands = (f"systemctl unmask {_ROOT}",)
        yield Problem("", "unit-masked", f"{_ROOT} is masked", commands, True, cost)
    elif bus.text(_ROOT, "ActiveState") == "failed":
        commands = (f"systemctl status {_ROOT}",)
        yield Problem("", "unit-inactive", f"{_ROOT} has failed", commands, True, cost)


def _at_boot(apps: Iterable[App]) -> Iterator[Problem]:
    for app in apps:
        if app.meant and not app.at_boot:
            text = f"App {app.instance} is not enabled"
            command = f"systemctl enable sendrecv@{app.instance}.target"
            cost = "after a reboot it does not start"
            yield Problem(app.instance, "not-at-boot", text, (command,), False, cost)
