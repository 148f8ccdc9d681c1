"""The loop of one half of an App: waits for events, and carries out the machine's commands.

There is one thread and one queue. The connection's threads and the signal handlers only put events
on the queue. Only this loop pings the watchdog, after the work that was due. Clock, queue, store
and connections come from outside; tests/simulation gives the loop simulated ones.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from functools import partial
from queue import Empty

from sendrecv.core.record import Record
from sendrecv.core.reach import App
from sendrecv.core.sender import SenderMachine, State
from sendrecv.core.values import SECOND
from sendrecv.core.sender_events import (
    Answered,
    Connect,
    Disconnect,
    Emit,
    Exit,
    Persist,
    Ready,
    Report,
    Resume,
    Resumed,
    SenderCommand,
    SenderEvent,
    Started,
    StopAsked,
    TimePassed,
    VerifyLock,
)
from sendrecv.core.errors import ERROR, NOTICE, WARNING
from sendrecv.core.values import Value
from sendrecv.core.wire import Status
from sendrecv.errors import LOCK_PATIENCE, LockBusy
from sendrecv.backoff import ENOUGH

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sendrecv.backoff import Backoff
    from sendrecv.core.lease import Taken
    from sendrecv.sender.ports import Clock, Link, OpenLink, Queue
    from sendrecv.sender.store import Store
    from sendrecv.systemd import Notifier

SPACE_RETRY = 1.0
TELL_AFTER = 10.0
"""Seconds after which the journal is told who counts, although the receiver has no count of it."""
PINGS_APART, PINGS_MOST_APART = 1.2, 2.4
"""Thirds of the watchdog's limit. A sender of a count a second pings once for each count, just
after it has sent the count, and wakes up for no other ping. A shorter limit finds a hang sooner.
A ping between two counts would only delay that.
"""


class MonotonicClock:
    """The clock of this boot."""

    now = staticmethod(time.monotonic_ns)
    sleep = staticmethod(time.sleep)


class Arrival(Value):
    """This process counts. before: the record that it goes on from; on several hosts, how it got
    the lease. first: its first count that the receiver has accepted, or -1 while there is none.
    count: the last one that it has taken. at: now, of the monotonic clock, in nanoseconds.
    """

    before: Record | Taken | None
    epoch: int
    first: int
    count: int
    at: int


class Departure(Value):
    """This process has counted, and ends as it was told to. count: the last one."""

    count: int


def _tell_nobody(_app: App, _news: Arrival | Departure) -> None:
    """A sender that tells no story."""


class Ports(Value):
    """All that the loop needs from outside. connect: opens a connection, given its number, its
    claim, and where its events go. tell: is told once this process counts, and when it ends.
    """

    store: Store
    connect: OpenLink
    notifier: Notifier
    backoff: Backoff
    clock: Clock
    events: Queue
    tell: Callable[[App, Arrival | Departure], None] = _tell_nobody


class Sender:
    """The loop around one machine. acquire(), then run(); stop() may be called in between."""

    _machine: SenderMachine

    def __init__(
        self, app: App, ports: Ports, make_machine: type[SenderMachine] = SenderMachine
    ) -> None:
        self._app = app
        self._make_machine = make_machine
        self._ports = ports
        self._notifier = ports.notifier
        self._notifier.pings_apart = PINGS_APART * self._notifier.ping_interval
        self._notifier.most_apart = PINGS_MOST_APART * self._notifier.ping_interval
        self._clock = ports.clock
        self._connection: Link | None = None
        self._streak_ends: int | None = self._clock.now() + int(ENOUGH * SECOND)
        self._stop_asked = self._done = False
        self._before: Record | Taken | None = None
        self._has_told = False  # that it counts
        self._quiet: deque[SenderEvent] = deque()  # events that nothing waits for

    def acquire(self) -> None:
        """Wait for the App's lock, in the kernel, and for space to make its record.

        Raises LockBusy after LOCK_PATIENCE: then a person has to look.
        """
        self._notifier.status("waiting for the lock")
        record, epoch = self._wait_for_store()
        for notice in self._ports.store.notices:
            self._notifier.log(WARNING, notice)
        self._before = record
        self._machine = self._make_machine(self._app, record, epoch, self._clock.now())

    def run(self) -> None:
        """Count until told to stop."""
        self._count()
        self._end()

    def _end(self) -> None:
        self._notifier.stopping()
        self._ports.store.release()
        if self._has_told:
            self._ports.tell(self._app, Departure(self._machine.count))

    def stop(self) -> None:
        """End cleanly, soon. For signal handlers."""
        self._stop_asked = True
        self._ports.events.put(StopAsked())

    def asked(self) -> None:
        """SIGUSR1: a person asks for something. Nothing, of a single machine."""

    def _count(self) -> None:
        self._handle(Started())
        self._arrive(self._clock.now() + int(TELL_AFTER * SECOND))
        while not self._done:
            self._step()

    def _arrive(self, latest: int) -> None:
        """Count until a count is accepted; then tell who counts now. No takeover waits for that.

        It is told at the time `latest` if no count is accepted by then.
        """
        received: int | None = None  # the last count that the receiver had before
        while not self._done:
            event = self._step()
            machine, now = self._machine, self._clock.now()
            if isinstance(event, Resumed) and received is None and machine.state is State.UP:
                received = event.last
            accepted = received is not None and machine.acknowledged > received
            if accepted or now >= latest:
                first = received + 1 if accepted and received is not None else -1
                arrival = Arrival(self._before, machine.epoch, first, machine.count, now)
                self._has_told = True
                self._ports.tell(self._app, arrival)
                return

    def _step(self) -> SenderEvent:
        self._notifier.working(self._status())
        event = self._next()
        self._handle(event)
        return event

    def _status(self) -> str:
        return self._machine.status()

    def _handle(self, event: SenderEvent) -> None:
        self._carry_out(self._machine.handle(event, self._clock.now()))

    def _next(self) -> SenderEvent:
        """Wait for an event, a deadline, or the time of the next ping."""
        event: SenderEvent
        try:
            waits = not self._quiet
            event = (
                self._ports.events.get(timeout=self._timeout()) if waits else self._quiet.popleft()
            )
        except Empty:
            event = self._quiet.popleft() if self._quiet else TimePassed()
        self._end_streak(event)
        return event

    def _post(self, event: SenderEvent) -> None:
        """For any thread: an event of a connection. The loop does not wake up for the answer that
        leaves nothing to do: it would only wait on, until the next count is due.
        """
        if not self._can_wait(event):
            self._ports.events.put(event)
            return
        self._quiet.append(event)
        # The loop looks at these events after each change of the machine. If it has just done both,
        # it has to look again.
        if not self._can_wait(event):
            self._ports.events.put(TimePassed())

    def _can_wait(self, event: SenderEvent) -> bool:
        if not isinstance(event, Answered) or event.status is not Status.ACCEPTED:
            return False
        is_steady = self._has_told and not self._stop_asked and self._app.interval > 0
        return is_steady and event.last == self._machine.count

    def _timeout(self) -> float:
        deadline = self._machine.deadline()
        ping = self._notifier.until_ping()
        if deadline is None:
            return ping
        return min(max(deadline - self._clock.now(), 0) / SECOND, ping)

    def _end_streak(self, event: SenderEvent) -> None:
        """This process works, if it has lived long enough, or has had an answer."""
        if self._streak_ends is not None and (
            isinstance(event, Answered) or self._clock.now() >= self._streak_ends
        ):
            self._streak_ends = None
            self._ports.backoff.end()

    def _carry_out(self, commands: Iterable[SenderCommand]) -> None:
        for command in commands:
            if self._done:  # stopped while the record could not be written: no command may follow
                return
            self._carry_out_one(command)

    def _carry_out_one(self, command: SenderCommand) -> None:
        match command:
            case Persist(record):
                self._persist(record)
            case Ready():
                self._notifier.ready()
            case Connect(number, claim):
                self._close_connection()
                self._look_for_acceptance()
                self._connection = self._ports.connect(number, claim, self._post)
            case Disconnect():
                self._close_connection()
            case Resume(_, last) if self._connection:
                self._connection.resume(last)
            case Emit(_, first, last) if self._connection:
                self._connection.emit(first, last)
            case VerifyLock():
                self._ports.store.verify()
            case Report(severity, text):
                self._notifier.log(severity, text)
            case Exit():
                self._done = True

    def _look_for_acceptance(self) -> None:
        """Only after a doubt: no other connection waits for a look at the disk."""
        if self._machine.belief.doubt and (accepted := self._ports.store.accepted()):
            self._notifier.log(NOTICE, f"accepted by a person: {accepted.text()}")
            self._handle(accepted)

    def _persist(self, record: Record) -> None:
        """Return only when the record is durable: if the disk is full, wait until it is not."""
        self._insist(partial(self._ports.store.commit, record), SPACE_RETRY)

    def _insist(self, write: Callable[[], None], retry: float) -> None:
        """Return only when the record is written. retry: seconds between attempts.

        A stop during this wait ends the process at once. The older record stays valid.
        """
        reported = False
        while not self._try_to(write, reported):
            reported = True
            self._notifier.working("waiting until the record can be written")
            if self._stop_asked:
                self._done = True
                return
            self._clock.sleep(min(retry, self._notifier.until_ping()))
        if reported:
            self._notifier.log(NOTICE, "record: written again, counting goes on")

    def _try_to(self, write: Callable[[], None], reported: bool) -> bool:
        try:
            write()
        except OSError as error:
            if not reported:
                problem = f"record: {error.strerror}, not counting until it can be written"
                self._notifier.log(ERROR, problem)
            return False
        return True

    def _wait_for_store(self) -> tuple[Record | None, int]:
        busy = LockBusy(
            f"another process holds the lock of App {self._app.app_id}",
            "perhaps another instance has the same SENDRECV_APP_ID"
            f" (fuser -v {self._ports.store.path})",
        )
        reported = False
        while True:
            try:
                with self._notifier.at_most(LOCK_PATIENCE, busy):
                    return self._ports.store.acquire()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self._wait_for_space(error, reported)
                reported = True

    def _wait_for_space(self, error: OSError, reported: bool) -> None:
        if not reported:
            problem = f"record: {error.strerror}, waiting until it can be written"
            self._notifier.log(ERROR, problem)
            self._notifier.status("waiting for space to write the record")
        self._clock.sleep(SPACE_RETRY)

    def _close_connection(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
