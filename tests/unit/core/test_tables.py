"""The tables in the headers of the two machines: each row is walked; what no row has is ignored.

A row that is changed, added or removed without the code, or the code without the row, fails here.
"""

import re
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import pytest

from sendrecv.core import receiver, sender
from sendrecv.core.receiver import AppState, ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    ConnectionClosed,
    CountsSent,
    ReceiverCommand,
    ReceiverEvent,
    Refuse,
    ResumeAsked,
    Row,
)
from sendrecv.core.record import Record
from sendrecv.core.sender import ANSWER_TIMEOUT, STOP_TIMEOUT, SenderMachine, State
from sendrecv.core.values import SECOND
from sendrecv.core.reach import EPOCHS, App
from sendrecv.core.sender_events import (
    Accepted,
    Answered,
    Closed,
    Connected,
    Refused,
    Resumed,
    SenderEvent,
    Started,
    StopAsked,
    TimePassed,
)
from sendrecv.core.wire import Claim, Refusal, Status

NOW = 1000 * SECOND
LATE = NOW + 60 * SECOND
APP = App("a", "main", "1" * 32, "b" * 32, SECOND)
NO_BEAT = APP.replace(interval=0)
LEDGER = "1edce7" + "0" * 10


def table(module: ModuleType, *titles: str) -> list[tuple[str, ...]]:
    """The rows of the table with these titles in the module's header."""
    lines = (module.__doc__ or "").splitlines()
    starts = [i for i, line in enumerate(lines) if re.split(r"  +", line.strip()) == list(titles)]
    assert len(starts) == 1, titles
    rows = []
    for line in lines[starts[0] + 1 :]:
        cells = tuple(re.split(r"  +", line.strip()))
        if len(cells) != len(titles):
            break
        rows.append(cells)
    assert len(rows) > 10
    return rows


# The sender's.


class Case(NamedTuple):
    """A machine in some state, and what happens to it, when."""

    machine: SenderMachine
    event: SenderEvent
    now: int = NOW


def at(
    state: State, count: int = 41, acknowledged: int = 41, app: App = APP, due: int = SECOND
) -> SenderMachine:
    """A machine that has come to that state with connection 1, and to that count."""
    record = Record(
        "a", 6, count, acknowledged, NOW + due, "b" * 32, "failover", "0" * 32, ledger=LEDGER
    )
    machine = SenderMachine(app, record, 7, NOW)
    if state is State.DOWN:
        machine.handle(Started(), NOW)
        machine.handle(Closed(1, "gone"), NOW)
        return machine
    machine.handle(Started(), NOW)
    if state is not State.OPENING:
        machine.handle(Connected(1), NOW)
    if state is State.UP:
        machine.handle(Resumed(1, acknowledged), NOW)
    assert machine.state is state
    return machine


def fresh(due: int) -> SenderMachine:
    record = Record("a", 6, 41, 41, NOW + due, "b" * 32, "failover", "0" * 32, ledger=LEDGER)
    return SenderMachine(APP, record, 7, NOW)


def after(machine: SenderMachine, *events: SenderEvent) -> SenderMachine:
    for event in events:
        machine.handle(event, NOW)
    return machine


def troubled() -> SenderMachine:
    """RESUMING, on a second connection, once the first was lost."""
    machine = at(State.DOWN)
    machine.handle(TimePassed(), NOW + SECOND // 2)
    machine.handle(Connected(2), NOW + SECOND // 2)
    return machine


def idle(state: State) -> SenderMachine:
    """No count is due, ever: only the connection's own deadlines are."""
    return at(state, app=NO_BEAT)


def sending(state: State = State.UP, app: App = APP) -> SenderMachine:
    """The counts 42 to 45 are not acknowledged; if UP, they are in flight."""
    return at(state, 45, 41, app)


ACCEPTED = Answered(1, Status.ACCEPTED, 41)
CASES: dict[tuple[str, str, str], list[Callable[[], Case]]] = {
    ("DOWN", "Started", "-"): [lambda: Case(fresh(SECOND), Started())],
    ("DOWN", "Started", "a count is due"): [lambda: Case(fresh(0), Started())],
    ("DOWN", "TimePassed", "a retry is due"): [
        lambda: Case(at(State.DOWN), TimePassed(), NOW + SECOND // 2)
    ],
    ("DOWN", "TimePassed", "retry and count are due"): [
        lambda: Case(at(State.DOWN), TimePassed(), NOW + SECOND)
    ],
    ("DOWN", "TimePassed", "a count is due"): [
        lambda: Case(at(State.DOWN, due=1), TimePassed(), NOW + 1)
    ],
    ("DOWN", "TimePassed", "stopping"): [
        lambda: Case(after(sending(), StopAsked(), Closed(1, "x")), TimePassed())
    ],
    ("OPENING", "TimePassed", "a count is due"): [
        lambda: Case(at(State.OPENING), TimePassed(), NOW + SECOND)
    ],
    ("OPENING", "TimePassed", "no answer in time"): [
        lambda: Case(idle(State.OPENING), TimePassed(), NOW + ANSWER_TIMEOUT)
    ],
    ("OPENING", "Connected", "-"): [lambda: Case(at(State.OPENING), Connected(1))],
    ("OPENING", "Refused", "stale, our epoch or above"): [
        lambda: Case(at(State.OPENING), Refused(1, Refusal.STALE, 7)),
        lambda: Case(at(State.OPENING), Refused(1, Refusal.STALE, 99)),
    ],
    ("OPENING", "Refused", "stale, below our epoch"): [
        lambda: Case(at(State.OPENING), Refused(1, Refusal.STALE, 6))
    ],
    ("OPENING", "Refused", "stale, no epoch is left"): [
        lambda: Case(at(State.OPENING), Refused(1, Refusal.STALE, 2**63 - 1))
    ],
    ("OPENING", "Refused", "stale, beyond our reach"): [
        lambda: Case(at(State.OPENING), Refused(1, Refusal.STALE, 7 + EPOCHS + 1)),
        lambda: Case(at(State.OPENING), Refused(1, Refusal.STALE, 2**63 - 2)),
    ],
    ("OPENING", "Refused", "for another reason"): [  # (mypy cannot infer a lambda with a default)
        lambda reason=reason: Case(at(State.OPENING), Refused(1, reason, 0))  # type: ignore[misc]
        for reason in Refusal
        if reason is not Refusal.STALE
    ],
    ("OPENING", "Closed", "-"): [lambda: Case(at(State.OPENING), Closed(1, "gone"))],
    ("RESUMING", "TimePassed", "a count is due"): [
        lambda: Case(at(State.RESUMING), TimePassed(), NOW + SECOND)
    ],
    ("RESUMING", "TimePassed", "no answer in time"): [
        lambda: Case(idle(State.RESUMING), TimePassed(), NOW + ANSWER_TIMEOUT)
    ],
    ("RESUMING", "Resumed", "nothing to send"): [lambda: Case(at(State.RESUMING), Resumed(1, 41))],
    ("RESUMING", "Resumed", "counts to send"): [
        lambda: Case(sending(State.RESUMING), Resumed(1, 41)),
        lambda: Case(at(State.RESUMING), Resumed(1, 12)),
    ],
    ("RESUMING", "Resumed", "the receiver is ahead"): [
        lambda: Case(at(State.RESUMING), Resumed(1, 99))
    ],
    ("RESUMING", "Resumed", "ahead, we have no count"): [
        lambda: Case(at(State.RESUMING, -1, -1), Resumed(1, 99)),
    ],
    ("RESUMING", "Resumed", "a count is due"): [
        lambda: Case(at(State.RESUMING, due=1), Resumed(1, 41), NOW + 1)
    ],
    ("RESUMING", "Resumed", "trouble was reported"): [lambda: Case(troubled(), Resumed(2, 41))],
    ("RESUMING", "Resumed", "its ledger is an old copy"): [
        lambda: Case(at(State.RESUMING), Resumed(1, 40, LEDGER)),
        lambda: Case(sending(State.RESUMING), Resumed(1, 0, LEDGER)),
    ],
    ("RESUMING", "Resumed", "beyond our reach"): [
        lambda: Case(at(State.RESUMING), Resumed(1, 10**9))
    ],
    ("RESUMING", "Closed", "-"): [lambda: Case(at(State.RESUMING), Closed(1, "gone"))],
    ("UP", "TimePassed", "a count is due"): [
        lambda: Case(at(State.UP), TimePassed(), NOW + SECOND)
    ],
    ("UP", "TimePassed", "a count is due, in flight"): [
        lambda: Case(sending(), TimePassed(), NOW + SECOND)
    ],
    ("UP", "TimePassed", "no answer in time"): [
        lambda: Case(sending(app=NO_BEAT), TimePassed(), NOW + ANSWER_TIMEOUT)
    ],
    ("UP", "TimePassed", "ledger may be writable"): [
        lambda: Case(
            after(sending(), Answered(1, Status.UNAVAILABLE, -1)),
            TimePassed(),
            NOW + SECOND // 2,
        )
    ],
    ("UP", "Answered", "nothing more to send"): [
        lambda: Case(sending(), Answered(1, Status.ACCEPTED, 45)),
        lambda: Case(sending(), Answered(1, Status.DUPLICATE, 45)),
    ],
    ("UP", "Answered", "counts to send"): [
        lambda: Case(at(State.UP, 2000, 41), Answered(1, Status.ACCEPTED, 553))
    ],
    ("UP", "Answered", "the receiver is ahead"): [
        lambda: Case(sending(), Answered(1, Status.DUPLICATE, 99))
    ],
    ("UP", "Answered", "beyond our reach"): [
        lambda: Case(sending(), Answered(1, Status.DUPLICATE, 10**9))
    ],
    ("UP", "Answered", "a gap"): [lambda: Case(sending(), Answered(1, Status.GAP, 39))],
    ("UP", "Answered", "unavailable"): [
        lambda: Case(sending(), Answered(1, Status.UNAVAILABLE, -1))
    ],
    ("UP", "Answered", "fenced or invalid"): [
        lambda: Case(sending(), Answered(1, Status.FENCED, 50)),
        lambda: Case(sending(), Answered(1, Status.INVALID, -1)),
    ],
    ("UP", "Answered", "stopping"): [
        lambda: Case(after(sending(), StopAsked()), Answered(1, Status.ACCEPTED, 45))
    ],
    ("UP", "TimePassed", "stopping, no answer"): [
        lambda: Case(after(sending(), StopAsked()), TimePassed(), NOW + STOP_TIMEOUT)
    ],
    ("UP", "Closed", "-"): [lambda: Case(at(State.UP), Closed(1, "gone"))],
    ("UP", "StopAsked", "in flight"): [lambda: Case(sending(), StopAsked())],
    ("any", "StopAsked", "nothing in flight"): [  # (the same)
        lambda state=state: Case(at(state), StopAsked()) for state in State  # type: ignore[misc]
    ],
    ("any", "Accepted", "-"): [
        lambda state=state: Case(at(state), Accepted(9)) for state in State  # type: ignore[misc]
    ],
}
SENDER = table(sender, "state", "event", "condition", "next", "commands")
EVERY: list[SenderEvent] = [
    *(Started(), TimePassed(), Connected(1), Refused(1, Refusal.TOKEN, 0)),
    *(Resumed(1, 60), Answered(1, Status.ACCEPTED, 60), Closed(1, "gone"), StopAsked()),
    Accepted(10**9),
]


def test_each_row_of_the_senders_table_has_its_cases() -> None:
    assert [row[:3] for row in SENDER] == list(dict.fromkeys(row[:3] for row in SENDER))
    assert {row[:3] for row in SENDER} == set(CASES)


@pytest.mark.parametrize("row", SENDER, ids=" ".join)
def test_a_row_of_the_senders_table(row: tuple[str, ...]) -> None:
    state, event, condition, following, commands = row
    for make in CASES[(state, event, condition)]:
        case = make()
        before = case.machine.state
        assert type(case.event).__name__ == event
        assert state in ("any", before.name)
        done = case.machine.handle(case.event, case.now)
        assert " ".join(type(command).__name__ for command in done) == commands.strip("-")
        assert case.machine.state.name == (before.name if following == "any" else following)


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_what_the_senders_table_does_not_name_is_ignored(state: State, event: SenderEvent) -> None:
    name = type(event).__name__
    if any(row[0] in ("any", state.name) and row[1] == name for row in SENDER):
        return assert_changed_by_some_row(state, name)
    machine = at(state)
    before = vars(machine).copy()
    assert machine.handle(event, NOW) == [] and vars(machine) == before
    return None


def assert_changed_by_some_row(state: State, event: str) -> None:
    """Not vacuous: the table names the pair, so there are cases of it."""
    assert any(CASES[row[0], row[1], row[2]] for row in SENDER if row[0] in ("any", state.name))
    assert event in {row[1] for row in SENDER}


@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_events_of_an_older_connection_change_nothing(state: State) -> None:
    for event in EVERY:
        if isinstance(event, (Started, TimePassed, StopAsked, Accepted)):
            continue
        machine = at(state)
        before = vars(machine).copy()
        assert machine.handle(event.replace(connection=0), LATE) == []
        assert vars(machine) == before


# The receiver's.

RUN, OTHER = "1" * 32, "2" * 32
ROW = Row("a", 5, RUN, "main", 41)
OURS = Claim("a", "main", 5, RUN)
ROOM = 1


class Asked(NamedTuple):
    """The App before (None: there is none), what happens, and how many Apps there may be. other:
    an App that there is too.
    """

    before: AppState | None
    event: ReceiverEvent
    room: int = ROOM
    other: AppState | None = None


def claimed(claim: Claim, before: AppState | None, room: int = ROOM) -> Asked:
    return Asked(before, AdmissionAsked("new", claim), room)


def back(claim: Claim, other: AppState | None = None) -> Asked:
    """The App is known to the ledger only."""
    return Asked(None, AdmissionAsked("new", claim, ROW), other=other)


def sent(first: int, last: int, *, by: str = "old", have: int | None = 41) -> Asked:
    return Asked(AppState(ROW.replace(last=have), "old"), CountsSent(by, "a", first, last))


AWAY, HERE = AppState(ROW), AppState(ROW, "old")
IDLE, BUSY = AppState(ROW.replace(app_id="b")), AppState(ROW.replace(app_id="b"), "other")
ASKED: dict[tuple[str, str], list[Asked]] = {
    ("AdmissionAsked", "no such App, room for it"): [claimed(OURS, None)],
    ("AdmissionAsked", "no such App, an idle one"): [
        Asked(None, AdmissionAsked("new", OURS), other=IDLE)
    ],
    ("AdmissionAsked", "no such App, no room"): [
        claimed(OURS, None, 0),
        Asked(None, AdmissionAsked("new", OURS), other=BUSY),
        Asked(None, AdmissionAsked("new", OURS, room=False)),
    ],
    ("AdmissionAsked", "known to ledger, above"): [
        back(OURS.replace(epoch=6)),
        back(OURS.replace(epoch=6), IDLE),
    ],
    ("AdmissionAsked", "known to ledger, the same"): [back(OURS), back(OURS, IDLE)],
    ("AdmissionAsked", "known to ledger, stale"): [
        back(OURS.replace(epoch=4), IDLE),
        back(OURS.replace(run=OTHER), BUSY),
    ],
    ("AdmissionAsked", "known to ledger, no room"): [
        back(OURS, BUSY),
        back(OURS.replace(epoch=6), BUSY),
    ],
    ("AdmissionAsked", "epoch above the row's"): [
        claimed(OURS.replace(epoch=6, run=OTHER, node_id="failover"), AWAY),
        claimed(OURS.replace(epoch=2**53), AWAY),
        claimed(OURS.replace(epoch=2**53 + 2**20), AppState(ROW.replace(epoch=2**53))),
    ],
    ("AdmissionAsked", "epoch above row's, connected"): [
        claimed(OURS.replace(epoch=6), HERE),
        claimed(OURS.replace(epoch=6), HERE.replace(current=True)),
    ],
    ("AdmissionAsked", "no such App, large epoch"): [claimed(OURS.replace(epoch=2**53 + 1), None)],
    ("AdmissionAsked", "epoch far above the row's"): [
        claimed(OURS.replace(epoch=2**53 + 1), AWAY),
        claimed(OURS.replace(epoch=2**53 + 2**20 + 1), AppState(ROW.replace(epoch=2**53))),
        claimed(OURS.replace(epoch=2**63 - 1), HERE),
    ],
    ("AdmissionAsked", "epoch, run, node of the row"): [claimed(OURS, AWAY)],
    ("AdmissionAsked", "epoch, run, node, connected"): [claimed(OURS, HERE)],
    ("AdmissionAsked", "epoch of row, another run"): [
        claimed(OURS.replace(run=OTHER), AWAY),
        claimed(OURS.replace(run=OTHER), HERE),
    ],
    ("AdmissionAsked", "epoch of row, another node"): [
        claimed(OURS.replace(node_id="failover"), HERE)
    ],
    ("AdmissionAsked", "epoch below the row's"): [
        claimed(OURS.replace(epoch=4), HERE),
        claimed(OURS.replace(epoch=1, run=OTHER), AWAY),
    ],
    ("ResumeAsked", "its connection"): [Asked(HERE, ResumeAsked("old", "a"))],
    ("ResumeAsked", "its connection, not ahead"): [
        Asked(HERE, ResumeAsked("old", "a", 41)),
        Asked(HERE, ResumeAsked("old", "a", 0)),
    ],
    ("ResumeAsked", "its connection, ahead of row"): [
        Asked(HERE, ResumeAsked("old", "a", 42)),
        Asked(HERE, ResumeAsked("old", "a", 41 + 2**40)),
    ],
    ("ResumeAsked", "its connection, far ahead"): [
        Asked(HERE, ResumeAsked("old", "a", 41 + 2**40 + 1)),
        Asked(HERE, ResumeAsked("old", "a", 2**63 - 1)),
    ],
    ("ResumeAsked", "ahead of what has counted"): [
        Asked(HERE.replace(current=True), ResumeAsked("old", "a", 42))
    ],
    ("ResumeAsked", "its connection, no count yet"): [
        Asked(AppState(ROW.replace(last=None), "old"), ResumeAsked("old", "a", 42))
    ],
    ("ResumeAsked", "another connection"): [
        Asked(HERE, ResumeAsked("older", "a", 50)),
        Asked(HERE, ResumeAsked("older", "a")),
        Asked(AWAY, ResumeAsked("older", "a")),
    ],
    ("ResumeAsked", "no such App"): [Asked(None, ResumeAsked("old", "a"))],
    ("CountsSent", "its connection, the next"): [sent(42, 42), sent(42, 99)],
    ("CountsSent", "its connection, first ever"): [
        sent(0, 0, have=None),
        sent(100, 105, have=None),
    ],
    ("CountsSent", "its connection, too large"): [
        sent(2**53 + 1, 2**53 + 1, have=None),
        sent(2**63 - 1, 2**63 - 1, have=None),
    ],
    ("CountsSent", "its connection, partly known"): [sent(40, 43)],
    ("CountsSent", "its connection, all known"): [sent(41, 41), sent(0, 41)],
    ("CountsSent", "its connection, not the next"): [sent(43, 43), sent(90, 99)],
    ("CountsSent", "another connection"): [
        sent(42, 42, by="older"),
        sent(41, 41, by="older"),
        sent(43, 43, by="older"),
    ],
    ("CountsSent", "no such App"): [Asked(None, CountsSent("old", "a", 42, 42))],
    ("ConnectionClosed", "its connection"): [Asked(HERE, ConnectionClosed("old", "a"))],
    ("ConnectionClosed", "another connection"): [Asked(HERE, ConnectionClosed("older", "a"))],
    ("ConnectionClosed", "no such App"): [Asked(None, ConnectionClosed("old", "a"))],
}
RECEIVER = table(receiver, "event", "condition", "commands", "the App then")


def in_words(command: ReceiverCommand) -> str:
    name = type(command).__name__
    match command:
        case Admit(_, new):
            return f"{name}({'new' if new else 'same'})"
        case Refuse(reason):
            return f"{name}({reason.value})"
        case Answer(status):
            return f"{name}({status.value})"
    return name


def then(what: str, asked: Asked) -> AppState | None:
    """The App as it must be after the event."""
    before, event = asked.before, asked.event
    if isinstance(event, AdmissionAsked) and event.known and what != "unchanged":
        before = AppState(event.known)
    match what, event:
        case "claimed", AdmissionAsked(connection, claim):
            last = before.row.last if before else None
            row = Row("a", claim.epoch, claim.run, claim.node_id, last)
            return AppState(row, connection, bool(before and before.current))
        case "reconnected", AdmissionAsked(connection) if before:
            return before.replace(connection=connection)
        case "raised", ResumeAsked() if before:
            return before.replace(row=before.row.replace(last=event.last), current=True)
        case "counted", CountsSent() if before:
            return before.replace(row=before.row.replace(last=event.last), current=True)
        case "disconnected", _ if before:
            return before.replace(connection="")
    assert what == "unchanged"
    return before


def test_each_row_of_the_receivers_table_has_its_cases() -> None:
    assert [row[:2] for row in RECEIVER] == list(ASKED)


@pytest.mark.parametrize("row", RECEIVER, ids=" ".join)
def test_a_row_of_the_receivers_table(row: tuple[str, ...]) -> None:
    event, condition, commands, what = row
    for asked in ASKED[event, condition]:
        machine = ReceiverMachine([], asked.room)
        if asked.before:
            machine.apps["a"] = asked.before
        if asked.other:
            machine.apps["b"] = asked.other
        assert type(asked.event).__name__ == event
        done = machine.handle(asked.event)
        assert " ".join(map(in_words, done)) == commands.strip("-")
        assert machine.apps.get("a") == then(what, asked)
        assert len(machine.apps) <= ROOM
        machine.rolled_back()
        assert machine.apps.get("b") == asked.other
        assert machine.apps.get("a") == asked.before
