"""The store of an App on several hosts: one key in etcd, and this host's own file and lock.

The rules are in core/lease.py. The file is locked as on a single machine, so only one half of this
host stands by or counts. It holds the record as this host knew it last: for a host that becomes a
single machine again, and for SENDRECV_ETCD_OUTAGE=continue.
"""

from __future__ import annotations

import time
from functools import partial

from sendrecv.core import lease
from sendrecv.core.errors import NOTICE, WARNING
from sendrecv.core.lease import NOTHING_SEEN, Growth, Here, Holding, Move, Sight, Taken
from sendrecv.core.record import Record
from sendrecv.core.values import MILLISECOND, SECOND, Value
from sendrecv.sender.etcd import EtcdError, EtcdKey
from sendrecv.sender.etcd_belief import Doubts, KnownRecord
from sendrecv.sender.etcd_lease import NO_BOOT, HeldLease, standing_by
from sendrecv.sender.etcd_pause import Pauses, pause_path

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.core.reach import App
    from sendrecv.core.sender_events import Accepted
    from sendrecv.sender.etcd import Etcd
    from sendrecv.sender.store_file import StateFile

READS = 8
"""How often a stand-by reads the key in one lease."""
RELEASED = b'"released": true'
"""In the value of a key, as lease.encode() writes it."""


def boot_time() -> int:
    """Nanoseconds of a clock that goes on while the host is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Hooks(Value):
    """leaves_host: whether this process ends because the App, or the host, is stopped. ends_soon:
    that will be asked; must not wait for anything. about_to_take: called before the lease is taken;
    must not wait either. instance, note, by_person: see Pauses.
    """

    leaves_host: Callable[[], bool]
    ends_soon: Callable[[], None]
    about_to_take: Callable[[], None]
    instance: str
    note: str
    by_person: Callable[[], bool]


class EtcdStore:
    """See the module. Attributes as store.Store has them. lease: what this process holds. taken:
    how it got that. pauses: what it knows of a pause.
    """

    def __init__(
        self,
        app: App,
        here: Here,
        local: StateFile,
        etcd: Etcd,
        hooks: Hooks,
        *,
        continues: bool = False,
        clock: Callable[[], int] = boot_time,
    ) -> None:
        """`continues`: whether it counts on while etcd does not answer."""
        self.lease = HeldLease(app, here, etcd, local.commit, clock, continues=continues)
        self.pauses = Pauses(
            pause_path(app.app_id),
            *(etcd, self.lease.answer, hooks.instance, hooks.note),
            by_person=hooks.by_person,
        )
        self.taken: Taken | None = None  # how this process got the lease
        self._app = app
        self._here = here
        self._local = local
        self._etcd = etcd
        self._hooks = hooks
        self._now = clock
        self._told = ""  # for whom this host stands by
        doubts = None if etcd.is_proven else Doubts(app, local.accepted, self._say)
        self._known = KnownRecord(doubts)
        self._heard = (-1, 0)  # a revision that a watch has shown, and when

    # See store.Store.

    @property
    def path(self) -> str:
        """See store.Store."""
        return self.lease.path

    @property
    def notices(self) -> list[str]:
        """See store.Store."""
        return self._local.notices

    def acquire(self) -> tuple[Record | None, int]:
        """This host's lock and record. See stand_by() for the lease."""
        self.lease.own, epoch = self._local.acquire()
        self._known.record = self.lease.own
        return self.lease.own, epoch

    def verify(self) -> None:
        """See store.Store. Raises LeaseLost, too."""
        self._local.verify()
        self.lease.hold()

    def commit(self, record: Record) -> None:
        """See store.Store. Raises LeaseLost, too."""
        self.lease.commit(record)

    def accepted(self) -> Accepted | None:
        """See store.Store."""
        return self._local.accepted()

    def ends_soon(self) -> None:
        """This process is to end: release() will follow."""
        if self.lease.record:
            self._hooks.ends_soon()

    def release(self) -> None:
        """See store.Store. The lease is kept for the other half of this host, or released."""
        if record := self.lease.record:
            if self._hooks.leaves_host():
                self.lease.release()
            own = self.lease.own
            self._keep_here(record.replace(boot=NO_BOOT) if own and own.boot == NO_BOOT else record)
            self.lease.give_up()
        self._local.release()
        self._etcd.close()

    # The lease.

    def stand_by(self, idle: Callable[[str, float], bool]) -> tuple[Record | None, int] | None:
        """Wait until the App may be taken, and take it: see acquire(). None: told to stop.

        idle(status, seconds): waits so long, or less; false: stop.
        """
        self._give_up()
        sight, growth, vain = NOTHING_SEEN, Growth(), 0
        looks = self._here.lease / READS / SECOND
        while True:
            sight, holding, status = self._look(sight)
            growth = self._grown(growth, holding)
            if sight.answering < 0 and (alone := self._take_without_etcd()):
                return alone
            why = self._here.why(sight, holding, self._now(), seen=self._known.has_seen)
            vain = vain + 1 if why else 0
            seconds = self._pause(sight, holding)
            if why and self.pauses.holds(partial(self._is_asked, holding), why):
                status, seconds = _held(why, holding), looks
            elif why:
                if found := self._take(sight.revision, holding, why):
                    assert self.taken is not None
                    self.taken = self.taken.replace(counted=growth.since)
                    return found
                if vain == 1:
                    continue  # another look says why
                # A full etcd is full for long: it must not be asked all the time, without a ping.
                seconds = min(self.lease.again * vain, looks)
                status = self._refused() or status
            self._say_for_whom(holding)
            if not idle(status + self.pauses.words(), seconds):
                return None

    def changed(self, key: EtcdKey | None) -> bool:
        """For the thread of a watch: the key may be this now. Whether a stand-by should look at it.

        A look at each write of the holder would cost too much. But that a write was seen counts.
        """
        if key is not None:
            self._heard = key.revision, self._now()
        return self.lease.record is None and (key is None or RELEASED in key.value)

    # Moving.

    def ask_holder(self, to: str, why: str) -> None:
        """Tell the holder, which is another host, that the App should go to that host."""
        try:
            key = self._etcd.get(self.path, self.lease.answer)
            if (holding := self.lease.see(key)) is None:
                return
            wish = lease.encode_move(Move(holding.record.epoch, to, why))
            before = self._etcd.get(self.lease.move_path, self.lease.answer)
            self._etcd.put_if(
                self.lease.move_path, before.revision if before else 0, wish, self.lease.answer
            )
        except EtcdError as error:
            self._say(WARNING, f"cannot ask {to} to take the App: {error}")

    # Standing by.

    def _give_up(self) -> None:
        """It does not count any more; a process that follows must know that, too."""
        if record := self.lease.record:
            self._known.has_seen = True
            self._known.record = record.replace(boot=NO_BOOT)
            self._keep_here(self._known.record)
        self.lease.give_up()

    def _look(self, sight: Sight) -> tuple[Sight, Holding | None, str]:
        try:
            key = self._etcd.get(self.path, self.lease.answer)
            holding = self.lease.see(key)
            self.pauses.look()
        except EtcdError as error:
            return sight.unanswered(), None, f"standing by, {error}"
        if doubt := self._known.doubt(holding, self.lease.own):
            return NOTHING_SEEN.shown(-1, 0, self._now()), None, f"standing by, {doubt}"
        first = now = self._now()
        revision, heard = self._heard
        if key is not None and key.revision == revision:
            first = min(now, heard)  # a watch has shown it before
        sight = sight.shown(key.revision if key else 0, first, now)
        self._known.see(holding)
        if holding is None:
            return sight, None, "no host counts"
        return sight, holding, f"{standing_by(holding)}, count {holding.record.count}"

    def _say_for_whom(self, holding: Holding | None) -> None:
        if holding is not None and (who := standing_by(holding)) != self._told:
            self._told = who
            self._say(NOTICE, who)

    def _grown(self, growth: Growth, holding: Holding | None) -> Growth:
        return growth.shown(holding.record.count, self._now()) if holding else growth

    def _refused(self) -> str:
        """For people: what keeps it from taking the App; "" if another host was faster."""
        return f"standing by, {self.lease.why_not}" if self.lease.why_not else ""

    def _pause(self, sight: Sight, holding: Holding | None) -> float:
        """Seconds until the next look: when a lease is over, if that is sooner."""
        if sight.revision < 0 <= sight.answering:
            return self._here.lease / READS / SECOND
        if holding is None or sight.answering < 0:
            return self.lease.again
        longest = self._here.longest(holding)
        ends = sight.expires_at(longest)
        if holding.released:
            ends = self._here.gives_up_at(sight, holding)
        left = ends - self._now()
        return min(max(left, MILLISECOND), longest // READS) / SECOND

    def _take(
        self, revision: int, holding: Holding | None, why: str
    ) -> tuple[Record | None, int] | None:
        """Write the key under a new epoch; None if another host was faster, or etcd is silent."""
        known = self._known.newest(holding)
        epoch = known.epoch + 1 if known else 1
        app = self._app
        record = Record(app.app_id, epoch, -1, -1, 0, app.boot, app.node_id, app.run)
        if known:
            due = known.due if known.boot == app.boot else time.monotonic_ns()
            record = known.replace(
                epoch=epoch, due=due, boot=app.boot, node_id=app.node_id, run=app.run
            )
        if holding is not None and holding.released and holding.why:
            why = f"{why}: {holding.why}"[: lease.MAX_WHY]
        here = self._here
        wanted = Holding(record, here.host, here.place, int(time.time()), here.lease, why)
        self._hooks.about_to_take()
        is_asked = self.pauses.pause is not None and self._is_asked(holding)
        if not self.lease.take(revision, wanted, "" if is_asked else self.pauses.path):
            self.pauses.changed()  # that may be why
            return None
        self.pauses.spend()
        self.taken = here.taken(holding, known)
        self._keep_here(record)
        self._say(NOTICE, f"epoch {epoch}, counting here: {why}")
        return (record if known else None), epoch

    def _take_without_etcd(self) -> tuple[Record, int] | None:
        if self.pauses.holds_alone() or not (alone := self.lease.take_without_etcd()):
            return None
        self.taken = Taken(self._known.record, self._here.host, self._here.host)
        self.pauses.spend()
        return alone

    def _is_asked(self, holding: Holding | None) -> bool:
        """Whether a person wants this process to take the App, whether it is paused or not."""
        by_person, seen = self.pauses.by_person(), self._known.has_seen
        return self._here.is_asked(holding, self._app.run, by_person=by_person, seen=seen)

    def _keep_here(self, record: Record) -> None:
        try:
            self.lease.keep(record)
        except OSError as error:
            self._say(WARNING, f"{self._local.path}: {error.strerror}, ignoring")

    def _say(self, severity: int, text: str) -> None:
        self.lease.said.append((severity, text))


def _held(why: str, holding: Holding | None) -> str:
    """For people: nothing counts, and this host could, for that reason."""
    count = f", count {holding.record.count}" if holding else ""
    return f"standing by, nothing counts: {why}{count}"
