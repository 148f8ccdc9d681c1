"""`make demo HOSTS=3`: an App on three hosts, one of which loses its power while one watches.

    python3 -m tests.demo_hosts [3] [bookworm|trixie]

Four throw-away machines: a, b and c have etcd and the package, r has the receiver. Everything in
them is real. As in `make demo`, a count that is missing, comes twice or does not come at all ends
the demonstration with an error.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.demo import TIMEOUT, DemoError, say, show, type_
from tests.lab import progress, roots
from tests.lab.cluster import installed
from tests.lab.hosts import NAME, Hosts, host_of
from tests.lab.machine import Entry, MachineError

APP = "main"
MEMBERS = ("a", "b", "c")
COUNTS, STANDS_BY, OFF = "#", ".", "x"
HEADING = f"{'the receiver prints':>36}{'a  b  c':>44}"
PAYLOAD = 54
"""Characters of a payload in the demonstration, at most."""


class Audience:
    """Shows what the receiver prints, and which host counts; holds each count against the last.

    Attributes: node, that of the newest count; off, the hosts without power.
    """

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._next = 0
        self._last = 0.0
        self.node = ""
        self.off: set[str] = set()

    @property
    def host(self) -> str:
        """The host that counts."""
        return host_of(self.node)

    def watch(self, counts: int, is_it: Callable[[str], bool] = bool) -> float:
        """Shows entries until so many counts have come of nodes for which that holds.

        Returns the longest silence before a count, in seconds.
        """
        silence = 0.0
        for entry in self._entries:
            message = str(entry["MESSAGE"])
            is_count = message.startswith('{"count"')
            if is_count:
                silence = max(silence, self._take(entry, message))
                counts -= is_it(self.node)
            show(entry, f"{message:<{PAYLOAD}}{self._columns()}" if is_count else message)
            if not counts:
                return silence
        raise DemoError(f"the receiver printed no count {self._next} of who should count now")

    def _take(self, entry: Entry, message: str) -> float:
        """Seconds since the count before."""
        payload = json.loads(message)
        if payload["count"] != self._next:
            raise DemoError(f"the receiver printed {message} where count {self._next} was due")
        self._next += 1
        self.node = str(payload["nodeID"])
        at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        since, self._last = self._last or at, at
        return at - since

    def _columns(self) -> str:
        marks = dict.fromkeys(MEMBERS, STANDS_BY) | dict.fromkeys(self.off, OFF)
        marks[self.host] = COUNTS
        return "".join(f"{marks[name]:>3}" for name in MEMBERS)


class Demo:
    """The acts, in order."""

    def __init__(self, hosts: Hosts, audience: Audience) -> None:
        self._hosts = hosts
        self._cluster = hosts.cluster
        self._audience = audience

    def perform(self) -> int:
        """Plays all acts; returns the verdict's exit status."""
        self._start()
        self._power_cut()
        self._boot("Give it its power again.")
        self._kill()
        self._move()
        self._lose_leader()
        self._boot("Give that one its power again, too.")
        self._stop()
        return self._prove()

    def _start(self) -> None:
        say("Start an App on three hosts: two settings, one command, on each.")
        file = f">> /etc/sendrecv/{APP}.env"
        type_(f"echo SENDRECV_STORE={self._hosts.store} {file}", "abc")
        type_(f"echo SENDRECV_URL=https://{NAME}:3443 {file}", "abc")
        type_(f"systemctl enable --now sender@{APP}", "abc")
        self._hosts.add(APP)
        for name in MEMBERS:
            self._hosts[name].run(["systemctl", "enable", "-q", f"sender@{APP}"])
        self._audience.watch(4)
        self._who()
        _look("one host counts, the others stand by for it.")

    def _power_cut(self) -> None:
        name = self._audience.host
        say(f"Cut the power of {name}, the host that counts.")
        self._cut(name)
        silence = self._audience.watch(3, lambda node: host_of(node) != name)
        self._who()
        _look(f"{self._audience.host} sends the very next count, after {silence:.1f} s of silence.")

    def _boot(self, what: str) -> None:
        say(what)
        (name,) = self._audience.off
        with progress.step(f"  booting {name}", "boot"):
            self._cluster.boot(name)
            self._cluster.wait_healthy()
        self._audience.off.clear()
        self._audience.watch(2)
        self._who()
        _look(f"{name} stands by. The App stays where it is until somebody moves it.")

    def _kill(self) -> None:
        name, killed = self._audience.host, self._audience.node
        say(f"Kill the process that counts, on {name}.")
        unit = f"sender@{APP}"
        type_(f"kill -KILL {self._hosts[name].pid(unit)}", name)
        self._hosts[name].kill(unit, "KILL")
        silence = self._audience.watch(3, lambda node: node != killed)
        _look(
            f"{self._audience.node} goes on, after {silence:.1f} s. It need not wait for a lease."
        )

    def _move(self) -> None:
        name = self._audience.host
        other = next(one for one in MEMBERS if one != name)
        say(f"Move the App to {other}.")
        type_(f"sendrecv move {APP} {other}", name)
        self._hosts[name].run(["sendrecv", "move", APP, other])
        silence = self._audience.watch(3, lambda node: host_of(node) == other)
        _look(f"{other} goes on, after {silence:.1f} s.")

    def _lose_leader(self) -> None:
        holder = self._audience.host
        name = next(one for one in reversed(MEMBERS) if one != holder)
        self._cluster.move_leader(name)
        say(f"Cut the power of {name}, which is etcd's leader, while {holder} counts.")
        self._cut(name)
        silence = self._audience.watch(4)
        self._who()
        stays = "stays where it is" if self._audience.host == holder else "went to another host"
        _look(f"counts waited for etcd's new leader, {silence:.1f} s. The App {stays}.")

    def _stop(self) -> None:
        say("Stop the App for good: on each host, or another one goes on.")
        type_(f"systemctl stop sendrecv@{APP}.target", "abc")
        # The host that counts is the last one.
        for name in sorted(MEMBERS, key=lambda name: name == self._audience.host):
            self._hosts[name].run(["systemctl", "stop", f"sendrecv@{APP}.target"])

    def _prove(self) -> int:
        say("Prove it from the journals of all hosts: no count is missing, none came twice.")
        receiver = self._hosts.receiver
        files = [f"{name}.journal" for name in (*MEMBERS, "r")]
        with tempfile.TemporaryDirectory() as scratch:
            for name, host in self._hosts.cluster.hosts.items():
                copy = Path(scratch) / f"{name}.journal"
                type_(f"journalctl -o export > {copy.name}", name)
                host.run(f"journalctl -q -o export > /root/{copy.name}")
                host.get(f"/root/{copy.name}", copy)
                receiver.put(copy, f"/root/{copy.name}")
        command = f"sendrecv proof {' '.join(f'-f {file}' for file in files)} {APP}"
        type_(command, "r")
        return receiver.interact(f"cd /root && {command}")

    def _cut(self, name: str) -> None:
        self._cluster.power_cut(name)
        self._audience.off.add(name)

    def _who(self) -> None:
        """What each host says of the App."""
        type_(f"systemctl status sender@{APP}", "abc")
        for name in MEMBERS:
            said = "off" if name in self._audience.off else self._hosts.status(APP, name)
            print(f"    {name}: {said}"[:80], flush=True)


def main() -> int:
    """Runs the demonstration; returns the verdict's exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.demo_hosts", description=__doc__)
    parser.add_argument("hosts", choices=["3"], nargs="?")
    parser.add_argument("release", choices=roots.RELEASES, nargs="?", default=roots.RELEASES[-1])
    release = parser.parse_args().release
    try:
        return _shown(release)
    except (DemoError, MachineError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _shown(release: str) -> int:
    roots.ensure("host", release)
    with contextlib.ExitStack() as held:
        with progress.step("installing sendrecv.deb", "install"):
            layers = {release: held.enter_context(installed(release))}
        what = f"booting four hosts with {roots.NAMES[release]}, etcd on three of them"
        with progress.step(what, "boot"):
            hosts = held.enter_context(Hosts(release, layers=layers))
        say("Watch the receiver, on a host of its own. A session is a connected sender.")
        type_("journalctl -fu receiver &", "r")
        print(f"{HEADING}\n{'(# counts, . stands by, x is off)':>80}", flush=True)
        entries = hosts.receiver.follow("-u", "receiver", timeout=TIMEOUT)
        with contextlib.closing(entries):
            return Demo(hosts, Audience(entries)).perform()


def _look(text: str) -> None:
    print(f"  Look: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
