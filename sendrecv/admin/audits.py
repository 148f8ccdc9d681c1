"""What the audits say: when the last one was, and whether something is violated. As the file `head`
of the chain has it, which everybody may read. Whether the chain is right, `sendrecv proof` checks.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping

from sendrecv.admin.screen import duration, plain
from sendrecv.core.values import Value

STATE = "/var/lib/sendrecv-audit"
PERIOD = 3600
"""Seconds between two audits, as sendrecv-audit.timer has it."""
TIMER, SERVICE = "sendrecv-audit.timer", "sendrecv-audit.service"
ACKNOWLEDGE = "sendrecv audit --acknowledge REASON"
_LARGEST = 1 << 20
AuditProblem = tuple[str, str, str, tuple[str, ...], bool]


class Audits(Value):
    """at: when the last one was, in seconds of the wall clock, None if there was none. up: since
    when there could have been one: the boot, or the install. alarm: the appIDs of which something
    is violated, and not acknowledged. notes: what is wrong with the chain.
    """

    at: float | None
    up: float
    alarm: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(directory: str = STATE) -> Audits | None:
    """As it is now; None if there is no such directory, or no sense in what is there."""
    try:
        made = os.stat(directory).st_ctime
    except OSError:
        return None
    up = max(made, time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
    try:
        with open(os.path.join(directory, "head"), "rb") as file:
            said = json.loads(file.read(_LARGEST))
        alarm, notes = (tuple(map(str, said[name])) for name in ("alarm", "notes"))
        return Audits(float(said["at"]) / 1e6, up, alarm, notes)
    except FileNotFoundError:
        return Audits(None, up)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def problems(audits: Audits, states: Mapping[str, str], now: float) -> Iterator[AuditProblem]:
    """appID ("" for all), code, text, what to type, and whether it is an error. states:
    ActiveState= of the units that are in memory.
    """
    for app_id in audits.alarm:
        text = f"App {app_id} is VIOLATED, as an audit has found, and nobody has acknowledged that"
        yield app_id, "violated", text, (f"sendrecv proof {app_id}", ACKNOWLEDGE), True
    for note in audits.notes:
        yield "", "audit-chain", plain(note), (ACKNOWLEDGE,), False
    look = f"journalctl -n 20 -u {SERVICE}"
    last = max(audits.at or 0, audits.up)
    if states.get(TIMER) != "active":
        text = f"{TIMER} is not active: nothing is audited"
        yield "", "audit-off", text, (f"systemctl enable --now {TIMER}",), False
    elif states.get(SERVICE) == "failed" and not audits.alarm:
        yield "", "audit-failed", "the last audit has failed", (look,), False
    elif now > last + 2 * PERIOD and states.get(SERVICE) != "activating":
        text = f"there was no audit for {duration(now - last)}"
        yield "", "audit-late", text, (f"systemctl start {SERVICE}", look), False
