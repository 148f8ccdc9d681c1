"""For tests of what goes wrong: Apps by the dozen on one machine, and what the journal says."""

import contextlib
import itertools
import re
from collections.abc import Iterator

from tests.judges.checker import Entry
from tests.lab.machine import HANG, Machine
from tests.system.app import App

FAST = "SENDRECV_INTERVAL=0.1"
_OURS = {"receiver", "sendrecv"}
_PAYLOAD = re.compile(r'\{"count": (0|[1-9]\d*), "appID": "[\w.:@-]+", "nodeID": "[\w.:@-]+"\}')
_numbers = itertools.count()


@contextlib.contextmanager
def app_on(machine: Machine, settings: str = FAST, *, start: bool = True) -> Iterator[App]:
    """An App of its own, which has counted (unless not started), and is stopped afterwards."""
    app = App(machine, f"app{next(_numbers)}", settings)
    try:
        if start:
            app.start()
        yield app
    finally:
        machine.run(["systemctl", "stop", app.target], check=False)


def allow_tcp(machine: Machine, app: str = "") -> None:
    """As sender@.service(8) says: senders may reach TCP ports, and the receiver has one.

    app: of this App only.
    """
    for half in ("sender", "sender-failover"):
        directory = f"/etc/systemd/system/{half}@{app}.service.d"
        machine.run(f"install -D -m 644 -t {directory} /usr/lib/sendrecv/network.conf")
    machine.run("systemctl daemon-reload; systemctl start receiver-tcp.socket")


def await_looks(machine: Machine, looks: int) -> None:
    """Waits until the guard, which looks every three seconds, has been called so many times."""
    seen = {machine.show("sendrecv-guard.timer", "LastTriggerUSec")}

    def look() -> bool:
        seen.add(machine.show("sendrecv-guard.timer", "LastTriggerUSec"))
        return len(seen) > looks

    machine.wait_until(look, "the guard")


class Said:
    """What the journal says from now on."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.after = machine.cursor()

    def entries(self) -> list[Entry]:
        """All entries. (With a match, journalctl 252 would leave out the first after a cursor.)"""
        return list(self._machine.journal(f"--after-cursor={self.after}"))

    def wait(self, text: str, unit: str = "") -> str:
        """Waits for a message with that in it, and returns it. unit: by, or about, this unit."""
        entry = self._machine.wait_entry(
            lambda entry: text in str(entry.get("MESSAGE", ""))
            and unit in (entry.get("_SYSTEMD_UNIT"), entry.get("UNIT"), ""),
            after=self.after,
            timeout=HANG,
            what=text,
        )
        return str(entry["MESSAGE"])

    def lines(self, text: str) -> list[Entry]:
        """The program's own lines with that in it."""
        ours = (e for e in self.entries() if e.get("SYSLOG_IDENTIFIER") in _OURS)
        return [entry for entry in ours if text in str(entry["MESSAGE"])]

    def assert_one_line(self, text: str) -> None:
        """Every process that said that has said it once."""
        lines = self.lines(text)
        pids = [entry["_PID"] for entry in lines]
        assert lines and len(pids) == len(set(pids)), [entry["MESSAGE"] for entry in lines]

    def assert_exit(self, unit: str, status: str) -> None:
        """PID 1 sees the unit's process exit like that ("78/CONFIG"): after its last message."""
        self.wait(f"status={status}", unit)


def assert_sound(app: App) -> None:
    """The App counts on, and has lost and repeated nothing."""
    for _ in range(2):
        with app.counts_from():
            pass
    verdict = app.verdict()
    assert not verdict.faults, verdict


def assert_unbroken(machine: Machine) -> None:
    """The receiver prints payloads and nothing else; whatever anybody says is one line."""
    machine.run("journalctl --sync")
    entries = machine.journal()
    receiver = [e for e in entries if e.get("_SYSTEMD_UNIT") == "receiver.service"]
    printed = [e["MESSAGE"] for e in receiver if is_printed(e)]
    assert printed, "nothing was printed at all"
    for message in printed:
        assert isinstance(message, str) and _PAYLOAD.fullmatch(message), message
    ours = [entry["MESSAGE"] for entry in entries if entry.get("SYSLOG_IDENTIFIER") in _OURS]
    for at, message in enumerate(ours):
        near = ours[max(at - 5, 0) : at + 5]
        assert isinstance(message, str) and message.isprintable() and len(message) < 500, near
        # Neither a traceback nor the interpreter's last words.
        assert not re.match(r"\s|Traceback|Fatal Python", message), near


def is_printed(entry: Entry) -> bool:
    """Whether that is on the receiver's standard output, at the priority of payloads."""
    return (entry.get("_TRANSPORT"), entry.get("PRIORITY")) == ("stdout", "6")
