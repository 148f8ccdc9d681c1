"""`sendrecv receive`: prints each payload once. Makes the loop of settings and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NoReturn

from sendrecv import descriptors, imports, systemd
from sendrecv.backoff import Backoff
from sendrecv.config import receiver_config
from sendrecv.core.errors import ERROR
from sendrecv.errors import DONE, CredentialError
from sendrecv.receiver import loop, start
from sendrecv.receiver.access import READERS
from sendrecv.receiver.crowds import Limits
from sendrecv.receiver.gateway import Gateway
from sendrecv.receiver.journal import JournalReader
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark
from sendrecv.receiver.printing import (
    STREAM,
    Printer,
    take_over,
    wait_for_stdout,
    wait_until_read,
    write_to_stdout,
)
from sendrecv.receiver.renewal import HANDED_OVER, Renewal
from sendrecv.receiver.requests import Requests
from sendrecv.receiver.secrets import FILE, Secrets
from sendrecv.receiver.tls import Identity
from sendrecv.receiver.way import way

LAST = 1.0
"""Seconds, after an orderly end, for journald to read what was printed."""


def main(notifier: systemd.Notifier, backoff: Backoff) -> NoReturn:
    """Run until told to stop. Raises SendrecvError for whatever ends it before."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    imports.end()
    config = receiver_config(os.environ, _where)
    listeners = _handed_over(notifier)
    boot = systemd.boot_id()
    runtime = Path(systemd.runtime_directory())
    mark = Mark(runtime / "mark", boot)
    printer = Printer(mark, write_to_stdout, wait_for_stdout)
    open_ledger = partial(Ledger, Path(systemd.state_directory()), boot, way, mark.written)
    journal = JournalReader()
    ledger = start.open_ledger(
        start.StartPorts(open_ledger, mark, journal, printer, notifier, time, Requests(runtime))
    )
    receiver = loop.Receiver(
        loop.Ports(ledger, notifier, ThreadPoolExecutor(1, "writer"), printer, backoff, journal)
    )
    # Not asyncio.run(): it waits for all tasks to be cancelled, and engineio's swallow that.
    events = asyncio.new_event_loop()
    try:
        secrets = Secrets(_token(), config.token_overlap, runtime / FILE)
        limits = Limits(config.max_connections, config.max_tcp_connections)
        events.run_until_complete(serve(receiver, listeners, secrets, limits, Identity()))
        # The next receiver may be one that systemd keeps nothing for.
        if wait_until_read(1, LAST):
            _note_the_end(runtime, ledger)
    finally:
        logging.disable()  # nor a word about the tasks that are left: all that matters is durable
    os._exit(DONE)


def _note_the_end(runtime: Path, ledger: Ledger) -> None:
    from sendrecv.receiver import settle

    with contextlib.suppress(OSError):  # /run is full: the next boot asks the journal
        settle.note(runtime, ledger)


def _handed_over(notifier: systemd.Notifier) -> list[descriptors.Listener]:
    """Raises UsageError if there is no socket."""
    before = descriptors.stored(STREAM)
    listeners = descriptors.listening_sockets("receiver", "receiver-tcp", READERS)
    take_over(before, notifier.status)
    return listeners


async def serve(
    receiver: loop.Receiver,
    listeners: Sequence[descriptors.Listener],
    secrets: Secrets,
    limits: Limits,
    identity: Identity,
) -> None:
    """Serve until SIGTERM or SIGINT. SIGHUP: see renewal.py."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, receiver.stop)
    gateway = Gateway(receiver, secrets)
    await gateway.serve(listeners, limits, identity)
    handed_over = Path(HANDED_OVER, systemd.invocation())
    renewal = Renewal(secrets, gateway, handed_over, receiver.reloaded)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renewal.begin)
    renewal.watch()
    asyncio.get_running_loop().call_soon(_tell_of_settings)
    await receiver.run(gateway)


def _tell_of_settings() -> None:
    """Once it serves: no sender waits for this import."""
    from sendrecv import settings_file

    settings_file.tell("receiver", systemd.log)


def _where(key: str) -> str:
    """Where a setting was made that is wrong."""
    from sendrecv import settings_file

    unit = "receiver.service" if "INVOCATION_ID" in os.environ else ""
    return settings_file.where(key, os.environ.get(key), "receiver", unit)


def _token() -> str:
    """The token file; if there is none, "": nobody is admitted, until one is handed over."""
    try:
        return systemd.token()
    except CredentialError as error:
        systemd.log(ERROR, f"{error}; refusing every sender")
        return ""
