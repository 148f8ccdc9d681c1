"""`sendrecv receive`: prints each payload once. Carries out what core/receiver.py says.

Events are taken in groups: all that arrived while the group before was made durable. A group is
one transaction, then its lines are written, then it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from sendrecv import imports, systemd
from sendrecv.config import receiver_config
from sendrecv.core.lines import lines_of, session_line
from sendrecv.core.receiver import AppState, ReceiverProtocol
from sendrecv.core.receiver_events import (
    Admit,
    Answer,
    CutOff,
    Print,
    ReceiverCommand,
    Refuse,
    Row,
    Store,
)
from sendrecv.core.recovery import missing, rows_of
from sendrecv.core.severity import ERROR, INFO, NOTICE
from sendrecv.errors import CredentialError, LedgerBroken
from sendrecv.receiver.gateway import Gateway
from sendrecv.receiver.ledger import Ledger

MAX_APPS = 10_000
PRINTED = Path("/run/sendrecv-receiver-journal/printed")
"""The journal's last lines of this unit, put there by the unit's ExecStartPre=."""
END = b"end\n"
"""Its last line, or not all of them are in it."""
OPEN_RETRY = 1.0
WHOLE = 16_384
"""Bytes that a stream socket takes in one piece or not at all (one buffer of the kernel's, up to 32
KiB): a receiver that is killed while it writes leaves no half of a line in the journal."""
STUCK = 10.0
"""Seconds after which a write to the ledger or the journal is thought to hang for good."""


def main(notifier: systemd.Notifier) -> NoReturn:
    """Run until told to stop. Raises SendrecvError for whatever ends it before."""
    imports.end()
    config = receiver_config(os.environ)
    listener = systemd.listening_socket("receiver")
    directory = Path(systemd.state_directory())
    ledger = _open_ledger(directory, notifier)
    receiver = Receiver(ledger, notifier)
    # Not asyncio.run(): it waits for all tasks to be cancelled, and engineio's swallow that.
    loop = asyncio.new_event_loop()
    try:
        status = loop.run_until_complete(receiver.run(listener, _token(), config.max_connections))
    finally:
        logging.disable()  # nor a word about the tasks that are left: all that matters is durable
    os._exit(status)


class Receiver:
    """The loop around one machine; the Desk of its Gateway."""

    def __init__(self, ledger: Ledger, notifier: systemd.Notifier) -> None:
        self._ledger = ledger
        self._notifier = notifier
        self._machine = ReceiverProtocol(ledger.rows(), MAX_APPS)
        self._writer = ThreadPoolExecutor(1, "writer")
        self._group: list[tuple[str, tuple[Any, ...], asyncio.Future[Any]]] = []
        self._arrived = asyncio.Event()
        self._stopping = False
        self._busy_since: float | None = None
        self._reported = False
        self._gateway: Gateway

    async def run(self, listener: Any, token: str, max_connections: int) -> int:
        """Serve until SIGTERM or SIGINT; then finish the group at hand."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        self._gateway = Gateway(self, token, max_connections)
        await self._gateway.serve(listener)
        self._notifier.ready()
        pings = loop.create_task(self._ping())
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            await self._process(self._take_group())
        pings.cancel()
        self._notifier.stopping()
        self._ledger.close()
        return 0

    def submit(self, event: str, *arguments: object) -> asyncio.Future[Any]:
        """See gateway.Desk."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._group.append((event, arguments, future))
        self._arrived.set()
        return future

    def apps(self) -> Mapping[str, AppState]:
        """See gateway.Desk."""
        return self._machine.apps

    def _stop(self) -> None:
        self._stopping = True
        self._arrived.set()

    def _take_group(self) -> list[tuple[str, tuple[Any, ...], asyncio.Future[Any]]]:
        group, self._group = self._group, []
        return group

    async def _process(self, group: list[tuple[str, tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        commands: list[ReceiverCommand] = []
        for ticket, (event, arguments, _) in enumerate(group):
            if event == "closed":
                self._machine.closed(*arguments)
            else:
                commands += getattr(self._machine, event)(ticket, *arguments)
        durable = await self._make_durable(commands)
        if durable:
            self._machine.committed()
        else:
            self._machine.rolled_back()
        self._deliver(commands if durable else [], [future for _, _, future in group])

    async def _make_durable(self, commands: Iterable[ReceiverCommand]) -> bool:
        rows = {c.row.app_id: c.row for c in commands if isinstance(c, Store)}
        orders = [command for command in commands if isinstance(command, Print)]
        if not rows:
            return True
        self._busy_since = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._writer, self._write, list(rows.values()), orders)
        except (sqlite3.OperationalError, OSError) as error:
            if not self._reported:
                systemd.log(ERROR, f"ledger: {error}, accepting no counts until it can be written")
            self._reported = True
            return False
        finally:
            self._busy_since = None
        if self._reported:
            systemd.log(NOTICE, "ledger: written again")
        self._reported = False
        return True

    def _write(self, rows: list[Row], orders: list[Print]) -> None:
        """In the writer's thread."""
        self._ledger.commit(rows, orders, time.monotonic())
        print_orders(orders)

    def _deliver(self, commands: Iterable[ReceiverCommand], futures: list[Any]) -> None:
        for command in commands:
            match command:
                case Admit(ticket, row, new):
                    if new:
                        systemd.log(NOTICE, session_line(row))
                    _resolve(futures[ticket], command)
                case Answer(ticket) | Refuse(ticket):
                    _resolve(futures[ticket], command)
                case CutOff(connection):
                    self._gateway.cut_off(connection)
        for future in futures:
            _resolve(future, None)  # closed; or not durable

    async def _ping(self) -> None:
        """The watchdog's ping: from the loop, unless the writer hangs."""
        interval = systemd.watchdog_interval()
        while True:
            busy = self._busy_since
            if busy is None or time.monotonic() < busy + STUCK:
                self._notifier.working(f"{self._gateway.connections()} senders connected")
            await asyncio.sleep(interval)


def print_orders(orders: Iterable[Print]) -> None:
    """Write the lines of `orders` to standard output, as few whole chunks as it takes.

    Raises LedgerBroken if it does not: they are durable, and the next start will print them.
    """
    text = "".join(map(lines_of, orders))
    # At a severity that nothing else in this unit has: a traceback must not look like payloads.
    data = text.replace("{", systemd.prefix(INFO, 1) + "{").encode("ascii")
    try:
        for chunk in _chunks(data):
            _write_all(chunk)
    except OSError as error:
        raise LedgerBroken(f"standard output: {error.strerror}") from None


def _chunks(data: bytes) -> Iterator[bytes]:
    """`data` in parts of whole lines, each at most WHOLE bytes."""
    start = 0
    while start < len(data):
        end = min(start + WHOLE, len(data))
        if end < len(data):
            end = data.rindex(b"\n", start, end) + 1
        yield data[start:end]
        start = end


def _write_all(chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(1, left) :]


def _resolve(future: asyncio.Future[Any], reply: object) -> None:
    if not future.done():  # cancelled, if its connection has ended
        future.set_result(reply)


def _token() -> str:
    """The token; without one, an empty one, which lets nobody in until there is a better."""
    try:
        return systemd.token()
    except CredentialError as error:
        systemd.log(ERROR, f"{error}; refusing every sender")
        return ""


def _open_ledger(directory: Path, notifier: systemd.Notifier) -> Ledger:
    """Open the ledger, and print what an earlier process could not; wait while that fails.

    Raises LedgerBroken if another process had it first: what was read of the journal, before this
    process began, may lack what that one still wrote. The unit starts again and reads it anew.
    """
    waited_for_lock = reported = False
    while True:
        try:
            ledger = Ledger(directory, systemd.boot_id())
            if waited_for_lock:
                raise LedgerBroken("ledger: another receiver has just ended", "starting again")
            _prepare(ledger)
        except (sqlite3.OperationalError, OSError) as error:
            waited_for_lock |= isinstance(error, BlockingIOError)
            if not reported:
                systemd.log(ERROR, f"ledger: {error}, waiting until it can be used")
            reported = True
            notifier.status("waiting for the ledger")
            time.sleep(OPEN_RETRY)
        else:
            return ledger


def _prepare(ledger: Ledger) -> None:
    try:
        _empty_outbox(ledger)
    except BaseException:
        ledger.close()  # or the next attempt would find it locked
        raise


def _empty_outbox(ledger: Ledger) -> None:
    now = time.monotonic()
    if ledger.is_new:
        # The journal may know more of what was printed than any sender does.
        ledger.commit(rows_of(_printed_if_any()), [], now)
    outbox = ledger.outbox()
    orders = missing(outbox, _printed()) if outbox else []
    ledger.replace_outbox(orders, now)
    print_orders(orders)


def _printed() -> Iterator[str]:
    """The journal's last lines of this unit. Raises FileNotFoundError if nobody has read them,
    LedgerBroken if not all of them are there: the next start reads them anew.
    """
    with PRINTED.open("rb") as printed:
        printed.seek(max(printed.seek(0, os.SEEK_END) - len(END), 0))
        if printed.read() != END:
            raise LedgerBroken(f"{PRINTED}: incomplete", "starting again")
    with PRINTED.open(encoding="utf-8", errors="replace") as lines:
        yield from lines


def _printed_if_any() -> Iterator[str]:
    """The same; none if there never was a receiver here."""
    return _printed() if PRINTED.exists() else iter(())
