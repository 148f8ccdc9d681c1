"""The sender's machine: events in, commands out, no I/O, no clock of its own.

Rules
    1. A count is taken (count + 1) when it is due, and made durable before it is sent.
    2. What is not acknowledged is a range, acknowledged + 1 to count. It is sent in order, one
       batch in flight at a time, whatever node took the counts.
    3. The receiver's last count is the truth: a greater one than ours is adopted, and made durable
       (our record was lost or rolled back), a smaller one is gone back to, unless the same ledger
       had more: then it is an old copy, and is told what may be printed, and is not sent that.
    4. Nothing is sent before the epoch is durable, and before the receiver has said its last count.
    5. A stale epoch is raised to just above the receiver's, but only after the lock was verified to
       be ours (VerifyLock). The lock is verified in each connection too, when the receiver has
       answered `resume` and so obeys no older run.
    6. If a connection cannot be opened or has ended, the next one waits: RETRY_LEAST at first,
       then an eighth of the time for which the trouble has lasted, and at most RETRY_MOST. The
       trouble is over with a count that is acknowledged, or a connection that has lasted for
       STEADY. A cause is reported once, until there is another cause, and at most REPORTS times a
       minute.
    7. A last count, or an epoch, that this App cannot have reached (reach.py) is not adopted, and
       nothing is sent. When a person accepts the number, the next connection adopts it, once.
    8. Due times are on a grid, which the record passes on from process to process. After missed due
       times, one count is taken at once, and the other missed due times are dropped.

Invariants: -1 <= acknowledged <= count; flight, if any, is acknowledged + 1 .. at most count.

The states of the connection, and what each event makes of them. "-": no state or command. A state
"any" is each of the four; an event that no row has for a state, and each event of an older
connection than the last one opened, changes nothing and has no commands. A test walks the table.

    state     event       condition                  next      commands
    DOWN      Started     -                          OPENING   Persist Ready Connect
    DOWN      Started     a count is due             OPENING   Persist Ready Connect Persist
    DOWN      TimePassed  a retry is due             OPENING   Connect
    DOWN      TimePassed  retry and count are due    OPENING   Connect Persist
    DOWN      TimePassed  a count is due             DOWN      Persist
    DOWN      TimePassed  stopping                   DOWN      Persist Exit
    OPENING   TimePassed  a count is due             OPENING   Persist
    OPENING   TimePassed  no answer in time          DOWN      Disconnect Report
    OPENING   Connected   -                          RESUMING  Resume
    OPENING   Refused     stale, our epoch or above  OPENING   Disconnect VerifyLock Persist Connect
    OPENING   Refused     stale, below our epoch     DOWN      Disconnect
    OPENING   Refused     stale, no epoch is left    DOWN      Disconnect Report
    OPENING   Refused     stale, beyond our reach    DOWN      Disconnect Report
    OPENING   Refused     for another reason         DOWN      Disconnect Report
    OPENING   Closed      -                          DOWN      Disconnect Report
    RESUMING  TimePassed  a count is due             RESUMING  Persist
    RESUMING  TimePassed  no answer in time          DOWN      Disconnect Report
    RESUMING  Resumed     nothing to send            UP        VerifyLock
    RESUMING  Resumed     counts to send             UP        VerifyLock Emit
    RESUMING  Resumed     the receiver is ahead      UP        VerifyLock Persist
    RESUMING  Resumed     ahead, we have no count    UP        VerifyLock Persist Report
    RESUMING  Resumed     a count is due             UP        VerifyLock Persist Emit
    RESUMING  Resumed     trouble was reported       UP        VerifyLock Report
    RESUMING  Resumed     its ledger is an old copy  RESUMING  Resume
    RESUMING  Resumed     beyond our reach           DOWN      Disconnect Report
    RESUMING  Closed      -                          DOWN      Disconnect Report
    UP        TimePassed  a count is due             UP        Persist Emit
    UP        TimePassed  a count is due, in flight  UP        Persist
    UP        TimePassed  no answer in time          DOWN      Disconnect Report
    UP        TimePassed  ledger may be writable     UP        Emit
    UP        Answered    nothing more to send       UP        -
    UP        Answered    counts to send             UP        Emit
    UP        Answered    the receiver is ahead      UP        Persist
    UP        Answered    beyond our reach           DOWN      Disconnect Report
    UP        Answered    a gap                      UP        Emit
    UP        Answered    unavailable                UP        Report
    UP        Answered    fenced or invalid          DOWN      Disconnect Report
    UP        Answered    stopping                   UP        Persist Exit
    UP        TimePassed  stopping, no answer        UP        Persist Exit
    UP        Closed      -                          DOWN      Disconnect Report
    UP        StopAsked   in flight                  UP        -
    any       StopAsked   nothing in flight          any       Persist Exit
    any       Accepted    -                          any       -

Times are nanoseconds of the monotonic clock.
"""

from __future__ import annotations

from enum import Enum

from sendrecv.core.record import Record, next_due
from sendrecv.core.errors import ERROR, NOTICE, WARNING
from sendrecv.core.reach import App, belief, known_ledger
from sendrecv.core.sender_events import (
    Accepted,
    Answered,
    Closed,
    Connect,
    Connected,
    Disconnect,
    Emit,
    Exit,
    Persist,
    Ready,
    Refused,
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
from sendrecv.core.trouble import Trouble, kept
from sendrecv.core.values import MILLISECOND, SECOND
from sendrecv.core.wire import MAX_BATCH, MAX_COUNT, MAX_EPOCH, Claim, Refusal, Status

ANSWER_TIMEOUT = 5 * SECOND
"""Without an answer, the connection is dead. The receiver's watchdog kills a hung one earlier."""
RETRY = {
    Refusal.UNAVAILABLE: 500 * MILLISECOND,
    Refusal.FULL: SECOND,
    Refusal.TOKEN: 5 * SECOND,
    Refusal.INVALID: 5 * SECOND,
}
RETRY_ANSWER = {
    # If two machines fence each other by mistake, they take turns each second, not at full speed.
    Status.FENCED: SECOND,
    Status.INVALID: 5 * SECOND,
}
RETRY_NUMBER = 5 * SECOND
STOP_TIMEOUT = SECOND
"""How long a stop waits for the answer to a batch in flight."""


class State(Enum):
    """The state of the connection."""

    DOWN = "not connected"
    OPENING = "connecting"
    RESUMING = "resuming"
    UP = "connected"


class SenderMachine:
    """The machine. Reading its attributes is fine, setting them is not."""

    def __init__(self, app: App, record: Record | None, epoch: int, now: int) -> None:
        """`record` and `epoch` as the store's acquire() returned them."""
        self.app = app
        self.epoch = epoch
        self.count = record.count if record else -1
        self.acknowledged = record.acknowledged if record else -1
        self.state = State.DOWN
        self.connection = 0  # the newest
        self._due = next_due(record, app.boot, app.interval, now)
        self._flight: int | None = None  # last count of the batch in flight
        self._deadline: int | None = now  # when to retry, or to give up waiting
        self._stop_deadline: int | None = None
        self._trouble = Trouble(None, now, "", 0, now)
        self._ledger = known_ledger(record)
        self.belief = belief(app, record, epoch, now)

    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        """The commands to carry out, in order, when `event` has happened."""
        match event:
            case Started():
                return self._start(now) if not self.connection else []
            case TimePassed():
                return self._pass_time(now)
            case StopAsked():
                return self._stop(now)
            case Accepted():
                self.belief = self.belief.replace(accepted=event)
                return []
            case _ if event.connection != self.connection:
                return []  # of an older one
            case _:
                return self._handle_news(event, now)

    def deadline(self) -> int | None:
        """When TimePassed must be handled at the latest, if nothing else comes before; or None."""
        times = [self._deadline, self._stop_deadline]
        if self._may_count() and self.app.interval:
            times.append(self._due)
        return min((time for time in times if time is not None), default=None)

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
            heard=self.belief.reach.heard,
            fastest=self.belief.reach.fastest,
            ledger=self._ledger.name,
        )

    def status(self) -> str:
        """One line for a person. The count is not in it while all is well: it would be the only
        part that changes, and PID 1 sends each change to all its D-Bus subscribers.
        """
        state = f"{self.state.value}, epoch {self.epoch}"
        behind = self.count - self.acknowledged
        if self.state is State.UP and behind <= 1:
            return state
        count = f"count {self.count}" if self.count >= 0 else "no count yet"
        doubt = ", the receiver is not believed (see the journal)" if self.belief.doubt else ""
        return f"{state}, {count}" + (f", {behind} not acknowledged" if behind > 1 else "") + doubt

    # The events.

    def _start(self, now: int) -> list[SenderCommand]:
        return [self._persist(), Ready(), *self._pass_time(now)]

    def _pass_time(self, now: int) -> list[SenderCommand]:
        if self._stop_deadline is not None and now >= self._stop_deadline:
            return self._exit()
        is_due = self._deadline is not None and now >= self._deadline
        # First: it goes on while the count is made durable.
        return [*(self._retry(now) if is_due else ()), *self._take_count(now)]

    def _stop(self, now: int) -> list[SenderCommand]:
        """Wait for the answer to the batch in flight, but only for STOP_TIMEOUT."""
        if self._flight is None:
            return self._exit()
        if self._stop_deadline is None:
            self._stop_deadline = now + STOP_TIMEOUT
        return []

    def _handle_news(
        self, event: Connected | Refused | Resumed | Answered | Closed, now: int
    ) -> list[SenderCommand]:
        match event, self.state:
            case Connected(), State.OPENING:
                self.state, self._deadline = State.RESUMING, now + ANSWER_TIMEOUT
                return [Resume(self.connection)]
            case Refused(), State.OPENING:
                return self._refused(event, now)
            case Resumed(), State.RESUMING:
                return self._resumed(event, now)
            case Answered(), State.UP if self._flight is not None:
                return self._answered(event, now)
            case Closed(), State.OPENING | State.RESUMING | State.UP:
                # A receiver that restarts is back at once. If it is not, there is a cause to say.
                severity = NOTICE if self.state is State.UP else WARNING
                drop = self._drop(now, self._back_off(now))
                return drop + self._report(event.reason, now, severity)
        return []

    def _refused(self, event: Refused, now: int) -> list[SenderCommand]:
        if event.reason is Refusal.STALE:
            return self._refused_as_stale(event.epoch, now)
        why = f"the receiver refuses this sender: {event.reason.value}"
        return self._drop(now, RETRY[event.reason]) + self._report(why, now)

    def _refused_as_stale(self, epoch: int, now: int) -> list[SenderCommand]:
        if epoch >= MAX_EPOCH:
            trouble = "the receiver has no epoch left for this App: stop it, see sendrecv forget"
            return self._drop(now, RETRY_NUMBER) + self._report(trouble, now)
        if not self.belief.in_epoch(epoch):
            return self._doubt("epoch", epoch, self.epoch, now)
        # At once: a takeover waits for it. But not again and again, whoever says so.
        first = self._trouble.since is None
        retry = self._back_off(now)
        commands = self._drop(now, 0 if first else retry)
        if epoch >= self.epoch:
            self.epoch = epoch + 1
            self.belief = self.belief.raised(self.epoch)
            return [*commands, VerifyLock(), self._persist(), *self._pass_time(now)]
        return commands

    def _resumed(self, event: Resumed, now: int) -> list[SenderCommand]:
        last = event.last
        if not self.belief.in_count(last, self.count, self.acknowledged, now):
            return self._doubt("count", last, self.count, now)
        if self._ledger.is_old(event, self.acknowledged):
            self._ledger = self._ledger.replace(told=self.connection)
            self._deadline = now + ANSWER_TIMEOUT
            return [Resume(self.connection, max(self.acknowledged, self._ledger.sent))]
        self._ledger = self._ledger.replace(name=event.ledger)
        self.state, self._deadline = State.UP, None
        self._trouble = self._trouble.replace(up=now)
        # From now on the receiver obeys no older run. Another run may have begun because our file
        # was removed or replaced. If it was admitted before us, VerifyLock finds that out, and none
        # of our counts follows one of its counts. If it is admitted later, it fences us.
        commands: list[SenderCommand] = [VerifyLock(), *self._adopt(last, now)]
        self.belief = self.belief.resumed()
        if self._trouble.told:
            self._trouble = self._trouble.replace(told="")
            commands.append(Report(NOTICE, f"connected again, count {self.count}"))
        if self.count >= MAX_COUNT:
            commands.append(Report(ERROR, "the largest count is reached, counting no more"))
        return [*commands, *self._take_count(now), *self._emit(now)]

    def _answered(self, event: Answered, now: int) -> list[SenderCommand]:
        self._flight, self._deadline = None, None
        if event.status is Status.UNAVAILABLE:
            self._deadline = now + RETRY[Refusal.UNAVAILABLE]
            return self._report("the receiver cannot store counts now", now)
        if event.status in (Status.FENCED, Status.INVALID):
            return self._drop(now, RETRY_ANSWER[event.status]) + self._report(
                f"the receiver answers: {event.status.value}", now
            )
        if not self.belief.in_count(event.last, self.count, self.acknowledged, now):
            return self._doubt("count", event.last, self.count, now)
        if event.status is not Status.GAP:
            self._trouble = self._trouble.over()
        adopted = self._adopt(event.last, now)
        if self._stop_deadline is not None:
            return self._exit()
        return [*adopted, *self._take_count(now), *self._emit(now)]

    # Counting.

    def _may_count(self) -> bool:
        return self.belief.known and self._stop_deadline is None and self.count < MAX_COUNT

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
        if self.state is not State.UP or self._flight is not None or self.count > self.acknowledged:
            return []
        self.count = min(self.count + MAX_BATCH, MAX_COUNT)
        return [self._persist(), *self._emit(now)]

    def _adopt(self, last: int, now: int) -> list[SenderCommand]:
        """Take the receiver's last count. If it is above ours, it becomes ours, made durable."""
        if last < 0:
            return []
        self.belief = self.belief.heard(last, self.count, self.acknowledged, now)
        self.acknowledged = last
        if last <= self.count:
            return []
        self.count = last
        text = f"no record of a count, going on from the receiver's last count {last}"
        return [self._persist(), *(() if self.belief.known else (Report(NOTICE, text),))]

    def _doubt(self, what: str, theirs: int, ours: int, now: int) -> list[SenderCommand]:
        """Nothing is sent to whoever says that: it may be the wrong receiver."""
        self.belief = self.belief.doubting(self.app.app_id, what, theirs, ours)
        return self._drop(now, RETRY_NUMBER) + self._report(self.belief.doubt, now, ERROR)

    def _persist(self) -> Persist:
        return Persist(self.record())

    # The connection.

    def _emit(self, now: int) -> list[SenderCommand]:
        nothing = self.count == self.acknowledged
        waiting = self._flight is not None or self._deadline is not None
        if self.state is not State.UP or nothing or waiting:
            return []
        first = self.acknowledged + 1
        self._flight = min(self.count, self.acknowledged + MAX_BATCH)
        self._ledger = self._ledger.replace(sent=max(self._ledger.sent, self._flight))
        self._deadline = now + ANSWER_TIMEOUT
        return [Emit(self.connection, first, self._flight)]

    def _retry(self, now: int) -> list[SenderCommand]:
        self._deadline = None
        if self.state is State.UP and self._flight is None:  # the ledger could not be written
            return self._emit(now)
        if self.state is not State.DOWN:
            retry = self._back_off(now)
            return self._drop(now, retry) + self._report("the receiver does not answer", now)
        self.connection += 1
        self.state, self._deadline = State.OPENING, now + ANSWER_TIMEOUT
        claim = Claim(self.app.app_id, self.app.node_id, self.epoch, self.app.run)
        return [Connect(self.connection, claim)]

    def _back_off(self, now: int) -> int:
        """A connection has failed: how long the next one waits."""
        self._trouble = self._trouble.failed(now, was_up=self.state is State.UP)
        return self._trouble.retry(now)

    def _drop(self, now: int, retry: int) -> list[SenderCommand]:
        self.state, self._flight, self._deadline = State.DOWN, None, now + retry
        if self._stop_deadline is not None:
            self._stop_deadline = now  # no answer will come any more
        return [Disconnect(self.connection)]

    def _report(self, trouble: str, now: int, severity: int = WARNING) -> list[SenderCommand]:
        before, self._trouble = self._trouble, self._trouble.report(trouble, now)
        if self._trouble is before:
            return []
        meanwhile = kept(self.count - self.acknowledged, known=self.belief.known)
        return [Report(severity, f"{trouble}; {meanwhile}")]

    def _exit(self) -> list[SenderCommand]:
        return [self._persist(), Exit()]
