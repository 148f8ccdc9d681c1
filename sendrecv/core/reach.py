"""How far an App can have come since its record. What lies beyond is not believed in silence.

The receiver's last count is mostly the truth, and is adopted: the record may have been put back
from a backup. But a wrong count that was adopted could never be taken back. So the sender first
asks whether this App can have taken so many counts since the receiver was last heard. And of a
smaller count it asks whether the receiver's ledger is an old copy (KnownLedger), or lacks more than
any fault explains: then a record is wrong, or the receiver is.

What this relies on: within one boot, the monotonic clock. Across boots, the wall clock or the time
since this boot began, whichever says that more time has passed. So a wall clock that is set back
can make a true count look wrong, until a process starts with a right clock, or a person accepts the
count. A clock that is set forward can make a wrong count look true. No clock makes a count be taken
twice or left out.
"""

from __future__ import annotations

from sendrecv.core.record import Record
from sendrecv.core.sender_events import Accepted, Resumed
from sendrecv.core.values import SECOND, Value
from sendrecv.core.wire import MAX_BATCH, MAX_FIRST

LEAST_INTERVAL = SECOND // 100_000
"""No App counts faster, whatever its interval is."""
MARGIN = 2
"""Clocks may differ, and another host's sender of the same App may have counted in between."""
MOST_AGAIN = 100_000
"""Acknowledged counts that are sent again to a receiver that does not have them; or as many as the
App takes in AGAIN."""
AGAIN = 3600 * SECOND
SPARE = 2 * MAX_BATCH
"""Counts that need no time. The newest slot of a record may be damaged: one batch at most."""
EPOCHS = 2**20
"""Starts since the record: one a second for twelve days."""
MOST_UNKNOWN = MAX_FIRST // 2
"""The largest last count, and epoch, that an App without a count of its own is told and believes.
It goes on above that number, and a receiver that does not know the App refuses what is above
MAX_FIRST. So there is room between the two for all that an App can ever count."""


class App(Value):
    """Who this process is. interval: nanoseconds between counts, 0 for as fast as acknowledged.
    booted: what the wall clock said when this boot began, in nanoseconds; 0 if not known.
    """

    app_id: str
    node_id: str
    run: str
    boot: str
    interval: int
    booted: int = 0


class Reach(Value):
    """What is known of the time since the receiver was last heard.

    booted: what the wall clock said when this boot began, in nanoseconds; 0 if not known. heard:
    what the wall clock said when the receiver was last heard, in seconds; 0 if not known. since: a
    time of the monotonic clock that is not before that. fastest: the shortest interval in between,
    in nanoseconds. spare: what is left of SPARE. It is not renewed while a process runs, so that a
    wrong receiver cannot take it again and again.
    """

    booted: int
    heard: int
    since: int
    fastest: int
    spare: int = SPARE

    def counts(self, now: int) -> int:
        """How many counts the App can have taken since then, without the spare ones."""
        by_wall = self.booted + now - self.heard * SECOND if self.booted and self.heard else 0
        elapsed = max(now - self.since, by_wall, 0)
        return MARGIN * elapsed // max(self.fastest, LEAST_INTERVAL)

    def after(self, beyond: int, interval: int, now: int) -> Reach:
        """The receiver was heard now; `beyond` counts were not explained by the time."""
        heard = (self.booted + now) // SECOND if self.booted else 0
        return Reach(self.booted, heard, now, interval, self.spare - beyond)


class Belief(Value):
    """What a sender believes. known: there is a count; if not, the first one waits for the
    receiver's answer. interval: from now on. reach: of the count. most_epoch: the greatest epoch
    that is believed. accepted: by a person, and not used yet. doubt: why the receiver is not
    believed, "" if it is.
    """

    known: bool
    interval: int
    reach: Reach
    most_epoch: int
    accepted: Accepted = Accepted()
    doubt: str = ""

    def in_count(self, last: int, count: int, acknowledged: int, now: int) -> bool:
        """Whether that last count can be true. count, acknowledged: this sender's."""
        if last <= max(count, self.accepted.count):
            return True
        if not self.known:
            return last <= MOST_UNKNOWN
        return self._beyond(last, count, acknowledged, now) <= self.reach.spare

    def is_far_back(self, last: int, acknowledged: int) -> bool:
        """Whether a receiver that knows the App lacks more than is sent again by itself."""
        most = max(MOST_AGAIN, AGAIN // max(self.reach.fastest, LEAST_INTERVAL))
        return 0 <= last < acknowledged - most

    def in_epoch(self, epoch: int) -> bool:
        """Whether the receiver can have that epoch."""
        return epoch <= max(self.most_epoch, self.accepted.epoch)

    def resumed(self) -> Belief:
        """The receiver has said something that can be true."""
        return self if self.known and not self.doubt else self.replace(doubt="", known=True)

    def heard(self, last: int, count: int, acknowledged: int, now: int) -> Belief:
        """That last count is adopted."""
        beyond = self._beyond(last, count, acknowledged, now)
        if beyond > self.reach.spare:  # accepted, once; or the first that this App knows
            unexplained = self.replace(accepted=Accepted())
            return unexplained.replace(reach=self.reach.after(0, self.interval, now))
        return self.replace(reach=self.reach.after(beyond, self.interval, now))

    def raised(self, epoch: int) -> Belief:
        """This sender's epoch was raised to `epoch`."""
        if epoch <= self.most_epoch + 1:
            return self
        return self.replace(accepted=Accepted(), most_epoch=epoch + EPOCHS)

    def doubting(self, app_id: str, what: str, theirs: int, ours: int) -> Belief:
        """The receiver says that number, which is not believed. what: "count" or "epoch"."""
        said = f"the receiver's last {what} is {theirs}, "
        if self.doubt.startswith(said):  # ours changes meanwhile, but that is no news
            return self
        why = (
            f"but this App is at {ours} and cannot have come so far: if the receiver is right,"
            " run: sendrecv accept"
        )
        if theirs < ours:
            why = (
                f"but {ours} was acknowledged: if the App is to go on after {theirs},"
                " run: sendrecv accept"
            )
        return self.replace(doubt=f"{said}{why} {app_id} --{what} {theirs}")

    def _beyond(self, last: int, count: int, acknowledged: int, now: int) -> int:
        """How many counts are not explained by the sender's own, or by the time."""
        return max(last - max(count, acknowledged + self.reach.counts(now)), 0)


class KnownLedger(Value):
    """The receiver's ledger that has the acknowledged count. name: "" if it is not known. sent: the
    last count that it can have been sent. told: the connection in which it was told that it is an
    old copy, 0 for none.
    """

    name: str
    sent: int
    told: int = 0

    def is_old(self, event: Resumed, acknowledged: int) -> bool:
        """Whether the receiver has an old copy of it, and was not told so in this connection."""
        is_it = self.name != "" and event.ledger == self.name
        return is_it and 0 <= event.last < acknowledged and event.connection != self.told


def known_ledger(record: Record | None) -> KnownLedger:
    """As the record has it. It does not say which of its counts were sent."""
    if record is None:
        return KnownLedger("", -1)
    return KnownLedger(record.ledger, min(record.count, record.acknowledged + MAX_BATCH))


def belief(app: App, record: Record | None, epoch: int, now: int) -> Belief:
    """What is believed at the start of a process, with this record and this epoch."""
    if record is None:
        return Belief(False, app.interval, Reach(app.booted, 0, now, app.interval), MOST_UNKNOWN)
    fastest = app.interval if record.fastest < 0 else min(record.fastest, app.interval)
    # Its due time may be one interval in the future.
    since = min(record.due, now) if record.boot == app.boot else 0
    reach = Reach(app.booted, record.heard, since, fastest)
    known = record.count >= 0
    return Belief(known, app.interval, reach, epoch + EPOCHS if known else MOST_UNKNOWN)
