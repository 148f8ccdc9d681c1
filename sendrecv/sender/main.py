"""`sendrecv send`: one half of an App. Puts the loop together, from settings and environment."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from queue import SimpleQueue

from sendrecv import imports, systemd
from sendrecv.config import sender_config
from sendrecv.core.reach import App
from sendrecv.core.values import SECOND
from sendrecv.core.errors import ERROR, WARNING, quoted
from sendrecv.core.sender_events import Refused
from sendrecv.core.wire import Refusal
from sendrecv.errors import DONE, CredentialError
from sendrecv.sender.connection import Connection, prepare
from sendrecv.sender.patched_websocket import trust
from sendrecv.sender.loop import Arrival, MonotonicClock, Ports, Sender
from sendrecv.sender.own_socket import path_of
from sendrecv.sender.store_file import StateFile

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.backoff import Backoff
    from sendrecv.config import SenderConfig
    from sendrecv.core.sender_events import SenderEvent
    from sendrecv.core.wire import Claim
    from sendrecv.sender.ahead import Ahead
    from sendrecv.sender.loop import Departure
    from sendrecv.sender.ports import OpenConnection


PAUSED = "/var/lib/sendrecv-pause"
"""Has a file for each App of this machine that is paused, see sendrecv-pause(1)."""


def main(instance: str, role: str, notifier: systemd.Notifier, backoff: Backoff) -> int:
    """Run until told to stop. Raises SendrecvError for whatever ends it before."""
    half = f"sender{'-failover' if role == 'failover' else ''}@{instance}.service"
    where = partial(_where, instance, half)
    host = os.uname().nodename.partition(".")[0]
    config = sender_config(instance, role, os.environ, host, where)
    app = App(
        app_id=config.app_id,
        node_id=config.node_id,
        run=systemd.invocation(),
        boot=systemd.boot_id(),
        interval=int(config.interval * SECOND),
        booted=time.time_ns() - time.monotonic_ns(),
    )
    if config.store is None and os.path.exists(f"{PAUSED}/{instance}"):
        from sendrecv.sender import paused  # no start of an App that is not paused waits for it

        if paused.is_held(instance, role, notifier):
            backoff.end()
            return DONE
    trust(config.ca)
    ahead = _ahead(config)
    ports = Ports(
        store=StateFile(os.path.join(systemd.state_directory(), f"{config.app_id}.record")),
        connect=_connector(config, half, ahead),
        notifier=notifier,
        backoff=backoff,
        clock=MonotonicClock(),
        events=SimpleQueue(),
        tell=partial(_tell, instance, role),
    )
    if ahead is None:
        sender = Sender(app, ports)
        _prepare(config.url)  # now: later the watchdog runs, for which this may take too long
    else:
        sender = _of_several(config, app, ports, (instance, role), ahead)
    sender.acquire()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sender.stop())
    signal.signal(signal.SIGUSR1, lambda *_: sender.asked())
    sender.run()
    _tell_if_masked(half)
    return DONE


def _prepare(url: str) -> None:
    """The last imports."""
    prepare(url)
    imports.end()


def _where(instance: str, half: str, key: str) -> str:
    """Where a setting was made that is wrong."""
    from sendrecv import settings_file  # only then

    unit = half if "INVOCATION_ID" in os.environ else ""
    return settings_file.where(key, os.environ.get(key), instance, unit)


def _tell(instance: str, role: str, app: App, news: Arrival | Departure) -> None:
    """Tell the journal. Whatever goes wrong with that, the App counts."""
    try:
        from sendrecv.sender import story  # no start waits for it

        story.tell(story.Half(instance, role), app, news)
        if isinstance(news, Arrival):
            from sendrecv import settings_file  # the same

            settings_file.tell(instance, systemd.log)
    except Exception as error:  # pylint: disable=broad-exception-caught
        fault = f"{type(error).__name__} {quoted(str(error))}"
        systemd.log(WARNING, f"cannot tell the story of App {app.app_id}: {fault}, ignoring")


def _ahead(config: SenderConfig) -> Ahead | None:
    """For an App of several hosts."""
    if config.store is None:
        return None
    from sendrecv.sender import ahead  # of a single machine, no start waits for it

    return ahead.Ahead(ahead.opened(config.url))


def _of_several(
    config: SenderConfig, app: App, ports: Ports, half: tuple[str, str], ahead: Ahead
) -> Sender:
    from sendrecv.sender import several_hosts  # as above

    meanwhile = several_hosts.Meanwhile(ahead, partial(_prepare, config.url))
    return several_hosts.sender(config, app, ports, half, meanwhile)


def _tell_if_masked(half: str) -> None:
    """A unit that is masked while it runs has no OnSuccess= any more: see sendrecv-mask.path."""
    if systemd.is_masked(half) and (directory := os.environ.get("RUNTIME_DIRECTORY")):
        with open(os.path.join(directory, "masked"), "w", encoding="ascii"):
            pass


def _connector(config: SenderConfig, half: str, ahead: Ahead | None) -> OpenConnection:
    """How a connection is opened. Only by TCP a token is needed."""
    if path_of(config.url):
        return partial(Connection, config.url, "")
    text = _token()
    token = _own_token(text, config.app_id)
    report = systemd.TokenReport(half, text)
    return partial(_connect, config.url, token, report=report, ahead=ahead)


def _connect(
    url: str,
    token: str,
    number: int,
    claim: Claim,
    post: Callable[[SenderEvent], None],
    *,
    report: systemd.TokenReport,
    ahead: Ahead | None,
) -> Connection:
    """A connection; if it is refused for the token, this half may have an old one."""

    def note(event: SenderEvent) -> None:
        if isinstance(event, Refused) and event.reason is Refusal.TOKEN:
            report()
        post(event)

    return Connection(url, token, number, claim, note, ahead=ahead)


def _own_token(text: str, app_id: str) -> str:
    """The token of this App; mostly the file has nothing else."""
    if not any(map(str.isspace, text)):
        return text
    from sendrecv.core import tokens  # not at the start, which would wait for it

    token = tokens.parse(text).for_app(app_id)
    if not token:
        systemd.log(ERROR, f"/etc/sendrecv/token: no line is for App {app_id}")
    return token


def _token() -> str:
    """The token file. If there is none, "", which the receiver refuses.

    A new token file restarts this process. If the process ended, the halves would take over from
    each other in vain.
    """
    try:
        return systemd.token()
    except CredentialError as error:
        systemd.log(ERROR, str(error))
        return ""
