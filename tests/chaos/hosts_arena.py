"""The hosts that chaos takes place in: three with etcd and Apps, and the receiver's."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.chaos.arena import compiled
from tests.chaos.hosts_faults import HOLDER, LEADER, MEMBERS, RECEIVER, Fault
from tests.judges import history, sent
from tests.judges.history import Write
from tests.judges.sent import Sent
from tests.lab.cluster import Cluster
from tests.lab.etcd import Etcd
from tests.lab.hosts import Hosts
from tests.lab.machine import Machine, end
from tests.lab.network import Rule
from tests.lab.nspawn import NspawnError

APPS: Mapping[str, str] = {
    "one": "SENDRECV_INTERVAL=1",
    "quarter": "SENDRECV_INTERVAL=0.25\nSENDRECV_LEASE=1",
    "tenth": "SENDRECV_INTERVAL=0.1",
    "on": "SENDRECV_INTERVAL=0.5\nSENDRECV_ETCD_OUTAGE=continue",
}
"""The Apps, and their settings. Leases are 2 s by default."""
QUOTA = 48 << 20
"""Bytes that etcd takes: enough for many rounds, and soon full."""
TOLD = 60.0
"""Seconds that a command on a host may take."""
_HERE = Path(__file__).parent
_BUSY = 0.5
"""Seconds that a fault waits for another one that has the host for itself."""
_CLOCK = "/var/lib/chaos/clock"
_SENT = "/var/lib/chaos/sent"
_LIBRARIES = "/usr/local/lib/chaos"
_RECEIVER_DROP_IN = f"""[Service]
Environment=LD_PRELOAD={_LIBRARIES}/clock.so
BindReadOnlyPaths=/var/lib/chaos
"""
_SENDER_DROP_IN = f"""[Service]
Environment=LD_PRELOAD={_LIBRARIES}/clock.so:{_LIBRARIES}/sent.so
BindPaths=/var/lib/chaos
"""
_DROP_INS = {
    "receiver": _RECEIVER_DROP_IN,
    "sender@": _SENDER_DROP_IN,
    "sender-failover@": _SENDER_DROP_IN,
}
_LINES = ("_SYSTEMD_UNIT=receiver.service", "_TRANSPORT=stdout", "PRIORITY=6")
_WITNESSES = ("_SYSTEMD_UNIT=receiver.service", "+", "_TRANSPORT=driver")
_FIELDS = "_SYSTEMD_UNIT _TRANSPORT PRIORITY MESSAGE _BOOT_ID _PID MESSAGE_ID".split()
_WATCHED = 1.5
"""Seconds in which etcdctl mostly has told what there is to be told."""
_PATIENCE = 5
"""How often it is asked for more. An App's key is written soon: so the end is seen."""
_HISTORY = (
    f"timeout {_WATCHED} etcdctl watch --prefix /sendrecv/ -w json --rev={{first}} 2>&1; true"
)
_STATUS = "timeout 2 etcdctl endpoint status -w json"
_RUNS = 'until [ "$(systemctl show --value -p MainPID {unit})" != 0 ]; do sleep 0.05; done'


class Skipped(Exception):
    """A fault could not be injected: what it was to strike is not there now."""


class Busy(Skipped):
    """Another fault has the host for itself."""


@dataclass(frozen=True)
class LastLine:
    """The last line of an App: when the receiver's journal got it, and the host that counted."""

    at: float
    host: str


class Arena:
    """Three hosts with etcd, and the receiver's. Entering it boots all of them and all Apps.

    A fault that turns a host off, or stops it as a whole, has the host for itself: see alone().
    """

    def __init__(self, release: str, apps: Mapping[str, str] | None = None) -> None:
        self.apps = dict(apps or APPS)
        self._hosts = Hosts(release, etcd=Etcd(quota=QUOTA))
        self._locks = {name: threading.RLock() for name in (*MEMBERS, RECEIVER)}
        self._network = threading.Lock()
        self._etcdctl = threading.Lock()
        self._history = threading.Lock()
        self._follower: subprocess.Popen[str] | None = None
        self._lines: dict[str, LastLine] = {}
        self._written: list[Write] = []
        self._known = 0  # the revision of etcd up to which that is
        self._done = threading.Event()
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._held as held:
            follower = threading.Thread(target=self._follow, daemon=True)
            held.callback(self._join, follower)
            held.enter_context(self._hosts)
            held.callback(self._done.set)  # what it follows ends with the hosts
            self.cluster = self._hosts.cluster
            self._furnish()
            follower.start()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def __getitem__(self, name: str) -> Machine:
        return self.cluster[name]

    @staticmethod
    def _join(thread: threading.Thread) -> None:
        if thread.ident:
            thread.join()

    # For faults

    def where(self, fault: Fault) -> str:
        """The name of the host that the fault strikes now."""
        if fault.host == HOLDER:
            return self.holder(fault.app) or MEMBERS[int(fault.chance * len(MEMBERS))]
        if fault.host == LEADER:
            return self._leader() or MEMBERS[int(fault.chance * len(MEMBERS))]
        return fault.host

    def _leader(self) -> str:
        """The first host whose member believes to be etcd's leader; "" if there is none."""
        for name in MEMBERS:
            with contextlib.suppress(Skipped):
                status = json.loads(self.tell(name, _STATUS))[0]["Status"]
                if status.get("leader") == status["header"]["member_id"]:
                    return name
        return ""

    def holder(self, app: str) -> str:
        """The host that has counted last for that App; "" for none."""
        last = self._lines.get(app)
        return last.host if last else ""

    def has_lease(self, app: str) -> str:
        """The host that holds the App's lease, as etcd has it; "" for none."""
        return self._hosts.holder(app)

    @contextlib.contextmanager
    def alone(self, name: str, *, patient: bool = False) -> Iterator[Machine]:
        """Nobody else does anything to that host meanwhile.

        Raises Busy if somebody does. `patient`: waits for that instead, as a repair must.
        """
        lock = self._locks[name]
        if not lock.acquire(timeout=-1 if patient else _BUSY):
            raise Busy(f"{name} is off, or stopped")
        try:
            yield self.cluster[name]
        finally:
            lock.release()

    def tell(self, name: str, command: str, *, repair: bool = False) -> str:
        """Runs a command on that host, if it is on; returns its output. `repair`: see alone().

        Raises Skipped if the command fails. A repair is what systemd would do at the next boot,
        too, or concerns processes that may have ended: it may fail.
        """
        with self.alone(name, patient=repair) as host:
            done = host.run(command, check=False, timeout=TOLD)
        if done.returncode and not repair:
            raise Skipped(f"{command}: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def rule(self, make: Callable[[], Rule]) -> Iterator[None]:
        """What Cluster.block() or Cluster.loss() has made holds meanwhile."""
        with self._network:
            rule = make()
        try:
            yield
        finally:
            with self._network:
                self.cluster.unblock(rule)

    @contextlib.contextmanager
    def etcdctl(self) -> Iterator[Cluster]:
        """For what the cluster does to etcd as a whole: no host is rebooted meanwhile."""
        with self._etcdctl:
            yield self.cluster

    def boot(self, name: str) -> None:
        """Turns the host on, and waits until its etcd runs: it may not be healthy."""
        self.cluster.boot(name)
        self.wait_running(name)

    def reboot(self, name: str) -> None:
        """In order; see boot(). A shutdown would stop commands that were entered from outside, and
        wait for them for ever."""
        self.cluster.slow_disk(name, 0)
        if name == RECEIVER and self._follower:
            end(self._follower)
        with self._etcdctl:
            self.cluster[name].run("systemctl --no-block reboot", check=False)
            self.cluster[name].wait_rebooting()
        self.boot(name)

    def wait_running(self, name: str) -> None:
        """Waits for the process of etcd, or of the receiver."""
        unit = "receiver" if name == RECEIVER else "etcd"
        self.cluster[name].run(["timeout", str(TOLD), "sh", "-c", _RUNS.format(unit=unit)])

    # For the judge

    def wait_counting(self, since: float, limit: float, apps: Iterable[str] = ()) -> list[str]:
        """Waits until each of these Apps (by default all) has counted after that time. Returns
        those that have not after `limit` seconds.
        """
        apps = silent = list(apps or self.apps)
        while silent and time.monotonic() < since + limit:
            time.sleep(0.05)
            silent = [app for app in apps if self._last(app) <= since]
        return silent

    def journal(self) -> list[dict[str, Any]]:
        """The receiver's journal of all boots, in the order of time: all hosts have one clock."""
        receiver = self.cluster[RECEIVER]
        receiver.run("journalctl --sync", check=False)
        entries = receiver.journal(*_WITNESSES, fields=_FIELDS)
        return sorted(entries, key=lambda entry: int(entry["__MONOTONIC_TIMESTAMP"]))

    def sent(self) -> list[Sent]:
        """What all senders have sent, in the order of time."""
        return sent.read({name: self.cluster[name].run(f"cat {_SENT}").stdout for name in MEMBERS})

    def written(self) -> list[Write]:
        """What was written to the Apps' keys, in order, but for what etcd had forgotten before it
        was asked: see remember().
        """
        self.remember()
        return list(self._written)

    def remember(self) -> None:
        """Asks the first member that answers. To be called before etcd is made to forget."""
        with self._history:
            for name in MEMBERS:
                with contextlib.suppress(Skipped):
                    until = self._revision(name)
                    for _ in range(_PATIENCE):
                        if self._known < until:
                            self._remember(name)
                    return

    def _remember(self, name: str) -> None:
        told = self.tell(name, _HISTORY.format(first=self._known + 1))
        if "has been compacted" in told:
            self._known = max(self._known, self.cluster.compacted)
        more = [one for one in history.read(told) if one.revision > self._known]
        self._written += more
        self._known = more[-1].revision if more else self._known

    def _revision(self, name: str) -> int:
        """Of etcd now, as that member knows it."""
        return int(json.loads(self.tell(name, _STATUS))[0]["Status"]["header"]["revision"])

    def _last(self, app: str) -> float:
        last = self._lines.get(app)
        return last.at if last else 0.0

    def _follow(self) -> None:
        """Notes the lines of the receiver, over all boots of its host."""
        command = ["journalctl", "-qf", "-n", "20", "-o", "json", "--output-fields=MESSAGE"]
        while not self._done.is_set():
            try:
                with self.alone(RECEIVER, patient=True) as receiver:
                    self._follower = receiver.popen([*command, *_LINES])
                with self._follower as journal:
                    self._note_lines(journal.stdout or ())
            except (NspawnError, OSError):
                pass  # the host is off
            self._done.wait(0.1)

    def _note_lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            entry = json.loads(text)
            payload = json.loads(entry["MESSAGE"])
            at = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
            host = str(payload["nodeID"]).removesuffix("-failover")
            if at > self._last(payload["appID"]):
                self._lines[payload["appID"]] = LastLine(at, host)

    # Setting up

    def _furnish(self) -> None:
        with tempfile.TemporaryDirectory() as built:
            libraries = [compiled(_HERE / f"{name}.c", Path(built)) for name in ("clock", "sent")]
            for name in (*MEMBERS, RECEIVER):
                self._watch(self.cluster[name], libraries)
        self.cluster[RECEIVER].run("systemctl -q enable receiver-tcp.socket receiver.service")
        self.cluster[RECEIVER].run("systemctl restart receiver.service")
        for app, settings in self.apps.items():
            self.add(app, settings)

    def add(self, app: str, settings: str) -> None:
        """An App on all hosts, started now and at each boot."""
        self.apps[app] = settings
        self._hosts.add(app, settings)
        for name in MEMBERS:
            self.cluster[name].run(f"systemctl -q enable sender@{app}")

    def remove(self, app: str) -> None:
        """It is stopped for good."""
        del self.apps[app]
        for name in MEMBERS:
            stop = f"systemctl stop sendrecv@{app}.target; systemctl -q disable sender@{app}"
            self.cluster[name].run(stop)

    @staticmethod
    def _watch(host: Machine, libraries: Iterable[Path]) -> None:
        """The wall clock of senders and receiver can be changed, and what senders send is noted."""
        host.run(f"mkdir -p /var/lib/chaos && head -c 8 /dev/zero > {_CLOCK}")
        host.run(f"touch {_SENT} && chmod 666 {_SENT}")
        for library in libraries:
            host.put(library, f"{_LIBRARIES}/{library.name}")
        for unit, text in _DROP_INS.items():
            host.write(f"/etc/systemd/system/{unit}.service.d/chaos.conf", text)
        host.run("systemctl daemon-reload")

    def set_clock(self, name: str, seconds: float) -> None:
        """How wrong the wall clock of the senders, or of the receiver, is on that host."""
        octets = "".join(f"\\{octet:03o}" for octet in struct.pack("q", int(seconds * 1e9)))
        self.tell(name, f"printf '{octets}' | dd of={_CLOCK} conv=notrunc status=none")
