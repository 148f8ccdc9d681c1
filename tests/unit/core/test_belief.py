"""What a sender believes of what the receiver says: last counts and epochs that it can have."""

import pytest

from sendrecv.core.reach import EPOCHS, MOST_UNKNOWN, SPARE, App
from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.receiver_events import AdmissionAsked, Admit, Answer, CountsSent
from sendrecv.core.record import Record
from sendrecv.core.sender import (
    SenderMachine,
    State,
)
from sendrecv.core.values import SECOND
from sendrecv.core.sender_events import (
    Accepted,
    Answered,
    Closed,
    Connect,
    Connected,
    Emit,
    Refused,
    Report,
    Resumed,
    SenderCommand,
    Started,
    TimePassed,
    VerifyLock,
)
from sendrecv.core.wire import Claim, Refusal, Status
from tests.unit.core.senders import APP, CLAIM, NOW, begun, connected, kinds, record

HOUR = 3600 * SECOND
BOOTED = 1_790_000_000 * SECOND
"""What the wall clock said as this boot began."""


def resumed(
    last: int, found: Record | None, app: App = APP, now: int = NOW
) -> tuple[SenderMachine, list[SenderCommand]]:
    """A machine to which the receiver says that last count, and the commands that follow."""
    machine = SenderMachine(app, found, found.epoch + 1 if found else 1, NOW)
    machine.handle(Started(), NOW)
    machine.handle(Connected(1), now)
    return machine, machine.handle(Resumed(1, last), now)


def is_believed(last: int, found: Record | None, app: App = APP, now: int = NOW) -> bool:
    machine, commands = resumed(last, found, app, now)
    believed = kinds(commands)[0] == "VerifyLock"
    assert (machine.state is State.UP, not machine.belief.doubt) == (believed, believed)
    assert machine.acknowledged == last or not believed
    return believed


AT_HOME = APP.replace(booted=BOOTED)
WALL = (BOOTED + NOW) // SECOND
FAST_BEFORE = record(41, 41).replace(fastest=SECOND // 100)
OTHER_BOOT = record(41, 41, NOW, "c" * 32)


@pytest.mark.parametrize(
    ("found", "app", "most"),
    [
        # Within one boot, by the monotonic clock.
        (record(41, 41, NOW), APP, 42 + SPARE),
        (record(41, 41, NOW - 100 * SECOND), APP, 41 + 2 * 100 + SPARE),
        (FAST_BEFORE.replace(due=NOW - 100 * SECOND), APP, 41 + 2 * 10_000 + SPARE),
        (record(41, 41, NOW - SECOND), APP.replace(interval=0), 41 + 200_000 + SPARE),
        # The predecessor had the record for a second only, and the receiver was not heard since.
        (record(41, 41).replace(heard=WALL - 3600), AT_HOME, 41 + 2 * 3600 + SPARE),
        (record(41, 41).replace(heard=WALL - 3600), APP, 41 + SPARE),
        # In another boot, by the wall clock, or by the time of this boot.
        (OTHER_BOOT.replace(heard=WALL - 36000), AT_HOME, 41 + 2 * 36000 + SPARE),
        (OTHER_BOOT.replace(heard=WALL + 36000), AT_HOME, 41 + 2 * 1000 + SPARE),
        (OTHER_BOOT, AT_HOME, 41 + 2 * 1000 + SPARE),
        # Without counts of its own, an App asks the receiver.
        (None, APP, MOST_UNKNOWN),
        (record(-1, -1, NOW), APP, MOST_UNKNOWN),
    ],
)
def test_what_an_app_can_have_reached(found: Record | None, app: App, most: int) -> None:
    assert is_believed(most, found, app)
    assert not is_believed(most + 1, found, app)


def test_a_count_that_is_not_believed_is_named_once_and_nothing_is_sent() -> None:
    machine, commands = resumed(10**9, record(41, 41, NOW))
    assert kinds(commands) == ["Disconnect", "Report"]
    assert isinstance(commands[1], Report) and commands[1].severity == 3
    assert commands[1].text == (
        "the receiver's last count is 1000000000, but this App is at 42 and cannot have come so"
        " far: if the receiver is right, run: sendrecv accept a --count 1000000000;"
        " counting on, 1 count kept to send later"
    )
    assert machine.status().endswith("the receiver is not believed (see the journal)")
    now = NOW
    for number in range(2, 40):
        now += 5 * SECOND
        assert Connect(number, CLAIM) in machine.handle(TimePassed(), now)
        machine.handle(Connected(number), now)
        assert kinds(machine.handle(Resumed(number, 10**9), now)) == ["Disconnect"]
    # The right one is back: it is sent what it does not have.
    now += 5 * SECOND
    machine.handle(TimePassed(), now)
    machine.handle(Connected(40), now)
    commands = machine.handle(Resumed(40, 41), now)
    assert commands[0] == VerifyLock() and commands[-1] == Emit(40, 42, machine.count)
    assert not machine.belief.doubt and machine.count == 42 + 39  # one at each look at the clock


def test_a_wrong_receiver_cannot_go_forward_in_small_steps() -> None:
    machine, _ = resumed(41, record(41, 41))
    claimed = 41
    for _ in range(10):
        claimed += SPARE // 2
        machine.handle(Closed(machine.connection, "lost"), NOW)
        machine.handle(TimePassed(), machine.deadline() or 0)
        machine.handle(Connected(machine.connection), NOW)
        machine.handle(Resumed(machine.connection, claimed), NOW)
    assert machine.count < 41 + SPARE + 100 and machine.belief.doubt


def test_an_answer_that_is_not_believed_ends_the_connection() -> None:
    machine = connected(found=record(41, 41))
    machine.handle(TimePassed(), NOW + SECOND)
    commands = machine.handle(Answered(1, Status.ACCEPTED, 10**9), NOW + SECOND)
    assert kinds(commands) == ["Disconnect", "Report"] and machine.acknowledged == 41


@pytest.mark.parametrize(
    ("said", "believed"), [(10**9, True), (10**9 - 1, True), (10**9 + 1, False)]
)
def test_what_a_person_accepts_is_adopted_once(said: int, believed: bool) -> None:
    machine, _ = resumed(said, record(41, 41))
    assert machine.belief.doubt and machine.handle(Accepted(count=10**9), NOW) == []
    machine.handle(TimePassed(), NOW + 5 * SECOND)
    machine.handle(Connected(2), NOW + 5 * SECOND)
    commands = machine.handle(Resumed(2, said), NOW + 5 * SECOND)
    if not believed:
        assert kinds(commands) == ["Disconnect"]
        return
    assert (machine.belief.doubt, machine.acknowledged) == ("", said)
    assert kinds(commands)[:2] == ["VerifyLock", "Persist"] and machine.record().count == said
    commands = machine.handle(TimePassed(), NOW + 6 * SECOND)
    assert commands[-1] == Emit(2, said + 1, said + 1)
    machine.handle(Answered(2, Status.ACCEPTED, said + 1), NOW + 6 * SECOND)
    machine.handle(Closed(2, "lost"), NOW + 6 * SECOND)
    machine.handle(TimePassed(), machine.deadline() or 0)
    machine.handle(Connected(3), NOW + 6 * SECOND)
    machine.handle(Resumed(3, 2 * 10**9), NOW + 6 * SECOND)
    assert machine.belief.doubt and machine.acknowledged == said + 1


def test_what_was_accepted_is_said_to_people() -> None:
    assert Accepted(count=0).text() == "count 0" and Accepted(epoch=7).text() == "epoch 7"


def test_an_epoch_out_of_reach_is_adopted_only_if_a_person_accepts_it() -> None:
    machine = begun(found=record(41, 41))
    most = 7 + EPOCHS
    commands = machine.handle(Refused(1, Refusal.STALE, most + 1), NOW)
    assert kinds(commands) == ["Disconnect", "Report"] and machine.epoch == 7
    assert f"sendrecv accept a --epoch {most + 1}" in str(commands[1])
    machine.handle(Accepted(epoch=most + 1), NOW)
    machine.handle(TimePassed(), NOW + 5 * SECOND)
    commands = machine.handle(Refused(2, Refusal.STALE, most + 1), NOW + 5 * SECOND)
    assert machine.epoch == most + 2 and kinds(commands)[:3] == [
        "Disconnect",
        "VerifyLock",
        "Persist",
    ]


# Without a count of its own, an App believes nearly everything.


@pytest.mark.parametrize(
    ("found", "last", "told"),
    [
        (None, 0, ["no record of a count, going on from the receiver's last count 0"]),
        (record(-1, -1), 41, ["no record of a count, going on from the receiver's last count 41"]),
        (None, -1, []),
        (record(41, 41), 43, []),
    ],
)
def test_the_count_from_which_an_app_goes_on_is_named(
    found: Record | None, last: int, told: list[str]
) -> None:
    machine, commands = resumed(last, found)
    reports = [command for command in commands if isinstance(command, Report)]
    assert [report.text for report in reports] == told
    assert all(report.severity == 5 for report in reports)
    # Once.
    machine.handle(Closed(1, "lost"), NOW)
    machine.handle(TimePassed(), machine.deadline() or 0)
    machine.handle(Connected(2), NOW)
    assert not any("no record" in str(one) for one in machine.handle(Resumed(2, last), NOW))


def test_what_it_was_told_keeps_no_other_receiver_from_serving_it() -> None:
    """One that does not know the App; also after all that the App can count in a thousand years."""
    machine = begun()
    machine.handle(Refused(1, Refusal.STALE, MOST_UNKNOWN), NOW)
    assert machine.epoch == MOST_UNKNOWN + 1
    machine.handle(Connected(2), NOW)
    commands = machine.handle(Resumed(2, MOST_UNKNOWN), NOW)
    assert commands[-1] == Emit(2, MOST_UNKNOWN + 1, MOST_UNKNOWN + 1)
    for later in (0, 1000 * 366 * 86_400 * 100_000):
        receiver = ReceiverMachine([], max_apps=1)
        claim = Claim("a", "main", machine.epoch + later, CLAIM.run)
        assert isinstance(receiver.handle(AdmissionAsked("c", claim))[-1], Admit)
        count = machine.count + later
        answer = receiver.handle(CountsSent("c", "a", count, count))[-1]
        assert answer == Answer(Status.ACCEPTED, count)
