"""A simulated receiver process: the real start, loop, machine and ledger (SQLite, its lock, its
outbox), and what they need from outside.

Stands for receiver/main.py and gateway.py. Where the unit starts anew, a new process is made.
asyncio's event loop is the real one too, but for its selector.
"""

from __future__ import annotations

import asyncio
import errno
from asyncio import events
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from sendrecv.backoff import Backoff
from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    ConnectionClosed,
    CountsSent,
    Print,
    ReceiverCommand,
    ReceiverEvent,
    Refuse,
    Reply,
    ResumeAsked,
    Row,
    StoreRow,
)
from sendrecv.core.recovery import JournalReading
from sendrecv.core.values import SECOND
from sendrecv.core.wire import Claim, Refusal, Status, parse_resume
from sendrecv.errors import LedgerBroken
from sendrecv.receiver import loop, start
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark, Progress
from sendrecv.receiver.requests import Requests
from tests.simulation.journal import Journal
from tests.simulation.network import END, Admission, Connection, Message
from tests.simulation.process import Killed, Notifier, Thread
from tests.simulation.verdict import require

if TYPE_CHECKING:
    from tests.simulation.world import World

MAX_APPS = 100
Step = Callable[[], None]


class Phase(Enum):
    """What a receiver does next."""

    STARTING = "read the journal, and open the ledger"
    PREPARING = "make up for what an earlier one left"
    IDLE = "wait for an event"
    STORING = "commit a group"
    WRITING = "print its lines"
    MARKING = "mark that they are out"
    ANSWERING = "answer"


class ReceiverProcess:
    """One process of the receiver.

    `writing`: what it is about to write, or writing. serving: it accepts connections.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.writing: list[str] = []
        self.serving = False
        self.dead = False
        self.ledger: WatchedLedger | None = None
        self.mark: Mark | None = None
        self.group: list[tuple[ReceiverEvent, list[ReceiverCommand]]] = []
        self._main_thread = self._running = Thread(world.time, self._main)
        self._main_thread.about = Phase.STARTING
        self._writer = Writer(world.time)
        self._events = EventLoop(self._main_thread, world.time)
        said = {"unproven": self.world.unproven, "forgotten": self.world.forgotten}
        self._notifier = Notifier(self._main_thread, said)
        self._loop: loop.Receiver
        self._claims: dict[str, Claim] = {}  # by the connection's name
        self._unprinted: Sequence[Print] = ()  # durable, and not yet printed

    @property
    def phase(self) -> Phase:
        """What it does next."""
        about = self._writer.about() or self._main_thread.about
        return about if isinstance(about, Phase) else Phase.IDLE

    def steps(self) -> list[Step]:
        """What it can do now, one thing for each thread."""
        threads = [] if self.dead else [self._main_thread, self._writer.thread]
        return [partial(self._step, thread) for thread in threads if thread.ready()]

    def deadline(self) -> int | None:
        """When it will do something, if nothing comes before."""
        return self._main_thread.deadline()

    def stop(self) -> None:
        """SIGTERM, which is handled only while it serves, see receiver/main.py."""
        if self.serving:
            self._events.bring(self._loop.stop)
        else:
            self.world.end_receiver(self, 0)

    def wedge(self) -> None:
        """SIGKILL in mid-write: it stays, locks and all, until kill()."""
        self.dead = True

    def kill(self, written: int) -> None:
        """SIGKILL; what it is about to write has gone out, or not (0)."""
        self.dead = True
        self.world.journal.write(self.writing if written else [], self.world.now)
        self.writing = []
        for thread in (self._main_thread, self._writer.thread):
            self._on_cpu(thread, thread.kill)
        self._events.close()
        if self.mark:
            self.mark.close()
        if self.ledger:
            self.ledger.close()

    def pause(self, phase: Phase) -> None:
        """Something is about to happen, in whatever thread runs now."""
        self._running.pause(phase)

    # The clock.

    def monotonic(self) -> float:
        """See start.Clock."""
        return self.world.now / SECOND

    def sleep(self, seconds: float) -> None:
        """See start.Clock."""
        self._main_thread.pause(Phase.STARTING, due=self._main_thread.after(seconds))

    # main.py's and printing.py's part.

    def _main(self) -> None:
        mark = type("Watched", (WatchedMark, self.world.parts.mark), {})(self)
        self.mark = cast(Mark, mark)
        printer = self.world.parts.printer(mark, self._write, lambda: None)
        ports = start.StartPorts(
            self._open_ledger,
            mark,
            WatchedJournal(self),
            printer,
            self._notifier,
            self,
            WatchedRequests(self),
        )
        self.pause(Phase.STARTING)
        ledger = self.world.parts.open_ledger(ports)
        machine = type("Watched", (WatchedMachine, self.world.parts.receiver), {"process": self})
        self._loop = self.world.parts.receiver_loop(
            loop.Ports(
                ledger, self._notifier, self._writer, printer, Backoff(""), WatchedJournal(self)
            ),
            machine,
        )
        self.serving = True
        self.world.ledger_is_lost = self.world.ledger_is_old = False
        self._events.run(self._loop.run(self))

    def _open_ledger(self) -> Ledger:
        self.pause(Phase.STARTING)
        opened = type("Watched", (WatchedLedger, self.world.parts.ledger), {})
        self.ledger = cast(WatchedLedger, opened(self))
        return self.ledger

    def _write(self, chunk: bytes) -> None:
        """All of a chunk is out, or nothing: the kernel takes it in one piece."""
        self.writing = chunk.decode("ascii").splitlines()
        self.pause(Phase.WRITING)
        self.world.journal.write(self.writing, self.world.now)
        self.writing = []
        self._unprinted = ()

    # gateway.py's part.

    def connections(self) -> int:
        """See loop.Connections."""
        return len(self._claims)

    def cut_off(self, connection: str) -> None:
        """See loop.Connections."""
        self.world.cut_off(connection)

    def arrived(self, connection: Connection, message: Message) -> None:
        """A message of a sender has arrived."""
        connection.receiver = self
        connection.busy = True
        self._events.bring(partial(self._read, connection, message))

    def close(self, connection: Connection) -> None:
        """The receiver closes a connection, soon."""
        self._events.bring(partial(self._close, connection))

    def _read(self, connection: Connection, message: Message) -> None:
        app_id, name = connection.claim.app_id, connection.name
        match message:
            case ("claim",):
                connection.admission = Admission.ASKED
                self._claims[name] = connection.claim
                return self._submit(connection, AdmissionAsked(name, connection.claim))
            case ("resume", *arguments) if connection.admission is Admission.ADMITTED:
                asked = ResumeAsked(name, app_id, parse_resume(arguments))
                return self._submit(connection, asked)
            case ("count", int(first), int(last)) if connection.admission is Admission.ADMITTED:
                return self._submit(connection, CountsSent(name, app_id, first, last))
        if message == END:
            self._closed(connection)
        connection.busy = False
        return None

    def _close(self, connection: Connection) -> None:
        if connection.admission is not Admission.CLOSED:
            self._closed(connection)
            connection.end(len(connection.to_sender))

    def _closed(self, connection: Connection) -> None:
        """A connection has ended, whoever ended it."""
        if connection.admission is Admission.ADMITTED:
            self._loop.submit(ConnectionClosed(connection.name, connection.claim.app_id))
        connection.admission = Admission.CLOSED

    def _submit(self, connection: Connection, event: ReceiverEvent) -> None:
        reply = self._loop.submit(event)
        reply.add_done_callback(partial(self._reply, connection, event))

    def _reply(
        self, connection: Connection, event: ReceiverEvent, reply: asyncio.Future[Reply | None]
    ) -> None:
        self.pause(Phase.ANSWERING)
        connection.busy = False
        if connection.admission is Admission.CLOSED:
            return
        if isinstance(event, AdmissionAsked):
            self._decide(connection, reply.result())
        else:
            self._answer(connection, event, reply.result())

    def _decide(self, connection: Connection, reply: Reply | None) -> None:
        if isinstance(reply, Admit):
            connection.admission = Admission.ADMITTED
            self.world.witness.saw("connected")
            connection.to_sender.append(("connected",))
            return
        connection.admission = Admission.CLOSED
        refusal = reply if isinstance(reply, Refuse) else Refuse(Refusal.UNAVAILABLE)
        self.world.witness.saw("refused", refusal.reason)
        data: dict[str, object] = {"reason": refusal.reason.value}
        if refusal.epoch is not None:
            data["epoch"] = refusal.epoch
        connection.to_sender.append(("refused", {"message": "refused", "data": data}))

    def _answer(self, connection: Connection, event: ReceiverEvent, reply: Reply | None) -> None:
        status, last = Status.UNAVAILABLE, None
        if isinstance(reply, Answer):
            status, last = reply.status, reply.last
            app_id = connection.claim.app_id
            self.world.witness.answered(self.ledger, app_id, last, self._unprinted)
        answer: dict[str, object] = {"status": status.value, "last": last}
        if isinstance(event, ResumeAsked):
            told = "told that it is old" if event.last >= 0 else "asked"
            self.world.witness.saw("resumed", status, told)
            connection.to_sender.append(("resumed", {**answer, "ledger": self._loop.ledger()}))
        else:
            self.world.witness.saw("answered", status)
            connection.to_sender.append(("answered", answer))

    # What the witness is told.

    def stored(self, orders: Sequence[Print]) -> None:
        """The ledger has stored a group, with these lines to print."""
        self._unprinted = orders
        self.tell()

    def tell(self) -> None:
        """The group is durable."""
        for event, commands in self.group:
            for command in commands:
                if isinstance(command, Print) and isinstance(event, CountsSent):
                    self.world.witness.stored(command, self._claims[event.connection])
                if isinstance(command, Admit) and isinstance(event, AdmissionAsked):
                    self.world.witness.admitted(command, event.claim)
        self.group = []

    # The scheduler's part.

    def _step(self, thread: Thread) -> None:
        if self.dead or not thread.ready():
            return
        self._running = thread
        try:
            self._on_cpu(thread, thread.step)
        except LedgerBroken:
            pass
        if self._main_thread.ended:
            self.world.end_receiver(self, 0)

    def _on_cpu(self, thread: Thread, act: Callable[[], None]) -> None:
        """asyncio is told which event loop runs: to it, all is one thread."""
        events._set_running_loop(self._events if thread is self._main_thread else None)
        try:
            act()
        finally:
            events._set_running_loop(None)


# It has no sockets, and starts no processes.
class EventLoop(asyncio.BaseEventLoop):  # pylint: disable=abstract-method
    """asyncio's event loop, where what a selector would find is brought by the world."""

    def __init__(self, thread: Thread, now: Callable[[], int]) -> None:
        super().__init__()
        self._selector = self  # whom the event loop asks for events
        self._thread = thread
        self._now = now
        self._brought: deque[Callable[[], None]] = deque()
        self._woken = False
        self._error: BaseException | None = None

    def run(self, work: Any) -> None:
        """Until `work` is done. Not run_forever(): many event loops take turns in one thread."""
        task = self.create_task(work)
        try:
            while not task.done():
                self._run_once()  # type: ignore[attr-defined]  # its only method that does no more
            task.result()
        finally:
            self.close()

    def bring(self, event: Callable[[], None]) -> None:
        """Something has come from outside, to be handled by `event`."""
        self._brought.append(event)

    def time(self) -> float:
        """See asyncio."""
        return self._now() / SECOND

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A callback has failed: so has the process."""
        error = context.get("exception")
        if not isinstance(error, Killed):
            self._error = self._error or error

    def select(self, timeout: float | None) -> list[Callable[[], None]]:
        """See selectors."""
        if self._error:
            raise self._error
        if timeout != 0:
            due = None if timeout is None else self._thread.after(timeout)
            self._thread.pause(Phase.IDLE, lambda: self._woken or self._brought, due)
        self._woken = False
        brought = list(self._brought)
        self._brought.clear()
        return brought

    def _process_events(self, event_list: list[Callable[[], None]]) -> None:
        for event in event_list:
            self.call_soon(event)

    def _write_to_self(self) -> None:
        """Another thread wakes it."""
        self._woken = True


class Writer(Executor):
    """One thread, which runs one call at a time, in order."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.thread = Thread(now, self._main)
        self._calls: deque[Callable[[], None]] = deque()

    def about(self) -> object:
        """What it does next, None for nothing."""
        return Phase.STORING if self._calls else self.thread.about

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """See Executor."""
        future: Future[Any] = Future()
        self._calls.append(partial(_fulfil, future, partial(fn, *arguments, **named)))
        return future

    def _main(self) -> None:
        while True:
            self.thread.pause(until=self._calls.__len__)
            self._calls.popleft()()


def _fulfil(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    # As a real executor does, but for the end of the process.
    except Exception as error:  # pylint: disable=broad-exception-caught
        future.set_exception(error)
    else:
        future.set_result(result)


class WatchedMark(Mark):
    """The real mark. Before it is written, the process can be killed."""

    def __init__(self, process: ReceiverProcess) -> None:
        super().__init__(process.world.run_directory / "mark", process.world.boot)
        self._process = process

    def _open(self) -> int:
        if self._process.world.mark_fails:
            raise OSError(errno.EMFILE, "Too many open files", "mark")
        return super()._open()

    def _write(self, progress: Progress) -> None:
        if progress.intended == progress.written and self._process.serving:
            self._process.pause(Phase.MARKING)
        super()._write(progress)


class WatchedRequests(Requests):
    """The real requests. Before one is removed, the process can be killed."""

    def __init__(self, process: ReceiverProcess) -> None:
        super().__init__(process.world.run_directory)
        self._process = process

    def done(self, app_id: str) -> None:
        self._process.pause(Phase.PREPARING)
        require(self._process.world.journal.is_safe, f"{app_id} is forgotten, and not on disk")
        super().done(app_id)


class WatchedJournal:
    """The journal, as the receiver asks it."""

    def __init__(self, process: ReceiverProcess) -> None:
        self._process = process

    def read_boots(self, since: Mapping[str, float], wanted: Iterable[str]) -> JournalReading:
        """See Journal."""
        return self._asked().read_boots(since, wanted)

    def read_all(self, lines: int) -> JournalReading:
        """See Journal."""
        return self._asked().read_all(lines)

    def read_back(self, boot: str, since: float) -> JournalReading:
        """See Journal."""
        return self._asked().read_back(boot, since)

    def sync(self) -> None:
        """See Journal."""
        self._asked().sync()

    def store(self) -> None:
        """See Journal."""
        self._process.world.journal.store()

    def _asked(self) -> Journal:
        self._process.pause(Phase.PREPARING)
        return self._process.world.journal


class WatchedLedger(Ledger):
    """The real ledger. What it is asked for is seen, and can fail."""

    def __init__(self, process: ReceiverProcess) -> None:
        journal = process.world.journal
        super().__init__(
            process.world.ledger_directory,
            process.world.boot,
            lambda: f"{journal.invocation}",
            cast(Mark, process.mark).written,
        )
        self._process = process
        self._closed = False
        self._is_first = process.ledger is None  # a start may fail once, or it would take too long

    def settle(
        self,
        rows: Iterable[Row],
        orders: Sequence[Print],
        now: float,
        forgotten: Mapping[str, int] = MappingProxyType({}),
    ) -> int:
        self._pause()
        serial = super().settle(rows, orders, now, forgotten)
        self._told(orders)
        return serial

    def _told(self, orders: Sequence[Print]) -> None:
        if orders:
            self._process.world.journal.committed()

    def _forget(self, forgotten: Mapping[str, int]) -> None:
        self._pause()
        super()._forget(forgotten)

    def commit(self, rows: Iterable[Row], orders: Sequence[Print], now: float) -> int:
        self._pause()
        serial = super().commit(rows, orders, now)
        self._told(orders)
        self._process.stored(orders)
        return serial

    def close(self) -> None:
        """A process that ends closes it too."""
        if not self._closed:
            self._closed = True
            super().close()

    def _pause(self) -> None:
        """What follows may fail, with an error of SQLite's own, as that of a full disk is."""
        serving = self._process.serving
        self._process.pause(Phase.STORING if serving else Phase.PREPARING)
        fails = self._process.world.ledger_fails and (serving or self._is_first)
        self._database.execute(f"PRAGMA query_only={'ON' if fails else 'OFF'}")


class WatchedMachine(ReceiverMachine):
    """The real machine. What it says is seen."""

    process: ReceiverProcess

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        self.process.group.append((event, commands))
        return commands

    def committed(self) -> None:
        if not any(
            isinstance(it, StoreRow) for _, commands in self.process.group for it in commands
        ):
            self.process.tell()
        super().committed()

    def rolled_back(self) -> None:
        self.process.group = []
        super().rolled_back()
