"""The floor: the package's own unit wiring around a bare sd_notify script.

Two of them: "floor" has the wiring and nothing else, "boxed" every directive of the package's
units, so the difference between the two is what systemd takes to make the sandbox, and the
difference between "boxed" and a sender is what a sender itself takes.
"""

import re
import signal
from collections.abc import Collection, Iterator, Mapping

from tests.bench.probe import Probe, now, sleep_until

SCRIPT = """\
#!/usr/bin/python3
import os
import signal
import socket

address = os.environ["NOTIFY_SOCKET"]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", address.replace("@", "\\0", 1))
signal.pause()
"""
PATH = "/usr/local/lib/bare-sd-notify"
UNITS = "/usr/lib/systemd/system"
PAUSE = 1.0
"""Seconds between two kills, as in a takeover: caches that are warm would make a lower floor."""
# What of the senders' [Service] section is wiring, and not sandbox, limits or directories.
_WIRING = ("Type=", "NotifyAccess=", "Restart=", "OOMScoreAdjust=", "Slice=")


def install(probe: Probe, without: Mapping[str, Collection[str]] | None = None) -> None:
    """Writes the script and both kinds of units into the machine.

    `without`: names of more units, which lack those directives of the sandbox.
    """
    probe.machine.write(PATH, SCRIPT)
    probe.machine.run(["chmod", "755", PATH])
    found = [*units(probe, "floor", False), *units(probe, "boxed", True)]
    for name, directives in (without or {}).items():
        found += [(path, _lacking(text, directives)) for path, text in units(probe, name, True)]
    for path, text in found:
        probe.machine.write(f"/etc/systemd/system/{path}", text)
    probe.machine.run("systemctl daemon-reload")


def _lacking(text: str, directives: Collection[str]) -> str:
    lines = text.splitlines()
    return "\n".join([line for line in lines if line.partition("=")[0] not in directives] + [""])


def units(probe: Probe, name: str, boxed: bool) -> Iterator[tuple[str, str]]:
    """The package's units, as installed, with other names and the bare script."""
    for path in (
        "sender@.service",
        "sender-failover@.service",
        "sendrecv@.target",
        "sender@.service.d/10-sender.conf",
        "sender-failover@.service.d/10-sender.conf",
    ):
        text = probe.machine.run(["cat", f"{UNITS}/{path}"]).stdout
        yield renamed(path, name), around_script(text, name, boxed)


def around_script(text: str, name: str, boxed: bool) -> str:
    """One of the package's units with other names, and the bare script in place of the sender."""
    text = re.sub(r"^(Wants=|After=)receiver\.socket.*\n", "", text, flags=re.M)
    text = re.sub(r"^Wants=sendrecv-(?!root).*\n", "", text, flags=re.M)
    text = re.sub(r"^ExecStart=.*", f"ExecStart={PATH}", text, flags=re.M)
    text = re.sub(r"^WatchdogSec=.*\n", "", text, flags=re.M)  # the script pings nobody
    if not boxed:
        text = without_sandbox(text)
    return renamed(text, name)


def renamed(text: str, name: str) -> str:
    """The text with the names of this floor's units."""
    text = re.sub(r"\bsender(-failover)?@", rf"{name}\1@", text)
    return re.sub(r"\bsendrecv@", f"{name}@", text)


def without_sandbox(text: str) -> str:
    """A unit of which the [Service] section is only wiring."""
    lines = []
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
        if section != "[Service]" or line.startswith(("[", "ExecStart=", *_WIRING)):
            lines.append(line)
    return "\n".join([*lines, ""])


def kills(probe: Probe, name: str, number: int) -> list[float]:
    """Seconds from SIGKILL to the successor's READY=1, as PID 1 notes it, `number` times."""
    halves = [f"{name}@bench.service", f"{name}-failover@bench.service"]
    probe.machine.run(["systemctl", "start", halves[0]])
    found = []
    at = now()
    for _ in range(number):
        sleep_until(at + PAUSE)
        at = probe.kill(halves[0], signal.SIGKILL)
        halves.reverse()
        found.append(probe.ready(halves[0], at) - at)
    probe.machine.run(["systemctl", "stop", f"{name}@bench.target"])
    return found
