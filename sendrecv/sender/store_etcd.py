"""The store of an App on several hosts: one key in etcd, and this host's own file and lock.

The rules are in core/lease.py. The file is locked as on a single machine, so only one half of this
host stands by or counts. It holds the record as this host knew it last: for a host that becomes a
single machine again, and for SENDRECV_ETCD_OUTAGE=continue.
"""

from __future__ import annotations

import errno
import time

from sendrecv.core import lease
from sendrecv.core.errors import NOTICE, WARNING, UnknownFormat
from sendrecv.core.lease import NOTHING_SEEN, Here, Holding, LeaseLost, Sight, Tenure
from sendrecv.core.record import Record
from sendrecv.core.values import MILLISECOND, SECOND
from sendrecv.errors import RecordFromFuture
from sendrecv.sender.etcd import EtcdError, Key, Written

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.core.reach import App
    from sendrecv.core.sender_events import Accepted
    from sendrecv.sender.etcd import Etcd
    from sendrecv.sender.store_file import StateFile

ANSWER = 0.5
"""Seconds for one request. A sender must ping its watchdog meanwhile."""
AGAIN = 0.1
"""Seconds between two requests while etcd does not answer."""
READS = 8
"""How often a stand-by reads the key in one lease. A watch tells of most changes at once."""


def boot_time() -> int:
    """Nanoseconds of a clock that goes on while the host is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class EtcdStore:
    """See the module. Attributes as store.Store has them. said: what is to be logged."""

    def __init__(
        self,
        app: App,
        here: Here,
        local: StateFile,
        etcd: Etcd,
        leaves_host: Callable[[], bool],
        clock: Callable[[], int] = boot_time,
    ) -> None:
        """`leaves_host`: whether this process ends because the App, or the host, is stopped."""
        self.path = f"/sendrecv/{app.app_id}/record"
        self.notices = local.notices
        self.said: list[tuple[int, str]] = []
        self._app = app
        self._here = here
        self._local = local
        self._etcd = etcd
        self._leaves_host = leaves_host
        self._now = clock
        self._known: Record | None = None  # the newest of this App that this process knows
        self._tenure: Tenure | None = None
        self._holding: Holding | None = None  # as it was written last
        self._told = ""  # for whom this host stands by

    # See store.Store.

    def acquire(self) -> tuple[Record | None, int]:
        """This host's lock and record. See stand_by() for the lease."""
        self._known, epoch = self._local.acquire()
        return self._known, epoch

    def verify(self) -> None:
        """See store.Store. Raises LeaseLost, too."""
        self._local.verify()
        self.hold()

    def commit(self, record: Record) -> None:
        """See store.Store. Raises LeaseLost, too."""
        assert self._holding is not None
        self._write(self._holding.replace(record=record))

    def accepted(self) -> Accepted | None:
        """See store.Store."""
        return self._local.accepted()

    def release(self) -> None:
        """See store.Store. The lease is kept for the other half of this host, or released."""
        if self._tenure is not None and self._holding is not None:
            if self._leaves_host():
                self._release_lease(self._holding)
            self._keep_here(self._holding.record)
        self._local.release()
        self._etcd.close()

    # The lease.

    def stand_by(self, idle: Callable[[str, float], bool]) -> tuple[Record | None, int] | None:
        """Wait until the App may be taken, and take it: see acquire(). None: told to stop.

        idle(status, seconds): waits so long, or less; false: stop.
        """
        self._tenure = self._holding = None
        sight = NOTHING_SEEN
        while True:
            sight, holding, status = self._look(sight)
            if why := self._here.why(sight, holding, self._now()):
                if found := self._take(sight.revision, holding, why):
                    return found
                continue
            if holding is not None and (who := _standing_by(holding)) != self._told:
                self._told = who
                self._say(NOTICE, who)
            if not idle(status, self._pause(sight, holding)):
                return None

    def hold(self) -> None:
        """Return if a count may be sent now. Raises LeaseLost, or OSError if etcd is silent."""
        if self._tenure is None or not self._tenure.may_send(self._now()):
            self.renew()

    def status(self) -> str:
        """What a person wants to know of the lease that is held."""
        assert self._holding is not None
        since = _time(self._holding.since)
        return f"counting here since {since}, count {self._holding.record.count}"

    def renews_in(self) -> float:
        """Seconds until renew() should be called."""
        assert self._tenure is not None
        return max(self._tenure.renews_at() - self._now(), 0) / SECOND

    def renew(self) -> None:
        """Write the key again. Raises LeaseLost, or OSError if etcd does not answer."""
        assert self._holding is not None
        self._write(self._holding)

    # Standing by.

    def _look(self, sight: Sight) -> tuple[Sight, Holding | None, str]:
        sent = self._now()
        try:
            key = self._etcd.get(self.path, ANSWER)
        except EtcdError as error:
            return sight.unanswered(), None, f"standing by, {error}"
        sight = sight.shown(key.revision if key else 0, sent, self._now())
        holding = self._read(key)
        if holding is None:
            return sight, None, "no host counts"
        return sight, holding, f"{_standing_by(holding)}, count {holding.record.count}"

    def _read(self, key: Key | None) -> Holding | None:
        if key is None:
            return None
        try:
            holding = lease.decode(key.value)
        except UnknownFormat as error:
            raise RecordFromFuture(f"etcd, {self.path}: {error}", "install that version") from None
        if holding is None or holding.record.app_id != self._app.app_id:
            raise RecordFromFuture(f"etcd, {self.path}: not a record of this App", "remove the key")
        return holding

    def _pause(self, sight: Sight, holding: Holding | None) -> float:
        """Seconds until the next look: when a lease is over, if that is sooner."""
        if holding is None or sight.answering < 0:
            return AGAIN
        longest = self._here.longest(holding)
        left = sight.expires_at(longest) - self._now()
        return min(max(left, MILLISECOND), longest // READS) / SECOND

    def _take(
        self, revision: int, holding: Holding | None, why: str
    ) -> tuple[Record | None, int] | None:
        """Write the key under a new epoch; None if another host was faster, or etcd is silent."""
        known = self._newest(holding)
        epoch = known.epoch + 1 if known else 1
        app = self._app
        record = Record(app.app_id, epoch, -1, -1, 0, app.boot, app.node_id, app.run)
        if known:
            due = known.due if known.boot == app.boot else 0
            record = known.replace(
                epoch=epoch, due=due, boot=app.boot, node_id=app.node_id, run=app.run
            )
        wanted = Holding(
            record, self._here.host, self._here.place, int(time.time()), self._here.lease
        )
        self._tenure = Tenure(revision, self._now(), self._here.lease)
        try:
            self._write(wanted)
        except (LeaseLost, OSError):
            self._tenure = None
            return None
        self._keep_here(record)
        self._say(NOTICE, f"epoch {epoch}, counting here: {why}")
        return (record if known else None), epoch

    def _newest(self, holding: Holding | None) -> Record | None:
        """The key's record; or this host's, if it is newer: of the same epoch with more counts, or
        of an App that etcd does not know."""
        there = holding.record if holding else None
        if there is None or self._known is None:
            return there or self._known
        return max(there, self._known, key=lambda record: (record.epoch, record.count))

    # Writing.

    def _write(self, holding: Holding) -> None:
        """One transaction, compared with the last revision. Raises LeaseLost or OSError."""
        assert self._tenure is not None
        value = lease.encode(holding)
        for _ in range(3):
            sent = self._now()
            try:
                done = self._etcd.put_if(self.path, self._tenure.revision, value, ANSWER)
            except EtcdError as error:
                raise OSError(errno.ETIMEDOUT, str(error)) from None
            if isinstance(done, Written):
                return self._written(holding, done.revision, sent)
            if done.key is not None and done.key.value == value:
                return self._written(holding, done.key.revision, sent)  # a copy of it was faster
            self._tenure = self._tenure.replace(revision=self._own(done.key))
        raise OSError(errno.EAGAIN, "etcd: the key changes all the time")

    def _written(self, holding: Holding, revision: int, sent: int) -> None:
        self._holding, self._known = holding, holding.record
        self._tenure = Tenure(revision, sent, self._here.lease)

    def _own(self, key: Key | None) -> int:
        """The revision of a write of this run, of which no answer had come. Raises LeaseLost."""
        holding = self._read(key)
        if key is None or holding is None:
            raise LeaseLost(f"etcd: {self.path} is gone")
        if holding.record.run != self._app.run or holding.released:
            self._told = _standing_by(holding)
            raise LeaseLost(self._told)
        return key.revision

    def _release_lease(self, holding: Holding) -> None:
        try:
            self._write(holding.replace(released=True))
        except (LeaseLost, OSError):
            pass  # then others wait until it is over

    def _keep_here(self, record: Record) -> None:
        try:
            self._local.commit(record)
        except OSError as error:
            self._say(WARNING, f"{self._local.path}: {error.strerror}, ignoring")

    def _say(self, severity: int, text: str) -> None:
        self.said.append((severity, text))


def _standing_by(holding: Holding) -> str:
    who = f"{holding.host} ({holding.record.node_id})"
    if holding.released:
        return f"standing by, {who} has released the App"
    return f"standing by, {who} counts since {_time(holding.since)}"


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
