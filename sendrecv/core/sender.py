"""The sender's machine: events in, commands out, no I/O, no clock of its own.

Rules
    1. A count is taken (count + 1) when it is due, and made durable before it is sent.
    2. What is not acknowledged is a range, acknowledged + 1 to count. It is sent in order, one
       batch in flight at a time, whatever node took the counts.
    3. The receiver's last count is the truth: a greater one than ours is adopted, and made durable
       (our record was lost or rolled back), a smaller one is gone back to.
    4. Nothing is sent before the epoch is durable, and before the receiver has said its last count.
    5. A stale epoch is raised, to just above the receiver's, only while the lock is verified to be
       ours (VerifyLock). So is every connection, once the receiver listens to it and no one else.
    6. Due times lie on a grid that the record hands from process to process. A missed beat is
       made up for at once, and only once.

Invariants: -1 <= acknowledged <= count; flight, if any, is acknowledged + 1 .. at most count.

The states of the connection, and what each event makes of them (others are ignored):

    state       event           next        commands
    DOWN        retry is due    OPENING     Connect
    OPENING     connected       RESUMING    Resume
    OPENING     refused         DOWN        Disconnect; stale: VerifyLock, Persist (epoch raised)
    RESUMING    resumed         UP          VerifyLock, Emit if there is a range
    UP          answered        UP          Emit if there is a range; fenced: Disconnect -> DOWN
    any but DOWN  lost, or no answer within ANSWER_TIMEOUT     DOWN        Disconnect

Events of an older connection than the last one opened are ignored. Times are nanoseconds of the
monotonic clock. Every method returns the commands to carry out, in order.
"""

from __future__ import annotations

from enum import Enum

from sendrecv.core.record import Record
from sendrecv.core.sender_events import (
    Connect,
    Disconnect,
    Emit,
    Exit,
    Persist,
    Ready,
    Report,
    Resume,
    SenderCommand,
    VerifyLock,
)
from sendrecv.core.severity import NOTICE, WARNING
from sendrecv.core.values import Value
from sendrecv.core.wire import MAX_BATCH, MAX_COUNT, Claim, Refusal, Status

MILLISECOND = 1_000_000
SECOND = 1000 * MILLISECOND
ANSWER_TIMEOUT = 5 * SECOND
"""Without an answer for so long, the connection is thought dead. A receiver that hangs is killed by
its own watchdog long before."""
RETRY = {
    Refusal.STALE: 0,
    Refusal.UNAVAILABLE: 500 * MILLISECOND,
    Refusal.FULL: SECOND,
    Refusal.TOKEN: 5 * SECOND,
    Refusal.INVALID: 5 * SECOND,
}
RETRY_ANSWER = {
    # Two machines that fence each other by mistake take turns each second, not at full speed.
    Status.FENCED: SECOND,
    Status.INVALID: 5 * SECOND,
}
RETRY_LOST = 20 * MILLISECOND
STOP_TIMEOUT = SECOND
"""How long a stop waits for the answer to a batch in flight."""


class Link(Enum):
    """The state of the connection."""

    DOWN = "not connected"
    OPENING = "connecting"
    RESUMING = "resuming"
    UP = "connected"


class App(Value):
    """Who this process is. interval: nanoseconds between counts, 0 for as fast as acknowledged."""

    app_id: str
    node_id: str
    run: str
    boot: str
    interval: int


class SenderProtocol:
    """The machine. Reading its attributes is fine, setting them is not."""

    def __init__(self, app: App, record: Record | None, epoch: int, now: int) -> None:
        """`record` and `epoch` as the store's acquire() returned them."""
        self.app = app
        self.epoch = epoch
        self.count = record.count if record else -1
        self.acknowledged = record.acknowledged if record else -1
        self.link = Link.DOWN
        self.link_number = 0
        self._known = self.count >= 0  # or the first count waits for the receiver's answer
        self._due = self._first_due(record, now)
        self._flight: int | None = None  # last count of the batch in flight
        self._link_deadline: int | None = now  # when to retry, or when patience ends
        self._stop_deadline: int | None = None
        self._trouble = ""  # the last trouble reported, not to be reported again

    def start(self, now: int) -> list[SenderCommand]:
        """The first commands, once the lock is held."""
        return [self._persist(), Ready(), *self.wake(now)]

    def deadline(self) -> int | None:
        """When wake() must be called at the latest, if no event comes before. None: need not be."""
        times = [self._link_deadline, self._stop_deadline]
        if self._may_count() and self.app.interval:
            times.append(self._due)
        return min((time for time in times if time is not None), default=None)

    def wake(self, now: int) -> list[SenderCommand]:
        """Time has passed."""
        if self._stop_deadline is not None and now >= self._stop_deadline:
            return self._exit()
        commands: list[SenderCommand] = []
        if self._link_deadline is not None and now >= self._link_deadline:
            commands += self._retry(now)  # first: it goes on while the count is made durable
        return commands + self._take_count(now)

    def connected(self, link: int, now: int) -> list[SenderCommand]:
        """The receiver has let connection `link` in."""
        if not self._is(link, Link.OPENING):
            return []
        self.link, self._link_deadline = Link.RESUMING, now + ANSWER_TIMEOUT
        return [Resume(link)]

    def refused(self, link: int, reason: Refusal, epoch: int, now: int) -> list[SenderCommand]:
        """The receiver has refused connection `link`; `epoch` is its own if that was stale."""
        if not self._is(link, Link.OPENING):
            return []
        commands = self._drop(now, RETRY[reason])
        if reason is not Refusal.STALE:
            return commands + self._report(f"the receiver refuses this sender: {reason.value}")
        if epoch >= self.epoch:
            self.epoch = epoch + 1
            return [*commands, VerifyLock(), self._persist(), *self.wake(now)]
        return commands

    def resumed(self, link: int, last: int, now: int) -> list[SenderCommand]:
        """The receiver has said its last count, -1 if it has none of this App."""
        if not self._is(link, Link.RESUMING):
            return []
        self.link, self._link_deadline, self._known = Link.UP, None, True
        # By now no older run is listened to. A run that began because our file was removed or
        # replaced has been admitted before us, or will fence us: if it was, this shows it, and
        # none of our counts must follow its own.
        commands: list[SenderCommand] = [VerifyLock(), *self._adopt(last)]
        if self._trouble:
            self._trouble = ""
            commands.append(Report(NOTICE, f"connected again, count {self.count}"))
        return [*commands, *self._take_count(now), *self._emit(now)]

    def answered(self, link: int, status: Status, last: int, now: int) -> list[SenderCommand]:
        """The receiver has answered the batch in flight."""
        if not self._is(link, Link.UP) or self._flight is None:
            return []
        self._flight, self._link_deadline = None, None
        if status is Status.UNAVAILABLE:
            self._link_deadline = now + RETRY[Refusal.UNAVAILABLE]
            return self._report("the receiver cannot store counts now")
        if status in (Status.FENCED, Status.INVALID):
            return self._drop(now, RETRY_ANSWER[status]) + self._report(
                f"the receiver answers: {status.value}"
            )
        adopted = self._adopt(last)
        if self._stop_deadline is not None:
            return self._exit()
        return [*adopted, *self._take_count(now), *self._emit(now)]

    def lost(self, link: int, reason: str, now: int) -> list[SenderCommand]:
        """Connection `link` has ended, or could not be opened."""
        if link != self.link_number or self.link is Link.DOWN:
            return []
        return self._drop(now, RETRY_LOST) + self._report(reason)

    def stop(self, now: int) -> list[SenderCommand]:
        """End cleanly: the answer to what is in flight is waited for, a little."""
        if self._flight is None:
            return self._exit()
        if self._stop_deadline is None:
            self._stop_deadline = now + STOP_TIMEOUT
        return []

    def record(self) -> Record:
        """The record as it should be on disk now."""
        return Record(
            app_id=self.app.app_id,
            epoch=self.epoch,
            count=self.count,
            acknowledged=self.acknowledged,
            due=self._due,
            boot=self.app.boot,
            node_id=self.app.node_id,
            run=self.app.run,
        )

    def status(self) -> str:
        """One line for a person. The count is not in it while all is well: it would be the only
        part that changes, and each change is news to all that listen to PID 1.
        """
        state = f"{self.link.value}, epoch {self.epoch}"
        behind = self.count - self.acknowledged
        if self.link is Link.UP and behind <= 1:
            return state
        count = f"count {self.count}" if self.count >= 0 else "no count yet"
        return f"{state}, {count}" + (f", {behind} not acknowledged" if behind > 1 else "")

    # Counting.

    def _first_due(self, record: Record | None, now: int) -> int:
        if record and record.boot == self.app.boot and record.due <= now + self.app.interval:
            return record.due
        return now  # another boot's clock, or a longer interval than now: a new grid

    def _may_count(self) -> bool:
        return self._known and self._stop_deadline is None and self.count < MAX_COUNT

    def _take_count(self, now: int) -> list[SenderCommand]:
        if not self._may_count():
            return []
        if self.app.interval == 0:
            return self._take_batch(now)
        if now < self._due:
            return []
        self.count += 1
        missed = (now - self._due) // self.app.interval
        self._due += (missed + 1) * self.app.interval
        return [self._persist(), *self._emit(now)]

    def _take_batch(self, now: int) -> list[SenderCommand]:
        if self.link is not Link.UP or self._flight is not None or self.count > self.acknowledged:
            return []
        self.count = min(self.count + MAX_BATCH, MAX_COUNT)
        return [self._persist(), *self._emit(now)]

    def _adopt(self, last: int) -> list[SenderCommand]:
        """What is ours must be durable before it can be sent, also a count that was adopted."""
        if last < 0:
            return []
        self.acknowledged = last
        if last <= self.count:
            return []
        self.count = last
        return [self._persist()]

    def _persist(self) -> Persist:
        return Persist(self.record())

    # The connection.

    def _is(self, link: int, state: Link) -> bool:
        return link == self.link_number and self.link is state

    def _emit(self, now: int) -> list[SenderCommand]:
        nothing = self.count == self.acknowledged
        waiting = self._flight is not None or self._link_deadline is not None
        if self.link is not Link.UP or nothing or waiting:
            return []
        first = self.acknowledged + 1
        self._flight = min(self.count, self.acknowledged + MAX_BATCH)
        self._link_deadline = now + ANSWER_TIMEOUT
        return [Emit(self.link_number, first, self._flight)]

    def _retry(self, now: int) -> list[SenderCommand]:
        self._link_deadline = None
        if self.link is Link.UP and self._flight is None:  # the ledger could not be written before
            return self._emit(now)
        if self.link is not Link.DOWN:
            return self._drop(now, 0) + self._report("the receiver does not answer")
        self.link_number += 1
        self.link, self._link_deadline = Link.OPENING, now + ANSWER_TIMEOUT
        claim = Claim(self.app.app_id, self.app.node_id, self.epoch, self.app.run)
        return [Connect(self.link_number, claim)]

    def _drop(self, now: int, retry: int) -> list[SenderCommand]:
        self.link, self._flight, self._link_deadline = Link.DOWN, None, now + retry
        if self._stop_deadline is not None:
            self._stop_deadline = now  # no answer will come any more
        return [Disconnect(self.link_number)]

    def _report(self, trouble: str) -> list[SenderCommand]:
        if trouble == self._trouble:
            return []
        self._trouble = trouble
        meanwhile = "counting on" if self._known else "the first count waits for it"
        return [Report(WARNING, f"{trouble}, {meanwhile}, ignoring")]

    def _exit(self) -> list[SenderCommand]:
        return [self._persist(), Exit()]
