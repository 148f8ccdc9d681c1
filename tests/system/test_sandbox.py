"""What senders and receiver can reach: each thing that their sandbox forbids is tried in it.

attempts.py runs in the place of the program, in the unit as it is shipped, and says how each
attempt ended. Nothing is believed of directives: most of those that protect something were dropped
for a root in which it is not there. So the reason of each refusal counts too; and what is in the
root, and what can be written or connected to, is known path by path.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.machine import TOP, Machine
from tests.system.app import App
from tests.system.attempts import ATTEMPTS, ELSEWHERE, SET_UID

HERE = Path(__file__).parent
SCRIPT = "/usr/local/lib/attempts.py"
FILTERED = "EXFULL"
"""What the filter of system calls is made to answer, in place of EPERM, as other refusals do."""
PROBE = f"""\
[Service]
Type=exec
Restart=no
WatchdogSec=0
SystemCallErrorNumber={FILTERED}
StandardOutput=journal
ExecStart=
ExecStart=/usr/bin/python3 -IS {SCRIPT}
"""
LISTENER = """
import socket, time
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\\0attempt")
abstract.listen()
print("somebody listens", flush=True)
while True:
    time.sleep(60)
"""
NETWORK = "/usr/lib/sendrecv/network.conf"


OF_THE_MACHINE = {
    *("a disk", "the memory", "open the clock", "set the clock", "load a kernel", "load a module"),
    *("a program in the kernel", "read the kernel's log", "read /proc/kmsg", "a key"),
    *("read /dev/kmsg", "write /dev/kmsg", "write /proc/sys", "write /proc/sysrq-trigger"),
    *("write /sys", "write /sys/power"),
}
"""Nobody can, in a machine of the tests: its kernel is the tester's, and it has no device. That the
sandbox refuses them is known by the reason: see FILTERED, ROOT, and LOOSER."""


@pytest.fixture(scope="module")
def inside(release: str, installed_disk: Path) -> Iterator[Machine]:
    """There is something to reach: records, a ledger, secrets, files of others, a listener.

    systemd may load programs into the kernel there, with which it filters packets.
    """
    options = ("--private-network", "--system-call-filter=bpf")
    with Machine(release, layer=installed_disk, options=options) as machine:
        machine.write(SCRIPT, (HERE / "attempts.py").read_text(encoding="utf-8"))
        machine.run(f"cp /usr/bin/id {SET_UID}; chmod 4755 {SET_UID}")
        App(machine, "x").start()
        machine.put(TOP / "tests/lab/certificates/good.pem", "/etc/sendrecv/tls.pem")
        names = ("SENDRECV_TLS_KEY", "SENDRECV_TLS_CERTIFICATE")
        settings = "".join(f"{name}=/etc/sendrecv/tls.pem\n" for name in names)
        machine.write("/etc/sendrecv/receiver.env", settings)
        machine.run("systemctl start sendrecv-tls sendrecv-reload sendrecv-journal.socket")
        machine.run("systemctl stop sendrecv@x.target receiver.socket receiver.service")
        machine.run("touch /home/file /root/file /tmp/of-others /var/tmp/of-others")
        machine.run(f"ip addr add {ELSEWHERE}/32 dev lo")
        machine.write("/usr/local/lib/listener.py", LISTENER)
        machine.run("systemd-run -q --unit=listener python3 /usr/local/lib/listener.py")
        machine.wait_entry(lambda entry: entry.get("MESSAGE") == "somebody listens")
        yield machine


def _tried(machine: Machine, unit: str, more: str = "") -> Any:
    path = f"/etc/systemd/system/{unit}.service.d/zz-probe.conf"
    since = machine.cursor()
    machine.write(path, f"{PROBE}{more}\n")
    # The App of the attempts goes on with its failover, and that with the receiver.
    machine.run("systemctl stop 'sendrecv@*.target' receiver.socket receiver.service")
    machine.run(f"systemctl daemon-reload; systemctl start {unit}", check=False)
    entry = machine.wait_entry(
        lambda entry: str(entry.get("MESSAGE")).startswith('{"outcomes"'),
        "_TRANSPORT=stdout",
        after=since,
        what="what the attempts came to",
    )
    machine.run(f"rm {path}")
    return json.loads(str(entry["MESSAGE"]))


REFUSED: dict[str, set[str]] = {
    "ENOENT": {
        *("read /proc/sys", "write /proc/sys", "write /proc/sysrq-trigger", "read /proc/kmsg"),
        *("write /sys", "write /sys/power", "create a control group", "leave the control group"),
        *("read /dev/kmsg", "write /dev/kmsg", "open the clock", "a disk", "the memory"),
        *("a terminal of others", "read /home", "read /root", "read /var/log", "read the journal"),
        *("write /tmp of others", "write /var/tmp of others", "read the package database"),
        *("read the processes", "read the mounts", "read the status of PID 1"),
        *("see processes of others", "talk to D-Bus", "stop a unit by D-Bus"),
        "see processes by D-Bus",
    },
    FILTERED: {
        *("set the host's name", "read the kernel's log", "load a module", "load a kernel"),
        *("set the clock", "mount", "unmount", "change the root", "trace PID 1", "become root"),
        *("shared memory", "a queue of messages", "semaphores", "a named queue", "a key"),
        *("real time", "a program in the kernel"),
    },
    "EACCES": {"make a device", "write /", "read the token", "talk to PID 1"},
    "EROFS": {
        *("write /usr", "write /etc", "write /run", "write the settings", "tell of a takeover"),
        "put a socket beside the receiver's",
    },
    "EPERM": {
        *("signal PID 1", "a set-user-ID file", "a set-user-ID program", "another personality"),
        *("a namespace of users", "a namespace of mounts"),
    },
    "EAFNOSUPPORT": {
        *("a network", "a network (IPv6)", "netlink", "packets"),
        *("a packet to this machine", "a packet to elsewhere"),
    },
    "killed by SIGSYS": {"a system call of i386"},
}
"""Why, in both."""
CODE = {"bookworm": {"writable code": "EPERM"}, "trixie": {"writable code": "EACCES"}}
"""By a filter on Debian 12, and by the kernel itself on Debian 13."""
EACH: dict[str, dict[str, set[str]]] = {
    "sender@probe": {
        "done": {
            *("list the senders' records", "list the senders' run directory"),
            *("write the record of another App", "an abstract socket"),
        },
        "ENOENT": {"list the receiver's ledger"},
        "EACCES": {
            *("list the receiver's run directory", "read the receiver's key"),
            *("read the tokens of a reload", "read the receiver's credentials"),
            "ask the reader of the journal",
        },
    },
    "receiver": {
        "done": {
            *("list the receiver's ledger", "list the receiver's run directory"),
            *("read the receiver's key", "read the tokens of a reload"),
            *("read the receiver's credentials", "ask the reader of the journal"),
        },
        "ENOENT": {"list the senders' records", "write the record of another App"},
        "EACCES": {"list the senders' run directory"},
        "ECONNREFUSED": {"an abstract socket"},
    },
}
"""What each of them is there for, and where they differ. (All senders have one user.)"""
WITH_NETWORK = {
    **dict.fromkeys(("a network", "a network (IPv6)", "a packet to this machine"), "done"),
    **dict.fromkeys(("talk to D-Bus", "see processes by D-Bus"), "done"),
    "stop a unit by D-Bus": "EACCES",
    "a packet to elsewhere": "EPERM",  # IPAddressDeny=
}
"""What network.conf changes for a sender."""
ROOT = [
    *(
        "/.root",
        "/bin",
        "/dev",
        "/dev/null",
        "/etc",
        "/lib",
        "/lib64",
        "/proc",
        "/root",
        "/run",
        "/sbin",
    ),
    *("/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/lib/sendrecv", "/var/lib/sendrecv-pause"),
    *("/var/lib/sendrecv-receiver", "/var/tmp"),
]
SOCKETS = {
    *("/run/systemd/journal/dev-log", "/run/systemd/journal/socket", "/run/systemd/notify"),
    *("/run/systemd/journal/stdout", "/run/systemd/userdb/io.systemd.DynamicUser", "/dev/null"),
}
OF_RELEASE = {
    "bookworm": {"/run/systemd/io.system.ManagedOOM"},
    "trixie": {
        f"/run/systemd/io.systemd.{name}" for name in ("Credentials", "Hostname", "ManagedOOM")
    },
}
"""Sockets of systemd that each user may open."""
WRITABLE = {
    "sender@probe": {*("/run/sendrecv", "/var/lib/sendrecv", "/run/sendrecv-socket/receiver.sock")},
    "receiver": {
        *("/run/sendrecv-receiver", "/var/lib/sendrecv-receiver", "/run/sendrecv-journal.socket"),
        *("/tmp", "/var/tmp"),
    },
}


def expected(release: str, unit: str) -> Mapping[str, str]:
    """How each attempt ends there."""
    reasons = [*REFUSED.items(), *EACH[unit].items()]
    return {name: why for why, names in reasons for name in names if name in ATTEMPTS} | CODE[
        release
    ]


@pytest.mark.parametrize("unit", EACH)
def test_what_the_sandbox_forbids_is_refused(inside: Machine, release: str, unit: str) -> None:
    tried = _tried(inside, unit)
    assert tried["outcomes"] == expected(release, unit)
    assert tried["root"] == ROOT
    assert {*tried["writable"]} == SOCKETS | OF_RELEASE[release] | WRITABLE[unit]


def test_a_sender_with_a_network(inside: Machine, release: str) -> None:
    """Has that, to the addresses that are allowed, and D-Bus."""
    tried = _tried(inside, "sender@probe", inside.run(["cat", NETWORK]).stdout)
    assert tried["outcomes"] == {**expected(release, "sender@probe"), **WITH_NETWORK}
    assert tried["root"] == ROOT


LOOSER = {
    "BindPaths=/proc /dev": {"read the processes", "read /proc/sys", "a terminal of others"},
    "RootDirectory=": {"read /home", "see processes by D-Bus", "read the package database"},
    "BindPaths=/run/dbus": {"see processes by D-Bus"},
    "SystemCallFilter=": REFUSED[FILTERED] - {"mount", "change the root"},
    "SystemCallArchitectures=": {"a system call of i386"},
    "RestrictAddressFamilies=": {"a network", "netlink"},
    "RestrictNamespaces=no": {"a namespace of users"},
    "RestrictSUIDSGID=no": {"a set-user-ID file"},
    "LockPersonality=no": {"another personality"},
    "MemoryDenyWriteExecute=no": {"writable code"},
    "RestrictAddressFamilies=AF_INET\nIPAddressDeny=": {"a packet to elsewhere"},
}


@pytest.mark.planted
@pytest.mark.parametrize("directive", LOOSER)
def test_a_looser_sandbox_is_noticed(inside: Machine, release: str, directive: str) -> None:
    """By each of these attempts, for that has not the outcome that is expected above."""
    outcomes = _tried(inside, "sender@probe", directive)["outcomes"]
    before = expected(release, "sender@probe")
    changed = {name for name, outcome in outcomes.items() if outcome != before[name]}
    assert changed >= LOOSER[directive] & before.keys()


READ_ONLY = {"read /var/log", "read the journal", "read the package database"} | {
    *("read the processes", "read the mounts", "shared memory", "a queue of messages"),
    *("semaphores", "a named queue"),
}
BY_BUS = {"talk to D-Bus", "see processes by D-Bus"}
ROOTS = READ_ONLY | {
    *("read /proc/sys", "read the status of PID 1", "see processes of others", "signal PID 1"),
    *("read the token", "read the receiver's key", "read the tokens of a reload"),
    "a set-user-ID program",  # root runs it
}
ALL_FILES = ROOTS | {
    *("list the receiver's ledger", "list the receiver's run directory", "read /proc/kmsg"),
    *("list the senders' records", "list the senders' run directory", "read /home", "read /root"),
}
HELPERS = {
    "sendrecv-audit": READ_ONLY | BY_BUS,
    "sendrecv-metrics-http": READ_ONLY | BY_BUS,
    "sendrecv-journal@probe": ROOTS,
    "sendrecv-tls": ALL_FILES - {"signal PID 1"},
    "sendrecv-reload": ALL_FILES - {"signal PID 1"},
}
"""Of the units that promise something, and what can be done there. (Shared memory and queues of the
first two, and of no others, are their own: PrivateIPC=.)"""


@pytest.mark.parametrize("unit", HELPERS)
def test_helpers_can_do_no_more(inside: Machine, unit: str) -> None:
    """Those that are root can read, and can neither write nor ask systemd, which would do it."""
    outcomes = _tried(inside, unit, "StandardInput=null")["outcomes"]
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == HELPERS[unit]


def test_the_same_without_a_sandbox_is_done(inside: Machine) -> None:
    """So what is refused above is refused by the sandbox, and not because it cannot be done."""
    own = (
        "[Unit]\nWants=receiver.service\nAfter=receiver.service\n"
        "[Service]\nEnvironment=STATE_DIRECTORY=/var/lib/sendrecv\n"
    )
    inside.write("/etc/systemd/system/bare.service", own)
    outcomes = _tried(inside, "bare", "User=root")["outcomes"]
    refused = {name for name, outcome in outcomes.items() if outcome != "done"}
    assert refused - OF_THE_MACHINE == set()
    as_a_sender = _tried(inside, "bare", "User=sendrecv")["outcomes"]
    assert as_a_sender["a set-user-ID program"] == "done"
