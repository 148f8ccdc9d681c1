"""Reads all that is measured, and makes the text of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from sendrecv.admin import facts
from sendrecv.admin.metrics import tally
from sendrecv.admin.metrics.measured import MetricsInput, measured
from sendrecv.errors import MissingPackage, SendrecvError

DIRECTORIES = ("/var/lib/sendrecv", "/var/lib/sendrecv-receiver", "/var/log/journal")
"""A full disk keeps an App from counting, the receiver from printing, journald from storing."""


def text(complain: Callable[[str], None] = lambda _line: None) -> str:
    """The metrics, now. complain: is told, a line each, what could not be read. Raises
    MissingPackage.
    """
    try:
        from sendrecv.admin.metrics import exposition  # a package that is only recommended
    except ImportError:
        raise MissingPackage(
            "metrics needs the package python3-prometheus-client",
            "apt install python3-prometheus-client",
        ) from None
    return exposition.text(measured(read(complain)))


def read(complain: Callable[[str], None] = lambda _line: None) -> MetricsInput:
    """All that this user may see."""
    began = time.monotonic()
    found = facts.gather()
    for error in (found.units.error, found.receiver.error):
        if error:
            complain(error)
    counted = None
    try:
        counted = tally.current()
    except (SendrecvError, OSError) as error:
        complain(f"takeovers: {error}")
    return MetricsInput(found, counted, _space(), round(time.monotonic() - began, 6))


def _space() -> Mapping[str, tuple[int, int]]:
    """Available and whole bytes of what is there."""
    found = {}
    for directory in DIRECTORIES:
        try:
            there = os.statvfs(directory)
        except OSError:
            continue
        found[directory] = (there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize)
    return found
