"""The lease that a process of an App on several hosts holds: one key in etcd.

The rules are in core/lease.py. store_etcd.py has how a host stands by until it may take the lease.
"""

from __future__ import annotations

import errno
import time

from sendrecv.core import lease
from sendrecv.core.errors import NOTICE, WARNING, UnknownFormat
from sendrecv.core.lease import HandedOver, Here, Holding, LeaseLost, Move, Tenure, Writes
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND
from sendrecv.errors import RecordFromFuture, SendrecvError
from sendrecv.sender.etcd import EtcdError, EtcdKey, Written
from sendrecv.sender.etcd_outage import Outage

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.core.reach import App
    from sendrecv.sender.etcd import Etcd

ANSWER, AGAIN = 8, 40
"""Parts of the lease: how long a request may take, and how long the next one waits after one that
had no answer. Both together must be less than a quarter, see rule 4 of core/lease.py. And a sender
must ping its watchdog meanwhile.
"""


NO_BOOT = "0" * 32
"""In this host's file: another host has the lease, or may take it."""


class HeldLease:
    """The lease of one process, or none. Attribute said: what is to be logged. own: the record as
    it is to be in this host's file; with this boot if this host has the lease.
    """

    def __init__(
        self,
        app: App,
        here: Here,
        etcd: Etcd,
        keep: Callable[[Record], None],
        clock: Callable[[], int],
        *,
        continues: bool,
    ) -> None:
        """`keep`: writes a record to this host's file, durably. `continues`: see EtcdStore."""
        self.path = f"/sendrecv/{app.app_id}/record"
        self.said: list[tuple[int, str]] = []
        self.own: Record | None = None
        self._app = app
        self._here = here
        self._etcd = etcd
        self._keep = keep
        self._now = clock
        self._continues = continues
        self._tenure: Tenure | None = None
        self._holding: Holding | None = None  # as it was written last
        self._outage: Outage | None = None  # in which it counts on
        self._writes = Writes()

    @property
    def move_path(self) -> str:
        """The key of a wish to move."""
        return f"/sendrecv/{self._app.app_id}/move"

    @property
    def answer(self) -> float:
        """Seconds for a request."""
        return self._here.lease / ANSWER / SECOND

    @property
    def again(self) -> float:
        """Seconds between two requests of which the first had no answer."""
        return self._here.lease / AGAIN / SECOND

    @property
    def record(self) -> Record | None:
        """What is held; None if nothing is."""
        return self._holding.record if self._holding else None

    @property
    def why_not(self) -> str:
        """What etcd said when this process tried to take the lease; "": another host was faster."""
        return self._writes.refused

    @property
    def is_out(self) -> bool:
        """Whether it counts on without etcd, which a thread asks."""
        return self._outage is not None

    def take(self, revision: int, wanted: Holding, absent: str = "") -> bool:
        """Write the key, if it has that revision, and the key `absent` is not there; false: another
        host was faster, the App is paused, or no answer.
        """
        self._tenure = Tenure(revision, self._now() - self._here.lease, self._here.lease)
        try:
            self._write(wanted, absent)
        except OSError as error:
            self._tenure = None
            self._writes.refused = error.strerror or ""
            return False
        except LeaseLost as lost:
            self._tenure = None
            self._writes.refused = ""
            self._heed(lost.found)
            return False
        return True

    def keep(self, record: Record) -> None:
        """On this host. Raises OSError."""
        self.own = record
        self._keep(record)

    def let_go(self) -> None:
        """This host has not the lease any more, as far as its file says: what starts here goes on
        from that only if etcd answers. Does nothing if that is so, or cannot be written.
        """
        known = self.record or self.own
        if self._continues and known and known.boot == self._app.boot:
            self._keep_if_possible(known.replace(boot=NO_BOOT))

    def take_without_etcd(self) -> tuple[Record, int] | None:
        """This host had the lease when its last process ended, and etcd does not answer. None if
        that is not so, or if this host's file cannot be written.
        """
        known = self.own
        if not self._continues or known is None or known.boot != self._app.boot:
            return None
        epoch = known.epoch + 1
        record = known.replace(epoch=epoch, node_id=self._app.node_id, run=self._app.run)
        try:
            self._keep(record)
        except OSError:
            return None
        self.own = record
        here, why = self._here, "this host held the App, and etcd does not answer"
        self._holding = Holding(record, here.host, here.place, int(time.time()), here.lease, why)
        self._tenure = Tenure(-1, self._now() - here.lease, here.lease)
        self._outage = Outage(self._attempt, 2 * self.again)
        self._say(WARNING, f"epoch {epoch}, counting here without etcd: {why}")
        return record, epoch

    def commit(self, record: Record) -> None:
        """Write the key with this record. Raises LeaseLost, or OSError if etcd does not answer."""
        assert self._holding is not None
        if self._is_out(record.epoch):
            self.keep(record)
            self._holding = self._holding.replace(record=record)
            return
        try:
            self._write(self._holding.replace(record=record))
            if self._continues and record != self.own:
                # A process that starts without etcd goes on from there: see take_without_etcd().
                self._keep_if_possible(record)
        except OSError as error:
            if not self._continues or (self.own and self.own.boot == NO_BOOT):
                raise  # it must not count on, or has just tried to hand the App over
            self.keep(record)
            # Before the attempts begin: a count that etcd may have does not fall.
            self._holding = self._holding.replace(record=record)
            self._say(
                WARNING, f"{error.strerror}: counting on without etcd, see SENDRECV_ETCD_OUTAGE"
            )
            self._outage = Outage(self._attempt, 2 * self.again)

    def renew(self) -> None:
        """Write the key again. Raises LeaseLost, or OSError if etcd does not answer."""
        assert self._holding is not None
        self.commit(self._holding.record)

    def hold(self) -> None:
        """Return if a count may be sent now. Raises LeaseLost, or OSError if etcd is silent."""
        assert self._tenure is not None and self._holding is not None
        if self._is_out(self._holding.record.epoch) or self._tenure.may_send(self._now()):
            return
        self.renew()
        # The answer may come late, or this process may have been stopped until now.
        if not self._is_out(self._holding.record.epoch) and not self._tenure.may_send(self._now()):
            raise OSError(errno.ETIMEDOUT, "etcd answers too late for the lease")

    def renews_in(self) -> float:
        """Seconds until renew() should be called."""
        assert self._tenure is not None
        if self._outage is not None:
            return self.again
        return max(self._tenure.renews_at() - self._now(), 0) / SECOND

    def status(self) -> str:
        """What a person wants to know of the lease that is held."""
        assert self._holding is not None
        since = _time(self._holding.since)
        return f"counting here since {since}, count {self._holding.record.count}"

    def give_up(self) -> None:
        """Hold nothing any more, as far as this process is concerned."""
        if self._outage is not None:
            self._outage.close()
        self._tenure = self._holding = self._outage = None
        self._writes.forget()

    def release(self) -> None:
        """For any host. Does nothing without the lease, or without etcd."""
        if self._holding is None or self._outage is not None:
            return
        self.let_go()
        newest = self._writes.unheard or self._holding  # a count that etcd may have does not fall
        try:
            self._write(newest.replace(released=True, why="stopped"))
        except (LeaseLost, OSError):
            pass  # then others wait until it is over

    def hand_over(self, to: str, why: str) -> None:
        """Release the lease for that host. Raises LeaseLost, or OSError if etcd does not answer."""
        assert self._holding is not None and self._tenure is not None
        if self._is_out(self._holding.record.epoch):
            raise OSError(errno.ETIMEDOUT, "etcd does not answer")
        if to == self._here.host:
            self._say(NOTICE, "asked to hand the App over to this host, which has it")
            return
        self.let_go()
        # If no answer comes, that host may have it all the same: nothing may be sent any more.
        self._tenure = self._tenure.replace(sent=self._now() - self._tenure.lease)
        self._write(self._holding.replace(released=True, to=to, why=why))
        raise HandedOver(f"handed the App over to {to}")

    def asked(self) -> Move | None:
        """What a person wishes, told by another host."""
        if self._outage is not None:
            return None
        try:
            key = self._etcd.get(self.move_path, self.answer)
        except EtcdError:
            return None
        move = lease.decode_move(key.value) if key else None
        is_new = move and self._holding and move.epoch == self._holding.record.epoch
        return move if is_new else None

    def read(self, key: EtcdKey | None) -> Holding | None:
        """What the key says. Raises RecordFromFuture if that is not understood."""
        if key is None:
            return None
        try:
            holding = lease.decode(key.value)
        except UnknownFormat as error:
            raise RecordFromFuture(f"etcd, {self.path}: {error}", "install that version") from None
        if holding is None or holding.record.app_id != self._app.app_id:
            raise RecordFromFuture(f"etcd, {self.path}: not a record of this App", "remove the key")
        return holding

    def see(self, key: EtcdKey | None) -> Holding | None:
        """For a stand-by, see read(). What it shows goes to this host's file at once: the next
        request may have no answer.
        """
        holding = self.read(key)
        self._heed(holding)
        return holding

    def _heed(self, holding: Holding | None) -> None:
        """This host's file says so if the key says that another host has it, or may take it."""
        if holding is not None and (holding.released or holding.place != self._here.place):
            self.let_go()

    # An outage of etcd.

    def _is_out(self, epoch: int) -> bool:
        """Whether counts go on without etcd; then not with a greater epoch, that would be a fight.

        Raises LeaseLost.
        """
        if self._outage is None:
            return False
        assert self._holding is not None
        ended = self._outage.ended
        if isinstance(ended, LeaseLost):
            raise ended
        if ended is not None:
            self._outage = None
            # What was taken after that write is not in the key: it is written before it is sent.
            self._tenure = ended.replace(sent=ended.sent - ended.lease)
            self._say(NOTICE, "etcd answers again, and this host still has the lease")
            return False
        if epoch != self._holding.record.epoch:
            raise LeaseLost("the lease is lost, the receiver has a newer epoch")
        return True

    def _attempt(self) -> Tenure | LeaseLost | None:
        """In a thread, and nothing else uses etcd meanwhile: write the key, if it is still ours."""
        holding, tenure = self._holding, self._tenure
        assert holding is not None and tenure is not None
        try:
            if tenure.revision < 0:
                there = self._etcd.get(self.path, self.answer)
                self._tenure = tenure.replace(revision=self._revision_of_this_host(there, holding))
            if self._put(lease.encode(self._numbered(holding))):
                return self._tenure
        except LeaseLost as lost:
            return lost
        except (EtcdError, SendrecvError):
            pass
        return None

    def _revision_of_this_host(self, key: EtcdKey | None, ours: Holding) -> int:
        """Of the key, if no other host has taken the App meanwhile. Raises LeaseLost."""
        there = self.read(key)
        if key is None or there is None:
            return 0
        if there.place != self._here.place or there.record.epoch >= ours.record.epoch:
            raise LeaseLost("the lease is lost")
        return key.revision

    # Writing.

    def _write(self, holding: Holding, absent: str = "") -> None:
        """One transaction, compared with the last revision. Raises LeaseLost or OSError."""
        holding = self._numbered(holding)
        value = lease.encode(holding)
        self._writes.unheard = holding
        for _ in range(3):
            try:
                is_written = self._put(value, absent)
            except EtcdError as error:
                raise OSError(errno.ETIMEDOUT, str(error)) from None
            if is_written:
                self._holding, self._writes.unheard = holding, None
                return
        raise OSError(errno.EAGAIN, "etcd: the key changes all the time")

    def _numbered(self, holding: Holding) -> Holding:
        return holding.replace(serial=self._writes.begin(self._now()))

    def _put(self, value: bytes, absent: str = "") -> bool:
        """Whether the key has this value now; if it has an older one of this run, it may next time.

        Raises LeaseLost or EtcdError.
        """
        assert self._tenure is not None
        revision = self._tenure.revision
        done = self._etcd.put_if(self.path, revision, value, self.answer, absent=absent)
        if isinstance(done, Written):
            return self._is_carried_out(done.revision, self._writes.newest)
        there = self._own(done.key)
        assert done.key is not None
        if there.released and there.serial != self._writes.newest:
            # Another host may take it at once: it does not count for the deadline.
            self._tenure = self._tenure.replace(revision=done.key.revision)
            return False
        return self._is_carried_out(done.key.revision, there.serial)

    def _is_carried_out(self, revision: int, serial: int) -> bool:
        """That write of this run was. Whether it is the newest one."""
        assert self._tenure is not None
        sent = max(self._writes.sent(serial), self._tenure.sent)
        self._tenure = Tenure(revision, sent, self._here.lease)
        return serial == self._writes.newest

    def _own(self, key: EtcdKey | None) -> Holding:
        """What a write of this run has left there. Raises LeaseLost if it is of another one."""
        holding = self.read(key)
        if holding is None:
            raise LeaseLost(f"the lease is lost, {self.path} is gone from etcd")
        if holding.record.run != self._app.run:
            raise LeaseLost("the lease is lost", holding)
        return holding

    def _keep_if_possible(self, record: Record) -> None:
        try:
            self.keep(record)
        except OSError:
            pass  # nobody reads it while etcd answers

    def _say(self, severity: int, text: str) -> None:
        self.said.append((severity, text))


def standing_by(holding: Holding) -> str:
    """For people: whom a host stands by for."""
    who = f"{holding.host} ({holding.record.node_id})"
    if holding.released:
        return f"standing by, {who} has released the App for {holding.to or 'any host'}"
    return f"standing by, {who} counts since {_time(holding.since)}"


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
