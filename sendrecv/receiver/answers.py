"""Answers to plain HTTP: /healthz for anyone, /apps and /status for whoever may look.

With thousands of Apps, an answer has megabytes, and takes a tenth of a second to make. So a large
one is made once in a MOMENT, for all who ask with the same rights, and is sent in pieces: of what a
peer does not read, the receiver keeps one PIECE. Who has not read all in time is cut
(admission.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from aiohttp import web

from sendrecv.core.keyring import Key
from sendrecv.core.receiver import AppState
from sendrecv.receiver.access import Access
from sendrecv.receiver.pace import Paces
from sendrecv.receiver.patched_aiohttp import current_connection
from sendrecv.receiver.report import SCHEMA, Own, of_app
from sendrecv.receiver.secrets import Secrets

PIECE = 65_600
"""Bytes. After so many, aiohttp waits until the peer has read them. A longer answer is large."""
MOMENT = 1.0
JSON = "application/json"
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


class Body(NamedTuple):
    """An answer. made: when."""

    data: bytes
    made: float


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
        self._large: dict[tuple[str, frozenset[str] | None], Body] = {}

    def add_to(self, app: web.Application) -> None:
        """Answer the requests that come to `app`."""
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/apps", self._answer_apps)
        app.router.add_get("/status", self._answer_status)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _answer_apps(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self._apps)

    async def _answer_status(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self._status)

    async def _answer(
        self, request: web.Request, make: Callable[[Key], Mapping[str, object]]
    ) -> web.StreamResponse:
        key = self._key_of(request)
        if key is None:
            return _unauthorized()
        data = self._made(request.path, key, make)
        if len(data) <= PIECE or request.method == "HEAD":
            return web.Response(body=data, content_type=JSON, charset="utf-8")
        response = web.StreamResponse()
        response.content_type, response.charset = JSON, "utf-8"
        response.content_length = len(data)
        await response.prepare(request)
        for start in range(0, len(data), PIECE):
            await response.write(data[start : start + PIECE])
        await response.write_eof()
        return response

    def _made(self, path: str, key: Key, make: Callable[[Key], Mapping[str, object]]) -> bytes:
        """The answer, made now or, if it is large, a moment ago."""
        now = asyncio.get_running_loop().time()
        self._large = {what: one for what, one in self._large.items() if now < one.made + MOMENT}
        if body := self._large.get((path, key.apps)):
            return body.data
        data = json.dumps(make(key)).encode()
        if len(data) > PIECE:
            self._large[path, key.apps] = Body(data, now)
        return data

    def _status(self, key: Key) -> dict[str, object]:
        now = asyncio.get_running_loop().time()
        connections = self._senders.connections()
        own = self._senders.own.report(self._known.paces(), connections, now)
        # The numbers of connections and refusals are those of other Apps, too.
        shown = own if key.apps is None else None
        return {"schema": SCHEMA, "receiver": shown, "apps": self._apps(key)}

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
        """Of each App that the token is for. How long it takes tells nothing of the others."""
        now, paces = asyncio.get_running_loop().time(), self._known.paces()
        known = self._known.apps()
        names = known if key.apps is None else [name for name in key.apps if name in known]
        return {
            name: of_app(state, paces.of(name), self._senders.since(state.connection), now)
            for name in sorted(names)
            for state in (known[name],)
        }


def access() -> Access:
    """Of the connection whose request or message is being handled."""
    peer = current_connection()
    return peer.access if peer else Access.TOKEN


def _unauthorized() -> web.Response:
    return web.Response(status=401, text="the token is needed\n")
