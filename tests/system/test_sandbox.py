"""What senders and receiver can reach: each thing that their sandbox forbids is tried in it.

attempts.py runs in the place of the program, in the unit as it is shipped. Nothing is believed of
directives: most of those that protect something were dropped for a root in which it is not there.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.system.app import App
from tests.system.attempts import ATTEMPTS

HERE = Path(__file__).parent
SCRIPT = "/usr/local/lib/attempts.py"
PROBE = f"""\
[Service]
Type=exec
Restart=no
WatchdogSec=0
ExecStart=
ExecStart=/usr/bin/python3 -IS {SCRIPT}
"""
OWN = {
    "sender@probe": {"list the senders' records", "list the senders' run directory"},
    "receiver": {"list the receiver's ledger", "list the receiver's run directory"},
}
"""What each of them is there for."""
OF_THE_MACHINE = {
    *("a disk", "the memory", "open the clock", "set the clock", "load a kernel", "load a module"),
    *("a program in the kernel", "read the kernel's log", "read /proc/kmsg", "unmount"),
    *("read /dev/kmsg", "write /dev/kmsg", "write /proc/sys", "write /proc/sysrq-trigger"),
    *("write /sys", "write /sys/power"),
}
"""Nobody can, in a machine of the tests: its kernel is the tester's, and it has no device."""


@pytest.fixture(scope="module")
def inside(release: str, installed_disk: Path) -> Iterator[Machine]:
    """There is something to reach: records, a ledger, files of others."""
    with Machine(release, layer=installed_disk) as machine:
        machine.write(SCRIPT, (HERE / "attempts.py").read_text(encoding="utf-8"))
        App(machine, "x").start()
        machine.run("systemctl stop sendrecv@x.target receiver.socket receiver.service")
        machine.run("touch /home/file /root/file /tmp/of-others /var/tmp/of-others")
        yield machine


def _tried(machine: Machine, unit: str, dropin: str) -> dict[str, str]:
    path = f"/etc/systemd/system/{unit}.service.d/probe.conf"
    since = machine.cursor()
    machine.write(path, dropin)
    # The App of the attempts goes on with its failover, and that with the receiver.
    machine.run("systemctl stop 'sendrecv@*.target' receiver.socket receiver.service")
    machine.run(f"systemctl daemon-reload; systemctl start {unit}", check=False)
    entry = machine.wait_entry(
        lambda entry: str(entry.get("MESSAGE")).startswith('{"read /proc/sys"'),
        "_TRANSPORT=stdout",
        after=since,
        what="what the attempts came to",
    )
    return dict(json.loads(str(entry["MESSAGE"])))


@pytest.mark.parametrize("unit", OWN)
def test_what_the_sandbox_forbids_is_refused(inside: Machine, unit: str) -> None:
    tried = _tried(inside, unit, PROBE)
    assert tried.keys() == ATTEMPTS.keys()
    assert {name for name, outcome in tried.items() if outcome == "done"} == OWN[unit]


def test_the_same_without_a_sandbox_is_done(inside: Machine) -> None:
    """So what is refused above is refused by the sandbox, and not because it cannot be done."""
    command = f"STATE_DIRECTORY=/var/lib/sendrecv python3 -IS {SCRIPT}"
    tried = json.loads(inside.run(command).stdout)
    assert {name for name, outcome in tried.items() if outcome != "done"} <= OF_THE_MACHINE
