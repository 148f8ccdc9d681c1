"""python-engineio's server, with limits that it lacks.

    patch_driver      engineio reads messages from the response of patched_aiohttp.py, with its
                      limits. And it reads a request body that is chunked or comes in pieces:
                      without the patch it takes the first piece for the whole body
    EngineioSessions  what the gateway has to know of engineio's sessions
    Heartbeats        notice a peer that vanishes, and one that answers heartbeats that it was not
                      sent

If the library has changed, it is used without the patch:

    without the response     see patched_aiohttp.py
    without the body         long polling works for small bodies only
    without the sessions     only the connection is authenticated, when its token was right. So long
                             polling is cut off after a few seconds; senders use WebSocket. A peer
                             with the token may leave answers unread until MemoryMax= ends the
                             receiver. The other peers have few bytes and little time
    without the heartbeats   engineio's are used: silence is noticed a little later, and a peer with
                             the token can make it start any number of tasks
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import engineio
from aiohttp import web

from sendrecv import patching

PING_INTERVAL, PING_TIMEOUT = 10, 10
"""Seconds of Engine.IO's heartbeat, which notices a peer that vanishes without a message."""
NONE_KNOWN = "no long polling, answers may be left unread, and its own heartbeats are used"
"""What follows if nothing is known of sessions."""
Handler = Callable[..., Awaitable[object]]


def _driver() -> Any:
    return patching.module("engineio.async_drivers.aiohttp")


def _socket() -> Any:
    """The class of a session. (Before 4.5 its module had another name.)"""
    module = patching.module("engineio.async_socket", "engineio.asyncio_socket")
    return patching.attribute(module, "AsyncSocket", type)


# The driver: engineio's way to aiohttp.


class _Body:
    """A request's body, all of it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, _size: int) -> bytes:
        return self._data


async def _translate(request: web.Request) -> dict[str, Any]:
    environ: dict[str, Any] = _driver().translate_request(request)
    # engineio takes all for http, and refuses the origin that websocket-client 1.8 names with TLS.
    # (1.2.3 names http then, too. No page can have that origin: nothing else has this port.)
    if request.secure and request.headers.get("Origin", "").startswith("https:"):
        environ["wsgi.url_scheme"] = "https"
    if request.method == "POST":
        body = await request.read()
        environ |= {"wsgi.input": _Body(body), "CONTENT_LENGTH": str(len(body))}
    return environ


def patch_driver(make_response: Callable[..., web.WebSocketResponse]) -> None:
    """Make engineio read messages from such responses, and read whole bodies."""
    if patching.ENGINEIO.fits(_check_response, "messages are not counted, and not checked first"):
        _driver().WebSocketResponse = make_response
    if patching.ENGINEIO.fits(
        _check_translate, "long polling takes small bodies only, and TLS no websocket-client"
    ):
        _driver()._async["translate_request"] = _translate  # pylint: disable=protected-access


def _check_response() -> None:
    websocket = patching.attribute(_driver(), "WebSocket", type)
    patching.coroutine(websocket, "__call__", "self", "environ")
    patching.uses(websocket, "__call__", "WebSocketResponse")
    patching.coroutine(websocket, "wait", "self")
    patching.uses(websocket, "wait", "receive")


def _check_translate() -> None:
    patching.function(_driver(), "translate_request", "request")
    if "translate_request" not in patching.attribute(_driver(), "_async", dict):
        raise patching.Misfit("no translate_request in the driver's _async")
    patching.coroutine(engineio.AsyncServer, "handle_request", "self")
    patching.uses(engineio.AsyncServer, "handle_request", "translate_request")
    patching.coroutine(_socket(), "handle_post_request", "self", "environ")
    for name in ("wsgi.input", "CONTENT_LENGTH"):
        patching.uses(_socket(), "handle_post_request", name)
    patching.uses(engineio.AsyncServer, "_cors_allowed_origins", "wsgi.url_scheme")


# Its sessions.


class EngineioSessions:
    """Engine.IO's sessions, by name. If engineio has changed, none is known."""

    def __init__(self, eio: Any) -> None:
        """eio: an Engine.IO server; None if there is none, which was said."""
        self.eio = eio
        self.are_known = eio is not None and patching.ENGINEIO.fits(
            partial(_check_sessions, eio), NONE_KNOWN
        )

    def follow(self, handlers: Mapping[str, Handler]) -> dict[str, Handler]:
        """Set these handlers. Returns the former handlers, which the new ones have to call."""
        if not self.are_known:
            return {}
        before = dict(self.eio.handlers)
        for event, handler in handlers.items():
            self.eio.on(event, handler)
        return before

    def names(self) -> list[str]:
        """All sessions that there are."""
        return list(self.eio.sockets) if self.are_known else []

    def get(self, name: str) -> Any:
        """The session, an AsyncSocket; None if there is none."""
        return self.eio.sockets.get(name) if self.are_known else None

    def has_ended(self, name: str) -> bool:
        """Whether it is over, if sessions are known. (engineio 4.3 keeps those of long polling.)"""
        session = self.get(name)
        return self.are_known and (session is None or bool(session.closed))

    def unread(self, name: str) -> int:
        """The packets that wait for the peer to read them."""
        session = self.get(name)
        return int(session.queue.qsize()) if session else 0

    async def end(self, name: str) -> None:
        """End the session, now. Calls the handler of "disconnect"."""
        session = self.get(name)
        if session:
            del self.eio.sockets[name]
            await session.close(wait=False, abort=True)


def _check_sessions(eio: Any) -> None:
    patching.attribute(eio, "sockets", dict)
    patching.uses(engineio.AsyncServer, "_handle_connect", "sockets")
    handlers = patching.attribute(eio, "handlers", dict)
    missing = {"connect", "message", "disconnect"} - handlers.keys()
    if missing:
        raise patching.Misfit(f"no handlers of {', '.join(sorted(missing))}")
    patching.function(engineio.AsyncServer, "on", "self", "event", "handler")
    patching.uses(engineio.AsyncServer, "_trigger_event", "handlers")
    patching.accepts(_socket(), "close", "wait", "abort")
    patching.coroutine(_socket(), "close")
    for name in ("queue", "closed"):
        patching.uses(_socket(), "__init__", name)
    patching.function(engineio.AsyncServer, "create_queue", "self")
    if not isinstance(eio.create_queue(), asyncio.Queue):
        raise patching.Misfit("create_queue() makes no asyncio.Queue")


# Its heartbeats.


class Heartbeats:
    """Engine.IO's heartbeat: one timer for each session, which ends with it.

    engineio starts a task for each ping. For PING_INTERVAL seconds after the end of a session, the
    task keeps everything that the session had. A peer can start any number of tasks, by answers to
    pings that were never sent. And engineio uses the wall clock to see whether an answer is late,
    which may jump.
    """

    def __init__(self, sessions: EngineioSessions, on_silence: Callable[[str], None]) -> None:
        """`on_silence` is called with the name of a session that does not answer."""
        self._on_silence = on_silence
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._asked: set[str] = set()
        eio = sessions.eio
        self._are_ours = sessions.are_known and patching.ENGINEIO.fits(
            _check_heartbeats, "its own heartbeats are used"
        )
        if self._are_ours:
            eio.start_background_task = partial(_start_but_pings, eio.start_background_task)

    def begin(self, name: str, session: Any) -> None:
        """The session of that name has begun."""
        if self._are_ours:
            # engineio calls it at each answer.
            session.schedule_ping = partial(self._answered, name, session)
            self._wait(name, session)

    def end(self, name: str) -> None:
        """The session has ended."""
        self._asked.discard(name)
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _wait(self, name: str, session: Any) -> None:
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(PING_INTERVAL, self._ask, name, session)

    def _ask(self, name: str, session: Any) -> None:
        # First the timer: whatever becomes of the ping, the session ends if there is no answer.
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(PING_TIMEOUT, self._on_silence, name)
        self._asked.add(name)
        session.queue.put_nowait(engineio.packet.Packet(engineio.packet.PING))

    def _answered(self, name: str, session: Any) -> None:
        if name in self._asked:
            self.end(name)
            self._wait(name, session)


_PING_TASKS = ("_send_ping", "send_ping")


def _start_but_pings(
    start: Callable[..., Any], target: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    is_ping = getattr(target, "__name__", "") in _PING_TASKS
    return None if is_ping else start(target, *arguments, **named)


def _check_heartbeats() -> None:
    session = _socket()
    patching.function(engineio.AsyncServer, "start_background_task", "self", "target")
    patching.function(session, "schedule_ping", "self")
    for names in (_PING_TASKS, ("start_background_task",)):
        patching.uses(session, "schedule_ping", *names)
    patching.coroutine(session, "receive", "self", "pkt")
    patching.uses(session, "receive", "schedule_ping")
    patching.function(engineio.packet.Packet, "__init__", "self", "packet_type")
    patching.attribute(engineio.packet, "PING", int)
