"""Answers to plain HTTP: /healthz for anyone, /apps and /status for whoever may look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from aiohttp import web

from sendrecv.core.keyring import Key
from sendrecv.core.receiver import AppState
from sendrecv.receiver.access import Access
from sendrecv.receiver.pace import Paces
from sendrecv.receiver.patched_aiohttp import current_connection
from sendrecv.receiver.report import SCHEMA, Own, of_app
from sendrecv.receiver.secrets import Secrets

EVERY_APP = Key("", None, "")
"""As if it had been shown by who has connected to a Unix socket."""


class AppStates(Protocol):
    """The receiver's loop, as these answers see it. See gateway.Inbox."""

    def apps(self) -> Mapping[str, AppState]:
        """The state of every App."""

    def paces(self) -> Paces:
        """How fast counts come, by the clock of the event loop."""


class ConnectedSenders(Protocol):
    """The gateway, as these answers see it. own: what the receiver knows of itself."""

    own: Own

    def connections(self) -> int:
        """How many senders are connected."""

    def since(self, sid: str | None) -> float | None:
        """When that sender has connected, by the wall clock; None if it is not connected."""


class Answers:
    """The answers, to whoever has shown one of the secrets."""

    def __init__(
        self,
        known: AppStates,
        senders: ConnectedSenders,
        secrets: Secrets,
        complain: Callable[[str], None],
    ) -> None:
        self._known = known
        self._senders = senders
        self._secrets = secrets
        self._complain = complain

    def add_to(self, app: web.Application) -> None:
        """Answer the requests that come to `app`."""
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/apps", self._answer_apps)
        app.router.add_get("/status", self._answer_status)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _answer_apps(self, request: web.Request) -> web.Response:
        key = self._key_of(request)
        return web.json_response(self._apps(key)) if key else _unauthorized()

    async def _answer_status(self, request: web.Request) -> web.Response:
        key = self._key_of(request)
        if key is None:
            return _unauthorized()
        now = asyncio.get_running_loop().time()
        connections = self._senders.connections()
        own = self._senders.own.report(self._known.paces(), connections, now)
        # The numbers of connections and refusals are those of other Apps, too.
        known = {"receiver": own if key.apps is None else None, "apps": self._apps(key)}
        return web.json_response({"schema": SCHEMA, **known})

    def _key_of(self, request: web.Request) -> Key | None:
        """What whoever asks has shown; None if it may see nothing."""
        if access() is not Access.TOKEN:
            return EVERY_APP
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        key = self._secrets.find(given) if scheme == "Bearer" else None
        if key is None:
            self._complain(f"GET {request.path} without the right token refused")
        return key

    def _apps(self, key: Key) -> dict[str, dict[str, object]]:
        """Of each App that the token is for."""
        now, paces = asyncio.get_running_loop().time(), self._known.paces()
        return {
            app_id: of_app(state, paces.of(app_id), self._senders.since(state.connection), now)
            for app_id, state in sorted(self._known.apps().items())
            if key.is_for(app_id)
        }


def access() -> Access:
    """Of the connection whose request or message is being handled."""
    peer = current_connection()
    return peer.access if peer else Access.TOKEN


def _unauthorized() -> web.Response:
    return web.Response(status=401, text="the token is needed\n")
