"""The simulated world: a clock, a disk, a journal, connections, a service manager, and faults.

`run()` lets things happen in an order that the caller chooses; every other public method is a
fault. `settle()` ends the faults and lets the world go on until every App counts again.

Time is in nanoseconds of a monotonic clock, which a power cut sets back. It passes only when
nothing else is chosen, so anything can happen late.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from sendrecv.core import sender as sender_machine
from sendrecv.core.lines import parse_probe
from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.sender import SenderMachine
from sendrecv.core.values import MILLISECOND, SECOND
from sendrecv.core.sender_events import SenderEvent
from sendrecv.core.wire import Claim
from sendrecv.receiver import start
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.loop import Receiver
from sendrecv.receiver.mark import Mark
from sendrecv.receiver.printing import Printer
from sendrecv.receiver.requests import PREFIX
from sendrecv.sender.loop import Sender
from sendrecv.sender.store_file import StateFile
from tests.simulation.journal import Journal
from tests.simulation.kernel import DIRECTORY, Disk
from tests.simulation.network import Admission, Connection
from tests.simulation.receiver import Phase, ReceiverProcess
from tests.simulation.sender import SenderProcess, arrived
from tests.simulation.verdict import Lines, Violation, Witness

SETTLED_WITHIN = 15 * SECOND
"""Of simulated time after the last fault, every App has counted three more. A sender that had just
asked a receiver that hangs waits 5 s for its answer, then up to 2 s; three counts take 3 s. (10 s
were too few for one of 2,000 runs: seed 560289, which took less than 12.)
"""
WATCHDOG = 15 * SECOND
"""A receiver that hangs is killed by then."""
ROUND = 2 * MILLISECOND
"""What it takes to do everything that can be done, once."""
SMALL_BATCH, LARGE_BATCH = 3, 60
"""Counts in one event: fewer than a range may have; enough to fill a journal."""
Action = Callable[[], None]


@dataclass(frozen=True)
class Parts:
    """What is tested. A planted violation replaces one of them."""

    sender: type[SenderMachine] = SenderMachine
    sender_loop: type[Sender] = Sender
    store: Callable[[str], StateFile] = StateFile
    receiver: type[ReceiverMachine] = ReceiverMachine
    receiver_loop: type[Receiver] = Receiver
    open_ledger: Callable[[start.StartPorts], Ledger] = start.open_ledger
    ledger: type[Ledger] = Ledger
    mark: type[Mark] = Mark
    printer: type[Printer] = Printer
    receiver_process: Callable[[World], ReceiverProcess] = ReceiverProcess


class Bytes:
    """Choices, one from each byte; 0 after the last."""

    def __init__(self, values: bytes) -> None:
        self._values = iter(values)

    def below(self, limit: int) -> int:
        """See kernel.Choices."""
        return next(self._values, 0) % limit


class World:
    """One machine with `apps` Apps, all stopped. Leaving it removes the ledger's directory."""

    def __init__(self, apps: int, interval: int, parts: Parts) -> None:
        self.parts = parts
        self.interval = interval
        self.now = SECOND
        self.boot = f"{1:032x}"
        self.steps = 0
        self.disk = Disk()
        self.journal = Journal(self.boot)
        self.witness = Witness()
        self.app_ids = [f"app{number}" for number in range(apps)]
        self.senders: list[SenderProcess] = []
        self.receivers: list[ReceiverProcess] = []
        self.connections: dict[str, Connection] = {}
        self.ledger_fails = self.mark_fails = False
        self.ledger_is_lost = self.ledger_is_old = False  # and no receiver has served since
        self.erased: set[str] = set()  # lines that neither journal nor ledger have any more
        self._owed: set[str] = set()  # lines that the journal has lost
        self._forgetting: set[str] = set()  # Apps that a person has stopped, to forget them
        self._directory = tempfile.TemporaryDirectory(dir=_memory())
        self.ledger_directory = Path(self._directory.name) / "ledger"
        self.run_directory = Path(self._directory.name) / "run"
        self.backup = Path(self._directory.name) / "backup"
        for directory in (self.ledger_directory, self.run_directory, self.backup):
            directory.mkdir()
        self._runs = self._opened = 0
        batch = SMALL_BATCH if interval else LARGE_BATCH
        self._batch, sender_machine.MAX_BATCH = sender_machine.MAX_BATCH, batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        sender_machine.MAX_BATCH = self._batch
        for sender in self.senders:
            sender.kill()
        for receiver in self.receivers:
            receiver.kill(0)
        self._directory.cleanup()

    # What happens by itself.

    def run(self, choices: bytes) -> None:
        """As many steps as there are bytes, each chosen by one."""
        for choice in choices:
            actions: list[Action] = [*self._actions(), *self._starts(), self._pass_time]
            self._do(actions[choice % len(actions)])

    def calm(self, duration: int, steps: int | None = None) -> None:
        """Everything happens at once when it can, for so long; or for so many steps."""
        end = self.now + duration
        self._go_on(lambda: self.now >= end, steps, end)

    def until(self, condition: Callable[[], bool], steps: int) -> None:
        """The same, until that holds."""
        self._go_on(condition, steps, None)

    def _go_on(self, condition: Callable[[], bool], steps: int | None, end: int | None) -> None:
        while not condition() and steps != 0:
            actions = [*self._actions(), *self._starts()]
            for action in actions or [lambda: self._pass_time(end)]:
                self._do(action)
                steps = None if steps is None else steps - 1
                if condition() or steps == 0:
                    return
            self.sleep(ROUND if actions else 0)

    def time(self) -> int:
        """It is now."""
        return self.now

    def path(self, app_id: str) -> str:
        """Where an App's record is."""
        return f"{DIRECTORY}/{app_id}.record"

    def connect(
        self, sender: SenderProcess, number: int, claim: Claim, post: Callable[[SenderEvent], None]
    ) -> Connection:
        """A sender opens a connection."""
        self._opened += 1
        name = f"connection {self._opened}"
        connection = Connection(name, number, sender, claim, post)
        connection.to_receiver.append(("claim",))
        self.connections[name] = connection
        return connection

    def cut_off(self, name: str) -> None:
        """The receiver wants to close a connection, and soon will."""
        if name in self.connections:
            self.connections[name].unwanted = True

    def receiver(self) -> ReceiverProcess | None:
        """The receiver, if it is not dead."""
        return self.receivers[-1] if self.receivers and not self.receivers[-1].dead else None

    def alive(self, app_id: str) -> list[SenderProcess]:
        """The App's processes, the oldest first."""
        return [process for process in self.senders if process.app.app_id == app_id]

    # Faults of senders.

    def start(self, app_id: str) -> None:
        """The service manager starts the other half, whether one is alive or not."""
        self._runs += 1
        alive = self.alive(app_id)
        node_id = "failover" if self._runs % 2 else "main"
        if len(alive) < 3:
            self.senders.append(SenderProcess(self, app_id, node_id, self._runs))

    def kill(self, sender: SenderProcess) -> None:
        """SIGKILL."""
        sender.kill()

    def hang(self, sender: SenderProcess, hung: bool) -> None:
        """SIGSTOP, or SIGCONT."""
        sender.hung = hung

    def stop(self, sender: SenderProcess) -> None:
        """SIGTERM."""
        sender.stop()

    # Faults of the record.

    def remove_record(self, app_id: str) -> None:
        """Somebody deletes the file."""
        self.disk.remove(self.path(app_id))

    def replace_record(self, app_id: str, content: bytes, new_file: bool) -> None:
        """Somebody puts these bytes there, in a new file or over the old one."""
        self.disk.replace(self.path(app_id), content, new_file)

    def read_record(self, app_id: str) -> bytes:
        """What is in the file now."""
        inode = self.disk.names.get(self.path(app_id))
        return bytes(inode.data) if inode else b""

    # Faults of the network and of the receiver.

    def cut(self, connection: Connection, arriving: int) -> None:
        """The connection breaks; `arriving` messages still arrive, either way."""
        connection.cut(arriving)

    def freeze(self, connection: Connection, frozen: bool) -> None:
        """Nothing gets through the connection, without a word; or all that was sent does."""
        connection.frozen = frozen

    def kill_receiver(self, written: int) -> None:
        """SIGKILL; of what it is about to write, so many lines have gone out."""
        if receiver := self.receiver():
            self.end_receiver(receiver, written)

    def end_receiver(self, receiver: ReceiverProcess, written: int) -> None:
        """Whatever has ended it, its connections end too."""
        receiver.kill(written)
        self.receivers.remove(receiver)
        self._end_connections(receiver, written)

    def stop_receiver(self) -> None:
        """SIGTERM."""
        if receiver := self.receiver():
            receiver.stop()

    def wedge_receiver(self) -> None:
        """SIGKILL in a write that the kernel does not end: it keeps its locks until it does."""
        if receiver := self.receiver():
            receiver.wedge()

    def free_receivers(self, written: int) -> None:
        """Every such write ends, after so many lines."""
        for receiver in [receiver for receiver in self.receivers if receiver.dead]:
            self.end_receiver(receiver, written)

    def remove_ledger(self) -> None:
        """Somebody deletes the database, and all that belongs to it."""
        for file in self.ledger_directory.glob("ledger.db*"):
            file.unlink()
        self.ledger_is_lost = True
        self._lost_ledger()

    def lose_mark(self) -> None:
        """What the receiver has in /run is lost."""
        for file in self.run_directory.iterdir():
            file.unlink()
        self._let_somebody_know()

    def blind_journal(self) -> None:
        """It cannot be asked."""
        self.journal.blind = True
        self._let_somebody_know()

    def restart_journald(self, stores: bool, killed: int) -> None:
        """By a person who has changed its settings, or by a crash. See Journal.restart()."""
        self.journal.restart(stores, killed)

    def spoil_mark(self) -> None:
        """It cannot be opened: one that was there is removed."""
        self.mark_fails = True
        self._let_somebody_know()

    def _let_somebody_know(self) -> None:
        """Without ledger and journal nobody knows anything; and of an old ledger, without mark and
        journal, that it is old.
        """
        has_mark = (self.run_directory / "mark").exists() and not self.mark_fails
        if self.ledger_is_lost or (self.ledger_is_old and not has_mark):
            self.journal.blind = False

    def copy_ledger(self) -> None:
        """Somebody makes a backup of the ledger, while it is in use."""
        for file in self.ledger_directory.glob("ledger.db*"):
            if not file.name.endswith("-shm"):
                (self.backup / file.name).write_bytes(file.read_bytes())

    def put_ledger_back(self) -> None:
        """Somebody puts that backup back, while no receiver runs."""
        if not (self.backup / "ledger.db").exists():
            return
        for file in self.ledger_directory.glob("ledger.db*"):
            file.unlink()
        for file in self.backup.iterdir():
            (self.ledger_directory / file.name).write_bytes(file.read_bytes())
        self.ledger_is_old = True
        self._lost_ledger()

    def write_over_ledger(self) -> None:
        """The same, into the files that are there, whether a receiver runs or not; and beside them,
        if the backup has no log.
        """
        for file in self.backup.iterdir():
            there = self.ledger_directory / file.name
            if there.exists():
                with there.open("r+b") as stream:  # no truncation to 0, and then 4 ms too early
                    stream.truncate(stream.write(file.read_bytes()))
                os.utime(there, ns=(0, time.time_ns() + 1_000_000_000))
                self.ledger_is_old = True
        if self.ledger_is_old:
            self._lost_ledger()

    def forget(self, app_id: str) -> None:
        """Somebody stops the App for good, and forgets it: see sendrecv/admin/forget.py."""
        for sender in self.alive(app_id):
            sender.kill()
        self._forgetting.add(app_id)
        self._request(app_id).touch()
        self.kill_receiver(0)

    def _request(self, app_id: str) -> Path:
        return self.run_directory / f"{PREFIX}{app_id}"

    def _end_forgetting(self) -> None:
        """When the receiver has forgotten an App, its record is removed, and it may start. Where
        the receiver could not, all stays as it is.
        """
        receiver = self.receiver()
        for app_id in [*self._forgetting]:
            if not self._request(app_id).exists():
                self.remove_record(app_id)
            elif receiver and receiver.serving:
                self._request(app_id).unlink()
            else:
                continue
            self._forgetting.remove(app_id)

    def forgotten(self, line: str) -> None:
        """A receiver says so."""
        app_id = json.loads(line.removeprefix("forgotten "))["appID"]
        if self.journal.stores:  # else it is not forgotten
            self.journal.forget(app_id, line)
            self.witness.forgotten(app_id)

    def unproven(self, line: str) -> None:
        """A receiver has said of counts that nobody can tell whether they were printed."""
        span = json.loads(line.removeprefix("unproven "))
        for count in range(span["first"], span["last"] + 1):
            for node in ("main", "failover"):
                payload = {"count": count, "appID": span["appID"], "nodeID": node}
                self.erased.add(json.dumps(payload))

    def power_cut(self, kept: int, choices: bytes) -> None:
        """Everything stops; what was not synced may be lost. The next boot has another clock.

        `kept`: so many lines that journald has not synced are there all the same.
        """
        for sender in self.senders:
            sender.kill()
        for receiver in self.receivers:
            receiver.writing = []
            receiver.kill(0)
        self.senders.clear()
        self.connections.clear()
        self.receivers.clear()
        self.disk.lose_power(Bytes(choices))
        self.boot = f"{int(self.boot, 16) + 1:032x}"
        self._owed.update(self.journal.lose_power(kept, self.boot))
        # journald was killed or started anew since the last group: nobody has written that down.
        self.journal.given -= self.journal.unseen
        self.journal.unseen.clear()
        # No receiver has finished a start with the ledger that is there now: it has not made the
        # journal durable, and the ledger that knew what the journal lost is gone.
        if self.ledger_is_lost or self.ledger_is_old:
            self._erase()
        self.lose_mark()
        self._forgetting.clear()  # a request does not outlive the boot
        self.now = SECOND

    def stall(self, duration: int) -> None:
        """Nobody gets the processor for so long. Where that is longer than the watchdog allows, a
        receiver at work does not live to see the end: the outbox is not kept for its sake.
        """
        receiver = self.receiver()
        if duration > WATCHDOG and receiver and receiver.phase is not Phase.IDLE:
            self.kill_receiver(0)
        self.sleep(duration)

    def sleep(self, duration: int) -> None:
        """Time passes."""
        self.now += duration
        self.journal.pass_time(self.now)

    def repair_disks(self) -> None:
        """The record and the ledger can be written again, and the journal can be asked."""
        self.disk.full, self.disk.broken = False, None
        self.ledger_fails = self.mark_fails = False
        self.journal.blind = False
        if not self.journal.stores:
            self.restart_journald(True, 0)

    # The end.

    def settle(self) -> int:
        """No more faults: how long until every App has one process, which counts three more."""
        self.repair_disks()
        self.free_receivers(self.steps % 2 * 10_000)  # of what they were writing, nothing or all
        for sender in self.senders:
            sender.hung = False
        # Where nobody can know how far the counts were, they may begin anew.
        began, before = self.now, dict(self.witness.last)
        if self.erased or self.journal.missing:
            before = self.verdict()
        before.update(dict.fromkeys(self._forgetting, -1))  # they will
        while not self._goes_on(before):
            if self.now - began > SETTLED_WITHIN:
                active = {app_id: self._active(app_id) for app_id in self.app_ids}
                raise Violation(
                    f"not all count again: {before}, {self.verdict()}, active processes: {active}"
                )
            self.calm(SECOND // 10)
        return self.now - began

    def verdict(self) -> dict[str, int]:
        """The last count of each App. Raises Violation if the lines break a promise."""
        return Lines(self.journal.lines, self.erased | self.journal.missing).last

    def _goes_on(self, before: dict[str, int]) -> bool:
        goal = {app_id: before.get(app_id, -1) + 3 for app_id in self.app_ids}
        # The verdict comes last, because it reads the whole journal.
        return (
            all(self._active(app_id) == 1 for app_id in self.app_ids)
            and not any(sender.stopped for sender in self.senders if not sender.dead)
            and all(self._admitted(app_id) <= 1 for app_id in self.app_ids)
            and all(self.witness.last.get(app_id, -1) >= goal[app_id] for app_id in self.app_ids)
            and all(self.verdict().get(app_id, -1) >= goal[app_id] for app_id in self.app_ids)
        )

    def _active(self, app_id: str) -> int:
        return sum(sender.acquired for sender in self.alive(app_id) if not sender.dead)

    def _admitted(self, app_id: str) -> int:
        """How many connections of the App the receiver wants to keep: the newest."""
        kept = (it for it in self.connections.values() if not it.unwanted)
        return sum(it.admission is Admission.ADMITTED and it.claim.app_id == app_id for it in kept)

    def _lost_ledger(self) -> None:
        self._let_somebody_know()
        self.witness.ledger_lost()
        self._erase()
        self.journal.given.clear()

    def _erase(self) -> None:
        """There is no ledger: what the journal has lost and not got back, nobody knows."""
        there: dict[str, set[str]] = {}
        for line in self.journal.lines:
            if parse_probe(line) is not None:
                continue
            app_id = json.loads(line.removeprefix("forgotten "))["appID"]
            if line.startswith("forgotten "):
                there.pop(app_id, None)  # its counts come again, and look the same
            else:
                there.setdefault(app_id, set()).add(line)
        self.erased |= self._owed.difference(*there.values())

    # The scheduler.

    def _do(self, action: Action) -> None:
        self.steps += 1
        action()

    def _actions(self) -> list[Action]:
        """What can happen now."""
        self.senders = [sender for sender in self.senders if not sender.dead]
        actions: list[Action] = [sender.step for sender in self.senders if sender.ready()]
        if receiver := self.receiver():
            actions += receiver.steps()
        for connection in list(self.connections.values()):
            if connection.over():
                del self.connections[connection.name]
            if connection.frozen:
                continue
            if connection.to_sender:
                actions.append(partial(self._to_sender, connection))
            if self._can_deliver(connection):
                actions.append(partial(self._to_receiver, connection))
            if connection.unwanted:
                actions.append(partial(self._cut_off, connection))
        return actions

    def _starts(self) -> list[Action]:
        """What the service manager would do now: start what has ended."""
        self._end_forgetting()
        counting = {sender.app.app_id for sender in self.senders if not sender.dead}
        counting |= self._forgetting
        starts: list[Action] = [
            partial(self.start, app_id) for app_id in self.app_ids if app_id not in counting
        ]
        if self.receiver() is None:
            starts.append(self._start_receiver)
        return starts

    def _start_receiver(self) -> None:
        if self.receiver() is None:
            is_there = (self.ledger_directory / "ledger.db").exists()
            if self.ledger_is_lost or self.ledger_is_old or not is_there:
                self.journal.given.clear()  # nobody knows what was printed, and not stored
            self.receivers.append(self.parts.receiver_process(self))

    def _pass_time(self, end: int | None = None) -> None:
        """Until something is due, or until `end`."""
        deadlines = [sender.deadline() for sender in self.senders]
        alive = [receiver for receiver in self.receivers if not receiver.dead]
        deadlines += [end, *(receiver.deadline() for receiver in alive)]
        due = [deadline for deadline in deadlines if deadline is not None and deadline > self.now]
        self.sleep(min(due, default=self.now + SECOND) - self.now)

    def _to_sender(self, connection: Connection) -> None:
        if connection.to_sender:
            message = connection.to_sender.popleft()
            if not connection.closed and not connection.sender.dead:
                connection.post(arrived(connection.number, message))

    def _can_deliver(self, connection: Connection) -> bool:
        if connection.busy or not connection.to_receiver:
            return False
        receiver = self.receiver()
        return bool(receiver and receiver.serving and connection.receiver in (None, receiver))

    def _to_receiver(self, connection: Connection) -> None:
        receiver = self.receiver()
        if receiver and self._can_deliver(connection):
            receiver.arrived(connection, connection.to_receiver.popleft())

    def _cut_off(self, connection: Connection) -> None:
        connection.unwanted = False
        if connection.receiver:
            connection.receiver.close(connection)

    def _end_connections(self, receiver: ReceiverProcess, arriving: int) -> None:
        for connection in self.connections.values():
            if connection.receiver is receiver:
                connection.busy = connection.unwanted = False
                connection.end(arriving % 3)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
