"""`sendrecv send`: one half of an App. Carries out what the machine in core/sender.py says.

One thread, one queue: the connection's threads and the signal handlers only put events on it. The
watchdog is pinged by this loop and nothing else, after the work that was due.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from functools import partial
from queue import Empty, SimpleQueue

from sendrecv import imports, systemd
from sendrecv.config import sender_config
from sendrecv.core.record import Record
from sendrecv.core.sender import App, SenderProtocol
from sendrecv.core.sender_events import (
    Connect,
    Disconnect,
    Emit,
    Exit,
    Persist,
    Ready,
    Report,
    Resume,
    SenderCommand,
    VerifyLock,
)
from sendrecv.core.severity import ERROR, NOTICE, WARNING
from sendrecv.core.wire import Claim
from sendrecv.errors import CredentialError, LockBusy
from sendrecv.sender.backoff import ENOUGH, Backoff
from sendrecv.sender.connection import Link, prepare
from sendrecv.sender.store_file import StateFile

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from sendrecv.sender.store import Store

SPACE_RETRY = 1.0
LOCK_PATIENCE = 10.0
"""Seconds. A predecessor is gone before its successor starts, unless SIGKILL does not end it."""


def main(instance: str, role: str, notifier: systemd.Notifier, backoff: Backoff) -> int:
    """Run until told to stop. Raises SendrecvError for whatever ends it before."""
    config = sender_config(instance, role, os.environ)
    token = _token()
    prepare(config.url)  # now: once the watchdog runs, a starved machine may be too slow for it
    imports.end()
    store = StateFile(os.path.join(systemd.state_directory(), f"{config.app_id}.record"))
    record, epoch = _acquire(store, notifier, config.app_id)
    for notice in store.notices:
        systemd.log(WARNING, notice)
    app = App(
        app_id=config.app_id,
        node_id=config.node_id,
        run=systemd.invocation(),
        boot=systemd.boot_id(),
        interval=int(config.interval * 1e9),
    )
    machine = SenderProtocol(app, record, epoch, time.monotonic_ns())
    return Sender(machine, store, partial(Link, config.url, token), notifier, backoff).run()


class Sender:
    """The loop around one machine."""

    def __init__(
        self,
        machine: SenderProtocol,
        store: Store,
        connect: Callable[[int, Claim, Callable[..., None]], Link],
        notifier: systemd.Notifier,
        backoff: Backoff,
    ) -> None:
        self._machine = machine
        self._store = store
        self._connect = connect
        self._notifier = notifier
        self._backoff = backoff
        self._row_ends: float | None = time.monotonic() + ENOUGH
        self._events: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._link: Link | None = None
        self._ping_interval = systemd.watchdog_interval()
        self._stop_asked = self._done = False

    def run(self) -> int:
        """Run until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._carry_out(self._machine.start(time.monotonic_ns()))
        while not self._done:
            self._notifier.working(self._machine.status())
            self._carry_out(self._next())
        self._notifier.stopping()
        self._store.release()
        return 0

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop_asked = True
        self._events.put(("stop",))

    def _post(self, event: str, *arguments: object) -> None:
        self._events.put((event, *arguments))

    def _next(self) -> Sequence[SenderCommand]:
        """Wait for an event, a deadline, or the time of the next ping: the machine's answer."""
        try:
            event, *arguments = self._events.get(timeout=self._timeout())
        except Empty:
            self._end_row(time.monotonic())
            return self._machine.wake(time.monotonic_ns())
        if event == "answered":
            self._end_row()
        answer: Sequence[SenderCommand] = getattr(self._machine, event)(
            *arguments, time.monotonic_ns()
        )
        return answer

    def _timeout(self) -> float:
        deadline = self._machine.deadline()
        if deadline is None:
            return self._ping_interval
        return min(max(deadline - time.monotonic_ns(), 0) / 1e9, self._ping_interval)

    def _end_row(self, now: float | None = None) -> None:
        """This process works: it has lived long enough, or has had an answer (no `now`)."""
        if self._row_ends is not None and (now is None or now >= self._row_ends):
            self._row_ends = None
            self._backoff.end()

    def _carry_out(self, commands: Iterable[SenderCommand]) -> None:
        for command in commands:
            if self._done:  # stopped while the record could not be written: nothing may follow it
                return
            self._carry_out_one(command)

    def _carry_out_one(self, command: SenderCommand) -> None:
        match command:
            case Persist(record):
                self._persist(record)
            case Ready():
                self._notifier.ready()
            case Connect(number, claim):
                self._close_link()
                self._link = self._connect(number, claim, self._post)
            case Disconnect():
                self._close_link()
            case Resume() if self._link:
                self._link.resume()
            case Emit(_, first, last) if self._link:
                self._link.emit(first, last)
            case VerifyLock():
                self._store.verify()
            case Report(severity, text):
                systemd.log(severity, text)
            case Exit():
                self._done = True

    def _persist(self, record: Record) -> None:
        """Nothing may go on before the record is durable: a disk that is full is waited for.

        A stop meanwhile ends the process as it is, for the record on disk is the truth.
        """
        reported = False
        while not self._try_commit(record, reported):
            reported = True
            self._notifier.working("waiting until the record can be written")
            if self._stop_asked:
                self._done = True
                return
            time.sleep(min(SPACE_RETRY, self._ping_interval))
        if reported:
            systemd.log(NOTICE, "record: written again, counting on")

    def _try_commit(self, record: Record, reported: bool) -> bool:
        try:
            self._store.commit(record)
        except OSError as error:
            if not reported:
                systemd.log(
                    ERROR, f"record: {error.strerror}, not counting until it can be written"
                )
            return False
        return True

    def _close_link(self) -> None:
        if self._link:
            self._link.close()
            self._link = None


def _token() -> str:
    """The token; without one, an empty one, which the receiver refuses until there is a better.

    Ending instead would make the two halves take over from each other for nothing.
    """
    try:
        return systemd.token()
    except CredentialError as error:
        systemd.log(ERROR, str(error))
        return ""


def _acquire(store: Store, notifier: systemd.Notifier, app_id: str) -> tuple[Record | None, int]:
    """Wait for the lock, in the kernel, and for space to make the file.

    Raises LockBusy after LOCK_PATIENCE, for then a person must be told.
    """
    notifier.status("waiting for the lock")
    busy = LockBusy(
        f"another process holds the lock of App {app_id}",
        f"is it another instance's SENDRECV_APP_ID too? (fuser -v {store.path})",
    )
    reported = False
    while True:
        try:
            with notifier.at_most(LOCK_PATIENCE, busy):
                return store.acquire()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            if not reported:
                systemd.log(ERROR, f"record: {error.strerror}, waiting until it can be written")
                notifier.status("waiting for space to write the record")
            reported = True
            time.sleep(SPACE_RETRY)
