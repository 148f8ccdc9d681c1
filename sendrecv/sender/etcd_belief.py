"""What a process knows of its App, and whether what etcd says of it can be true.

With etcds:// its certificate proves who etcd is. Without, anybody may listen in its place: on
another host, or on this one while etcd is stopped. Then a count, or an epoch, that this App cannot
have reached since this host's record was written is not believed, as one of the receiver's
(core/reach.py); a person decides.
"""

from __future__ import annotations

import time

from sendrecv.core.errors import ERROR, NOTICE
from sendrecv.core.reach import MOST_UNKNOWN, belief
from sendrecv.core.sender_events import Accepted

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.core.lease import Holding
    from sendrecv.core.reach import App
    from sendrecv.core.record import Record


class KnownRecord:
    """What this process knows. record: the newest of the App; None for none. has_seen: a key."""

    def __init__(self, doubts: Doubts | None) -> None:
        """`doubts`: None if etcd has proven who it is."""
        self.record: Record | None = None
        self.has_seen = False
        self._doubts = doubts

    def doubt(self, holding: Holding | None, own: Record | None) -> str:
        """Why what the key says is not believed, for people; "" if it is. own: see Doubts."""
        if holding is None or self._doubts is None:
            return ""
        return self._doubts.why(holding.record, own)

    def see(self, holding: Holding | None) -> None:
        """The key says that, or there is none."""
        self.record = self.newest(holding)
        self.has_seen = self.has_seen or holding is not None

    def newest(self, holding: Holding | None) -> Record | None:
        """The key's record; or the known one, if that is newer: of the same epoch with more counts,
        or of an App that etcd does not know.
        """
        there = holding.record if holding else None
        if there is None or self.record is None:
            return there or self.record
        return max(there, self.record, key=lambda record: (record.epoch, record.count))


class Doubts:
    """What this host does not believe. accepted: what a person has, see store.Store. say: a line
    for the journal.
    """

    def __init__(
        self,
        app: App,
        accepted: Callable[[], Accepted | None],
        say: Callable[[int, str], None],
    ) -> None:
        self._app = app
        self._asked = accepted
        self._say = say
        self._accepted = Accepted()
        self._told = ""

    def why(self, there: Record, own: Record | None) -> str:
        """Why etcd's record is not believed, for people; "" if it can be true. own: this host's."""
        for what, theirs, ours, can_be in self._compared(there, own):
            if not can_be:
                if not self._told.startswith(what):
                    self._told = f"{what}: {theirs}"
                    self._say(ERROR, self._text(what, theirs, ours))
                return f"etcd's {what} {theirs} is not believed (see the journal)"
        self._told = ""
        return ""

    def _compared(self, there: Record, own: Record | None) -> list[tuple[str, int, int, bool]]:
        now, app = time.monotonic_ns(), self._app
        # A clock that was wrong when this process began may be right now.
        believed = belief(
            app.replace(booted=time.time_ns() - now), own, own.epoch if own else 0, now
        )
        count, acknowledged = (own.count, own.acknowledged) if own else (-1, -1)
        can_count = believed.in_count(there.count, count, acknowledged, now)
        can_epoch = believed.in_epoch(there.epoch)
        if own and not own.heard and own.boot != app.boot:  # nobody knows how old it is
            can_count = can_count or there.count <= MOST_UNKNOWN
        if not (can_count and can_epoch) and (accepted := self._asked()):
            self._accepted = accepted
            self._say(NOTICE, f"accepted by a person: {accepted.text()}")
        return [
            ("count", there.count, count, can_count or there.count <= self._accepted.count),
            (
                "epoch",
                there.epoch,
                own.epoch if own else 0,
                can_epoch or there.epoch <= self._accepted.epoch,
            ),
        ]

    def _text(self, what: str, theirs: int, ours: int) -> str:
        return (
            f"etcd's record has {what} {theirs}, but this App was at {ours} here and cannot have"
            " come so far, so this host stands by: if etcd is the right one, run: sendrecv accept"
            f" {self._app.app_id} --{what} {theirs}"
        )
