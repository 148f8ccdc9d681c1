"""What files say of Apps: links that enable and mask units, settings, records."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from sendrecv.core import record as slots
from sendrecv.core.errors import UnknownFormat
from sendrecv.core.record import Record

UNITS = Path("/etc/systemd/system")
RUNTIME_UNITS = Path("/run/systemd/system")
SETTINGS = Path("/etc/sendrecv")
RECORDS = Path("/var/lib/sendrecv")
MAX_SETTINGS = 65_536
OF_AN_APP = re.compile(r"(sender|sender-failover|sendrecv)@(.+)\.(?:service|target)")
"""The name of a unit of an App: its prefix and its instance."""
_SETTING = re.compile(r"[ \t]*(SENDRECV_[A-Z_]+)=([\"']?)([^\\\"']*?)\2[ \t]*")
_APP_ID = re.compile(r"[ \t]*SENDRECV_APP_ID[ \t]*=[ \t]*([\"']?)([A-Za-z0-9._:@-]+)\1[ \t]*")


def enabled() -> set[str]:
    """The instances that start at boot, by whichever of their units."""
    found = set()
    for directory in _entries(UNITS):
        if directory.name.endswith((".wants", ".requires")):
            names = (OF_AN_APP.fullmatch(entry.name) for entry in _entries(Path(directory.path)))
            found |= {name[2] for name in names if name}
    return found


def masked() -> frozenset[str]:
    """The names of the units of Apps and of the receiver that are masked."""
    return frozenset(
        entry.name
        for directory in (UNITS, RUNTIME_UNITS)
        for entry in _entries(directory)
        if entry.name.startswith(("send", "receiver")) and _links_to_nothing(entry.path)
    )


def app_ids() -> Mapping[str, str]:
    """The appID of each instance whose settings file gives it another one than its name."""
    found = {}
    for entry in _entries(SETTINGS):
        instance, dot, kind = entry.name.rpartition(".")
        if dot and kind == "env" and (app_id := _app_id(entry.path)):
            found[instance] = app_id
    return found


def with_settings() -> set[str]:
    """The instances that have a settings file, "receiver" among them."""
    parts = (entry.name.rpartition(".") for entry in _entries(SETTINGS))
    return {instance for instance, dot, kind in parts if dot and kind == "env" and instance}


def settings(instance: str) -> Mapping[str, str]:
    """Those of its settings file that need no more than a look: one line each, without escapes."""
    try:
        with open(SETTINGS / f"{instance}.env", encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_SETTINGS)
    except OSError:
        return {}
    found = (match for match in map(_SETTING.fullmatch, text.split("\n")) if match)
    return {match[1]: match[3] for match in found}


def _app_id(path: str) -> str:
    """Of its lines, systemd obeys the last one; "" if there is none, or this user may not see."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_SETTINGS)
    except OSError:
        return ""
    found = [match[2] for match in map(_APP_ID.fullmatch, text.split("\n")) if match]
    return found[-1] if found else ""


def records() -> Mapping[str, Record] | None:
    """The record of each App of this machine, by its appID; None for who may not see them."""
    if not os.access(RECORDS, os.R_OK | os.X_OK):
        return {} if not RECORDS.exists() else None
    found = {}
    for entry in _entries(RECORDS):
        if entry.name.endswith(".record") and (record := _record(entry.path)):
            found[record.app_id] = record
    return found


def _record(path: str) -> Record | None:
    """The directory is the senders' user's: no link is followed, and nothing is waited for."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        return slots.decode(os.pread(file, slots.FILE_SIZE, 0)).record
    except (OSError, UnknownFormat):
        return None
    finally:
        os.close(file)


def _links_to_nothing(path: str) -> bool:
    try:
        return os.readlink(path) == os.devnull
    except OSError:
        return False


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            yield from found
    except OSError:
        pass  # there is nothing, or this user may not see
