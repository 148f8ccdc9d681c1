"""The gateway: who is admitted, and what is asked of the receiver. Socket.IO and plain HTTP.

What comes in is authenticated, parsed, and handed to the inbox as an event; nothing here knows what
a count is worth. What a connection may cost is in admission.py; what the libraries lack is in
engineio_limits.py.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import socketio
from aiohttp import web

from sendrecv import imports
from sendrecv.core.errors import PeerError, quoted
from sendrecv.core.receiver import AppState
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    ConnectionClosed,
    CountsSent,
    ReceiverEvent,
    Refuse,
    Reply,
    ResumeAsked,
)
from sendrecv.core.wire import MAX_MESSAGE, Claim, Refusal, Status, parse_auth, parse_payloads
from sendrecv.receiver.admission import AUTHENTICATION_TIMEOUT, PENDING, Admission
from sendrecv.receiver.complaints import Complaints, complain_of_what_is_logged
from sendrecv.receiver.engineio_limits import Heartbeats, make_http, make_server, tcp_connection_of

SWEEP_INTERVAL = 1.0
MAX_UNREAD = 256
"""Packets that a peer may leave unread. A sender asks one thing at a time."""


class Inbox(Protocol):
    """The receiver's loop, as the gateway sees it."""

    def submit(self, event: ReceiverEvent) -> Awaitable[Reply | None]:
        """The reply to an event; None if it has none, or could not be made durable."""

    def apps(self) -> Mapping[str, AppState]:
        """The state of every App."""


class Gateway:
    """Serves one listening socket.

    Of a Socket.IO session, `sid` is the name; of the Engine.IO session below it, `eio_sid`.
    """

    def __init__(self, inbox: Inbox, token: str, max_connections: int) -> None:
        self._inbox = inbox
        self._token = token.encode()
        self._max_connections = max_connections
        self._complain = Complaints(token)
        self._claims: dict[str, Claim] = {}  # by sid
        self._since: dict[str, float] = {}  # the same, wall clock: for people
        self._opened: dict[str, float] = {}  # not yet admitted: eio_sid, monotonic
        self._tasks: set[asyncio.Task[None]] = set()
        self._admission: Admission
        self._server = self._make_server()

    async def serve(self, listener: socket.socket) -> None:
        """Begin to accept connections."""
        complain_of_what_is_logged(self._complain)
        app = web.Application(client_max_size=MAX_MESSAGE + 1)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/apps", self._apps)
        self._server.attach(app)
        runner = await make_http(app, lambda eio_sid: eio_sid in self._server.eio.sockets)
        assert runner.server
        self._admission = Admission(runner.server, self._max_connections, self._complain_of)
        await self._admission.open(listener)
        self._spawn(self._sweep())
        imports.collect_in_small_steps()

    def cut_off(self, connection: str) -> None:
        """Close a connection whose place another one has taken."""
        self._spawn(self._disconnect(connection))

    def connections(self) -> int:
        """How many senders are connected."""
        return len(self._claims)

    # Socket.IO.

    def _make_server(self) -> socketio.AsyncServer:
        server = make_server()
        for name, handler in (
            ("connect", self._on_connect),
            ("disconnect", self._on_disconnect),
            ("resume", self._on_resume),
            ("count", self._on_count),
            ("*", self._on_unknown),
        ):
            server.on(name, handler)
        self._inner = dict(server.eio.handlers)
        server.eio.on("connect", self._on_transport)
        server.eio.on("message", self._on_message)
        server.eio.on("disconnect", self._on_end)
        self._heartbeats = Heartbeats(server.eio, lambda sid: self._spawn(self._close(sid)))
        return server

    async def _on_transport(self, eio_sid: str, environ: dict[str, Any]) -> object:
        """An Engine.IO session begins."""
        tcp = tcp_connection_of(environ["aiohttp.request"])
        if tcp:
            tcp.session = eio_sid
        if len(self._opened) >= 2 * PENDING:  # of long polling, they outlive their connections
            await self._close(next(iter(self._opened)))
        self._opened[eio_sid] = time.monotonic()
        self._heartbeats.begin(self._server.eio.sockets[eio_sid])
        return await self._inner["connect"](eio_sid, environ)

    async def _on_end(self, eio_sid: str, *reason: object) -> object:
        """An Engine.IO session ends; the next sweep ends its connections."""
        self._opened.pop(eio_sid, None)
        self._admission.end(eio_sid)
        self._heartbeats.end(eio_sid)
        return await self._inner["disconnect"](eio_sid, *reason)

    async def _on_message(self, eio_sid: str, data: object) -> None:
        """A Socket.IO packet, still encoded."""
        claim = self._admission.authenticated.get(eio_sid)
        session = self._server.eio.sockets.get(eio_sid)
        if session is None or (claim is None and eio_sid not in self._opened):
            return  # it is being closed
        try:
            if claim is None and not (isinstance(data, str) and data[:1] == "0"):
                raise PeerError("packet before the token")
            if session.queue.qsize() > MAX_UNREAD:
                raise PeerError(f"more than {MAX_UNREAD} answers unread")
            await self._inner["message"](eio_sid, data)
        except PeerError as error:
            self._complain(str(error), claim)
            if claim is None or session.queue.qsize() > MAX_UNREAD:
                await self._close(eio_sid)

    async def _on_connect(self, sid: str, _environ: dict[str, Any], auth: object = None) -> None:
        try:
            claim = self._authenticate(auth)
        except PeerError as error:
            self._complain(str(error))
            raise _refused(Refuse(Refusal.INVALID)) from None
        reply = await self._inbox.submit(AdmissionAsked(sid, claim))
        if not isinstance(reply, Admit):
            refusal = reply if isinstance(reply, Refuse) else Refuse(Refusal.UNAVAILABLE)
            if refusal.reason is Refusal.FULL:
                self._complain("too many Apps, refused", claim)
            raise _refused(refusal)
        self._claims[sid] = claim
        self._since[sid] = time.time()
        eio_sid = self._eio_sid(sid)
        self._opened.pop(eio_sid, None)
        self._admission.authenticate(eio_sid, claim)

    def _authenticate(self, auth: object) -> Claim:
        given = auth.get("token") if isinstance(auth, dict) else None
        if not isinstance(auth, dict) or not self._is_token(given):
            self._complain("connection without the right token refused")
            raise _refused(Refuse(Refusal.TOKEN))
        return parse_auth(auth)

    def _is_token(self, given: object) -> bool:
        # An empty token of ours means that there is none: it lets nobody in.
        encoded = given.encode(errors="replace") if isinstance(given, str) else b""
        return hmac.compare_digest(encoded, self._token) and bool(self._token)

    def _complain_of(self, eio_sid: str, text: str) -> None:
        self._complain(text, self._admission.authenticated.get(eio_sid))

    async def _on_disconnect(self, sid: str, *_reason: object) -> None:
        claim = self._claims.pop(sid, None)
        self._since.pop(sid, None)
        if claim:
            self._admission.end(self._eio_sid(sid))
            await self._inbox.submit(ConnectionClosed(sid, claim.app_id))

    async def _on_resume(self, sid: str, *_arguments: object) -> dict[str, object]:
        claim = self._claims.get(sid)
        if claim is None:
            return _answer(Status.FENCED, None)
        reply = await self._inbox.submit(ResumeAsked(sid, claim.app_id))
        return _answer_of(reply)

    async def _on_count(self, sid: str, *batch: object) -> dict[str, object]:
        claim = self._claims.get(sid)
        if claim is None:
            return _answer(Status.FENCED, None)
        try:
            first, last = parse_payloads(batch, claim.app_id, claim.node_id)
        except PeerError as error:
            self._complain(str(error), claim)
            return _answer(Status.INVALID, None)
        reply = await self._inbox.submit(CountsSent(sid, claim.app_id, first, last))
        return _answer_of(reply)

    async def _on_unknown(self, event: str, sid: str, *_arguments: object) -> dict[str, object]:
        self._complain(f"unknown event {quoted(event)}", self._claims.get(sid))
        return _answer(Status.INVALID, None)

    def _eio_sid(self, sid: str) -> str:
        return str(self._server.manager.eio_sid_from_sid(sid, "/"))

    async def _disconnect(self, sid: str) -> None:
        if self._server.manager.is_connected(sid, "/"):
            await self._server.disconnect(sid)

    async def _sweep(self) -> None:
        """Close what has not been let in in time, and end what has ended."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            limit = time.monotonic() - AUTHENTICATION_TIMEOUT
            for eio_sid, session in list(self._server.eio.sockets.items()):
                is_over = (
                    eio_sid not in self._admission.authenticated
                    and self._opened.get(eio_sid, 0) < limit
                )
                if session.closed or is_over:  # engineio 4.3 keeps those of long polling
                    await self._close(eio_sid)
                    await asyncio.sleep(0)  # each is work for a turn of the event loop
            self._admission.sweep()

    async def _close(self, eio_sid: str) -> None:
        """End an Engine.IO session, now."""
        self._admission.close(eio_sid)
        session = self._server.eio.sockets.pop(eio_sid, None)
        if session:
            await session.close(wait=False, abort=True)  # calls _on_end()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    # HTTP.

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _apps(self, request: web.Request) -> web.Response:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self._is_token(given):
            self._complain("GET /apps without the right token refused")
            return web.Response(status=401, text="the token is needed\n")
        return web.json_response(
            {
                app_id: {
                    "nodeID": state.row.node_id,
                    "epoch": state.row.epoch,
                    "count": state.row.last,
                    "connectedSince": self._since.get(state.connection),
                }
                for app_id, state in sorted(self._inbox.apps().items())
            }
        )


def _refused(refusal: Refuse) -> Exception:
    data: dict[str, object] = {"reason": refusal.reason.value}
    if refusal.epoch is not None:
        data["epoch"] = refusal.epoch
    error: Exception = socketio.exceptions.ConnectionRefusedError("refused", data)
    return error


def _answer(status: Status, last: int | None) -> dict[str, object]:
    return {"status": status.value, "last": last}


def _answer_of(reply: Reply | None) -> dict[str, object]:
    if isinstance(reply, Answer):
        return _answer(reply.status, reply.last)
    return _answer(Status.UNAVAILABLE, None)
