"""What all Apps of a machine meet at once writes no more than it does with one App."""

import re
import time

import pytest

from tests.judges.checker import STARTING, Entry
from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.trouble import FAST, Said, await_looks

APPS = 10
KILL_ALL = "systemctl kill --signal=KILL 'sender@*' 'sender-failover@*'"
ENCODINGS = "/usr/lib/python3.*/encodings"
"""Without them no program in Python starts. The guard does not see when they are there again."""
SECOND_PROBE = 45
"""Seconds after the first one: see the guard."""


def _starts(entries: list[Entry]) -> list[Entry]:
    """Of halves."""
    return [
        entry
        for entry in entries
        if entry.get("MESSAGE_ID") == STARTING and str(entry.get("UNIT")).startswith("sender")
    ]


@pytest.mark.long
def test_ten_apps_that_cannot_start_are_tried_as_one(machine: Machine) -> None:
    apps = [App(machine, f"many{number}", FAST) for number in range(APPS)]
    for app in apps:
        app.start()
    said = Said(machine)
    machine.run(f"mv {ENCODINGS} /root; {KILL_ALL}")
    about_many = re.compile(r"\d+ Apps \(many\d many\d.*\): neither half can start, trying one App")
    machine.wait_entry(
        lambda entry: bool(about_many.match(str(entry["MESSAGE"]))),
        "_SYSTEMD_UNIT=sendrecv-guard.service",
        after=said.after,
    )
    # Once those tries are over, the next one is that of one App.
    before = -1
    while before != (before := len(_starts(said.entries()))):
        await_looks(machine, 3)
    began, probed = time.monotonic(), Said(machine)
    machine.wait_entry(lambda entry: bool(_starts([entry])), "_PID=1", after=probed.after)
    await_looks(machine, 3)
    starts = _starts(probed.entries())
    assert len(starts) <= 1 + (time.monotonic() - began) // SECOND_PROBE, starts
    # When one of them runs again, all others are tried.
    since = Said(machine)
    machine.run("mv /root/encodings /usr/lib/python3.*/")
    told = since.wait(f"{APPS - 1} Apps (", "sendrecv-guard.service")
    assert told.endswith(" have no sender, starting main of each"), told
    for app in apps:
        with app.counts_from():
            pass
        app.assert_sound(rescued=True)
