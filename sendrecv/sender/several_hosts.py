"""The loop of one half of an App on several hosts: it stands by, counts while it has the lease, and
stands by again. What is common with a single machine is in loop.py.
"""

from __future__ import annotations

from functools import partial
from queue import Empty

from sendrecv import systemd
from sendrecv.core.errors import WARNING
from sendrecv.core.lease import Here, LeaseLost
from sendrecv.core.sender import SenderMachine
from sendrecv.core.sender_events import (
    Emit,
    Persist,
    SenderCommand,
    SenderEvent,
    StopAsked,
    TimePassed,
)
from sendrecv.core.values import SECOND
from sendrecv.errors import StoreUnusable
from sendrecv.sender.etcd import Credentials, Endpoint, Etcd, EtcdError
from sendrecv.sender.loop import Sender
from sendrecv.sender.store_etcd import AGAIN, EtcdStore
from sendrecv.sender.store_file import StateFile

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from sendrecv.config import SenderConfig
    from sendrecv.core.reach import App
    from sendrecv.sender.loop import Ports


def sender(config: SenderConfig, app: App, ports: Ports, instance: str) -> Sender:
    """With those settings, whose `store` is not None. Raises ConfigError, StoreUnusable."""
    store = config.store
    assert store is not None
    credentials = Credentials(
        store.user,
        systemd.credential("etcd-password") if store.user else "",
        *(systemd.credential_path(name) for name in ("etcd-ca", "etcd-certificate", "etcd-key")),
    )
    try:
        etcd = Etcd([Endpoint(*pair) for pair in store.endpoints], credentials, tls=store.tls)
    except EtcdError as error:
        raise StoreUnusable(f"etcd: {error}") from None
    here = Here(store.host, systemd.place(), int(store.lease * SECOND))
    local = ports.store
    assert isinstance(local, StateFile)
    lease = EtcdStore(
        app, here, local, etcd, lambda: systemd.is_stopping(f"sendrecv@{instance}.target")
    )
    etcd.watch(lease.path, lambda: ports.events.put(TimePassed()))
    return SenderOfSeveral(app, ports.replace(store=lease), lease)


class SenderOfSeveral(Sender):
    """See loop.Sender. The store of the ports is `store`."""

    def __init__(
        self,
        app: App,
        ports: Ports,
        store: EtcdStore,
        make_machine: type[SenderMachine] = SenderMachine,
    ) -> None:
        super().__init__(app, ports, make_machine)
        self._lease = store
        self._is_ready = False

    def run(self) -> None:
        """Stand by and count, until told to stop."""
        while not self._done and (found := self._lease.stand_by(self._idle)):
            self._tell()
            self._forget_events()
            self._machine = self._make_machine(self._app, *found, self._clock.now())
            try:
                self._count()
            except LeaseLost as lost:
                self._close_connection()
                self._notifier.log(WARNING, f"the lease is lost, {lost}")
        self._notifier.stopping()
        self._store.release()

    def _idle(self, status: str, seconds: float) -> bool:
        """Wait for an event or so long; false: stop. To stand by is to be ready."""
        self._tell()
        if not self._is_ready:
            self._is_ready = True
            self._notifier.ready()
        self._notifier.working(status)
        if self._stop_asked:
            return False
        try:
            event = self._ports.events.get(timeout=min(seconds, self._notifier.ping_interval))
        except Empty:
            event = TimePassed()
        self._end_streak(event)
        return not isinstance(event, StopAsked)

    def _forget_events(self) -> None:
        """Those of connections of an earlier machine: the next one counts its own from 1 again."""
        try:
            while True:
                self._ports.events.get(timeout=0)
        except Empty:
            pass
        if self._stop_asked:
            self._ports.events.put(StopAsked())

    def _tell(self) -> None:
        while self._lease.said:
            self._notifier.log(*self._lease.said.pop(0))

    def _status(self) -> str:
        return f"{self._lease.status()}, {self._machine.status()}"

    def _next(self) -> SenderEvent:
        if self._lease.renews_in() <= 0:
            self._insist(self._lease.renew, AGAIN)
        return TimePassed() if self._done else super()._next()

    def _timeout(self) -> float:
        return min(super()._timeout(), self._lease.renews_in())

    def _carry_out_one(self, command: SenderCommand) -> None:
        match command:
            case Persist(record):
                self._insist(partial(self._store.commit, record), AGAIN)
                return
            case Emit():
                self._insist(self._lease.hold, AGAIN)
                if self._done:
                    return
        super()._carry_out_one(command)
