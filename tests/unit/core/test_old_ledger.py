"""A ledger that was put back from an old copy: a sender knows what it has acknowledged since."""

from __future__ import annotations

import pytest

from sendrecv.core.reach import App
from sendrecv.core.record import Record
from sendrecv.core.sender import SenderMachine
from sendrecv.core.sender_events import (
    Answered,
    Closed,
    Connected,
    Emit,
    Resume,
    Resumed,
    SenderCommand,
    Started,
    TimePassed,
    VerifyLock,
)
from sendrecv.core.values import SECOND
from sendrecv.core.wire import MAX_BATCH, Status

NOW = 1000 * SECOND
APP = App("a", "main", "1" * 32, "b" * 32, SECOND)
OURS, OTHER = "1edce7" + "0" * 10, "0" * 16


def resumed(count: int, acknowledged: int, last: int, ledger: str) -> list[SenderCommand]:
    """The commands of a machine with such a record, at whose connection 1 that is said."""
    return begun(count, acknowledged).handle(Resumed(1, last, ledger), NOW)


def begun(count: int, acknowledged: int) -> SenderMachine:
    record = Record(
        "a", 6, count, acknowledged, NOW + SECOND, "b" * 32, "main", "0" * 32, ledger=OURS
    )
    machine = SenderMachine(APP, record, 7, NOW)
    machine.handle(Started(), NOW)
    machine.handle(Connected(1), NOW)
    return machine


@pytest.mark.parametrize(
    ("count", "acknowledged", "last", "told"),
    [
        (41, 41, 40, 41),
        (41, 41, 0, 41),
        (42, 41, 12, 42),  # 42 may have been sent, by the process that died
        (5000, 41, 12, 41 + MAX_BATCH),  # the others cannot
    ],
)
def test_an_old_copy_is_told_what_it_may_have_printed(
    count: int, acknowledged: int, last: int, told: int
) -> None:
    assert resumed(count, acknowledged, last, OURS) == [Resume(1, told)]


@pytest.mark.parametrize("ledger", [OTHER, ""])
def test_another_ledger_is_told_nothing_and_is_sent_what_it_does_not_have(ledger: str) -> None:
    """It may be a new one. What somebody else has acknowledged in its place, it never had."""
    assert resumed(45, 41, 12, ledger) == [VerifyLock(), Emit(1, 13, 45)]


def test_our_ledger_with_all_that_it_acknowledged_is_told_nothing() -> None:
    assert resumed(45, 41, 41, OURS) == [VerifyLock(), Emit(1, 42, 45)]
    assert resumed(45, 41, -1, OURS) == [VerifyLock(), Emit(1, 42, 45)]  # its App is forgotten


def test_its_answer_goes_on_behind_what_may_be_printed() -> None:
    machine = begun(45, 41)
    assert machine.handle(Resumed(1, 12, OURS), NOW) == [Resume(1, 45)]
    assert machine.handle(TimePassed(), NOW) == []  # nothing is sent before it has answered
    assert machine.handle(Resumed(1, 45, OURS), NOW) == [VerifyLock()]
    machine.handle(TimePassed(), NOW + SECOND)
    assert machine.record().acknowledged == 45 and machine.count == 46


def test_a_receiver_that_does_not_understand_is_told_once_in_each_connection() -> None:
    machine = begun(41, 41)
    for number in (1, 2):
        assert machine.handle(Resumed(number, 12, OURS), NOW) == [Resume(number, 41)]
        machine.handle(Closed(number, "gone"), NOW)
        machine.handle(TimePassed(), NOW + 10 * SECOND)
        machine.handle(Connected(number + 1), NOW + 10 * SECOND)
    machine = begun(41, 41)
    machine.handle(Resumed(1, 12, OURS), NOW)
    assert machine.handle(Resumed(1, 12, OURS), NOW) == [VerifyLock(), Emit(1, 13, 41)]


def test_what_this_process_has_not_sent_is_not_lost() -> None:
    """Its counts were taken while there was no connection."""
    machine = begun(41, 41)
    machine.handle(Resumed(1, 41, OURS), NOW)
    machine.handle(TimePassed(), NOW + SECOND)
    machine.handle(Answered(1, Status.ACCEPTED, 42), NOW + SECOND)
    machine.handle(Closed(1, "gone"), NOW + SECOND)
    for seconds in range(2, 9):
        machine.handle(TimePassed(), NOW + seconds * SECOND)
    machine.handle(Connected(machine.connection), NOW + 9 * SECOND)
    assert machine.count > 45
    said = machine.handle(Resumed(machine.connection, 12, OURS), NOW + 9 * SECOND)
    assert said == [Resume(machine.connection, 42)]


def test_the_record_names_the_ledger_that_has_what_it_says() -> None:
    machine = begun(41, 41)
    assert machine.record().ledger == OURS
    machine.handle(Resumed(1, 41, OTHER), NOW)
    assert machine.record().ledger == OTHER
