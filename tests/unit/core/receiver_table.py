"""The table in the header of the receiver's machine, and a checker that compares steps with it.

Which line a step must be like is decided here, from the machine before the step and from the event.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sendrecv.core import receiver
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
from sendrecv.core.wire import MAX_EPOCH_STEP, MAX_FIRST, MAX_LOST
from tests.unit.core.receiver_walks import Step
from tests.unit.core.tables import parts, table


class Line(NamedTuple):
    """A row of the table, as it is written. then: what becomes of the App."""

    event: str
    condition: str
    commands: str
    then: str


LINES = [Line(*cells) for cells in table(receiver, *Line._fields[:3], "the App then")]


# What the conditions mean: which of them is that of a step, in the words of the table.


def of_admission(step: Step) -> str:
    event = step.event
    assert isinstance(event, AdmissionAsked)
    app = step.before.apps.get(event.claim.app_id)
    if app:
        return of_known_app(event, app)
    if event.known:
        return of_app_in_ledger(event, event.known, has_room(step))
    if event.room and event.claim.epoch > MAX_FIRST:
        return "no such App, large epoch"
    if not event.room or not has_room(step):
        return "no such App, no room"
    return "no such App, an idle one" if is_full(step.before) else "no such App, room for it"


def of_known_app(event: AdmissionAsked, app: AppState) -> str:
    claim, row = event.claim, app.row
    if is_far_above(event, row):
        return "epoch far above the row's"
    if claim.epoch < row.epoch:
        return "epoch below the row's"
    if claim.epoch > row.epoch:
        return "epoch above row's, connected" if app.connection else "epoch above the row's"
    if claim.run != row.run:
        return "epoch of row, another run"
    if claim.node_id != row.node_id:
        return "epoch of row, another node"
    return "epoch, run, node, connected" if app.connection else "epoch, run, node of the row"


def of_app_in_ledger(event: AdmissionAsked, row: Row, has_room: bool) -> str:
    condition = of_known_app(event, AppState(row))
    if condition == "epoch far above the row's":
        return "known to ledger, far above"
    if condition not in ("epoch above the row's", "epoch, run, node of the row"):
        return "known to ledger, stale"
    if not has_room:
        return "known to ledger, no room"
    return f"known to ledger, {'above' if event.claim.epoch > row.epoch else 'the same'}"


def of_resumption(step: Step) -> str:
    event, app = step.event, app_of(step)
    assert isinstance(event, ResumeAsked)
    if app is None or app.connection != event.connection:
        return "another connection" if app else "no such App"
    if app.row.last is None:
        return "its connection, no count yet"
    if event.last <= app.row.last:
        return "its connection, not ahead"
    if app.current:
        return "ahead of what has counted"
    is_far = event.last > app.row.last + MAX_LOST
    return "its connection, far ahead" if is_far else "its connection, ahead of row"


def of_counts(step: Step) -> str:
    event, app = step.event, app_of(step)
    assert isinstance(event, CountsSent)
    if app is None or app.connection != event.connection:
        return "another connection" if app else "no such App"
    last = app.row.last
    if last is None:
        is_large = event.first > MAX_FIRST
        return "its connection, too large" if is_large else "its connection, first ever"
    if event.last <= last:
        return "its connection, all known"
    if event.first > last + 1:
        return "its connection, not the next"
    is_next = event.first == last + 1
    return "its connection, the next" if is_next else "its connection, partly known"


def of_end(step: Step) -> str:
    app = app_of(step)
    if app is None:
        return "no such App"
    assert isinstance(step.event, ConnectionClosed)
    is_its = app.connection == step.event.connection
    return "its connection" if is_its else "another connection"


CONDITIONS: dict[str, Callable[[Step], str]] = {
    "AdmissionAsked": of_admission,
    "ResumeAsked": of_resumption,
    "CountsSent": of_counts,
    "ConnectionClosed": of_end,
}
"""By the event."""


def is_far_above(event: AdmissionAsked, row: Row) -> bool:
    return event.claim.epoch > max(MAX_FIRST, row.epoch + MAX_EPOCH_STEP)


def name_of(event: ReceiverEvent) -> str:
    return event.claim.app_id if isinstance(event, AdmissionAsked) else event.app_id


def app_of(step: Step) -> AppState | None:
    return step.before.apps.get(name_of(step.event))


def idle(machine: ReceiverMachine) -> list[str]:
    """Apps that may give way, the first one first."""
    return [
        name
        for name, app in machine.apps.items()
        if not app.connection and name not in machine._before
    ]


def is_full(machine: ReceiverMachine) -> bool:
    return len(machine.apps) == machine._max_apps


def has_room(step: Step) -> bool:
    return not is_full(step.before) or idle(step.before) != []


# What the words for the App mean.


def then(what: str, step: Step) -> AppState | None:
    """The App as it must be after the event."""
    before, event = app_of(step), step.event
    if isinstance(event, AdmissionAsked) and event.known and what != "unchanged":
        before = AppState(event.known)
    match what, event:
        case "claimed", AdmissionAsked(connection, claim):
            assert before is None or claim.epoch > before.row.epoch
            last = before.row.last if before else None
            row = Row(claim.app_id, claim.epoch, claim.run, claim.node_id, last)
            return AppState(row, connection, bool(before and before.current))
        case "reconnected", AdmissionAsked(connection) if before:
            return before.replace(connection=connection)
        case ("raised", ResumeAsked(_, _, last)) | ("counted", CountsSent(_, _, _, last)) if before:
            return before.replace(row=before.row.replace(last=last), current=True)
        case "disconnected", ConnectionClosed(connection) if before:
            assert before.connection == connection
            return before.replace(connection="")
    assert what == "unchanged", (what, step)
    return before


def apps_then(what: str, step: Step) -> dict[str, AppState]:
    """All Apps after the event. One that gives way makes room for one that comes."""
    apps, name, app = dict(step.before.apps), name_of(step.event), then(what, step)
    if app and name not in apps and is_full(step.before):
        assert idle(step.before), step
        del apps[idle(step.before)[0]]
    return apps | ({name: app} if app else {})


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


# The checker.


class Checker:
    """Compares steps with lines of the table. met: the first step of each line."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.met: dict[Line, Step] = {}
        self._lines: dict[tuple[str, str], list[Line]] = {}
        for line in lines:
            self._lines.setdefault((line.event, line.condition), []).append(line)

    def check(self, steps: Iterable[Step]) -> None:
        """Each step is as its line says. Raises AssertionError."""
        for step in steps:
            event = type(step.event).__name__
            condition = CONDITIONS[event](step)
            lines = self._lines.get((event, condition), [])
            assert len(lines) == 1, f"{condition}: {lines} fit {step}"
            assert [*map(in_words, step.commands)] == parts(lines[0].commands), (lines[0], step)
            assert step.after.apps == apps_then(lines[0].then, step), (lines[0], step)
            self.met.setdefault(lines[0], step)

    def check_that_all_are_met(self) -> None:
        """Each line was met."""
        assert {*self.met} == {line for lines in self._lines.values() for line in lines}
