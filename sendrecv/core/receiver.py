"""The receiver's machine: events in, commands out, no I/O, no clock.

Rules
    1. The highest epoch of an App that was ever admitted is the only one that is listened to
       (Kleppmann, "How to do distributed locking", 2016: fencing tokens).
    2. A count is accepted if it is last + 1 (the first ever: any). Not above last: a duplicate.
       Above last + 1: a gap. Neither is printed.
    3. Store stands before Print, Print before the Answer that accepts (durability is the order
       of a list).
    4. One run has one connection: the newest.

Invariants: for each App epoch never falls; last never falls and rises only together with a Print
of exactly the counts between.

Events come in groups, and a group is one transaction: after its last event either committed() or
rolled_back() is called, and after rolled_back() nothing of the group has happened.

    event           condition                         commands
    claim           no row, or epoch above the row's  Store, Admit (new), CutOff the older one
                    epoch, run, node are the row's    Admit, CutOff the older one
                    otherwise                         Refuse (stale, the row's epoch)
    resume          the App's connection              Answer (accepted, last)
                    any other                         Answer (fenced)
    counts          the App's connection, next        Store, Print, Answer (accepted)
                    the App's connection, otherwise   Answer (duplicate or gap)
                    any other                         Answer (fenced), CutOff
    closed          -                                 none
"""

from __future__ import annotations

from sendrecv.core.receiver_events import (
    Admit,
    Answer,
    CutOff,
    Print,
    ReceiverCommand,
    Refuse,
    Row,
    Store,
)
from sendrecv.core.values import Value
from sendrecv.core.wire import Claim, Refusal, Status

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Iterable


class AppState(Value):
    """One App: its durable row, and the connection that speaks for it ("" for none)."""

    row: Row
    connection: str = ""


class ReceiverProtocol:
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

    def claim(self, ticket: int, connection: str, claim: Claim) -> list[ReceiverCommand]:
        """A connection asks to be let in, its token checked."""
        app = self.apps.get(claim.app_id)
        if app is None:
            if len(self.apps) >= self._max_apps:
                return [Refuse(ticket, Refusal.FULL)]
            return self._admit(ticket, connection, claim, None, "")
        if claim.epoch > app.row.epoch:
            return self._admit(ticket, connection, claim, app.row.last, app.connection)
        ours = (app.row.epoch, app.row.run, app.row.node_id)
        if (claim.epoch, claim.run, claim.node_id) == ours:
            self._set(claim.app_id, app.replace(connection=connection))
            return [Admit(ticket, app.row, new=False), *_cut_off(app.connection)]
        return [Refuse(ticket, Refusal.STALE, app.row.epoch)]

    def resume(self, ticket: int, connection: str, app_id: str) -> list[ReceiverCommand]:
        """The connection asks for the last count."""
        app = self.apps[app_id]
        status = Status.ACCEPTED if app.connection == connection else Status.FENCED
        return [Answer(ticket, status, app.row.last)]

    def counts(
        self, ticket: int, connection: str, app_id: str, first: int, last: int
    ) -> list[ReceiverCommand]:
        """The connection sends the counts `first` to `last`."""
        app = self.apps[app_id]
        have = app.row.last
        if app.connection != connection:
            return [Answer(ticket, Status.FENCED, have), CutOff(connection)]
        if have is not None and last <= have:
            return [Answer(ticket, Status.DUPLICATE, have)]
        if have is not None and first > have + 1:
            return [Answer(ticket, Status.GAP, have)]
        row = app.row.replace(last=last)
        self._set(app_id, app.replace(row=row))
        first = first if have is None else have + 1
        order = Print(app_id, row.node_id, first, last)
        return [Store(row), order, Answer(ticket, Status.ACCEPTED, last)]

    def closed(self, connection: str, app_id: str) -> None:
        """The connection has ended."""
        app = self.apps[app_id]
        if app.connection == connection:
            self._set(app_id, app.replace(connection=""))

    def _admit(
        self, ticket: int, connection: str, claim: Claim, last: int | None, older: str
    ) -> list[ReceiverCommand]:
        row = Row(claim.app_id, claim.epoch, claim.run, claim.node_id, last)
        self._set(claim.app_id, AppState(row, connection))
        return [Store(row), Admit(ticket, row, new=True), *_cut_off(older)]

    def _set(self, app_id: str, state: AppState) -> None:
        self._before.setdefault(app_id, self.apps.get(app_id))
        self.apps[app_id] = state


def _cut_off(connection: str) -> list[ReceiverCommand]:
    return [CutOff(connection)] if connection else []
