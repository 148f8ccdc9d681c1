"""python-socketio, engineio and aiohttp, with the limits and the strictness that they lack.

What is changed, each for a peer that it is there for:

    Packet              attachments: any number of them would be kept, before the token was seen
    WebSocketResponse   compression: a small frame must not become a large one; empty packets,
                        which end engineio's loop and leave its session behind
    translate           a request body that is chunked, or comes in pieces: engineio takes the
                        first piece for the whole
    Heartbeats          a peer that vanishes, or answers more heartbeats than it was asked for
    HTTP                compressed bodies, answers to many requests sent at once
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import engineio.async_drivers.aiohttp as driver
import socketio
from aiohttp import WSMessage, WSMsgType, web
from engineio import packet
from socketio.packet import BINARY_ACK, BINARY_EVENT, EVENT
from socketio.packet import Packet as AnyPacket

from sendrecv.core.errors import PeerError
from sendrecv.core.wire import MAX_MESSAGE
from sendrecv.receiver.admission import TcpConnection

PING_INTERVAL, PING_TIMEOUT = 10, 10
"""Seconds, Engine.IO's heartbeat: how a peer that vanished without a word is noticed."""
_FROM_A_CLIENT = "123456"
"""Engine.IO's packet types but for "open", and for "b", which is binary data as text."""


class Packet(AnyPacket):  # type: ignore[misc]  # untyped library
    """A Socket.IO packet; one with attachments, or an event without a name, is a PeerError."""

    def decode(self, encoded_packet: str) -> int:
        """See the library; the number of attachments is always 0."""
        if not isinstance(encoded_packet, str):
            raise PeerError("binary attachment")
        if encoded_packet[:1] in (str(BINARY_EVENT), str(BINARY_ACK)):
            raise PeerError("packet with binary attachments")
        try:
            super().decode(encoded_packet)
        except (ValueError, RecursionError) as error:
            raise PeerError(f"malformed packet ({type(error).__name__})") from None
        if self.data is not None and not isinstance(self.data, (dict, list)):
            raise PeerError("packet whose data is neither object nor array")
        if self.packet_type == EVENT and not _is_event(self.data):
            raise PeerError("event without a name")
        return 0


def _is_event(data: object) -> bool:
    # "connect" and "disconnect" as events would call the handlers of that name.
    reserved = ("connect", "disconnect")
    named = isinstance(data, list) and bool(data) and isinstance(data[0], str)
    return named and data[0] not in reserved  # type: ignore[index]  # it is a list


def tcp_connection_of(request: web.BaseRequest) -> TcpConnection | None:
    """The connection that a request came on; None if it has ended."""
    tcp = request.transport.get_protocol() if request.transport else None
    return tcp if isinstance(tcp, TcpConnection) else None


class WebSocketResponse(web.WebSocketResponse):
    """What engineio reads messages from. It asks aiohttp for no limit at all."""

    def __init__(self, **_options: object) -> None:
        super().__init__(max_msg_size=MAX_MESSAGE, compress=False, autoping=False)
        self._tcp: TcpConnection

    async def prepare(self, request: web.BaseRequest) -> Any:
        """See the library, which calls this once more when all is over."""
        if not self.prepared:
            tcp = tcp_connection_of(request)
            if tcp is None:
                raise ConnectionResetError
            self._tcp = tcp
            self._tcp.upgraded()
        return await super().prepare(request)

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """The next message that engineio can make sense of."""
        while True:
            message = await super().receive(timeout)
            self._tcp.took_message()
            if message.type is WSMsgType.PING:
                await self.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                break
        if message.type is WSMsgType.TEXT and message.data[:1] not in tuple(_FROM_A_CLIENT):
            self._tcp.abort("message that is no Engine.IO packet")
        elif message.type is not WSMsgType.BINARY or message.data:
            return message
        return WSMessage(WSMsgType.CLOSED, None, None)


class _Body:
    """A request's body, all of it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, _size: int) -> bytes:
        return self._data


async def _translate(request: web.Request) -> dict[str, Any]:
    environ: dict[str, Any] = driver.translate_request(request)
    if request.method == "POST":
        body = await request.read()
        environ |= {"wsgi.input": _Body(body), "CONTENT_LENGTH": str(len(body))}
    return environ


def make_server() -> Any:
    """A Socket.IO server."""
    driver.WebSocketResponse = WebSocketResponse
    driver._async["translate_request"] = _translate  # pylint: disable=protected-access
    return socketio.AsyncServer(
        async_mode="aiohttp",
        async_handlers=False,  # one event of a connection after the other
        serializer=Packet,
        max_http_buffer_size=MAX_MESSAGE,
        http_compression=False,
        ping_interval=PING_INTERVAL,
        ping_timeout=PING_TIMEOUT,
        logger=logging.getLogger("socketio.server"),
        engineio_logger=logging.getLogger("engineio.server"),
    )


class Heartbeats:
    """Engine.IO's heartbeat: one timer for each session, which ends with it.

    engineio starts a task for each ping. The task keeps all that the session ever held for
    PING_INTERVAL seconds after its end; and a peer can start any number of them, by answering
    pings that were never sent. The wall clock, by which engineio looks for an answer, may jump.
    """

    def __init__(self, eio: Any, on_silence: Callable[[str], None]) -> None:
        """`on_silence` is called with the name of a session that does not answer."""
        self._on_silence = on_silence
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._asked: set[str] = set()
        start = eio.start_background_task

        def start_but_pings(target: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
            is_ping = target.__name__.lstrip("_") == "send_ping"
            return None if is_ping else start(target, *arguments, **named)

        eio.start_background_task = start_but_pings

    def begin(self, session: Any) -> None:
        """The session has begun."""
        session.schedule_ping = partial(self._answered, session)  # engineio calls it at each pong
        self._rest(session)

    def end(self, sid: str) -> None:
        """The session has ended."""
        self._asked.discard(sid)
        if timer := self._timers.pop(sid, None):
            timer.cancel()

    def _rest(self, session: Any) -> None:
        loop = asyncio.get_running_loop()
        self._timers[session.sid] = loop.call_later(PING_INTERVAL, self._ask, session)

    def _ask(self, session: Any) -> None:
        self._asked.add(session.sid)
        session.queue.put_nowait(packet.Packet(packet.PING))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PING_TIMEOUT, self._on_silence, session.sid)
        self._timers[session.sid] = timer

    def _answered(self, session: Any) -> None:
        if session.sid in self._asked:
            self.end(session.sid)
            self._rest(session)


async def make_http(app: web.Application, sessions: Callable[[str], bool]) -> web.AppRunner:
    """The HTTP server; its `server` makes the protocols of connections.

    sessions: whether there is an Engine.IO session of that name.
    """

    @web.middleware
    async def note(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        tcp = tcp_connection_of(request)
        if tcp:
            session = request.query.get("sid", "")
            tcp.session = session if sessions(session) else tcp.session
            tcp.requested()
        return await handler(request)

    async def one_each(request: web.Request, response: web.StreamResponse) -> None:
        tcp = tcp_connection_of(request)
        if tcp and tcp.is_unauthenticated:
            response.force_close()

    async def say_less(_request: web.Request, response: web.StreamResponse) -> None:
        """No versions; and a takeover waits for the other side to read each byte by itself."""
        del response.headers["Server"]
        if response.status == 101:  # in all others RFC 9110, section 6.6.1, asks for a date
            for name in ("Date", "Content-Type"):
                response.headers.pop(name, None)

    app.middlewares.append(note)
    app.on_response_prepare.extend((one_each, say_less))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, auto_decompress=False)
    await runner.setup()
    return runner
