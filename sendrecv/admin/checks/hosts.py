"""What matters once another host is involved: the clock, and etcd (etcd.py)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator

from sendrecv.admin.checks.settings import AppSettings
from sendrecv.admin.problems import Problem

_TIMEX = 256
"""Bytes, more than struct timex has (adjtimex(2)). Its first field says what to change: nothing."""
_ERROR = 5


def is_synchronised() -> bool | None:
    """Whether something keeps this machine's clock right; None if the kernel does not say."""
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX))
    return None if state < 0 else state != _ERROR


def clock(known: Iterable[AppSettings], is_right: bool | None) -> Iterator[Problem]:
    """One warning for all: no App of one machine needs the right time."""
    for one in known:
        reason = ""
        if one.config.store:
            reason = "its hosts' histories cannot be compared, and a lease rests on clocks that run"
            reason += " at the same rate, within 30 %"
        elif one.config.url.startswith("https:"):
            reason = "a certificate may look as if it were not valid yet, or no more"
        if reason and is_right is False:
            text = f"the clock is not synchronised, and App {one.app.instance} reaches other hosts"
            commands = ("timedatectl set-ntp true", "timedatectl timesync-status")
            yield Problem("", "clock", text, commands, False, reason)
            return
