"""`make demo`: a throw-away Debian in which a sender is killed, hung, stopped and handed back.

    python3 -m tests.demo [bookworm|trixie]

Everything in it is real: the machine's systemd, apt, journald, and the package as built. Each act
is over when the receiver has printed the counts that the act is about; a count that is missing,
comes twice or does not come at all ends the demonstration with an error.
"""

import contextlib
import json
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from tests.lab import progress
from tests.lab.machine import Entry, Machine, MachineError, shown
from tests.lab.roots import RELEASES

BOLD, DIM, RESET = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
WIDTH = 80
TIMEOUT = 300
"""Seconds for all acts, which take 25: only a demonstration that hangs gets there."""


class DemoError(Exception):
    """The receiver did not print what it should."""


@dataclass(frozen=True)
class Act:
    """What is done, what is typed, and how many counts of which node are then waited for.

    In the command, {pid} is the process of `unit`.
    """

    what: str
    command: str
    node: str
    counts: int
    look: str
    unit: str = ""


ACTS = (
    Act(
        "Start an App. Its main sender counts, one count a second.",
        "systemctl start sender@main",
        "main",
        4,
        'the counts begin at 0, and their nodeID is "main".',
    ),
    Act(
        "Kill main.",
        "kill -KILL {pid}",
        "failover",
        3,
        "the failover sends the very next count. Compare the times.",
        unit="sender@main",
    ),
    Act(
        "Hang the failover: its process stays, and does nothing more.",
        "kill -STOP {pid}",
        "main",
        3,
        "its watchdog pings stop, so systemd kills it. Main sends the late count.",
        unit="sender-failover@main",
    ),
    Act(
        "Stop main with systemctl.",
        "systemctl stop sender@main",
        "failover",
        3,
        "the failover goes on. Stopping one sender hands the App to the other.",
    ),
    Act(
        "Hand the App back to main.",
        "systemctl start sender@main",
        "main",
        3,
        "the failover ends first, then main goes on.",
    ),
    Act(
        "Restart the receiver.",
        "systemctl restart receiver",
        "main",
        3,
        "the new receiver goes on at the very next count.",
    ),
)


class Audience:
    """Reads the receiver's journal and shows it, and holds each count against the one before."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._next = 0

    def watch(self, act: Act) -> None:
        """Shows entries until the act's counts have come."""
        left = act.counts
        for entry in self._entries:
            message = str(entry["MESSAGE"])
            _show(entry, message)
            if message.startswith('{"count"'):
                left -= self._node_of(message) == act.node
            if not left:
                return
        raise DemoError(f"the receiver printed no count {self._next} from {act.node}")

    def _node_of(self, message: str) -> str:
        payload = json.loads(message)
        if payload["count"] != self._next:
            raise DemoError(f"the receiver printed {message} where count {self._next} was due")
        self._next += 1
        return str(payload["nodeID"])


def main() -> int:
    """Runs the demonstration; returns the verdict's exit status."""
    release = sys.argv[1] if len(sys.argv) > 1 else RELEASES[-1]
    if release not in RELEASES:
        print(f"{release}: no such release, there are {', '.join(RELEASES)}", file=sys.stderr)
        return 64
    try:
        with shown(release) as machine:
            return _perform(machine)
    except (DemoError, MachineError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _perform(machine: Machine) -> int:
    say("Install the package.")
    type_("apt install ./sendrecv.deb")
    with progress.step("  installing", "install"):
        machine.install_deb()
    with contextlib.closing(_journal(machine)) as entries:
        audience = Audience(entries)
        for act in ACTS:
            _play(act, machine, audience)
    say("Ask what runs.")
    type_("sendrecv status")
    machine.interact("sendrecv status")
    say("Stop the App for good: both senders.")
    type_("systemctl stop sendrecv@main.target")
    machine.run("systemctl stop sendrecv@main.target")
    say("Prove it from the journal: never two at once, no count missing or twice.")
    type_("sendrecv proof main")
    return machine.interact("sendrecv proof main")


def _play(act: Act, machine: Machine, audience: Audience) -> None:
    say(act.what)
    command = act.command.format(pid=machine.pid(act.unit) if act.unit else "")
    type_(command)
    machine.run(command)
    audience.watch(act)
    print(f"  Look: {act.look}", flush=True)


def _journal(machine: Machine) -> Generator[Entry, None, None]:
    """The receiver's journal as it grows."""
    say("Watch the receiver. A session is a connected sender. (Here: time and message.)")
    type_("journalctl -fu receiver &")
    return machine.follow("-u", "receiver", timeout=TIMEOUT)


def _show(entry: Entry, message: str) -> None:
    show(entry, f"{entry['SYSLOG_IDENTIFIER']}: {message}")


def show(entry: Entry, text: str, width: int = WIDTH) -> None:
    """The entry's time and that text, in one line; dim, unless it is about a count."""
    stamp = int(entry["__REALTIME_TIMESTAMP"])
    clock = time.strftime("%H:%M:%S", time.gmtime(stamp // 1_000_000))
    line = f"    {clock}.{stamp // 1000 % 1000:03} {text}"
    if len(line) > width:
        line = f"{line[:width - 3]}..."
    shade = "" if '"count"' in line else DIM
    print(f"{shade}{line}{RESET if shade else ''}", flush=True)


def say(text: str) -> None:
    """What comes next."""
    print(f"\n{BOLD}{text}{RESET}", flush=True)


def type_(command: str, host: str = "") -> None:
    """What an administrator types, on that host."""
    print(f"  {host}# {command}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
