"""`sendrecv pause` and `sendrecv resume` of an App on several hosts: a key in its etcd.

It is written with the settings and the credentials that this host's senders have. What it does is
in core/lease.py. No file of this host says so too: a person who resumes the App on another host
could not take that back.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from sendrecv.admin import halves
from sendrecv.admin.bus import BusError
from sendrecv.admin.checks import settings
from sendrecv.admin.checks.etcd import credential_files, credentials_of
from sendrecv.admin.checks.settings import UnitSettings
from sendrecv.admin.facts import App, Facts
from sendrecv.admin.paused import Pause
from sendrecv.admin.told import Told, told
from sendrecv.config import StoreConfig, sender_config
from sendrecv.core import lease
from sendrecv.errors import ReceiverUnavailable, StoreUnusable, UsageError
from sendrecv.sender.etcd import Endpoint, Etcd
from sendrecv.sender.etcd_messages import CompareFailed, EtcdError, EtcdKey
from sendrecv.sender.etcd_pause import pause_path

TIMEOUT = 3.0
"""Seconds for one answer. Elections are over then."""
PATIENCE = 10.0
"""Seconds until some host must count again."""
LOOK_EVERY = 0.1


class Keys:
    """The key of a pause, in the etcd of one App."""

    def __init__(self, etcd: Etcd, app_id: str) -> None:
        self._etcd = etcd
        self._path = pause_path(app_id)

    def pause(self) -> Pause | None:
        """What it says; None if there is none. Raises StoreUnusable."""
        key = self._get()
        return Pause.of(lease.decode_pause(key.value)) if key else None

    def write(self, pause: Pause) -> None:
        """Once it returns, nobody takes the App by itself. Raises StoreUnusable."""
        value = lease.encode_pause(lease.Pause(int(pause.since or 0), pause.by, pause.reason))
        with _errors("it may be paused all the same"):
            done = self._etcd.put_if(self._path, 0, value, TIMEOUT)
        # What is found may be what was written: of two copies of a request, one comes too late.
        if isinstance(done, CompareFailed) and done.key is None:
            raise StoreUnusable("etcd: the key of the pause changes all the time")

    def remove(self) -> None:
        """Raises StoreUnusable."""
        if key := self._get():
            with _errors("the App may still be paused"):
                if self._etcd.remove_if(self._path, key.revision, TIMEOUT):
                    return
            there = self._get()
            if there:
                raise StoreUnusable("another one has paused the App just now")

    def _get(self) -> EtcdKey | None:
        with _errors("nothing is changed"):
            return self._etcd.get(self._path, TIMEOUT)


@contextlib.contextmanager
def _errors(follows: str) -> Iterator[None]:
    try:
        yield
    except EtcdError as error:
        raise StoreUnusable(f"etcd: {error}", f"{follows}; see: sendrecv check") from None


@contextlib.contextmanager
def keys_of(facts: Facts, app: App) -> Iterator[Keys]:
    """As this host's senders reach them. Raises SendrecvError."""
    try:
        own = _running(settings.read(facts, [app]), app)
    except BusError as error:
        raise StoreUnusable(f"systemd cannot be asked: {error}") from None
    environ = own.running if own.running is not None else own.environ
    config = sender_config(app.instance, own.role, environ or {}, facts.host)
    if config.store is None:
        raise UsageError(
            f"the settings of App {app.instance} have no SENDRECV_STORE any more",
            f"systemctl restart {own.unit}",
        )
    etcd = _etcd(config.store, own.unit)
    try:
        yield Keys(etcd, config.app_id)
    finally:
        etcd.close()


def _running(owns: list[UnitSettings], app: App) -> UnitSettings:
    """Of the half that runs, or else of main."""
    roles = {own.role: own for own in owns if own.instance == app.instance}
    return roles[app.half or "main"]


def _etcd(store: StoreConfig, unit: str) -> Etcd:
    try:
        credentials = credentials_of(store, credential_files(unit))
        return Etcd([Endpoint(*pair) for pair in store.endpoints], credentials, tls=store.tls)
    except OSError as error:
        raise StoreUnusable(f"{error.filename}: {error.strerror}") from None
    except EtcdError as error:
        raise StoreUnusable(f"etcd: {error}") from None


def what_follows(app: App) -> str:
    """In words: who counts on, if any host does."""
    if app.host and not app.told.held:
        return f"{app.host} counts on, and nothing takes over when its sender or the host ends"
    return "as far as this host knows, nothing counts, and nothing is started by itself"


def go_on(instance: str) -> str:
    """In words: who counts, once one does. Raises SendrecvError if that takes too long."""
    if halves.running(instance) is None and not halves.is_meant(instance):
        return "on this host it is stopped; if nothing counts, another one takes it"
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if host := _counts_on(_said(instance)):
            return f"{host} counts"
        time.sleep(LOOK_EVERY)
    raise ReceiverUnavailable(
        f"App {instance} is resumed, and no host has taken it within {PATIENCE:g} s",
        f"journalctl -n 20 -u sender@{instance} -u sender-failover@{instance}",
    )


def _said(instance: str) -> Told:
    now = halves.running(instance)
    return told(now.text) if now else Told()


def _counts_on(said: Told) -> str:
    """The host; "" if that is not known, or the pause is still said."""
    if said.paused or not said.several:
        return ""
    return said.holder[0] if said.stands_by else os.uname().nodename.partition(".")[0]
