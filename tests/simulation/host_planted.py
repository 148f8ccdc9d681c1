"""Planted violations of the rules of the lease, each of which the simulation must find."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sendrecv.core.lease import Here, Holding, LeaseLost, Tenure
from sendrecv.core.record import Record
from sendrecv.core.sender_events import SenderCommand
from sendrecv.sender.etcd import CompareFailed, Etcd, EtcdKey, Written
from sendrecv.sender.etcd_lease import NO_BOOT, HeldLease
from sendrecv.sender.several_hosts import SenderOfSeveral
from sendrecv.sender.store_etcd import EtcdStore
from tests.simulation.hosts import HostParts
from tests.simulation.planted import IgnoresEpochs, persist_last


class _Planted(EtcdStore):
    """Has another lease than the real one."""

    held: type[HeldLease]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        app, here, local, etcd, _ = given
        continues = named["continues"]
        self.lease = self.held(app, here, etcd, local.commit, self._now, continues=continues)


class CountsFromTheAnswer(_Planted):
    """Its lease begins when the answer arrives."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def _is_carried_out(self, revision: int, serial: int) -> bool:
            is_newest = super()._is_carried_out(revision, serial)
            assert self._tenure is not None
            self._tenure = self._tenure.replace(sent=self._now())
            return is_newest


class IgnoresItsDeadline(_Planted):
    """Sends, however old its last write is."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def hold(self) -> None:
            pass


class DoesNotLookAgain(_Planted):
    """Sends when it has renewed its lease, however long that took."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def hold(self) -> None:
            assert self._tenure is not None
            if not self._tenure.may_send(self._now()):
                self.renew()


class GoesOnAfterRelease(_Planted):
    """Hands the App over, and counts on."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        _is_gone = False

        def hand_over(self, to: str, why: str) -> None:
            try:
                super().hand_over(to, why)
            except LeaseLost:
                self._is_gone = True

        def hold(self) -> None:
            if not self._is_gone:
                super().hold()

        def commit(self, record: Record) -> None:
            if not self._is_gone:
                super().commit(record)

        def renews_in(self) -> float:
            return self.again if self._is_gone else super().renews_in()


class BelievesItsOwnValue(_Planted):
    """A write of its own that it finds is taken for the newest one."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def _is_carried_out(self, revision: int, serial: int) -> bool:
            return super()._is_carried_out(revision, self._writes.newest)


class ComparesNoPause(_Planted):
    """Takes the App, paused or not, if it has not read yet that it is."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def take(self, revision: int, wanted: Holding, absent: str = "") -> bool:
            return super().take(revision, wanted)


class RaisesItsEpoch(_Planted):
    """Without etcd, it fights for the App."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def _is_out(self, epoch: int) -> bool:
            assert self._holding is not None
            return super()._is_out(self._holding.record.epoch)


class SendsAllAtReturn(_Planted):
    """When etcd answers again, it sends what it took after the write that was answered."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def _is_out(self, epoch: int) -> bool:
            outage = self._outage
            is_out = super()._is_out(epoch)
            if outage and not is_out and isinstance(outage.ended, Tenure):
                self._tenure = outage.ended
            return is_out


class ForgetsToLetGo(_Planted):
    """Its own record says that this host has the lease, until it is written anew."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def let_go(self) -> None:
            pass


class HeedsTooLate(_Planted):
    """What it has seen goes to its own record when it sees the next."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        _seen: Holding | None = None

        def _heed(self, holding: Holding | None) -> None:
            super()._heed(self._seen)
            self._seen = holding


class KeepsNothing(_Planted):
    """Its own record is that of its takeover, while etcd answers."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def _keep_if_possible(self, record: Record) -> None:
            if record.boot == NO_BOOT:
                super()._keep_if_possible(record)


class ReturnsByPut(_Planted):
    """After an outage it writes the key, whatever is there by now."""

    class held(HeldLease):  # pylint: disable=invalid-name
        """See the class around it."""

        def _attempt(self) -> Tenure | LeaseLost | None:
            etcd, self._etcd = self._etcd, cast(Etcd, _Careless(self._etcd))
            try:
                return super()._attempt()
            finally:
                self._etcd = etcd


class _Careless:
    """An etcd in which a write that is compared in vain is written all the same."""

    is_proven = True

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self.get, self.watch, self.close = etcd.get, etcd.watch, etcd.close

    def put_if(
        self, key: str, revision: int, value: bytes, timeout: float, *, absent: str = ""
    ) -> Written | CompareFailed:
        """See Etcd."""
        done = self._etcd.put_if(key, revision, value, timeout, absent=absent)
        if isinstance(done, CompareFailed):
            return self._etcd.put_if(key, _revision(done.key), value, timeout)
        return done


def _revision(key: EtcdKey | None) -> int:
    return key.revision if key else 0


class TakesWithoutCompare(EtcdStore):
    """Whoever writes last has it."""

    def __init__(self, app: Any, here: Here, local: Any, etcd: Etcd, *rest: Any, **named: Any):
        super().__init__(app, here, local, cast(Etcd, _Careless(etcd)), *rest, **named)


class TriesAtOnce(EtcdStore):
    """To take the lease, until it has it or somebody else."""

    def _take(
        self, revision: int, holding: Holding | None, why: str
    ) -> tuple[Record | None, int] | None:
        while not (found := super()._take(revision, holding, why)) and self.lease.why_not:
            pass
        return found


class _AfterAHalf:
    """Waits for half of a lease."""

    why = Here.why
    _why_released = Here._why_released
    gives_up_at = Here.gives_up_at
    taken = Here.taken

    def __init__(self, host: str, place: str, lease: int) -> None:
        self.host, self.place, self.lease = host, place, lease

    def longest(self, holding: Holding) -> int:
        """See Here."""
        return max(self.lease, holding.lease) // 2


TakesAfterAHalf = cast(type[Here], _AfterAHalf)


class SendsFirst(SenderOfSeveral):
    """Sends, then writes."""

    def _carry_out(self, commands: Iterable[SenderCommand]) -> None:
        super()._carry_out(persist_last(commands))


PLANTED = (
    HostParts(store=CountsFromTheAnswer),
    HostParts(store=TakesWithoutCompare),
    HostParts(loop=SendsFirst),
    HostParts(store=IgnoresItsDeadline, receiver=IgnoresEpochs),
    HostParts(store=GoesOnAfterRelease),
)
