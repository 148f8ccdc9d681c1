"""The two halves of an App of this machine, for the commands that start one of them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from sendrecv.admin import ask, files, units
from sendrecv.admin.acts import systemctl
from sendrecv.admin.bus import Bus, BusError
from sendrecv.admin.problems import MAKE_TOKEN
from sendrecv.admin.told import told
from sendrecv.admin.units import ACTIVE, HALVES, Half, half_of
from sendrecv.config import sender_config
from sendrecv.errors import ConfigError, ReceiverUnavailable, SendrecvError, StoreUnusable
from sendrecv.errors import UsageError

PATIENCE = 10.0
"""Seconds until a half that has started must count."""
LOOK_EVERY = 0.05
OTHER = {"main": "failover", "failover": "main"}
_BUSY = {*ACTIVE, "activating"}


def halves_of(instance: str) -> Mapping[str, Half]:
    """Both, by role. Raises StoreUnusable."""
    known = units.read(files.masked())
    if known.error:
        raise StoreUnusable(known.error)
    return {
        role: known.halves.get((instance, role)) or half_of(instance, role)
        for role in HALVES.values()
    }


def running(instance: str) -> Half | None:
    """The half that is active, or else one that starts; None if none does."""
    both = halves_of(instance).values()
    found = [half for states in (ACTIVE, _BUSY) for half in both if half.state in states]
    return found[0] if found else None


def is_meant(instance: str) -> bool:
    """Whether its target is active: the App is meant to run."""
    return instance in units.read(files.masked()).meant


def assert_can_start(half: Half) -> None:
    """Raises SendrecvError for whatever would keep it from starting, as far as anybody can know.

    To start one half stops the other one. So this is looked at first.
    """
    if half.masked:
        raise UsageError(f"{half.unit} is masked", f"systemctl unmask {half.unit}")
    try:
        with Bus() as bus:
            load = bus.text(half.unit, "LoadState")
            needs_token = bus.text(half.unit, "StandardInput", "Service").startswith("file")
    except BusError as error:
        raise StoreUnusable(f"systemd cannot be asked: {error}") from None
    if load != "loaded":
        raise UsageError(f"{half.unit} cannot be loaded ({load})", f"systemctl status {half.unit}")
    if needs_token and not os.path.exists("/etc/sendrecv/token"):
        raise UsageError("/etc/sendrecv/token is missing", MAKE_TOKEN)
    host = os.uname().nodename.partition(".")[0]
    try:
        sender_config(half.instance, half.role, files.settings(half.instance), host)
    except ConfigError as error:
        raise ConfigError(f"{half.role} cannot start", str(error)) from None


def start(half: Half) -> None:
    """Start it, and wait until it counts. Raises ReceiverUnavailable."""
    if halves_of(half.instance)[half.role].state == "failed":
        systemctl("--quiet", "reset-failed", half.unit)  # or its start limit may be hit
    before = _counts()
    if not systemctl("start", half.unit):
        raise ReceiverUnavailable(f"{half.unit} has not started")
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        now = halves_of(half.instance)[half.role]
        if now.state not in _BUSY:
            raise ReceiverUnavailable(f"{half.unit} has started, and has ended at once")
        if _counts_now(now, before):
            return
        time.sleep(LOOK_EVERY)
    raise ReceiverUnavailable(
        f"{half.unit} runs, and has taken no count within {PATIENCE:g} s",
        f"it says: {halves_of(half.instance)[half.role].text or 'nothing'}",
    )


def _counts() -> dict[str, int]:
    """The last count in each record, by appID."""
    return {app_id: record.count for app_id, record in (files.records() or {}).items()}


def _counts_now(half: Half, before: Mapping[str, int]) -> bool:
    """Whether the receiver has admitted its run; or, without a receiver, it has taken a count."""
    said = told(half.text)
    if said.several:
        return not said.stands_by
    for app_id, record in (files.records() or {}).items():
        if record.run == half.run and record.count > before.get(app_id, -1):
            return True
    try:
        rows = ask.apps().values()
    except SendrecvError:
        return False
    return any(row.get("run") == half.run and row.get("connectedSince") for row in rows)
