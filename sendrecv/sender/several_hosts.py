"""The loop of one half of an App on several hosts: it stands by, counts while it has the lease, and
stands by again. What is common with a single machine is in loop.py.
"""

from __future__ import annotations

import os
import struct
from functools import partial
from queue import Empty

from sendrecv import systemd
from sendrecv.core.errors import NOTICE, WARNING
from sendrecv.core.lease import HandedOver, Here, LeaseLost, is_reason
from sendrecv.core.sender import SenderMachine
from sendrecv.core.sender_events import (
    Emit,
    Persist,
    SenderCommand,
    SenderEvent,
    StopAsked,
    TimePassed,
    VerifyLock,
)
from sendrecv.core.values import SECOND, Value
from sendrecv.core.wire import is_name
from sendrecv.errors import StoreUnusable
from sendrecv.imports import imported
from sendrecv.sender.etcd import Credentials, Endpoint, Etcd, EtcdError, EtcdKey
from sendrecv.sender.loop import Sender
from sendrecv.sender.etcd_lease import HeldLease
from sendrecv.sender.own_socket import path_of
from sendrecv.sender.store_etcd import EtcdStore, Hooks
from sendrecv.sender.store_file import StateFile

MAX_REQUEST = 1000
"""Characters of the file in which a person asks for a move."""
WATCHES_AFTER = SECOND // 2
"""Of a start. A takeover has better things to do than to begin watches."""
WATCHDOG, SHORTEST = 3.4, 0.85
"""The watchdog's limit: so many times what a request of etcd may take; and seconds, at least. It is
shorter than on a single machine, where pings come with the counts. A process here wakes up for its
lease between two counts, and pings then. So a hang is found as soon as there.
"""
PINGS_APART = 0.7
"""Intervals. Two pings are two thirds of the limit apart, if etcd takes that long between them."""

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.config import SenderConfig
    from sendrecv.core.reach import App
    from sendrecv.sender.ahead import Ahead
    from sendrecv.sender.loop import Ports
    from sendrecv.sender.stopping import Question


class Meanwhile(Value):
    """What a takeover does while etcd answers. ahead: the connection that the loop opens first.
    prepare: the last imports; a second call does nothing.
    """

    ahead: Ahead
    prepare: Callable[[], object]


class Leaving:
    """Whether this process ends because its App, or the host, is stopped: systemd is asked once."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._question: Question | None = None
        self._is_asked = False
        self._is_so: bool | None = None

    def ask(self) -> None:
        """Does not wait. A second call does nothing."""
        if self._is_asked:
            return
        self._is_asked = True
        try:
            # Mostly there already, see _begin_watches(). No start waits for it.
            from sendrecv.sender import stopping

            self._question = stopping.Question(self._target)
        except OSError as error:
            _not_told(error)

    def is_so(self) -> bool:
        """Waits for the answer. False if systemd does not say."""
        self.ask()
        if self._is_so is None:
            try:
                self._is_so = self._question is not None and self._question.answer()
            except (OSError, ValueError, struct.error) as error:
                _not_told(error)
                self._is_so = False
        return self._is_so


def _not_told(error: Exception) -> None:
    why = getattr(error, "strerror", None) or error
    systemd.log(WARNING, f"cannot ask systemd what it stops: {why}, ignoring")


def sender(
    config: SenderConfig, app: App, ports: Ports, half: tuple[str, str], meanwhile: Meanwhile
) -> Sender:
    """With those settings, whose `store` is not None. half: instance and role. Raises ConfigError,
    StoreUnusable.
    """
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
    about_to_take = (lambda: None) if path_of(config.url) else meanwhile.ahead.begin
    hooks = _hooks(*half, about_to_take)
    several_store = EtcdStore(app, here, local, etcd, hooks, continues=store.continues)
    etcd.read_ahead(several_store.lease.path, several_store.lease.answer)
    if config.url.startswith("https:"):
        imported("ssl")  # needed in any case, and etcd is about to answer
    etcd.meanwhile(meanwhile.prepare)

    def watch(several: SenderOfSeveral) -> None:
        etcd.watch(several_store.lease.path, several.key_changed)
        etcd.watch(several_store.lease.move_path, several.move_asked)
        etcd.watch(several_store.pauses.path, several.pause_changed)

    return SenderOfSeveral(
        app,
        ports,
        several_store,
        f"{systemd.runtime_directory()}/{half[0]}.move",
        watch=watch,
        prepare=meanwhile.prepare,
    )


def _hooks(instance: str, role: str, about_to_take: Callable[[], None]) -> Hooks:
    def by_person() -> bool:
        from sendrecv.sender import paused  # no takeover waits for it

        return paused.is_by_person(instance, role)

    leaving = Leaving(f"sendrecv@{instance}.target")
    return Hooks(
        leaving.is_so,
        leaving.ask,
        about_to_take,
        instance,
        f"{systemd.runtime_directory()}/{instance}.paused",
        by_person,
    )


def _nothing(*_: object) -> None:
    pass


class SenderOfSeveral(Sender):
    """See loop.Sender. store: in place of that of the ports. requests: the file in which a person
    asks for a move, see admin/move.py. watch: from now on, call key_changed(), move_asked() and
    pause_changed(). prepare: see Meanwhile.
    """

    def __init__(
        self,
        app: App,
        ports: Ports,
        store: EtcdStore,
        requests: str,
        make_machine: type[SenderMachine] = SenderMachine,
        *,
        watch: Callable[[SenderOfSeveral], object] = _nothing,
        prepare: Callable[[], object] = _nothing,
    ) -> None:
        super().__init__(app, ports.replace(store=store), make_machine)
        # It waits for etcd between two pings, and wakes up several times in an interval.
        self._notifier.watchdog(max(WATCHDOG * store.lease.answer, SHORTEST))
        self._notifier.pings_apart = PINGS_APART * self._notifier.ping_interval
        self._notifier.most_apart = 0.0
        self._watch = watch
        self._prepare = prepare
        self._watches_from: int | None = self._clock.now() + WATCHES_AFTER
        self._several = store
        self._lease: HeldLease = store.lease
        self._requests = requests
        self._is_ready = False
        self._is_asked_here = self._is_asked_elsewhere = False

    def key_changed(self, key: EtcdKey | None) -> None:
        """Perhaps. For the thread of a watch."""
        if self._several.changed(key):
            self._ports.events.put(TimePassed())

    def move_asked(self, _key: EtcdKey | None) -> None:
        """Perhaps, on another host. For the thread of a watch."""
        self._is_asked_elsewhere = True
        if self._lease.record:
            self._ports.events.put(TimePassed())

    def pause_changed(self, _key: EtcdKey | None) -> None:
        """Perhaps. For the thread of a watch."""
        self._several.pauses.changed()
        self._ports.events.put(TimePassed())

    def stop(self) -> None:
        """See Sender. systemd is asked while the last count is answered, and written."""
        self._several.ends_soon()
        super().stop()

    def asked(self) -> None:
        """SIGUSR1: a person asks for a move, on this host."""
        self._is_asked_here = True
        self._ports.events.put(TimePassed())

    def run(self) -> None:
        """Stand by and count, until told to stop."""
        while not self._done and (found := self._several.stand_by(self._idle)):
            self._forget_events()
            self._is_ready = True  # by the machine's first commands
            self._before = self._several.taken
            self._machine = self._make_machine(self._app, *found, self._clock.now())
            try:
                self._count()
            except LeaseLost as lost:
                self._has_told = False
                self._close_connection()
                severity = NOTICE if isinstance(lost, HandedOver) else WARNING
                self._notifier.log(severity, str(lost))
        self._end()

    def _can_wait(self, event: SenderEvent) -> bool:
        return False  # a lease may end meanwhile, and the machine with it

    def _idle(self, status: str, seconds: float) -> bool:
        """Wait for an event or so long; false: stop. To stand by is to be ready."""
        self._tell()
        self._begin_watches()
        if not self._is_ready:
            self._prepare()  # the watchdog runs from here on
            self._is_ready = True
            self._notifier.ready()
        self._notifier.working(status)
        if self._stop_asked:
            return False
        if self._is_asked_here and (wish := self._wish()):
            self._several.ask_holder(*wish)
            self._notifier.working(status)  # that may have taken half of a watchdog's time
        try:
            event = self._ports.events.get(timeout=min(seconds, self._notifier.ping_interval))
        except Empty:
            event = TimePassed()
        self._end_streak(event)
        return not isinstance(event, StopAsked)

    def _begin_watches(self) -> None:
        if self._watches_from is not None:
            self._watches_from = None
            self._watch(self)
            imported("sendrecv.sender.stopping")  # others wait for what it is needed for
            self._several.pauses.by_person()  # the next start must know that this one was there

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
        for said in (self._lease.said, self._several.pauses.said):
            while said:
                self._notifier.log(*said.pop(0))

    def _status(self) -> str:
        pause = self._several.pauses.words()
        return f"{self._lease.status()}, {self._machine.status()}{pause}"

    def _next(self) -> SenderEvent:
        self._look_at_pause()
        self._tell()
        self._move_if_asked()
        if self._watches_from is not None and self._clock.now() >= self._watches_from:
            self._begin_watches()
        if self._lease.renews_in() <= 0:
            self._insist(self._lease.renew, self._lease.again)
            self._notifier.working(self._status())  # that may have taken half of a watchdog's time
        return TimePassed() if self._done else super()._next()

    def _look_at_pause(self) -> None:
        """Who counts only says that the App is paused."""
        if self._several.pauses.is_told and not self._lease.is_out:
            try:
                self._several.pauses.look()
            except EtcdError:
                return  # the next renewal finds out more
            self._notifier.working(self._status())

    def _move_if_asked(self) -> None:
        wish = self._wish() if self._is_asked_here else None
        if self._is_asked_elsewhere:
            self._is_asked_elsewhere = False
            move = self._lease.asked()
            wish = (move.to, move.why) if move else wish
        if not wish:
            return
        try:
            self._lease.hand_over(*wish)
        except OSError as error:
            self._notifier.log(WARNING, f"cannot hand the App over to {wish[0]}: {error.strerror}")
        self._tell()

    def _wish(self) -> tuple[str, str] | None:
        """What the file says: the name of a host, and a reason."""
        self._is_asked_here = False
        try:
            with open(self._requests, encoding="utf-8") as file:
                to, _, why = file.read(MAX_REQUEST).rstrip("\n").partition("\n")
            os.unlink(self._requests)
        except (OSError, UnicodeDecodeError):
            return None
        return (to, why) if is_name(to) and is_reason(why) else None

    def _timeout(self) -> float:
        return min(super()._timeout(), self._lease.renews_in())

    def _carry_out_one(self, command: SenderCommand) -> None:
        match command:
            case Persist(record):
                self._insist(partial(self._ports.store.commit, record), self._lease.again)
                return
            case VerifyLock():
                self._insist(self._ports.store.verify, self._lease.again)
                return
            case Emit():
                self._insist(self._lease.hold, self._lease.again)
                if self._done:
                    return
        super()._carry_out_one(command)
