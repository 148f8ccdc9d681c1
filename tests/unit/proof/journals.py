"""Journals made up for the tests of the proof: what a machine would have written, entry by entry.

A World writes what journald would, with the fields of Debian's systemd, for whatever the test says
happens. It does what it is told, right or wrong; a World that is only told of things that can
happen to the package writes a journal without a violation.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

Fields = dict[str, str]

IDS = {
    "starting": "7d4958e842da4a758f6c1cdc7b36dcc5",
    "started": "39f53479d3a045ac8e11786248231fbf",
    "stopping": "de5b426a63be47a7b6ac3eaac82e2f6f",
    "exited": "98e322203f7a4ed290d09fe03c09fe15",
    "stopped": "9d1aaa27d60140bd96365438aad20286",
    "succeeded": "7ad2d189f7e94e70a38c781354912448",
    "failed": "d9b373ed55a64feb8242e02dbe79a49c",
}
OTHER = {"main": "failover", "failover": "main"}


def export(entries: Iterable[Fields]) -> bytes:
    """In the journal export format."""
    lines = ("".join(f"{name}={value}\n" for name, value in entry.items()) for entry in entries)
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass(eq=False)
class Sender:
    """A run of a sender's unit."""

    instance: str
    role: str
    run: str
    epoch: int
    unit: str


@dataclass
class World:
    """A machine; time passes by `step` microseconds with each entry, and by wait()."""

    entries: list[Fields] = field(default_factory=list)
    now: int = 5_000_000
    step: int = 300
    boots: int = 1
    machine: str = "a" * 32
    name: str = "alone"
    counts: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)
    receivers: int = 0
    forgets: int = 0
    clock: int = 0
    """Microseconds by which the wall clock is wrong."""
    numbering: str = "5" * 32
    _runs: int = 0

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)

    @property
    def boot_id(self) -> str:
        return hashlib.md5(f"{self.machine}{self.boots}".encode()).hexdigest()

    @property
    def wall(self) -> int:
        return 1_790_000_000_000_000 + self.now + self.boots * 3_600_000_000 + self.clock

    @property
    def number(self) -> int:
        """Of the next entry."""
        return len(self.entries) + 1

    def write(self, fields: Fields) -> Fields:
        self.now += self.step
        wall = self.wall
        place = f"s={self.numbering};i={self.number:x}"
        entry = {
            "__CURSOR": f"{place};b={self.boot_id};m={self.now:x};t={wall:x};x=1",
            "__REALTIME_TIMESTAMP": str(wall),
            "__MONOTONIC_TIMESTAMP": str(self.now),
            "_BOOT_ID": self.boot_id,
            "_MACHINE_ID": self.machine,
            "_HOSTNAME": self.name,
            **fields,
        }
        self.entries.append(entry)
        return entry

    # PID 1

    def pid1(self, unit: str, run: str, what: str, **fields: str) -> Fields:
        trusted = {"_PID": "1", "_UID": "0", "_TRANSPORT": "journal", "_SYSTEMD_UNIT": "init.scope"}
        said = {"UNIT": unit, "INVOCATION_ID": run} if run else {"UNIT": unit}
        if what in IDS:
            said["MESSAGE_ID"] = IDS[what]
        if what in {"starting", "started"}:
            said["JOB_TYPE"] = "start"
        return self.write({**trusted, **said, "MESSAGE": f"{unit}: {what}", **fields})

    def start(self, instance: str, role: str, app: str = "", *, ready: bool = True) -> Sender:
        """Start a sender's unit; its epoch is the App's next."""
        app = app or instance
        self._runs += 1
        unit = f"{'sender' if role == 'main' else 'sender-failover'}@{instance}.service"
        run = hashlib.md5(f"run {self._runs} {self.machine}".encode()).hexdigest()
        self.epochs[app] = self.epochs.get(app, 0) + 1
        sender = Sender(instance, role, run, self.epochs[app], unit)
        self.senders[instance] = sender
        self.pid1(unit, run, "starting")
        if ready:
            self.wait(0.04)
            self.pid1(unit, run, "started")
        return sender

    def tell(self, sender: Sender, app: str, **fields: str) -> Fields:
        """The sender's own entry: that it counts, and for which App."""
        trusted = {"_TRANSPORT": "journal", "_PID": "200", "_UID": "990"}
        unit = {"_SYSTEMD_UNIT": sender.unit, "_SYSTEMD_INVOCATION_ID": sender.run}
        said = {"SENDRECV_APP": app, "MESSAGE": f"App {app}: it counts now"}
        return self.write({**trusted, **unit, **said, **fields})

    def exit(self, sender: Sender, how: str = "signal", status: str = "1") -> None:
        """As PID 1 tells it, on systemd 252 and 257 alike. `status`: of an "exit-code"."""
        unit, run = sender.unit, sender.run
        if how == "success":
            self.pid1(unit, run, "succeeded")
            return
        if how != "timeout":
            code = ("exited", status) if how == "exit-code" else ("killed", "9")
            how_so = {"COMMAND": "ExecStart", "EXIT_CODE": code[0], "EXIT_STATUS": code[1]}
            self.pid1(unit, run, "exited", **how_so)
        self.pid1(unit, run, "failed", UNIT_RESULT=how)
        self.pid1(unit, run, "Triggering OnFailure= dependencies")

    def stop_pair(self, instance: str) -> None:
        """The target: both halves end, and neither is started."""
        sender = self.senders[instance]
        self.pid1(sender.unit, sender.run, "stopping")
        self.exit(sender, "success")
        self.pid1(f"sendrecv@{instance}.target", "f" * 32, "stopped", JOB_TYPE="stop")

    # The receiver

    def receive(self, message: str, priority: int = 6) -> Fields:
        return self.write(
            {
                "_TRANSPORT": "stdout",
                "_SYSTEMD_UNIT": "receiver.service",
                "_STREAM_ID": f"{self.boots:016}{self.receivers:016}",
                "_PID": "100",
                "PRIORITY": str(priority),
                "MESSAGE": message,
            }
        )

    def start_receiver(self, lost: Iterable[tuple[str, str, int]] = ()) -> None:
        """`lost`: App, node, count of the lines that the one before could not print."""
        self.receivers += 1
        run = f"{self.receivers:032}"
        self.pid1("receiver.service", run, "starting")
        self.wait(0.2)
        for app, node, count in lost:
            self.print(app, node, count)
        self.pid1("receiver.service", run, "started")

    def admit(self, sender: Sender, app: str = "", node: str = "") -> Fields:
        """The receiver's line about a new session."""
        app = app or sender.instance
        last = self.counts[app] - 1 if self.counts.get(app) else None
        session = {"appID": app, "nodeID": node or sender.role, "epoch": sender.epoch}
        line = json.dumps({**session, "run": sender.run, "last": last})
        return self.receive(f"session {line}", 5)

    def cannot_tell(self, app: str, node: str, first: int, last: int) -> Fields:
        """The receiver's line about counts that it may have printed, and does not print again."""
        said = {"appID": app, "nodeID": node, "first": first, "last": last}
        return self.receive(f"unproven {json.dumps(said)}", 5)

    def forget(self, app: str) -> Fields:
        """The receiver's line about an App that was stopped and is to be forgotten."""
        self.stop_pair(app)
        self.start_receiver()
        self.forgets += 1
        self.counts[app] = self.epochs[app] = 0
        return self.receive(f'forgotten {{"appID": "{app}", "incarnation": {self.forgets}}}', 5)

    def print(self, app: str, node: str, count: int) -> Fields:
        payload = {"count": count, "appID": app, "nodeID": node}
        return self.receive(json.dumps(payload))

    def count(self, app: str, node: str = "main", times: int = 1) -> None:
        """The next counts."""
        for _ in range(times):
            self.wait(1)
            self.print(app, node, self.counts.get(app, 0))
            self.counts[app] = self.counts.get(app, 0) + 1

    # Power

    def boot(self, *, clean: bool) -> None:
        """The machine goes down, and up again."""
        if clean:
            for sender in self.senders.values():
                self.exit(sender, "success")
            self.pid1("shutdown.target", "e" * 32, "started")
        self.senders = {}
        self.boots += 1
        self.now = 2_000_000

    # All together

    def up(self, *instances: str) -> "World":
        """A receiver, and the main sender of each instance, counting from 0."""
        self.start_receiver()
        for instance in instances:
            self.admit(self.start(instance, "main"))
            self.count(instance, times=3)
        return self

    def take_over(self, instance: str, how: str = "signal", role: str = "") -> Sender:
        """Whoever is active ends; the other half goes on, and counts."""
        before = self.senders[instance]
        if how == "success":
            self.pid1(before.unit, before.run, "stopping")
        self.exit(before, how)
        self.wait(0.005)
        sender = self.start(instance, role or OTHER[before.role])
        self.admit(sender)
        self.count(instance, sender.role, 2)
        return sender


def without(entries: list[Fields], *places: int) -> list[Fields]:
    """The journal after somebody has removed entries."""
    return [entry for place, entry in enumerate(entries) if place not in places]
