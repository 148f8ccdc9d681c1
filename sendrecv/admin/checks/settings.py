"""Settings: what of the files has no effect, what is wrong, and what a process has that runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from sendrecv import settings_file
from sendrecv.admin.bus import Bus, BusError
from sendrecv.admin.checks.unseen import Unseen
from sendrecv.admin.facts import App, Facts
from sendrecv.admin.problems import Problem
from sendrecv.admin.units import ACTIVE
from sendrecv.config import (
    DEFAULT_URL,
    PREFIX,
    RECEIVER_SETTINGS,
    SENDER_SETTINGS,
    ReceiverConfig,
    SenderConfig,
    receiver_config,
    sender_config,
)
from sendrecv.core.env_file import Complaint
from sendrecv.core.errors import quoted
from sendrecv.core.values import Value
from sendrecv.errors import ConfigError

NETWORK = "/usr/lib/sendrecv/network.conf"
RECEIVER = "receiver.service"
MAX_ENVIRON = 1 << 20


class UnitSettings(Value):
    """What one unit is given. instance: "receiver" for the receiver. files: its EnvironmentFile=.
    environ: what its next start gets, None if a file of it cannot be seen. running: what its
    process was started with, None if there is none, or that cannot be seen. since: of that process.
    changed: when the newest of the files was. has_network: whether it has network.conf, or
    something like it. allowed: whether it may reach other addresses than this machine's.
    """

    unit: str
    instance: str
    role: str
    files: tuple[str, ...] = ()
    environ: Mapping[str, str] | None = None
    running: Mapping[str, str] | None = None
    since: float | None = None
    changed: float = 0.0
    has_network: bool = True
    allowed: bool = True


class AppSettings(Value):
    """The settings of an App, as far as they are right. config: of main."""

    app: App
    config: SenderConfig


def read(facts: Facts, apps: Iterable[App]) -> list[UnitSettings]:
    """What the units of these Apps, and the receiver's, are given. Raises BusError."""
    began = facts.units.began
    wanted = [(RECEIVER, "receiver", "", began)]
    for app in apps:
        wanted += [
            (half.unit, app.instance, half.role, half.since if half.state in ACTIVE else None)
            for half in app.halves
        ]
    with Bus() as bus:
        return [_read(bus, *one) for one in wanted]


def _read(bus: Bus, unit: str, instance: str, role: str, since: float | None) -> UnitSettings:
    if bus.text(unit, "LoadState") != "loaded":
        return UnitSettings(unit, instance, role, (settings_file.path_of(instance),))
    set_here = (one.partition("=") for one in bus.texts(unit, "Environment", "Service"))
    environ: dict[str, str] | None = {key: value for key, _, value in set_here}
    files = tuple(path for path, _ in bus.pairs(unit, "EnvironmentFiles", "Service", "b"))
    for path in files:
        try:
            environ = None if environ is None else environ | settings_file.read(path).values()
        except PermissionError:
            environ = None
    pid = bus.count(unit, "MainPID") if since else 0
    return UnitSettings(
        unit=unit,
        instance=instance,
        role=role,
        files=files,
        environ=environ,
        running=_environ_of(pid) if pid else None,
        since=since,
        changed=max(map(_changed, files), default=0.0),
        has_network=bus.text(unit, "StandardInput", "Service").startswith("file"),
        allowed=_allows_others(bus.texts(unit, "DropInPaths")),
    )


def _environ_of(pid: int) -> Mapping[str, str] | None:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read(MAX_ENVIRON).split(b"\0")
    except OSError:
        return None
    pairs = (word.decode("utf-8", "replace").partition("=") for word in words if word)
    return {key: value for key, _, value in pairs}


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _allows_others(drop_ins: Iterable[str]) -> bool:
    """Whether a drop-in has an IPAddressAllow= of other machines. One that cannot be read may."""
    for path in drop_ins:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read(settings_file.MAX_FILE).split("\n")
        except OSError:
            return True
        words = [
            word
            for line in lines
            if line.strip().startswith("IPAddressAllow=")
            for word in line.partition("=")[2].split()
        ]
        if {*words} - {"localhost", "127.0.0.0/8", "::1/128"}:
            return True
    return False


def judge(
    owns: Iterable[UnitSettings], apps: Iterable[App], host: str, known: list[AppSettings]
) -> Iterator[Problem | Unseen]:
    """What is wrong with these settings. known: gets those of each App that are right."""
    by_instance = {app.instance: app for app in apps}
    told: set[str] = set()
    for own in owns:
        for path in own.files:
            if path not in told:
                told.add(path)
                yield from _ignored(path, own.instance)
        app = by_instance.get(own.instance)
        config, problem = _config(own, host)
        if problem and own.role != "failover":  # both halves have the same file
            yield problem
        if own.role == "main" and app and isinstance(config, SenderConfig):
            known.append(AppSettings(app, config))
        if isinstance(config, SenderConfig):
            yield from _network(own, config)
            yield from _ca(own, config)
        yield from _older(own)
    yield from _twice(known)


def _ignored(path: str, instance: str) -> Iterator[Problem | Unseen]:
    names = RECEIVER_SETTINGS if instance == "receiver" else SENDER_SETTINGS
    try:
        wrong = settings_file.complaints(settings_file.read(path), names)
    except PermissionError:
        yield Unseen(path)
        return
    for one in wrong:
        yield _of_line(path, "" if instance == "receiver" else instance, one)


def _of_line(path: str, instance: str, one: Complaint) -> Problem:
    text = f"{settings_file.place(path, one.line)}: {one.text}"
    line = f"+{one.line} " if one.line else ""
    commands = (f"sensible-editor {line}{path}", _restart(instance))
    return Problem(
        instance, "setting-ignored", text, commands, False, "the default holds in its place"
    )


def _restart(instance: str) -> str:
    return (
        f"systemctl restart sendrecv@{instance}.target"
        if instance
        else "systemctl restart receiver"
    )


def _config(
    own: UnitSettings, host: str
) -> tuple[SenderConfig | ReceiverConfig | None, Problem | None]:
    environ = own.environ
    if environ is None:
        return None, None
    where: Callable[[str], str] = partial(_where, own, environ)
    try:
        if own.instance == "receiver":
            return receiver_config(environ, where), None
        return sender_config(own.instance, own.role, environ, host, where), None
    except ConfigError as error:
        instance = "" if own.instance == "receiver" else own.instance
        cost = f"{own.unit} does not start any more"
        commands = (f"systemctl cat {own.unit}", _restart(instance))
        return None, Problem(instance, "setting", str(error), commands, True, cost)


def _where(own: UnitSettings, environ: Mapping[str, str], key: str) -> str:
    return settings_file.where(key, environ.get(key), own.instance, own.unit)


def _older(own: UnitSettings) -> Iterator[Problem]:
    """What a process runs with, and what its next start would get."""
    if own.since is None:
        return
    instance = "" if own.instance == "receiver" else own.instance
    whom = f"the {own.role} half of App {instance}" if instance else "the receiver"
    cost = "a change takes effect at the next start"
    if own.running is not None and own.environ is not None:
        now, then = (
            {key: value for key, value in environ.items() if key.startswith(PREFIX)}
            for environ in (own.environ, own.running)
        )
        names = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
        if names:
            what = ", ".join(
                f"{key} {_said(then.get(key))}, now {_said(now.get(key))}" for key in names[:3]
            )
            text = f"{whom} runs with older settings than there are: {what}"
            yield Problem(instance, "setting-older", text, (_restart(instance),), False, cost)
    elif own.changed > own.since:
        text = f"{whom} may run with older settings: {own.files[0]} has changed since it began"
        yield Problem(instance, "setting-older", text, (_restart(instance),), False, cost)


def _said(value: str | None) -> str:
    return "not set" if value is None else quoted(value)


def _network(own: UnitSettings, config: SenderConfig) -> Iterator[Problem]:
    elsewhere = "SENDRECV_STORE" if config.store else ""
    elsewhere = elsewhere or ("" if config.url.startswith("unix:") else "SENDRECV_URL")
    if not elsewhere:
        return
    template = own.unit.partition("@")[0]
    directory = f"/etc/systemd/system/{template}@{own.instance}.service.d"
    if not own.has_network:
        text = f"{own.unit} has {elsewhere}, and no network"
        cost = "it reaches neither a receiver by TCP nor etcd, and does not start"
        commands: tuple[str, ...] = (
            f"install -D -m 644 -t {directory} {NETWORK}",
            "systemctl daemon-reload",
            _restart(own.instance),
        )
        yield Problem(own.instance, "no-network", text, commands, True, cost)
    elif not own.allowed and (others := _other_machines(config)):
        text = f"{own.unit} may reach this machine alone, and has to reach {others[0]}"
        cost = "nothing is delivered; and with etcd, nothing is counted"
        example = f"add IPAddressAllow=ADDRESS for each of them to {directory}/network.conf"
        commands = (f"systemctl edit {own.unit}", "systemctl daemon-reload")
        yield Problem(own.instance, "no-address", f"{text}: {example}", commands, True, cost)


def _other_machines(config: SenderConfig) -> list[str]:
    hosts = [host for host, _ in config.store.endpoints] if config.store else []
    if not config.url.startswith("unix:"):
        rest = config.url.partition("://")[2].rstrip("/")
        hosts.append(rest.rpartition("]")[0].lstrip("[") or rest.partition(":")[0])
    here = ("localhost", "::1")
    return [host for host in hosts if host not in here and not host.startswith("127.")]


_SEEN_BY_SENDERS = ("/etc/", "/usr/", "/run/")


def _ca(own: UnitSettings, config: SenderConfig) -> Iterator[Problem]:
    if not config.ca or own.role != "main":
        return
    try:
        found = os.stat(config.ca)
        why = "" if stat.S_ISREG(found.st_mode) else "it is no file"
        if not why and not found.st_mode & stat.S_IROTH and found.st_uid == found.st_gid == 0:
            why = "the senders' user cannot read it"
        if not why and not config.ca.startswith(_SEEN_BY_SENDERS):
            why = "a sender sees files in /etc, /usr and /run alone, unless a drop-in binds others"
    except OSError as error:
        why = "" if isinstance(error, PermissionError) else str(error.strerror)
    if why:
        text = f"SENDRECV_CA={config.ca}: {why}"
        commands = (f"ls -lL {config.ca}",)
        cost = "no receiver's certificate is trusted, and nothing is delivered"
        yield Problem(own.instance, "setting-ca", text, commands, True, cost)


def _twice(known: Iterable[AppSettings]) -> Iterator[Problem]:
    """Two instances with one appID."""
    seen: dict[str, str] = {}
    for one in known:
        app_id, instance = one.config.app_id, one.app.instance
        if one.config.url != DEFAULT_URL and one.config.store:
            continue
        other = seen.setdefault(app_id, instance)
        if other != instance:
            text = f"the instances {other} and {instance} have the same appID {app_id}"
            cost = "while one of them runs, the other one does not start"
            command = f"sensible-editor {settings_file.path_of(instance)}"
            yield Problem(instance, "setting-twice", text, (command,), True, cost)


def problems(
    facts: Facts, apps: Iterable[App], known: list[AppSettings]
) -> Iterator[Problem | Unseen]:
    """Of these Apps and of the receiver. known: see judge()."""
    apps = [*apps]
    if facts.units.error:
        return
    try:
        owns = read(facts, apps)
    except BusError:  # which units.py says
        return
    yield from judge(owns, apps, facts.host, known)
