"""The receiver's machine: events in, commands out, no I/O, no clock.

Rules
    1. Of each App, the receiver obeys only the highest epoch that it ever admitted (Kleppmann, "How
       to do distributed locking", 2016: fencing tokens).
    2. A count is accepted if it is last + 1. The first count ever of an App may be any number. A
       count that is not above last is a duplicate, a count above last + 1 is a gap: neither is
       printed.
    3. In each list of commands, StoreRow comes before Print, and Print before the Answer that
       accepts. So a count is durable before it is printed, and printed before it is acknowledged.
    4. One run has one connection: the newest.

Invariants, for each App: epoch never falls; last never falls, and rises only together with a Print
of exactly the counts in between.

Events come in groups, and a group is one transaction. After the last event of a group, either
committed() or rolled_back() is called. After rolled_back() nothing of the group has happened.

The table has each event, its commands, and what it does to its App. "its connection" is the
connection from which counts are accepted. "the row" is what is durable of the App. A test walks the
table.

    event             condition                        commands                         the App then
    AdmissionAsked    no such App, room for it         StoreRow Admit(new)              claimed
    AdmissionAsked    no such App, no room             Refuse(full)                     unchanged
    AdmissionAsked    epoch above the row's            StoreRow Admit(new)              claimed
    AdmissionAsked    epoch above row's, connected     StoreRow Admit(new) CutOff       claimed
    AdmissionAsked    no such App, epoch too large     Refuse(invalid)                  unchanged
    AdmissionAsked    epoch too far above the row's    Refuse(invalid)                  unchanged
    AdmissionAsked    epoch, run, node of the row      Admit(same)                      reconnected
    AdmissionAsked    epoch, run, node, connected      Admit(same) CutOff               reconnected
    AdmissionAsked    epoch of the row, another run    Refuse(stale)                    unchanged
    AdmissionAsked    epoch of the row, another node   Refuse(stale)                    unchanged
    AdmissionAsked    epoch below the row's            Refuse(stale)                    unchanged
    ResumeAsked       its connection                   Answer(accepted)                 unchanged
    ResumeAsked       another connection               Answer(fenced)                   unchanged
    CountsSent        its connection, the next         StoreRow Print Answer(accepted)  counted
    CountsSent        its connection, the first ever   StoreRow Print Answer(accepted)  counted
    CountsSent        its connection, first too large  Answer(invalid)                  unchanged
    CountsSent        its connection, partly known     StoreRow Print Answer(accepted)  counted
    CountsSent        its connection, all known        Answer(duplicate)                unchanged
    CountsSent        its connection, not the next     Answer(gap)                      unchanged
    CountsSent        another connection               Answer(fenced) CutOff            unchanged
    ConnectionClosed  its connection                   -                                disconnected
    ConnectionClosed  another connection               -                                unchanged
"""

from __future__ import annotations

from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    ConnectionClosed,
    CountsSent,
    CutOff,
    Print,
    ReceiverCommand,
    ReceiverEvent,
    Refuse,
    ResumeAsked,
    Row,
    StoreRow,
)
from sendrecv.core.values import Value
from sendrecv.core.wire import MAX_EPOCH_STEP, MAX_FIRST, Refusal, Status

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Iterable


_INVALID = Refuse(Refusal.INVALID)


class AppState(Value):
    """One App: its durable row, and the connection that speaks for it ("" for none)."""

    row: Row
    connection: str = ""


class ReceiverMachine:
    """The machine. `apps` maps an appID to its state; reading it is fine."""

    def __init__(self, rows: Iterable[Row], max_apps: int) -> None:
        """`rows` as the ledger has them. Above `max_apps` no new App is admitted."""
        self.apps = {row.app_id: AppState(row) for row in rows}
        self._max_apps = max_apps
        self._before: dict[str, AppState | None] = {}  # what the group has changed

    def committed(self) -> None:
        """The group is durable."""
        self._before.clear()

    def rolled_back(self) -> None:
        """The group could not be made durable: forget it."""
        for app_id, before in self._before.items():
            if before is None:
                del self.apps[app_id]
            else:
                self.apps[app_id] = before
        self._before.clear()

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        """The commands to carry out, in order, when `event` has happened. There is no clock."""
        match event:
            case AdmissionAsked():
                return self._decide(event)
            case ResumeAsked(connection, app_id):
                app = self.apps[app_id]
                is_its = app.connection == connection
                return [Answer(Status.ACCEPTED if is_its else Status.FENCED, app.row.last)]
            case CountsSent():
                return self._accept(event)
            case ConnectionClosed(connection, app_id):
                if self.apps[app_id].connection == connection:
                    self._set(app_id, self.apps[app_id].replace(connection=""))
                return []

    def _decide(self, event: AdmissionAsked) -> list[ReceiverCommand]:
        claim = event.claim
        app = self.apps.get(claim.app_id)
        if app is None:
            if len(self.apps) >= self._max_apps:
                return [Refuse(Refusal.FULL)]
            return self._admit(event, None, "") if claim.epoch <= MAX_FIRST else [_INVALID]
        if claim.epoch > app.row.epoch + MAX_EPOCH_STEP:
            return [_INVALID]
        if claim.epoch > app.row.epoch:
            return self._admit(event, app.row.last, app.connection)
        ours = (app.row.epoch, app.row.run, app.row.node_id)
        if (claim.epoch, claim.run, claim.node_id) == ours:
            self._set(claim.app_id, app.replace(connection=event.connection))
            return [Admit(app.row, new=False), *_cut_off(app.connection)]
        return [Refuse(Refusal.STALE, app.row.epoch)]

    def _admit(self, event: AdmissionAsked, last: int | None, older: str) -> list[ReceiverCommand]:
        claim = event.claim
        row = Row(claim.app_id, claim.epoch, claim.run, claim.node_id, last)
        self._set(claim.app_id, AppState(row, event.connection))
        return [StoreRow(row), Admit(row, new=True), *_cut_off(older)]

    def _accept(self, event: CountsSent) -> list[ReceiverCommand]:
        app = self.apps[event.app_id]
        have = app.row.last
        if app.connection != event.connection:
            return [Answer(Status.FENCED, have), CutOff(event.connection)]
        if have is not None and event.last <= have:
            return [Answer(Status.DUPLICATE, have)]
        if have is not None and event.first > have + 1:
            return [Answer(Status.GAP, have)]
        if have is None and event.first > MAX_FIRST:
            return [Answer(Status.INVALID, None)]
        row = app.row.replace(last=event.last)
        self._set(event.app_id, app.replace(row=row))
        first = event.first if have is None else have + 1
        order = Print(event.app_id, row.node_id, first, event.last)
        return [StoreRow(row), order, Answer(Status.ACCEPTED, event.last)]

    def _set(self, app_id: str, state: AppState) -> None:
        self._before.setdefault(app_id, self.apps.get(app_id))
        self.apps[app_id] = state


def _cut_off(connection: str) -> list[ReceiverCommand]:
    return [CutOff(connection)] if connection else []
