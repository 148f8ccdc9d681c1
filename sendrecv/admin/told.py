"""What a sender says of itself in its STATUS=, as values. See SenderMachine.status() and, of an App
on several hosts, etcd_lease.py.
"""

from __future__ import annotations

import calendar
import re
import time

from sendrecv.admin.paused import Pause
from sendrecv.core.values import Value

_HERE = re.compile(r"counting here since ([0-9: -]{19}) UTC, count [0-9]+, ")
_THERE = re.compile(r"standing by, (\S+) \((\S+)\) counts since ([0-9: -]{19}) UTC")
_COUNT = re.compile(r", count ([0-9]+)")
_ALONE = re.compile(r"(not connected|connecting|resuming|connected), epoch ([0-9]+)")
_PAUSED = re.compile(r", paused(?: by (\S+))?(?: since ([0-9: -]{19}) UTC)?(?: \((.*)\))?$")
_HELD = re.compile(r"standing by, nothing counts: ([^,]+(?:, which does not take it)?)")
_BACKLOG = re.compile(r", ([0-9]+) not acknowledged")


class Told(Value):
    """What was said. connection: "" if nothing is said of one. several: whether it is of an App on
    several hosts. holder: host and node that count elsewhere, if this one stands by; "" if not
    known. since: since when the holder, or this host, counts; None if that is not said. count: the
    last one, of whoever counts. waits: whether this start waits, because too many others have
    failed. paused: of an App on several hosts, None if that is not said. held: why this host could
    take the App, which is paused, and which nothing counts; "" if that is not so.
    """

    connection: str = ""
    several: bool = False
    stands_by: bool = False
    holder: tuple[str, str] = ("", "")
    since: float | None = None
    epoch: int | None = None
    count: int | None = None
    backlog: int | None = None
    doubts: bool = False
    waits: bool = False
    paused: Pause | None = None
    held: str = ""


def told(text: str) -> Told:
    """The values in that text of STATUS=."""
    if pause := _PAUSED.search(text):
        said = _of_one(text[: pause.start()])
        since = _seconds(pause[2]) if pause[2] else None
        return said.replace(paused=Pause(since, pause[1] or "", pause[3] or ""))
    return _of_one(text)


def _of_one(text: str) -> Told:
    if text.startswith("too many starts"):  # see backoff.py
        return Told(waits=True)
    if text.startswith(("standing by", "no host counts")):
        return _standing_by(text)
    here = _HERE.match(text)
    found = _ALONE.match(text, here.end() if here else 0)
    if not found:
        return Told(several=bool(here))
    behind = _BACKLOG.search(text)
    return Told(
        connection=found[1],
        several=bool(here),
        since=_seconds(here[1]) if here else None,
        epoch=int(found[2]),
        count=_count(text),
        backlog=int(behind[1]) if behind else 0,
        doubts="the receiver is not believed" in text,
    )


def _standing_by(text: str) -> Told:
    if held := _HELD.match(text):
        return Told(several=True, stands_by=True, count=_count(text), held=held[1])
    found = _THERE.match(text)
    if not found:
        return Told(several=True, stands_by=True)
    return Told(
        several=True,
        stands_by=True,
        holder=(found[1], found[2]),
        since=_seconds(found[3]),
        count=_count(text),
    )


def _count(text: str) -> int | None:
    found = _COUNT.search(text)
    return int(found[1]) if found else None


def _seconds(utc: str) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(utc, "%Y-%m-%d %H:%M:%S")))
    except ValueError:
        return None
