"""The loop of the receiver: takes events in groups, and carries out the machine's commands.

A group has all events that arrived while the group before was made durable. It is one transaction.
Then its lines are written, and then its events are answered. The ledger, the writer's thread and
the printer come from outside; tests/simulation gives the loop simulated ones.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

from sendrecv.backoff import Backoff
from sendrecv.core.lines import session_line, unproven_line
from sendrecv.core.receiver import AppState, ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    CutOff,
    Print,
    ReceiverCommand,
    ReceiverEvent,
    Refuse,
    Reply,
    Row,
    StoreRow,
    Unproven,
)
from sendrecv.core.errors import ERROR, NOTICE
from sendrecv.core.wire import LEDGER_NAME
from sendrecv.receiver.journal import Journal
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.pace import Paces
from sendrecv.receiver.printing import Printer, lines_in
from sendrecv.systemd import Notifier

MAX_APPS = 10_000
"""Apps that may be connected at once. The ledger knows more."""
STUCK = 10.0
"""Seconds after which a write to the ledger or the journal counts as hanging."""


class Connections(Protocol):
    """The gateway, as the loop sees it."""

    def cut_off(self, connection: str) -> None:
        """Close a connection that another one has replaced."""

    def connections(self) -> int:
        """How many senders are connected."""


class Ports(NamedTuple):
    """All that the loop needs from outside. writer: runs one call at a time, in order."""

    ledger: Ledger
    notifier: Notifier
    writer: Executor
    printer: Printer
    backoff: Backoff
    journal: Journal


class Pending(NamedTuple):
    """An event of the group, and where its reply goes; None for no reply."""

    event: ReceiverEvent
    reply: asyncio.Future[Reply | None]


class Receiver:
    """The loop around one machine; the Inbox of its Gateway."""

    def __init__(self, ports: Ports, make_machine: type[ReceiverMachine] = ReceiverMachine) -> None:
        self._ledger = ports.ledger
        self._notifier = ports.notifier
        self._writer = ports.writer
        self._printer = ports.printer
        self._ports = ports
        self._has_printed = False
        self._machine = make_machine(ports.ledger.rows(MAX_APPS), MAX_APPS)
        self._paces = Paces(2 * MAX_APPS)
        self._group: list[Pending] = []
        self._arrived = asyncio.Event()
        self._stopping = False
        self._busy_since: float | None = None
        self._reported = False

    async def run(self, connections: Connections) -> None:
        """Serve until stop(); then finish the group at hand."""
        self._notifier.ready()
        pings = asyncio.get_running_loop().create_task(self._ping(connections))
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            await self._process(self._take_group(), connections)
        pings.cancel()
        self._notifier.stopping()
        self._ledger.close()

    def stop(self) -> None:
        """End cleanly, soon."""
        self._stopping = True
        self._arrived.set()

    def reloaded(self) -> None:
        """What systemd asked for is done."""
        self._notifier.ready()

    def submit(self, event: ReceiverEvent) -> asyncio.Future[Reply | None]:
        """See gateway.Inbox."""
        pending = Pending(event, asyncio.get_running_loop().create_future())
        self._group.append(pending)
        self._arrived.set()
        return pending.reply

    def apps(self) -> Mapping[str, AppState]:
        """See gateway.Inbox."""
        return self._machine.apps

    def paces(self) -> Paces:
        """See gateway.Inbox."""
        return self._paces

    def ledger(self) -> str:
        """See gateway.Inbox."""
        return self._ledger.identity[:LEDGER_NAME]

    def _take_group(self) -> list[Pending]:
        group, self._group = self._group, []
        return group

    async def _process(self, group: Sequence[Pending], connections: Connections) -> None:
        answers = [
            (pending, self._machine.handle(self._completed(pending.event))) for pending in group
        ]
        if await self._make_durable([command for _, commands in answers for command in commands]):
            self._machine.committed()
            for pending, commands in answers:
                self._deliver(pending, commands, connections)
        else:
            self._machine.rolled_back()
            for pending in group:
                _resolve(pending, None)

    def _completed(self, event: ReceiverEvent) -> ReceiverEvent:
        """With what the ledger knows of an App that the machine does not."""
        if not isinstance(event, AdmissionAsked) or event.claim.app_id in self._machine.apps:
            return event
        # Nobody else uses the ledger now: the group before is done, and this one is not written.
        known = self._ledger.row(event.claim.app_id)
        return event.replace(known=known, room=known is not None or self._ledger.has_room())

    async def _make_durable(self, commands: Sequence[ReceiverCommand]) -> bool:
        rows = {c.row.app_id: c.row for c in commands if isinstance(c, StoreRow)}
        orders = [command for command in commands if isinstance(command, Print)]
        if not rows:
            return True
        for command in commands:
            if isinstance(command, Unproven):  # said first: if it is not stored, it is said again
                self._notifier.log(NOTICE, unproven_line(command.order))
        loop = asyncio.get_running_loop()
        self._busy_since = loop.time()
        try:
            took = await loop.run_in_executor(
                self._writer, self._write, list(rows.values()), orders, loop.time
            )
        except (sqlite3.OperationalError, OSError) as error:
            if not self._reported:
                problem = f"ledger: {error}, accepting no counts until it can be written"
                self._notifier.log(ERROR, problem)
            self._reported = True
            return False
        finally:
            self._busy_since = None
        if self._reported:
            self._notifier.log(NOTICE, "ledger: written again")
        self._reported = False
        self._paces.commits.took(took)
        return True

    def _write(
        self, rows: Sequence[Row], orders: Sequence[Print], clock: Callable[[], float]
    ) -> float:
        """In the writer's thread. Returns how many seconds the ledger took."""
        began = clock()
        serial = self._ledger.commit(rows, orders, began)
        took = clock() - began
        self._printer.print_group(serial, orders)
        if self._ledger.ways.is_new:
            self._ports.journal.store()  # the next start may look for a line that took this way
        if orders and not self._has_printed:
            self._has_printed = True
            self._ports.backoff.end()
        return took

    def _deliver(
        self, pending: Pending, commands: Iterable[ReceiverCommand], connections: Connections
    ) -> None:
        for command in commands:
            match command:
                case Admit(row, new):
                    if new:
                        self._notifier.log(NOTICE, session_line(row))
                    _resolve(pending, command)
                case Print(app_id):
                    now = asyncio.get_running_loop().time()
                    self._paces.counted(app_id, lines_in([command]), now, self._machine.apps)
                case Answer() | Refuse():
                    _resolve(pending, command)
                case CutOff(connection):
                    connections.cut_off(connection)
        _resolve(pending, None)  # a connection that has closed has no reply

    async def _ping(self, connections: Connections) -> None:
        """The watchdog's ping: from the loop, unless the writer hangs."""
        now = asyncio.get_running_loop().time
        while True:
            busy = self._busy_since
            if busy is None or now() < busy + STUCK:
                self._notifier.working(f"{connections.connections()} senders connected")
            await asyncio.sleep(self._notifier.ping_interval)


def _resolve(pending: Pending, reply: Reply | None) -> None:
    if not pending.reply.done():  # or cancelled, if its connection has ended
        pending.reply.set_result(reply)
