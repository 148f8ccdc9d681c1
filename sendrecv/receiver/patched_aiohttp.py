"""aiohttp, with limits and checks that it lacks.

    WebSocketResponse   refuses compression: a small frame must not become a large one. Refuses
                        packets that are empty or not Engine.IO's: these would end engineio's loop
                        and leave its session behind
    HTTP                does not unpack compressed bodies. Closes a connection that is not
                        authenticated after one answer: it may have sent many requests at once

If aiohttp has changed, its own class is used, with the settings "no compression" and "no large
message". The limits of admission.py on bytes, time and connections still hold, and so does the
unit's MemoryMax=. But the messages before the token and the unread messages are not counted, and a
peer can make one of its own sessions hang. Compressed bodies are unpacked, up to the size of a
message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any
from weakref import ref

import aiohttp
from aiohttp import WSMsgType, web

from sendrecv import patching
from sendrecv.core.wire import MAX_MESSAGE
from sendrecv.receiver.access import Access
from sendrecv.receiver.admission import PeerConnection

ENGINE_IO = "/socket.io/"
"""The path of Socket.IO's requests, the default of the library and of all clients."""
FOR_READERS = ("/apps", "/status", "/healthz")
"""All that a peer with Access.LOOK may ask for."""
_FROM_A_CLIENT = "123456"
"""Engine.IO's packet types, without "open" and "b" (binary data as text)."""
# Weak: timers that were cancelled keep their context until they would have been due.
_current: ContextVar[ref[PeerConnection] | None] = ContextVar("connection", default=None)


class WebSocketResponse(web.WebSocketResponse):
    """The response from which engineio reads messages. It sets no limit in aiohttp."""

    def __init__(self, **_options: object) -> None:
        super().__init__(max_msg_size=MAX_MESSAGE, compress=False, autoping=False)
        self._peer: PeerConnection

    async def prepare(self, request: web.BaseRequest) -> Any:
        """See the library, which calls this once more at the end."""
        if not self.prepared:
            peer = connection_of(request)
            if peer is None:
                raise ConnectionResetError
            self._peer = peer
            self._peer.upgraded()
        return await super().prepare(request)

    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:
        """The next message that engineio can parse."""
        while True:
            self._peer.listens()
            message = await super().receive(timeout)
            self._peer.took_message(_length(message.data))
            if message.type is WSMsgType.PING:
                await self.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                break
        if message.type is WSMsgType.TEXT and message.data[:1] not in tuple(_FROM_A_CLIENT):
            self._peer.abort("message that is no Engine.IO packet")
        elif message.type is not WSMsgType.BINARY or message.data:
            return message
        return aiohttp.WSMessage(WSMsgType.CLOSED, None, None)


def _length(data: object) -> int:
    return len(data) if isinstance(data, (str, bytes)) else 0


def websocket_response() -> Callable[..., web.WebSocketResponse]:
    """What makes the response to a WebSocket's request."""
    otherwise = "messages are not counted, and not checked before engineio sees them"
    return (
        WebSocketResponse if patching.AIOHTTP.fits(_check_websocket, otherwise) else _plain_response
    )


def _check_websocket() -> None:
    base = web.WebSocketResponse
    patching.accepts(base, "__init__", "max_msg_size", "compress", "autoping")
    patching.coroutine(base, "prepare", "self", "request")
    patching.attribute(base, "prepared", property)
    patching.coroutine(base, "receive", "self", "timeout")
    patching.coroutine(base, "pong", "self")
    fields = getattr(patching.attribute(aiohttp, "WSMessage", type), "_fields", ())
    if fields != ("type", "data", "extra"):
        raise patching.Misfit(f"WSMessage{fields}")


def _plain_response(**_options: object) -> web.WebSocketResponse:
    try:
        return web.WebSocketResponse(max_msg_size=MAX_MESSAGE, compress=False)
    except TypeError:
        return web.WebSocketResponse()


def connection_of(request: web.BaseRequest) -> PeerConnection | None:
    """The connection of a request; None if it has ended."""
    peer = request.transport.get_protocol() if request.transport else None
    return peer if isinstance(peer, PeerConnection) else None


def current_connection() -> PeerConnection | None:
    """The connection of the request that is being handled, or of the WebSocket that it became."""
    weak = _current.get()
    return weak() if weak else None


async def make_http(app: web.Application, sessions: Callable[[str], bool]) -> web.AppRunner:
    """The HTTP server; its `server` makes the protocols of connections.

    sessions: whether there is an Engine.IO session of that name.
    """

    @web.middleware
    async def note(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        peer = connection_of(request)
        _current.set(ref(peer) if peer else None)
        if peer:
            if peer.access is Access.LOOK and request.path not in FOR_READERS:
                raise web.HTTPForbidden
            _let_serve(peer, request, sessions)
        try:
            return await handler(request)
        finally:
            if peer:
                peer.answered(_size(request))

    app.middlewares.append(note)
    app.on_response_prepare.extend((_one_each, _say_less, _follow_upgrade))
    runner = web.AppRunner(app, handle_signals=False, **_handler_options())
    await runner.setup()
    return runner


def _let_serve(
    peer: PeerConnection, request: web.BaseRequest, sessions: Callable[[str], bool]
) -> None:
    """Only what asks for a session serves it: else the peer of a session could hold connections of
    any number by requests of another kind.
    """
    session = request.query.get("sid", "")
    if request.path != ENGINE_IO:
        session = ""
    elif not sessions(session):
        session = peer.session
    if not peer.serve(session):
        raise web.HTTPTooManyRequests


def _size(request: web.BaseRequest) -> int:
    """Of the request's head, and of what has come of its body."""
    head = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
    return head + len(request.path_qs) + 16 + int(getattr(request.content, "total_bytes", 0))


async def _one_each(request: web.Request, response: web.StreamResponse) -> None:
    peer = connection_of(request)
    if peer and peer.is_unauthenticated:
        response.force_close()


async def _say_less(_request: web.Request, response: web.StreamResponse) -> None:
    """No headers with versions. Besides, a client reads each byte of them, and a takeover waits."""
    response.headers.pop("Server", None)
    if response.status == 101:  # in all others RFC 9110, section 6.6.1, asks for a date
        for name in ("Date", "Content-Type"):
            response.headers.pop(name, None)


async def _follow_upgrade(request: web.Request, response: web.StreamResponse) -> None:
    """From now on frames come, with a limit of their own, whichever class made the response."""
    peer = connection_of(request)
    if peer and response.status == 101 and not isinstance(response, WebSocketResponse):
        peer.upgraded(counted=False)


def _handler_options() -> dict[str, Any]:
    # aiohttp 3.11 drops all of them if it does not know one.
    options = {"access_log": None, "auto_decompress": False}

    def check() -> None:
        patching.accepts(web.RequestHandler, "__init__", *options)

    return options if patching.AIOHTTP.fits(check, "compressed bodies are unpacked") else {}
