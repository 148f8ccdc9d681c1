"""The gateway: Socket.IO and plain HTTP, from connections to events and back.

A message is authenticated, parsed, and put into the inbox as an event. Nothing here decides whether
a count is accepted. The limits of a connection are in admission.py. A single count on the Unix
socket does not come here: quick.py takes it.

What the libraries lack, and what is used of their internals, is in
patched_{socketio,engineio,aiohttp}.py. light_server.py imports them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

import socketio
from aiohttp import web

from sendrecv import descriptors, imports
from sendrecv.core.errors import PeerError, quoted
from sendrecv.core.keyring import Key
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
from sendrecv.core.wire import (
    MAX_MESSAGE,
    Claim,
    Refusal,
    Status,
    parse_auth,
    parse_payloads,
    parse_resume,
)
from sendrecv.receiver.access import Access
from sendrecv.receiver.admission import AUTHENTICATION_TIMEOUT, Admission
from sendrecv.receiver.answers import Answers, access
from sendrecv.receiver.complaints import (
    Complaints,
    complain_of_what_is_logged,
    not_raised,
    why_refused,
)
from sendrecv.receiver.crowds import SMALL, Limits
from sendrecv.receiver.pace import Paces
from sendrecv.receiver.patched_aiohttp import current_connection, make_http
from sendrecv.receiver.patched_engineio import EngineioSessions, Heartbeats
from sendrecv.receiver.patched_socketio import engine, make_server
from sendrecv.receiver.quick import QuickCounts
from sendrecv.receiver.report import Own
from sendrecv.receiver.secrets import Secrets
from sendrecv.receiver.senders import AdmittedSender, AdmittedSenders
from sendrecv.receiver.tls import Identity, Secured

SWEEP_INTERVAL = 1.0
MAX_UNREAD = 256
"""Packets that a peer may leave unread. A sender has one question open at a time."""
_NOTHING = contextlib.nullcontext()
_session: ContextVar[str] = ContextVar("session", default="")
"""The Engine.IO session whose packet is being handled."""


class Inbox(Protocol):
    """The receiver's loop, as the gateway sees it."""

    def submit(self, event: ReceiverEvent) -> asyncio.Future[Reply | None]:
        """The reply to an event; None if it has none, or could not be made durable."""

    def apps(self) -> Mapping[str, AppState]:
        """The state of every App."""

    def paces(self) -> Paces:
        """How fast counts come, by the clock of the event loop."""

    def ledger(self) -> str:
        """The name of the ledger, as senders are told it: see wire.LEDGER_NAME."""


class Gateway:
    """Serves listening sockets.

    Of a Socket.IO session, `sid` is the name; of the Engine.IO session below it, `eio_sid`.
    """

    def __init__(self, inbox: Inbox, secrets: Secrets) -> None:
        self._inbox = inbox
        self._secrets = secrets
        self._complain = Complaints(*secrets.texts)
        self._senders = AdmittedSenders()
        self._tasks: set[asyncio.Task[None]] = set()
        self.own = Own(time.time())
        self._secured: Secured
        self._admission: Admission
        self._server = self._make_server()

    async def serve(
        self, listeners: Iterable[descriptors.Listener], limits: Limits, identity: Identity
    ) -> None:
        """Begin to accept connections; where other hosts can, by TLS only."""
        complain_of_what_is_logged(self._complain)
        app = web.Application(client_max_size=MAX_MESSAGE + 1)
        Answers(self._inbox, self, self._secrets, self._complain).add_to(app)
        self._server.attach(app)
        runner = await make_http(app, lambda name: self._sessions.get(name) is not None)
        assert runner.server
        self._admission = Admission(runner.server, limits, self._complain_of)
        self._secured = Secured(listeners, identity)
        for listener in self._secured.others:
            await self._admission.open(listener)
        await self.secure()
        self._spawn(self._sweep())
        imports.collect_in_small_steps()

    async def secure(self) -> None:
        """Take over a new certificate. With the first one, begin to serve those who need it."""
        for listener, context in self._secured.refresh():
            await self._admission.open(listener, context)

    def cut_off(self, connection: str) -> None:
        """Close a connection that another one has replaced."""
        self._spawn(self._disconnect(connection))

    def connections(self) -> int:
        """How many senders are connected."""
        return len(self._senders)

    def since(self, sid: str | None) -> float | None:
        """When that sender has connected, by the wall clock; None if it is not connected."""
        sender = self._senders.get(sid) if sid else None
        return sender.since if sender else None

    def shut_out(self) -> int:
        """The tokens have changed: end the connections of who is shut out. How many they are."""
        self._complain.hide(self._secrets.texts)
        gone = [sid for sid, one in self._senders.items() if not self._may_stay(one)]
        for sid in gone:
            self.cut_off(sid)
        return len(gone)

    def _may_stay(self, sender: AdmittedSender) -> bool:
        return sender.key is None or self._secrets.keeps(sender.key, sender.claim.app_id)

    def apps_with(self, digest: str) -> list[str]:
        """The Apps whose senders have shown the token with that digest."""
        senders = self._senders.values()
        return sorted(one.claim.app_id for one in senders if one.key and one.key.digest == digest)

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
        self._sessions = EngineioSessions(engine(server))
        self._inner = self._sessions.follow(
            {"connect": self._on_transport, "message": self._on_message, "disconnect": self._on_end}
        )
        self._heartbeats = Heartbeats(self._sessions, lambda sid: self._spawn(self._close(sid)))
        return server

    async def _on_transport(self, eio_sid: str, environ: dict[str, Any]) -> object:
        """An Engine.IO session begins."""
        if peer := current_connection():
            peer.serve(eio_sid)
        if oldest := self._admission.crowds[access()].open(eio_sid, time.monotonic()):
            await self._close(oldest)
        self._heartbeats.begin(eio_sid, self._sessions.get(eio_sid))
        return await self._inner["connect"](eio_sid, environ)

    async def _on_end(self, eio_sid: str, *reason: object) -> object:
        """An Engine.IO session ends; the next sweep ends its connections."""
        self._forget(eio_sid)
        return await self._inner["disconnect"](eio_sid, *reason)

    def _forget(self, eio_sid: str) -> None:
        self._admission.end(eio_sid)
        self._heartbeats.end(eio_sid)

    async def _on_message(self, eio_sid: str, data: object) -> None:
        """A Socket.IO packet, still encoded."""
        claim = self._admission.authenticated.get(eio_sid)
        if self._sessions.get(eio_sid) is None or (claim is None and not self._opened(eio_sid)):
            return  # it is being closed
        _session.set(eio_sid)
        try:
            if claim is None and not (isinstance(data, str) and data[:1] == "0"):
                raise PeerError("packet before the token")
            if self._sessions.unread(eio_sid) > MAX_UNREAD:
                raise PeerError(f"more than {MAX_UNREAD} answers unread")
            large = isinstance(data, str) and len(data) > SMALL
            async with self._admission.crowds[access()].large if large else _NOTHING:
                await self._inner["message"](eio_sid, data)
        except PeerError as error:
            self._complain(str(error), claim)
            if claim is None or self._sessions.unread(eio_sid) > MAX_UNREAD:
                await self._close(eio_sid)

    async def _on_connect(self, sid: str, _environ: dict[str, Any], auth: object = None) -> None:
        try:
            claim, key = self._authenticate(auth)
        except PeerError as error:
            self._complain(str(error))
            raise self._refused(Refuse(Refusal.INVALID)) from None
        other = self._senders.whose(claim.run)
        if key and other not in ("", claim.app_id):
            self._complain(
                f"the run that it claims is that of App {other}'s sender, refused", claim
            )
            raise self._refused(Refuse(Refusal.INVALID), claim)
        self._make_room(claim, key)
        reply = await self._inbox.submit(AdmissionAsked(sid, claim))
        if not isinstance(reply, Admit):
            refusal = reply if isinstance(reply, Refuse) else Refuse(Refusal.UNAVAILABLE)
            if why := why_refused(refusal.reason, claim):
                self._complain(why, claim)
            raise self._refused(refusal, claim)
        session = self._name_session(sid)
        if self._sessions.has_ended(session):  # meanwhile, and _on_disconnect() knew no sender
            await self._inbox.submit(ConnectionClosed(sid, claim.app_id))
            raise self._refused(Refuse(Refusal.UNAVAILABLE), claim)
        self._senders.add(sid, AdmittedSender(claim, session, time.time(), key))
        quick = QuickCounts(sid, claim, self._inbox.submit)
        self._admission.authenticate(session, claim, quick)
        self._admission.crowds[access()].authenticate(session, key.name if key else "")
        if not self._may_stay(self._senders[sid]):  # shut out meanwhile
            self.cut_off(sid)

    def _authenticate(self, auth: object) -> tuple[Claim, Key | None]:
        if isinstance(auth, dict) and access() is Access.GRANTED:
            return parse_auth(auth), None
        given = auth.get("token") if isinstance(auth, dict) else None
        key = self._secrets.find(given)
        if not isinstance(auth, dict) or key is None:
            self._complain("connection without the right token refused")
            self._secrets.refused()
            raise self._refused(Refuse(Refusal.TOKEN))
        claim = parse_auth(auth)
        if not key.is_for(claim.app_id):  # whether there is such an App is not said
            self._complain(f"the token {key.name} is not for App {claim.app_id}, refused")
            raise self._refused(Refuse(Refusal.TOKEN), claim)
        return claim, key

    def _make_room(self, claim: Claim, key: Key | None) -> None:
        """For one more session. Raises what refuses it if there is no room."""
        session = self._admission.gives_way(access(), claim, key.name if key else "")
        if session is None:
            self._complain("no room for one more connection, refused", claim)
            raise self._refused(Refuse(Refusal.FULL), claim)
        if session:
            text = "no room for one more connection: its token has most of them, closed"
            self._complain(text, self._admission.authenticated.get(session))
            self._spawn(self._close(session))

    def _refused(self, refusal: Refuse, claim: Claim | None = None) -> Exception:
        """The library's exception for it. The refusal is counted."""
        self.own.refused(refusal.reason, claim, time.time())
        epoch = {} if refusal.epoch is None else {"epoch": refusal.epoch}
        data: dict[str, object] = {"reason": refusal.reason.value, **epoch}
        error: Exception = socketio.exceptions.ConnectionRefusedError("refused", data)
        return error

    def _complain_of(self, eio_sid: str, text: str) -> None:
        self._complain(text, self._admission.authenticated.get(eio_sid))

    async def _on_disconnect(self, sid: str, *_reason: object) -> None:
        sender = self._senders.remove(sid)
        if sender:
            self._admission.end(sender.session)
            await self._inbox.submit(ConnectionClosed(sid, sender.claim.app_id))

    async def _on_resume(self, sid: str, *arguments: object) -> dict[str, object]:
        claim = self._claim_of(sid)
        if claim is None:
            return _answer(Status.FENCED, None)
        try:
            last = parse_resume(arguments)
        except PeerError as error:
            self._complain(str(error), claim)
            return _answer(Status.INVALID, None)
        reply = await self._inbox.submit(ResumeAsked(sid, claim.app_id, last))
        if isinstance(reply, Answer) and reply.status is Status.INVALID:
            self._complain(not_raised(reply.last, last), claim)
        return {**_answer_of(reply), "ledger": self._inbox.ledger()}

    async def _on_count(self, sid: str, *batch: object) -> dict[str, object]:
        claim = self._claim_of(sid)
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
        self._complain(f"unknown event {quoted(event)}", self._claim_of(sid))
        return _answer(Status.INVALID, None)

    def _claim_of(self, sid: str) -> Claim | None:
        sender = self._senders.get(sid)
        return sender.claim if sender else None

    def _name_session(self, sid: str) -> str:
        """The name of this session in Admission: Engine.IO's name of it.

        If engineio's sessions are not known, only the connection is authenticated, as `sid`.
        """
        if self._sessions.are_known:
            return _session.get()
        if peer := current_connection():
            peer.serve(sid)
        return sid

    async def _disconnect(self, sid: str) -> None:
        if sid in self._senders:
            await self._server.disconnect(sid)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            try:
                await self.secure()
            # The sessions have to be swept all the same.
            except Exception as error:  # pylint: disable=broad-exception-caught
                self._complain(f"TLS: no certificate taken over ({type(error).__name__})")
            await self.sweep()

    async def sweep(self) -> None:
        """Close the sessions that are not admitted in time, and those that their peer has ended.

        Whatever goes wrong with one session or connection, the others are swept too.
        """
        limit = time.monotonic() - AUTHENTICATION_TIMEOUT
        for eio_sid in self._sessions.names():
            with self._alone(eio_sid):
                if self._is_over(eio_sid, limit):
                    await self._close(eio_sid)
                    await asyncio.sleep(0)  # each is work for a turn of the event loop
        self._admission.sweep()

    def _is_over(self, eio_sid: str, limit: float) -> bool:
        if eio_sid not in self._admission.authenticated and self._opened(eio_sid) < limit:
            return True
        return self._sessions.has_ended(eio_sid)

    def _opened(self, eio_sid: str) -> float:
        """When a session was opened that is not admitted yet; else 0."""
        return max(one.opened.get(eio_sid, 0.0) for one in self._admission.crowds.values())

    async def _close(self, eio_sid: str) -> None:
        """End an Engine.IO session, now."""
        with self._alone(eio_sid):
            self._admission.close(eio_sid)
            await self._sessions.end(eio_sid)  # calls _on_end()

    @contextlib.contextmanager
    def _alone(self, eio_sid: str) -> Iterator[None]:
        """An exception of the library or a handler in this context ends only this session."""
        claim = self._admission.authenticated.get(eio_sid)
        try:
            yield
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._forget(eio_sid)
            what = f"Engine.IO session that did not end properly ({type(error).__name__})"
            self._complain(what, claim)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)


def _answer(status: Status, last: int | None) -> dict[str, object]:
    return {"status": status.value, "last": last}


def _answer_of(reply: Reply | None) -> dict[str, object]:
    if isinstance(reply, Answer):
        return _answer(reply.status, reply.last)
    return _answer(Status.UNAVAILABLE, None)
