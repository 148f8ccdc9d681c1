"""The sender's machine, by the rules and the table in its header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.record import Record, next_due
from sendrecv.core.sender import (
    ANSWER_TIMEOUT,
    RETRY,
    RETRY_ANSWER,
    STOP_TIMEOUT,
    SenderMachine,
    State,
)
from sendrecv.core.trouble import RETRY_LEAST, RETRY_MOST, STEADY
from sendrecv.core.values import MILLISECOND, SECOND
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
from sendrecv.core.wire import MAX_BATCH, MAX_COUNT, Refusal, Status
from tests.unit.core.senders import APP, BOOT, CLAIM, NOW, RUN, begun, connected, kinds, record


# The start.


def test_nothing_is_ready_or_sent_before_the_epoch_is_durable() -> None:
    machine = SenderMachine(APP, record(41, 40), 7, NOW)
    expected = Record("a", 7, 41, 40, NOW + SECOND, BOOT, "main", RUN, 0, SECOND)
    assert machine.handle(Started(), NOW) == [Persist(expected), Ready(), Connect(1, CLAIM)]


def test_without_a_record_the_first_count_waits_for_the_receiver() -> None:
    machine = begun()
    assert machine.handle(TimePassed(), NOW + 2 * SECOND) == [] and machine.count == -1
    machine.handle(Connected(1), NOW + 2 * SECOND)
    commands = machine.handle(Resumed(1, -1), NOW + 2 * SECOND)
    assert kinds(commands) == ["VerifyLock", "Persist", "Emit"]
    assert commands[-1] == Emit(1, 0, 0)


def test_without_a_record_the_receivers_last_count_goes_on() -> None:
    machine = begun()
    machine.handle(Connected(1), NOW)
    assert machine.handle(Resumed(1, 41), NOW)[-1] == Emit(1, 42, 42)


def test_with_a_record_counting_waits_for_nobody() -> None:
    machine = begun(found=record(41, 41))
    assert kinds(machine.handle(TimePassed(), NOW + SECOND)) == ["Persist"]
    assert (machine.count, machine.acknowledged) == (42, 41)


# The grid.


@pytest.mark.parametrize(
    ("due", "boot", "first"),
    [
        (NOW + 300 * MILLISECOND, BOOT, NOW + 300 * MILLISECOND),
        (NOW + SECOND, BOOT, NOW + SECOND),
        (NOW + SECOND + 1, BOOT, NOW),  # of a longer interval
        (NOW + 300 * MILLISECOND, "c" * 32, NOW),  # another boot's clock
    ],
)
def test_the_beat_is_handed_over(due: int, boot: str, first: int) -> None:
    machine = SenderMachine(APP, record(41, 41, due, boot), 7, NOW)
    commands = [*machine.handle(Started(), NOW), *machine.handle(TimePassed(), first - 1)]
    assert machine.count == (42 if first == NOW else 41)
    commands += machine.handle(TimePassed(), first)
    assert machine.count == 42
    assert [c for c in commands if isinstance(c, Persist)][-1].record.due == first + SECOND


@pytest.mark.parametrize(
    ("interval", "now", "first"),
    [
        (SECOND, NOW + 7, NOW),
        (SECOND, NOW + 49 * MILLISECOND, NOW),
        (SECOND, NOW + 50 * MILLISECOND, NOW + 50 * MILLISECOND),
        (50 * MILLISECOND, NOW + 120 * MILLISECOND, NOW + 100 * MILLISECOND),
        (20 * MILLISECOND, NOW + 7, NOW + 7),  # no multiple of 50 ms
        (0, NOW + 7, NOW),  # nothing is ever due
    ],
)
def test_a_new_grid_is_shared_by_all_apps(interval: int, now: int, first: int) -> None:
    assert next_due(None, BOOT, interval, now) == first
    assert next_due(record(41, 41, first, "c" * 32), BOOT, interval, now) == first


@pytest.mark.parametrize(
    ("late", "due"), [(0, 1), (1, 1), (SECOND - 1, 1), (SECOND, 2), (5 * SECOND + 1, 6)]
)
def test_missed_beats_are_made_up_for_once_and_on_the_grid(late: int, due: int) -> None:
    machine = begun(found=record(41, 41, NOW - late))
    assert machine.count == 42
    assert machine.record().due == NOW - late + due * SECOND
    assert machine.handle(TimePassed(), NOW) == [] and machine.count == 42


def test_the_deadline_is_the_next_thing_to_do() -> None:
    machine = begun(found=record(41, 41))
    assert machine.deadline() == NOW + SECOND
    assert begun().deadline() == NOW + ANSWER_TIMEOUT  # no count may be taken yet
    assert connected(found=record(MAX_COUNT, MAX_COUNT), last=MAX_COUNT).deadline() is None


def test_no_count_is_above_the_greatest() -> None:
    machine = connected(found=record(MAX_COUNT, MAX_COUNT), last=MAX_COUNT)
    assert machine.handle(TimePassed(), NOW + 9 * SECOND) == [] and machine.count == MAX_COUNT


# The connection.


def test_connected_resumes() -> None:
    machine = begun(found=record(41, 41))
    assert machine.handle(Connected(1), NOW) == [Resume(1)]
    assert (machine.state, machine.handle(Connected(1), NOW)) == (State.RESUMING, [])


@pytest.mark.parametrize(
    ("found", "last", "count", "emit"),
    [
        ((41, 41), 41, 41, []),
        ((45, 41), 41, 45, [Emit(1, 42, 45)]),
        ((45, 41), 43, 45, [Emit(1, 44, 45)]),
        ((45, 44), 42, 45, [Emit(1, 43, 45)]),  # the receiver's was
        ((45, 44), -1, 45, [Emit(1, 45, 45)]),  # it has none of us: any is its first
        ((2000, 41), 41, 2000, [Emit(1, 42, 41 + MAX_BATCH)]),
    ],
)
def test_the_receivers_last_count_is_the_truth(
    found: tuple[int, int], last: int, count: int, emit: list[SenderCommand]
) -> None:
    machine = begun(found=record(*found))
    machine.handle(Connected(1), NOW)
    assert machine.handle(Resumed(1, last), NOW) == [VerifyLock(), *emit]
    assert machine.count == count


def test_a_count_that_is_adopted_is_durable_before_any_is_sent() -> None:
    """Or, if the receiver's ledger is rolled back next, counts are sent that no successor knows."""
    machine = begun(found=record(45, 41))  # rolled back: the receiver has more
    machine.handle(Connected(1), NOW)
    assert machine.handle(Resumed(1, 60), NOW) == [VerifyLock(), Persist(machine.record())]
    assert (machine.record().count, machine.record().acknowledged) == (60, 60)


def test_a_stale_epoch_is_raised_only_with_the_lock_verified() -> None:
    machine = begun(found=record(41, 41))
    raised = machine.record().replace(epoch=13)
    assert machine.handle(Refused(1, Refusal.STALE, 12), NOW) == [
        Disconnect(1),
        VerifyLock(),
        Persist(raised),
        Connect(2, CLAIM.replace(epoch=13)),
    ]


def test_a_stale_epoch_that_is_not_above_ours_is_only_tried_again() -> None:
    machine = begun(found=record(41, 41))
    assert machine.handle(Refused(1, Refusal.STALE, 6), NOW) == [Disconnect(1)]
    assert machine.epoch == 7 and machine.handle(TimePassed(), NOW) == [Connect(2, CLAIM)]


@pytest.mark.parametrize("reason", [it for it in Refusal if it is not Refusal.STALE])
def test_other_refusals_are_reported_and_retried_later(reason: Refusal) -> None:
    machine = begun(found=record(41, 41, NOW + SECOND))
    commands = machine.handle(Refused(1, reason, 0), NOW)
    assert kinds(commands) == ["Disconnect", "Report"]
    retry = NOW + RETRY[reason]
    assert "Connect" not in kinds(machine.handle(TimePassed(), retry - 1))
    assert Connect(2, CLAIM) in machine.handle(TimePassed(), retry)


@pytest.mark.parametrize("state", [State.OPENING, State.RESUMING, State.UP])
def test_no_answer_for_too_long_is_a_lost_connection(state: State) -> None:
    machine = begun(APP.replace(interval=60 * SECOND), record(45, 41, NOW + 60 * SECOND))
    if state is not State.OPENING:
        machine.handle(Connected(1), NOW)
    if state is State.UP:
        machine.handle(Resumed(1, 41), NOW)
    assert machine.state is state
    machine.handle(TimePassed(), NOW + ANSWER_TIMEOUT - 1)
    assert machine.state is state
    assert kinds(machine.handle(TimePassed(), NOW + ANSWER_TIMEOUT)) == ["Disconnect", "Report"]
    retry = NOW + ANSWER_TIMEOUT + RETRY_LEAST
    assert machine.handle(TimePassed(), retry - 1) == []
    assert machine.handle(TimePassed(), retry) == [Connect(2, CLAIM)]


def test_troubles_are_reported_once_until_all_is_well() -> None:
    machine = connected()
    reports = []
    for number in (1, 2, 3):
        commands = machine.handle(Closed(number, "no route"), NOW)
        reports.append(kinds(commands).count("Report"))
        machine.handle(TimePassed(), NOW + RETRY_LEAST)
    assert reports == [1, 0, 0]
    machine.handle(Connected(4), NOW)
    assert Report(5, "connected again, count 41") in machine.handle(Resumed(4, 41), NOW)
    assert kinds(machine.handle(Closed(4, "no route"), NOW)) == ["Disconnect", "Report"]


FAILURES: dict[str, list[SenderEvent]] = {
    "not opened": [Closed(0, "refused")],
    "closed before its answer": [Connected(0), Closed(0, "closed")],
    "admitted, and ended at once": [Connected(0), Resumed(0, 41), Closed(0, "lost")],
    "stale, below our epoch": [Refused(0, Refusal.STALE, 5)],
    "stale, above our epoch": [Refused(0, Refusal.STALE, 0)],
}


class Failing:
    """A machine whose every connection fails, each after no time at all, from `now` on."""

    def __init__(self, machine: SenderMachine, failure: str) -> None:
        self.machine = machine
        self.now = NOW
        self._failure = FAILURES[failure]

    def fail(self) -> None:
        """The connection that is being opened fails."""
        for event in self._failure:
            changes: dict[str, int] = {"connection": self.machine.connection}
            if isinstance(event, Refused) and not event.epoch:
                changes["epoch"] = self.machine.epoch
            self.machine.handle(event.replace(**changes), self.now)

    def until(self, end: int) -> list[int]:
        """When connections were opened until then."""
        times = []
        while self.now < end:
            number = self.machine.connection
            if self.machine.state is State.OPENING:
                self.fail()
            if self.machine.connection == number:
                self.now = max(self.machine.deadline() or end, self.now)
                self.machine.handle(TimePassed(), self.now)
            if self.machine.connection > number:
                times.append(self.now)
        return times


@pytest.mark.parametrize("failure", FAILURES)
def test_connections_that_fail_are_tried_less_and_less_often(failure: str) -> None:
    failing = Failing(begun(found=record(41, 41)), failure)
    times = failing.until(NOW + 3600 * SECOND)
    assert 3 <= sum(time <= NOW + 100 * MILLISECOND for time in times)
    assert sum(time <= NOW + 20 * SECOND for time in times) < 60
    waits = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert all(wait <= (time - NOW) // 4 + 2 * RETRY_LEAST for wait, time in zip(waits, times[1:]))
    # A count that is due may be one more occasion, and never makes a wait longer.
    assert 0.9 * RETRY_MOST < max(waits) <= RETRY_MOST


@pytest.mark.parametrize("end", ["acknowledged", "steady"])
def test_a_connection_that_works_ends_the_back_off(end: str) -> None:
    failing = Failing(begun(found=record(41, 41, NOW + 30 * SECOND)), "not opened")
    failing.until(NOW + 29 * SECOND)
    machine, now = failing.machine, NOW + 40 * SECOND
    if machine.state is State.DOWN:
        machine.handle(TimePassed(), now)
    machine.handle(Connected(machine.connection), now)
    machine.handle(Resumed(machine.connection, 41), now)
    if end == "acknowledged":
        machine.handle(Answered(machine.connection, Status.ACCEPTED, machine.count), now)
    else:
        now += STEADY
    machine.handle(Closed(machine.connection, "gone"), now)
    early = machine.handle(TimePassed(), now + RETRY_LEAST - 1)
    assert "Connect" not in kinds(early)
    assert "Connect" in kinds(machine.handle(TimePassed(), now + RETRY_LEAST))


def test_a_peer_that_has_always_something_else_to_say_is_not_repeated() -> None:
    machine, said = begun(found=record(41, 41)), 0
    for number in range(1, 62):
        now = NOW + (number - 1) * SECOND
        said += kinds(machine.handle(Closed(number, f"mood {number}"), now)).count("Report")
        machine.handle(TimePassed(), now + SECOND)
        if machine.state is State.DOWN:
            machine.handle(TimePassed(), now + RETRY_MOST)
        assert machine.connection == number + 1
    assert said == 5 + 1  # of one minute, and of the next


def test_events_of_older_connections_are_ignored() -> None:
    machine = connected()
    machine.handle(Closed(1, "gone"), NOW)
    machine.handle(TimePassed(), NOW + RETRY_LEAST)
    machine.handle(Connected(2), NOW)
    before = machine.status()
    for link in (0, 1, 3):
        assert not machine.handle(Connected(link), NOW) and not machine.handle(
            Closed(link, "gone"), NOW
        )
        assert machine.handle(Refused(link, Refusal.STALE, 99), NOW) == []
        assert machine.handle(Resumed(link, 99), NOW) == []
        assert machine.handle(Answered(link, Status.ACCEPTED, 99), NOW) == []
    assert machine.status() == before


def test_the_status_changes_only_when_there_is_something_to_say() -> None:
    assert begun().status() == "connecting, epoch 7, no count yet"
    machine = connected()
    for _ in range(3):
        machine.handle(TimePassed(), machine.deadline() or 0)
        assert machine.status() == "connected, epoch 7"  # one is in flight
        machine.handle(Answered(1, Status.ACCEPTED, machine.count), NOW)
        assert machine.status() == "connected, epoch 7"
    machine.handle(Closed(1, "gone"), NOW)
    assert machine.status() == "not connected, epoch 7, count 44"
    for seconds in (4, 5):
        machine.handle(TimePassed(), NOW + seconds * SECOND)
    assert machine.status() == "connecting, epoch 7, count 46, 2 not acknowledged"


# Counting.


def test_a_count_is_durable_before_it_is_sent() -> None:
    machine = connected()
    commands = machine.handle(TimePassed(), NOW + SECOND)
    expected = machine.record().replace(count=42, due=NOW + 2 * SECOND)
    assert commands == [Persist(expected), Emit(1, 42, 42)]
    assert machine.handle(Answered(1, Status.ACCEPTED, 42), NOW + SECOND) == []
    assert machine.acknowledged == 42


def test_one_batch_is_in_flight_at_a_time() -> None:
    machine = connected()
    machine.handle(TimePassed(), NOW + SECOND)
    for beat in (2, 3):
        assert kinds(machine.handle(TimePassed(), NOW + beat * SECOND)) == ["Persist"]
    assert machine.handle(Answered(1, Status.ACCEPTED, 42), NOW + 3 * SECOND) == [Emit(1, 43, 44)]


@pytest.mark.parametrize("status", [Status.DUPLICATE, Status.GAP])
def test_duplicates_and_gaps_go_on_from_the_receivers_last(status: Status) -> None:
    machine = connected(found=record(45, 41))
    assert machine.handle(Answered(1, status, 43), NOW) == [Emit(1, 44, 45)]


@pytest.mark.parametrize("status", [Status.FENCED, Status.INVALID])
def test_a_sender_that_is_fenced_claims_anew(status: Status) -> None:
    machine = connected(found=record(45, 41, NOW + SECOND))
    assert kinds(machine.handle(Answered(1, status, 50), NOW)) == ["Disconnect", "Report"]
    assert (machine.state, machine.acknowledged) == (State.DOWN, 41)
    assert Connect(2, CLAIM) in machine.handle(TimePassed(), NOW + RETRY_ANSWER[status])


def test_a_ledger_that_cannot_be_written_is_asked_again() -> None:
    machine = connected(found=record(45, 41))
    assert kinds(machine.handle(Answered(1, Status.UNAVAILABLE, -1), NOW)) == ["Report"]
    retry = NOW + RETRY[Refusal.UNAVAILABLE]
    assert machine.handle(TimePassed(), retry - 1) == []
    assert machine.handle(TimePassed(), retry) == [Emit(1, 42, 45)]


def test_interval_0_counts_as_fast_as_acknowledged() -> None:
    machine = begun(APP.replace(interval=0), record(41, 41, NOW))
    assert machine.count == 41  # the receiver is not there yet
    machine.handle(Connected(1), NOW)
    first = machine.handle(Resumed(1, 41), NOW)
    last = 41 + MAX_BATCH
    assert kinds(first) == ["VerifyLock", "Persist", "Emit"] and first[-1] == Emit(1, 42, last)
    assert machine.handle(TimePassed(), NOW + SECOND) == []
    following = machine.handle(Answered(1, Status.ACCEPTED, last), NOW + SECOND)
    assert kinds(following) == ["Persist", "Emit"]
    assert following[-1] == Emit(1, last + 1, last + MAX_BATCH)


# The stop.


def test_a_stop_with_nothing_in_flight_is_immediate() -> None:
    machine = connected()
    assert machine.handle(StopAsked(), NOW) == [Persist(machine.record()), Exit()]


@pytest.mark.parametrize("end", ["answer", "time", "loss"])
def test_a_stop_waits_a_little_for_the_batch_in_flight(end: str) -> None:
    machine = connected(found=record(45, 41))
    until = NOW + STOP_TIMEOUT
    assert not machine.handle(StopAsked(), NOW) and not machine.handle(StopAsked(), NOW + 1)
    assert machine.deadline() == until
    assert machine.handle(TimePassed(), until - 1) == []  # and no count is taken any more
    if end == "answer":
        commands = machine.handle(Answered(1, Status.ACCEPTED, 45), until - 1)
    elif end == "loss":
        machine.handle(Closed(1, "gone"), until - 1)
        commands = machine.handle(TimePassed(), until - 1)
    else:
        commands = machine.handle(TimePassed(), until)
    assert commands == [Persist(machine.record()), Exit()]
    assert (machine.count, machine.acknowledged) == (45, 45 if end == "answer" else 41)


# Any events at all.

OLDER = st.integers(-1, 1)  # than the newest connection
LASTS = st.integers(-1, 60)
EVENTS: st.SearchStrategy[SenderEvent] = st.one_of(
    st.just(TimePassed()),
    st.builds(Connected, OLDER),
    st.builds(Refused, OLDER, st.sampled_from(Refusal), st.integers(0, 20)),
    st.builds(Resumed, OLDER, LASTS),
    st.builds(Answered, OLDER, st.sampled_from(Status), LASTS),
    st.builds(Closed, OLDER, st.sampled_from(["gone", "no route"])),
    st.just(StopAsked()),
)
PAUSES = st.sampled_from([0, 1, 20 * MILLISECOND, SECOND, 6 * SECOND])


@given(
    st.sampled_from([0, SECOND]),
    st.none() | st.sampled_from([record(41, 41), record(45, 41), record(2000, -1)]),
    st.lists(st.tuples(PAUSES, EVENTS), max_size=60),
)
def test_whatever_is_sent_was_made_durable_before(
    interval: int, found: Record | None, events: list[tuple[int, SenderEvent]]
) -> None:
    machine, now = SenderMachine(APP.replace(interval=interval), found, 7, NOW), NOW
    disk = check(machine, None, machine.handle(Started(), now))
    for pause, event in events:
        now += pause
        if not isinstance(event, (Started, TimePassed, StopAsked, Accepted)):
            event = event.replace(connection=event.connection + machine.connection)
        disk = check(machine, disk, machine.handle(event, now))
        if event == StopAsked():
            break


def check(
    machine: SenderMachine, disk: Record | None, commands: list[SenderCommand]
) -> Record | None:
    """The invariants, and what is on disk after these commands."""
    for place, command in enumerate(commands):
        match command:
            case Persist(new):
                assert disk is None or (new.epoch, new.count) >= (disk.epoch, disk.count)
                if disk and new.epoch > disk.epoch:
                    assert commands[place - 1] == VerifyLock()
                disk = new
            case Emit(_, first, last):
                assert disk and first <= last <= disk.count and last - first < MAX_BATCH
            case Connect(_, claim):
                assert disk and claim.epoch == disk.epoch
            case Ready() | Exit():
                assert disk
    assert -1 <= machine.acknowledged <= machine.count
    return disk
