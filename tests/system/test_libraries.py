"""What happens on a machine whose libraries have changed.

That those of the release have not is said by debian/tests/libraries, which test_package.py runs.
Here it has to find changes that are planted, while the App is served in the plain way.
"""

import re

import pytest

from tests.lab.machine import TOP, Machine
from tests.system.app import App
from tests.system.trouble import Said

LIBRARIES = "/usr/lib/python3/dist-packages"
# What is changed; the line that says so; and what debian/tests/libraries finds besides that line.
PLANTED = {
    "sender": (
        f"sed -i '1i from http import HTTPMethod' {LIBRARIES}/websocket/_exceptions.py",
        "websocket-client .*HTTPMethod.*: imported with all that it brings, ignoring",
        "imported: requests",
    ),
    "receiver": (
        f"sed -i -E 's/\\b_?send_ping\\b/ping_soon/' {LIBRARIES}/engineio/*.py",
        "python-engineio .*_send_ping.*: its own heartbeats are used, ignoring",
        "a silent peer was sent ['2', '2', ",
    ),
}


@pytest.mark.parametrize("side", PLANTED)
def test_a_planted_change_is_found_and_survived(machine: Machine, side: str) -> None:
    change, line, finding = PLANTED[side]
    machine.run(change)
    machine.put(TOP / "debian", "/root/debian")
    said, app = Said(machine), App(machine, "one")
    app.start()
    with app.counts_from("failover"):
        machine.kill(app.main, "KILL")
    lines = [entry for entry in said.entries() if re.search(line, str(entry.get("MESSAGE")))]
    pids = [entry["_PID"] for entry in lines]
    assert len(pids) == len(set(pids)) == (2 if side == "sender" else 1), lines
    found = machine.run("cd /root && debian/tests/libraries", check=False, timeout=200)
    assert found.returncode == 1 and finding in found.stdout, found
    assert re.search(line, found.stdout), found
    app.assert_sound()
