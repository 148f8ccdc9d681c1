"""Whether the promises were kept: of the lines, after the run; of each step, while it runs.

It shares no code with the machines but the record's decoding, and reads a line as anyone would.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from sendrecv.core import record as slots
from sendrecv.core.lines import parse_probe
from sendrecv.core.receiver_events import Admit, Print
from sendrecv.core.record import Record
from sendrecv.core.wire import Claim
from sendrecv.errors import RecordFromFuture
from sendrecv.receiver.ledger import Ledger

if TYPE_CHECKING:
    from tests.simulation.kernel import Inode


class Violation(AssertionError):
    """A promise was broken, or a rule that stands behind one."""


def require(held: object, what: str) -> None:
    """Raise Violation unless it held."""
    if not held:
        raise Violation(what)


class Lines:
    """The journal's lines: for each App 0, 1, 2, ... `last` is the last one of each. They begin
    anew where an App is said to be forgotten.

    `erased`: lines of which nobody could know any more, and which may be missing.
    """

    def __init__(self, lines: Iterable[str], erased: Container[str] = ()) -> None:
        self.last: dict[str, int] = {}
        self._forgotten: dict[str, int] = {}
        self._erased = erased
        for line in lines:
            self._read(line)

    def _read(self, line: str) -> None:
        if line.startswith("forgotten "):
            app_id = json.loads(line.removeprefix("forgotten "))["appID"]
            if app_id in self.last:
                self._forgotten[app_id] = self.last.pop(app_id)
            return
        if parse_probe(line.rstrip("\n")) is not None:
            return
        try:
            payload = json.loads(line)
        except ValueError:
            raise Violation(f"not a payload: {line}") from None
        require(isinstance(payload, dict), f"not a payload: {line}")
        require(list(payload) == ["count", "appID", "nodeID"], f"not a payload: {line}")
        require(payload["nodeID"] in {"main", "failover"}, f"whose is it? {line}")
        expected = self.last.get(payload["appID"], -1) + 1
        before = self._before_it_was_forgotten(payload["appID"])
        if expected <= payload["count"] <= before + 1:
            expected = payload["count"]  # it was interrupted: the sender's record was not removed
        while expected < payload["count"] and self._was_erased(payload["appID"], expected):
            expected += 1
        require(payload["count"] == expected, f"{line} where {expected} was expected")
        self.last[payload["appID"]] = expected

    def _before_it_was_forgotten(self, app_id: str) -> int:
        """The last count then, also if its line is missing; -1 if the App was not forgotten."""
        before = self._forgotten.pop(app_id, -1)
        while before >= 0 and self._was_erased(app_id, before + 1):
            before += 1
        return before

    def _was_erased(self, app_id: str, count: int) -> bool:
        payloads = (
            {"count": count, "appID": app_id, "nodeID": node_id} for node_id in ("main", "failover")
        )
        return any(json.dumps(payload) in self._erased for payload in payloads)


class Witness:
    """Sees what each process does, and how durable that is at that moment."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}  # accepted, of each App
        self.seen: Counter[tuple[object, ...]] = Counter()  # answers of the receiver, by kind
        self._epochs: dict[str, tuple[int, str]] = {}  # the newest, and whose it is
        self._runs: dict[str, list[str]] = {}

    def saw(self, *what: object) -> None:
        """The receiver answers so."""
        self.seen[what] += 1

    def claimed(self, inode: Inode | None, claim: Claim) -> None:
        """A sender connects: its epoch is on its disk."""
        record = _durable(inode)
        require(record and record.epoch >= claim.epoch, f"{claim} is not on disk: {record}")

    def emitted(self, inode: Inode | None, last: int) -> None:
        """A sender sends counts: they are on its disk."""
        record = _durable(inode)
        require(record and record.count >= last, f"count {last} is not on disk: {record}")

    def admitted(self, command: Admit, claim: Claim) -> None:
        """The receiver lets a session in: epochs grow. But a run may be new to a receiver whose
        ledger is an old copy, which the journal cannot tell: then it comes with its epoch again.
        """
        epoch, (before, run) = claim.epoch, self._epochs.get(claim.app_id, (0, ""))
        is_newer = epoch > before if command.new and claim.run != run else epoch >= before
        require(is_newer, f"{claim} after {before}")
        if command.new:
            self._epochs[claim.app_id] = epoch, claim.run

    def forgotten(self, app_id: str) -> None:
        """Its counts and epochs begin anew."""
        self._epochs.pop(app_id, None)
        self.last.pop(app_id, None)

    def ledger_lost(self) -> None:
        """From now on the receiver cannot know which epochs there were."""
        self._epochs.clear()

    def stored(self, order: Print, claim: Claim) -> None:
        """Counts are accepted: each run's are in one piece."""
        runs = self._runs.setdefault(order.app_id, [])
        if not runs or runs[-1] != claim.run:
            require(claim.run not in runs, f"{order} of run {claim.run} after those of {runs[-1:]}")
            runs.append(claim.run)
        self.last[order.app_id] = order.last
        require(order.node_id == claim.node_id, f"{order} was sent by {claim}")

    def answered(
        self, ledger: Ledger | None, app_id: str, last: int | None, unprinted: Iterable[Print]
    ) -> None:
        """The receiver says what it has: that is durable, and printed."""
        for order in unprinted:
            early = order.app_id == app_id and last is not None and order.first <= last
            require(not early, f"{app_id}: the answer says {last}, {order} is still to be printed")
        rows = ledger.rows() if ledger else []
        stored = next((row.last for row in rows if row.app_id == app_id), None)
        durable = last is None or (stored is not None and stored >= last)
        require(durable, f"{app_id}: the answer says {last}, the ledger {stored}")


def _durable(inode: Inode | None) -> Record | None:
    try:
        return slots.decode(inode.promised).record if inode else None
    except RecordFromFuture:
        return None
