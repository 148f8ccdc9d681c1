"""The receiver's door: every TCP connection, and what it may cost before it has shown the token.

A connection is a stranger's until the Socket.IO session that it serves has been admitted, and from
the moment on when that session has ended.

Rules
    1. A stranger has PATIENCE seconds, STRANGER_BYTES bytes, STRANGER_MESSAGES messages and one
       HTTP request; then the connection is cut.
    2. What strangers send waits in a line, and so does the clearing up after whoever has gone.
       Each turn of the event loop takes one piece of work from it. So a flood, or the end of a
       thousand connections at once, makes strangers wait for each other, and nobody else.
    3. SEATS strangers are inside, that is, known to aiohttp; who comes in when all seats are taken
       gets that of the stranger who has had one longest. Who is inside is served before who is
       not. So nobody can keep the others out, or make Python's garbage collector take long: it
       looks at every object of every connection, at once.
    4. Friends who all send at one instant are served so many in each turn of the event loop: it
       must go round, for the watchdog if for nothing else.
    5. Above the greatest number of connections, the stranger who has been there longest goes; if
       there is none, the newcomer does.
    6. A friend is not read while BACKLOG messages of it are unread; one who ever had so many
       waits in the strangers' line from then on. A frame above MAX_MESSAGE ends the connection
       before it is stored (aiohttp looks at the size of a message when it has all of it).

aiohttp knows none of this: a Visitor stands between the event loop and aiohttp's own protocol.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial

from sendrecv.core.errors import PeerError
from sendrecv.core.frames import Frames
from sendrecv.core.wire import MAX_MESSAGE, Claim

PATIENCE = 5.0
STRANGER_BYTES = 16_384
"""A friend's long poll may come on a new connection, whose session is known three reads later."""
STRANGER_MESSAGES = 8
SEATS = 256
FRIENDS_AT_ONCE = 64
BACKLOG = 64
CHUNK, SMALL_CHUNK = 32_768, 4096
"""Bytes that are read at once. The larger is above what a batch of MAX_BATCH mostly takes."""
REQUEST_BYTES = MAX_MESSAGE + STRANGER_BYTES
"""A friend's HTTP request, head and body."""
ACCEPT_AT_ONCE = 16
"""Connections that are accepted in one turn of the event loop."""
LISTEN_BACKLOG = 4096


class Line(Enum):
    """Where what has been received waits."""

    FRIENDS = 0
    INSIDE = 1
    OUTSIDE = 2


class Visitor(asyncio.BufferedProtocol):
    """One TCP connection. session: the Engine.IO session that it serves, "" for none yet."""

    def __init__(self, door: Door) -> None:
        self.session = ""
        self.arrived = door.now()
        self._door = door
        self._transport: asyncio.Transport
        self._inner: asyncio.Protocol | None = None
        self._waiting = b""  # what a stranger has sent and nobody has looked at
        self._end = b""  # the last bytes handed to the inner protocol
        self._bytes = 0  # of this request
        self._frames: Frames | None = None
        self._taken = 0
        self._held = False  # not read, because of messages that are unread
        self._is_hasty = False  # was held before

    @property
    def is_stranger(self) -> bool:
        """Whether the token has not been seen, or the session it came with is over."""
        return self.session not in self._door.friends

    def abort(self, complaint: str = "") -> None:
        """Cut the connection, now."""
        if complaint and not self._transport.is_closing():
            self._door.complain(self.session, complaint)
        self._transport.abort()

    # What the gateway tells.

    def requested(self) -> None:
        """An HTTP request begins to be handled."""
        if not self.is_stranger:
            self._bytes = 0
            self._door.release(self)

    def upgraded(self) -> None:
        """What comes from now on are frames. Raises PeerError if some came before the answer."""
        if self._waiting or self._end != b"\r\n\r\n":
            self.abort()
            raise PeerError("frames before the answer to the upgrade")
        self._frames = Frames()

    def took_message(self) -> None:
        """A message has been read."""
        self._taken += 1
        if self.is_stranger and self._taken > STRANGER_MESSAGES:
            self.abort(f"more than {STRANGER_MESSAGES} messages without the token")
        elif self._held and self._unread() <= BACKLOG // 2:
            self._held = False  # if it was held here: aiohttp has reasons of its own
            self._transport.resume_reading()

    def _unread(self) -> int:
        return self._frames.messages - self._taken if self._frames else 0

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._door.enter(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        # One for all visitors: buffer_updated() copies what is in it.
        return self._door.buffer[: SMALL_CHUNK if self._has_to_wait() else CHUNK]

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._door.buffer[:nbytes])
        try:
            self._measure(data)
        except PeerError as error:
            return self.abort(str(error))
        if not self._waiting and not self._has_to_wait() and self._door.may_serve_friend():
            return self._feed(data)
        self._transport.pause_reading()
        if not self._waiting:
            self._door.queue(self._serve, self._line())
        self._waiting += data
        return None

    def eof_received(self) -> bool:
        self._door.queue(self._transport.abort)
        return True  # not at once

    def pause_writing(self) -> None:
        if self._inner:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        if self._inner:
            self._door.queue(partial(self._inner.connection_lost, exc))

    def _has_to_wait(self) -> bool:
        return self._is_hasty or self.is_stranger

    def _line(self) -> Line:
        if not self._has_to_wait():
            return Line.FRIENDS
        return Line.INSIDE if self._inner else Line.OUTSIDE

    def _measure(self, data: bytes) -> None:
        if self._frames:
            self._frames.feed(data)
            if not self.is_stranger:
                return
        self._bytes += len(data)
        if self.is_stranger and self._bytes > STRANGER_BYTES:
            raise PeerError(f"more than {STRANGER_BYTES} bytes without the token")
        if self._bytes > REQUEST_BYTES:
            raise PeerError(f"request of more than {REQUEST_BYTES} bytes")

    def _serve(self) -> None:
        data, self._waiting = self._waiting, b""
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        if self._inner is None:
            self._door.seat(self)
            self._inner = self._door.make_protocol()
            self._inner.connection_made(self._transport)
        if self._frames is None:
            self._end = (self._end + data)[-4:]
        self._inner.data_received(data)
        if self._unread() > BACKLOG:
            self._held = self._is_hasty = True
            self._transport.pause_reading()


class Door:
    """All connections of one listening socket.

    friends: the claims of the admitted sessions. make_protocol: makes aiohttp's protocol for one
    connection. complain: is told of a session, and what it did wrong.
    """

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        max_connections: int,
        complain: Callable[[str, str], None],
    ) -> None:
        self.make_protocol = make_protocol
        self.complain = complain
        self.friends: dict[str, Claim] = {}
        self.buffer = memoryview(bytearray(CHUNK))
        self._max_connections = max_connections
        self._visitors: dict[Visitor, None] = {}  # in the order of their arrival
        self._seats: dict[Visitor, None] = {}  # strangers, in the order in which they came in
        self._lines: dict[Line, deque[Callable[[], None]]] = {line: deque() for line in Line}
        self._served = 0  # friends, in this turn of the event loop
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time

    async def open(self, listener: socket.socket) -> None:
        """Begin to accept connections."""
        await self._loop.create_server(lambda: Visitor(self), sock=listener, backlog=ACCEPT_AT_ONCE)
        listener.listen(LISTEN_BACKLOG)  # asyncio uses one number for both

    # For the gateway.

    def befriend(self, session: str, claim: Claim) -> None:
        """The session has shown the token."""
        self.friends[session] = claim
        for visitor in [seated for seated in self._seats if seated.session == session]:
            self.release(visitor)

    def hang_up(self, session: str) -> None:
        """End the connections of a stranger's session."""
        for visitor in [seated for seated in self._seats if seated.session == session]:
            visitor.abort()

    def forget(self, session: str) -> None:
        """The session is over; the next sweep() ends its connections."""
        self.friends.pop(session, None)

    def sweep(self) -> None:
        """Cut off strangers who have been here for too long. To be called each second or so."""
        limit = self.now() - PATIENCE
        for visitor in list(self._visitors):
            if visitor.arrived < limit and visitor.is_stranger:
                visitor.abort()

    # For visitors.

    def enter(self, visitor: Visitor) -> None:
        """One more connection."""
        self._visitors[visitor] = None
        if len(self._visitors) > self._max_connections:
            longest = next((v for v in self._visitors if v.is_stranger), visitor)
            del self._visitors[longest]
            longest.abort(f"more than {self._max_connections} connections, one closed")

    def leave(self, visitor: Visitor) -> None:
        """One connection less."""
        self._visitors.pop(visitor, None)
        self.release(visitor)

    def seat(self, visitor: Visitor) -> None:
        """A stranger comes in."""
        if len(self._seats) >= SEATS:
            longest = next(iter(self._seats))
            self.release(longest)
            longest.abort(f"more than {SEATS} connections without the token, one closed")
        self._seats[visitor] = None

    def release(self, visitor: Visitor) -> None:
        """Not a stranger any more, or gone."""
        self._seats.pop(visitor, None)

    def may_serve_friend(self) -> bool:
        """Whether one more friend can be served in this turn of the event loop."""
        if self._served >= FRIENDS_AT_ONCE or self._lines[Line.FRIENDS]:
            return False
        if not self._served:
            self._loop.call_soon(self._begin_turn)  # before the next turn reads anything
        self._served += 1
        return True

    def _begin_turn(self) -> None:
        self._served = 0

    def queue(self, work: Callable[[], None], line: Line = Line.INSIDE) -> None:
        """Do this when all that came before has been done."""
        if not any(self._lines.values()):
            self._loop.call_soon(self._turn)
        self._lines[line].append(work)

    def _turn(self) -> None:
        friends, inside, outside = self._lines.values()
        for _ in range(min(len(friends), FRIENDS_AT_ONCE)):
            self._loop.call_soon(friends.popleft())
        if inside or outside:
            self._loop.call_soon((inside or outside).popleft())
        if any(self._lines.values()):
            self._loop.call_soon(self._turn)
