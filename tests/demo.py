"""`make demo`: a throw-away Debian in which a sender is killed, hung, stopped and handed back.

    python3 -m tests.demo [bookworm|trixie]

Everything in it is real: the machine's systemd, apt, journald, and the package as built.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

from tests.lab.machine import Machine
from tests.lab.roots import RELEASES

BOLD, DIM, RESET = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")

# What is typed, what it shows, and for how many seconds the journal is watched afterwards.
SCENES = (
    ("systemctl start sender@main", "The App starts; its main sender counts.", 4),
    ("kill -9 {main}", "Main is killed. The failover goes on with the very next count.", 3),
    ("kill -STOP {failover}", "The failover hangs. Its watchdog ends it, and main goes on.", 4),
    ("systemctl stop sender@main", "Main is stopped. The failover goes on.", 3),
    ("systemctl start sender@main", "Handed back: the failover ends, main goes on.", 3),
    ("systemctl restart receiver", "The receiver restarts. Nothing is lost or comes twice.", 3),
)


def main() -> int:
    """Runs the demonstration; returns the verdict's exit status."""
    release = sys.argv[1] if len(sys.argv) > 1 else RELEASES[-1]
    if release not in RELEASES:
        print(f"{release}: no such release, there are {', '.join(RELEASES)}", file=sys.stderr)
        return 64
    _say(f"Booting a throw-away Debian ({release}) with its own systemd")
    with Machine(release) as machine:
        _type("apt install ./sendrecv.deb")
        machine.install_deb()
        with _journal(machine):
            for command, meaning, seconds in SCENES:
                _say(meaning)
                _type(_filled(command, machine))
                machine.run(_filled(command, machine))
                time.sleep(seconds)
        _say("Stop the App for good, both halves")
        _type("systemctl stop sendrecv@main.target")
        machine.run("systemctl stop sendrecv@main.target")
        _say("What the receiver has, and whether anyone can prove it")
        _type("sendrecv status")
        machine.interact("sendrecv status")
        _type("sendrecv proof main")
        return machine.interact("sendrecv proof main")


def _filled(command: str, machine: Machine) -> str:
    """The command, with the process IDs that it names."""
    if "{" not in command:
        return command
    main_pid, failover_pid = machine.pid("sender@main"), machine.pid("sender-failover@main")
    return command.format(main=main_pid, failover=failover_pid)


@contextlib.contextmanager
def _journal(machine: Machine) -> Iterator[None]:
    """Shows the receiver's journal as it grows."""
    _type("journalctl -fu receiver &")
    follower = machine.popen(["journalctl", "-fu", "receiver", "-n", "0", "-o", "short-precise"])
    if follower.stdout is None:
        raise ValueError("the journal is not captured")
    reader = threading.Thread(target=_show, args=(follower.stdout,), daemon=True)
    reader.start()
    try:
        yield
    finally:
        follower.kill()
        follower.wait()
        reader.join()


def _show(lines: IO[str]) -> None:
    for line in lines:
        if line.startswith("-- "):
            continue
        shade = "" if '"count"' in line else DIM
        print(f"    {shade}{line.rstrip()}{RESET if shade else ''}", flush=True)


def _say(text: str) -> None:
    print(f"\n{BOLD}{text}{RESET}", flush=True)


def _type(command: str) -> None:
    print(f"  # {command}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
