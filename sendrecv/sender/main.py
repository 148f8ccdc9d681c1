"""`sendrecv send`: one half of an App. Puts the loop together, from settings and environment."""

from __future__ import annotations

import os
import signal
from functools import partial
from queue import SimpleQueue

from sendrecv import imports, systemd
from sendrecv.config import sender_config
from sendrecv.core.sender import SECOND, App
from sendrecv.core.errors import ERROR
from sendrecv.core.sender_events import Refused
from sendrecv.core.wire import Refusal
from sendrecv.errors import DONE, CredentialError
from sendrecv.sender.connection import Connection, prepare
from sendrecv.sender.loop import MonotonicClock, Ports, Sender
from sendrecv.sender.store_file import StateFile

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.core.sender_events import SenderEvent
    from sendrecv.core.wire import Claim
    from sendrecv.sender.backoff import Backoff


def main(instance: str, role: str, notifier: systemd.Notifier, backoff: Backoff) -> int:
    """Run until told to stop. Raises SendrecvError for whatever ends it before."""
    config = sender_config(instance, role, os.environ)
    token = _token()
    half = f"sender{'-failover' if role == 'failover' else ''}@{instance}.service"
    prepare(config.url)  # now: once the watchdog runs, a starved machine may be too slow for it
    imports.end()
    app = App(
        app_id=config.app_id,
        node_id=config.node_id,
        run=systemd.invocation(),
        boot=systemd.boot_id(),
        interval=int(config.interval * SECOND),
    )
    ports = Ports(
        store=StateFile(os.path.join(systemd.state_directory(), f"{config.app_id}.record")),
        connect=partial(_connect, config.url, token, systemd.TokenReport(half, token)),
        notifier=notifier,
        backoff=backoff,
        clock=MonotonicClock(),
        events=SimpleQueue(),
    )
    sender = Sender(app, ports)
    sender.acquire()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sender.stop())
    sender.run()
    return DONE


def _connect(
    url: str,
    token: str,
    report: systemd.TokenReport,
    number: int,
    claim: Claim,
    post: Callable[[SenderEvent], None],
) -> Connection:
    """A connection; if it is refused for the token, this half may have an old one."""

    def note(event: SenderEvent) -> None:
        if isinstance(event, Refused) and event.reason is Refusal.TOKEN:
            report()
        post(event)

    return Connection(url, token, number, claim, note)


def _token() -> str:
    """The token; without one, an empty one, which the receiver refuses until there is a better.

    Ending instead would make the two halves take over from each other for nothing.
    """
    try:
        return systemd.token()
    except CredentialError as error:
        systemd.log(ERROR, str(error))
        return ""
