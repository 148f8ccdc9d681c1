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
    5. A sender may know that the ledger is an old copy: it had accepted counts that it does not
       have. Then the row is raised, and the counts in between are neither accepted again nor
       printed: they are said to be unproven. The receiver refuses that if the App has counted
       since the receiver's start, for a copy is put back before a start. It refuses more than
       MAX_LOST such counts too, for whoever has the token can say so.
    6. The ledger knows every App that ever counted, the machine not more than it has room for. If
       there is no room for one more, that one gives way which is not connected, and has not
       changed for the longest time. Nothing of it is lost: its row comes back from the ledger.

Invariants, for each App: epoch never falls; last never falls, and rises only together with a Print,
or an Unproven, of exactly the counts in between.

Events come in groups, and a group is one transaction. After the last event of a group, either
committed() or rolled_back() is called. After rolled_back() nothing of the group has happened.

The table has each event, its commands, and what it does to its App. "its connection" is the
connection from which counts are accepted. "the row" is what is durable of the App. "known to
ledger": only the ledger knows the App. A test compares the machine's every step with the rows.

    event             condition                     commands                            the App then
    AdmissionAsked    no such App, room for it      StoreRow Admit(new)                 claimed
    AdmissionAsked    no such App, an idle one      StoreRow Admit(new)                 claimed
    AdmissionAsked    no such App, no room          Refuse(full)                        unchanged
    AdmissionAsked    known to ledger, above        StoreRow Admit(new)                 claimed
    AdmissionAsked    known to ledger, the same     Admit(same)                         reconnected
    AdmissionAsked    known to ledger, stale        Refuse(stale)                       unchanged
    AdmissionAsked    known to ledger, far above    Refuse(invalid)                     unchanged
    AdmissionAsked    known to ledger, no room      Refuse(full)                        unchanged
    AdmissionAsked    epoch above the row's         StoreRow Admit(new)                 claimed
    AdmissionAsked    epoch above row's, connected  StoreRow Admit(new) CutOff          claimed
    AdmissionAsked    no such App, large epoch      Refuse(invalid)                     unchanged
    AdmissionAsked    epoch far above the row's     Refuse(invalid)                     unchanged
    AdmissionAsked    epoch, run, node of the row   Admit(same)                         reconnected
    AdmissionAsked    epoch, run, node, connected   Admit(same) CutOff                  reconnected
    AdmissionAsked    epoch of row, another run     Refuse(stale)                       unchanged
    AdmissionAsked    epoch of row, another node    Refuse(stale)                       unchanged
    AdmissionAsked    epoch below the row's         Refuse(stale)                       unchanged
    ResumeAsked       its connection, not ahead     Answer(accepted)                    unchanged
    ResumeAsked       its connection, ahead of row  Unproven StoreRow Answer(accepted)  raised
    ResumeAsked       its connection, far ahead     Answer(invalid)                     unchanged
    ResumeAsked       ahead of what has counted     Answer(invalid)                     unchanged
    ResumeAsked       its connection, no count yet  Answer(accepted)                    unchanged
    ResumeAsked       another connection            Answer(fenced)                      unchanged
    ResumeAsked       no such App                   Answer(fenced)                      unchanged
    CountsSent        its connection, the next      StoreRow Print Answer(accepted)     counted
    CountsSent        its connection, first ever    StoreRow Print Answer(accepted)     counted
    CountsSent        its connection, too large     Answer(invalid)                     unchanged
    CountsSent        its connection, partly known  StoreRow Print Answer(accepted)     counted
    CountsSent        its connection, all known     Answer(duplicate)                   unchanged
    CountsSent        its connection, not the next  Answer(gap)                         unchanged
    CountsSent        another connection            Answer(fenced) CutOff               unchanged
    CountsSent        no such App                   Answer(fenced) CutOff               unchanged
    ConnectionClosed  its connection                -                                   disconnected
    ConnectionClosed  another connection            -                                   unchanged
    ConnectionClosed  no such App                   -                                   unchanged
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
    Unproven,
)
from sendrecv.core.values import Value
from sendrecv.core.wire import MAX_EPOCH_STEP, MAX_FIRST, MAX_LOST, Claim, Refusal, Status

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Iterable


_INVALID = Refuse(Refusal.INVALID)


class AppState(Value):
    """One App: its durable row, and the connection that speaks for it ("" for none). current: it
    has counted, or was raised, since the start, so its row is no old copy.
    """

    row: Row
    connection: str = ""
    current: bool = False


class ReceiverMachine:
    """The machine. `apps` maps an appID to its state; reading it is fine."""

    def __init__(self, rows: Iterable[Row], max_apps: int) -> None:
        """`rows` as the ledger has them, the last one that changed at the end: at most `max_apps`,
        which is the room that there is.
        """
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
                self.apps.pop(app_id, None)
            else:
                self.apps[app_id] = before
        self._before.clear()

    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        """The commands to carry out, in order, when `event` has happened. There is no clock."""
        match event:
            case AdmissionAsked():
                return self._decide(event)
            case ResumeAsked():
                return self._resume(event)
            case CountsSent():
                return self._accept(event)
            case _:
                return self._close(event)

    def _close(self, event: ConnectionClosed) -> list[ReceiverCommand]:
        app = self.apps.get(event.app_id, _NOBODY)
        if app.connection == event.connection:
            self._set(event.app_id, app.replace(connection=""))
        return []

    def _decide(self, event: AdmissionAsked) -> list[ReceiverCommand]:
        claim = event.claim
        app = self.apps.get(claim.app_id)
        if app is None and event.known:
            app = AppState(event.known)
        refusal = _refusal(claim, app, event.room)
        if refusal:
            return [refusal]
        if claim.app_id not in self.apps and not self._make_room():
            return [Refuse(Refusal.FULL)]
        if app is None or claim.epoch > app.row.epoch:
            return self._admit(event, app or _NOBODY)
        self._set(claim.app_id, app.replace(connection=event.connection))
        return [Admit(app.row, new=False), *_cut_off(app.connection)]

    def _make_room(self) -> bool:
        """For one more App. They stand in the order of their last change.

        What the group has changed is not in the ledger yet, so it cannot come back from there.
        """
        if len(self.apps) < self._max_apps:
            return True
        for name, app in self.apps.items():
            if not app.connection and name not in self._before:
                self._before[name] = self.apps.pop(name)
                return True
        return False

    def _admit(self, event: AdmissionAsked, app: AppState) -> list[ReceiverCommand]:
        claim = event.claim
        row = Row(claim.app_id, claim.epoch, claim.run, claim.node_id, app.row.last)
        self._set(claim.app_id, app.replace(row=row, connection=event.connection))
        return [StoreRow(row), Admit(row, new=True), *_cut_off(app.connection)]

    def _resume(self, event: ResumeAsked) -> list[ReceiverCommand]:
        app = self.apps.get(event.app_id, _NOBODY)
        have = app.row.last
        if app.connection != event.connection:
            return [Answer(Status.FENCED, have)]
        if have is None or event.last <= have:
            return [Answer(Status.ACCEPTED, have)]
        if app.current or event.last > have + MAX_LOST:
            return [Answer(Status.INVALID, have)]
        row = app.row.replace(last=event.last)
        self._set(event.app_id, app.replace(row=row, current=True))
        lost = Print(event.app_id, row.node_id, have + 1, event.last)
        return [Unproven(lost), StoreRow(row), Answer(Status.ACCEPTED, row.last)]

    def _accept(self, event: CountsSent) -> list[ReceiverCommand]:
        app = self.apps.get(event.app_id, _NOBODY)
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
        self._set(event.app_id, app.replace(row=row, current=True))
        first = event.first if have is None else have + 1
        order = Print(event.app_id, row.node_id, first, event.last)
        return [StoreRow(row), order, Answer(Status.ACCEPTED, event.last)]

    def _set(self, app_id: str, state: AppState) -> None:
        self._before.setdefault(app_id, self.apps.pop(app_id, None))
        self.apps[app_id] = state  # at the end


_NOBODY = AppState(Row("", 0, "", "", None))
"""No App, or one that has given way: whoever still speaks for it had been fenced before."""


def _refusal(claim: Claim, app: AppState | None, room: bool) -> Refuse | None:
    """Why the claim is refused, whatever room the machine has; None if it is not."""
    if app is None:
        if not room:
            return Refuse(Refusal.FULL)
        return None if claim.epoch <= MAX_FIRST else _INVALID
    if claim.epoch > max(MAX_FIRST, app.row.epoch + MAX_EPOCH_STEP):
        return _INVALID
    ours = (app.row.epoch, app.row.run, app.row.node_id)
    if claim.epoch > app.row.epoch or (claim.epoch, claim.run, claim.node_id) == ours:
        return None
    return Refuse(Refusal.STALE, app.row.epoch)


def _cut_off(connection: str) -> list[ReceiverCommand]:
    return [CutOff(connection)] if connection else []
