"""Admission: every connection, and what it may cost before its peer is authenticated.

The kernel says on which socket a peer has connected. That decides what the peer may (Access).
Nothing that the peer sends can change it.

A connection serves one Engine.IO session. The connection is authenticated from the moment when that
session is admitted (its claim was right, and its token where one is needed) until the session ends.

Rules
    1. A connection that is not authenticated has AUTHENTICATION_TIMEOUT seconds,
       UNAUTHENTICATED_BYTES bytes, UNAUTHENTICATED_MESSAGES messages and one HTTP request. If it
       takes more, it is cut.
    2. A queue has the data that such connections send, and the clean-up after connections that have
       ended. Each turn of the event loop takes one piece of work from the queue. So a flood, or the
       end of a thousand connections at once, delays no authenticated connection.
    3. At most PENDING connections that are not authenticated are known to aiohttp. When one more
       sends something, the oldest of them is cut. Those known to aiohttp are served before the
       others. At most PENDING TLS handshakes are unfinished. When one more begins, the oldest of
       them is cut. So no peer can keep the others out. And Python's garbage collector, which looks
       at every object of every connection at once, never takes long.
    4. In one turn of the event loop at most SERVED_AT_ONCE authenticated connections are served:
       the loop must reach the watchdog's pings in time.
    5. Above the greatest number of connections, the oldest one that is not authenticated is cut. If
       all are authenticated, the newest is cut.
    6. An authenticated connection is not read while MOST_UNHANDLED of its messages are unhandled.
       After that happened once, the connection is served from the queue of rule 2. A frame above
       MAX_MESSAGE ends the connection before the frame is stored. (aiohttp checks the size of a
       message only when it has the whole message.)

aiohttp has no such limits. So a PeerConnection is between the event loop and aiohttp's protocol.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial

from sendrecv.core.errors import PeerError
from sendrecv.core.frames import Frames
from sendrecv.core.wire import MAX_MESSAGE, Claim
from sendrecv.descriptors import Listener
from sendrecv.receiver.access import Access, access_of
from sendrecv.receiver.quick import QuickCounts
from sendrecv.receiver.tls import Handshakes

AUTHENTICATION_TIMEOUT = 5.0
UNAUTHENTICATED_BYTES = 16_384
"""A session's long poll may come on a new connection, whose session is known three reads later."""
UNAUTHENTICATED_MESSAGES = 8
PENDING = 256
SERVED_AT_ONCE = 64
MOST_UNHANDLED = 64
CHUNK, SMALL_CHUNK = 32_768, 4096
"""Bytes that are read at once. The larger one is mostly enough for a batch of MAX_BATCH."""
REQUEST_BYTES = MAX_MESSAGE + UNAUTHENTICATED_BYTES
"""The HTTP request of an authenticated connection, head and body."""
ACCEPT_AT_ONCE = 16
"""Connections that are accepted in one turn of the event loop."""


class Waiting(Enum):
    """Where received data waits. PENDING: of connections that aiohttp knows. ACCEPTED: of the
    others."""

    AUTHENTICATED = 0
    PENDING = 1
    ACCEPTED = 2


class PeerConnection(asyncio.BufferedProtocol):
    """One connection. session: the Engine.IO session that it serves, "" for none yet."""

    def __init__(self, admission: Admission, access: Access) -> None:
        self.session = ""
        self.access = access
        self.arrived = admission.now()
        self._admission = admission
        self._transport: asyncio.Transport
        self._inner: asyncio.Protocol | None = None
        self._waiting = b""  # received, and not looked at
        self._end = b""  # the last bytes handed to the inner protocol
        self._bytes = 0  # of this request
        self._frames: Frames | None = None
        self._taken = 0
        self._held = False  # not read, because of messages that are unread
        self._was_held = False  # was held before

    @property
    def is_unauthenticated(self) -> bool:
        """Whether it has not shown the token yet, or its session has ended."""
        return self.session not in self._admission.authenticated

    def abort(self, complaint: str = "") -> None:
        """Cut the connection, now."""
        if complaint and not self._transport.is_closing():
            self._admission.complain(self.session, complaint)
        try:
            self._transport.abort()
        except AttributeError:  # on Python 3.11; see _is_tls(). It ends by itself.
            if not _is_tls(self._transport):
                raise

    # What the gateway tells.

    def requested(self) -> None:
        """An HTTP request begins to be handled."""
        if not self.is_unauthenticated:
            self._bytes = 0
            self._admission.release(self)

    def upgraded(self, counted: bool = True) -> None:
        """From now on, frames come. Raises PeerError if a frame came before the answer.

        counted: took_message() will be called for each message.
        """
        if self._waiting or self._end != b"\r\n\r\n":
            self.abort()
            raise PeerError("frames before the answer to the upgrade")
        self._frames = Frames()
        self._taken = 0 if counted else sys.maxsize  # so there never are too many unread

    def listens(self) -> None:
        """All messages that were read are handled."""
        if self._frames:
            self._frames.idle = True

    def took_message(self) -> None:
        """A message has been read."""
        self._taken += 1
        if self._frames:
            self._frames.idle = False
        if self.is_unauthenticated and self._taken > UNAUTHENTICATED_MESSAGES:
            self.abort(self._of_nobody(f"more than {UNAUTHENTICATED_MESSAGES} messages"))
        elif self._held and self._unread() <= MOST_UNHANDLED // 2:
            self._held = False  # if it was held here: aiohttp may hold it for its own reasons
            self._transport.resume_reading()

    def _of_nobody(self, much: str) -> str:
        """The complaint. "" if the token was shown: when an App has moved, its older connection has
        ended, and what was still on its way there is nobody's fault.
        """
        was_authenticated = self._inner is not None and not self._admission.is_pending(self)
        return "" if was_authenticated else f"{much} without the token"

    def _unread(self) -> int:
        return self._frames.messages - self._taken if self._frames else 0

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if _is_tls(transport):
            self._admission.handshakes.finished(transport.get_extra_info("socket").fileno())
        self._admission.enter(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        # One for all connections: buffer_updated() copies what is in it.
        return self._admission.buffer[: SMALL_CHUNK if self._has_to_wait() else CHUNK]

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._admission.buffer[:nbytes])
        try:
            self._measure(data)
        except PeerError as error:
            return self.abort(str(error))
        if not self._waiting and not self._has_to_wait() and self._admission.may_serve_now():
            return self._feed(data)
        self._transport.pause_reading()
        if not self._waiting:
            self._admission.enqueue(self._serve, self._queue())
        self._waiting += data
        return None

    def eof_received(self) -> bool:
        self._admission.enqueue(self.abort)
        return not _is_tls(self._transport)  # not at once; with TLS it is

    def pause_writing(self) -> None:
        if self._inner:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._admission.leave(self)
        if self._inner:
            self._admission.enqueue(partial(self._inner.connection_lost, exc))

    def _has_to_wait(self) -> bool:
        return self._was_held or self.is_unauthenticated

    def _queue(self) -> Waiting:
        if not self._has_to_wait():
            return Waiting.AUTHENTICATED
        return Waiting.PENDING if self._inner else Waiting.ACCEPTED

    def _measure(self, data: bytes) -> None:
        if self._frames:
            self._frames.feed(data)
            if not self.is_unauthenticated:
                return
        self._bytes += len(data)
        if self.is_unauthenticated and self._bytes > UNAUTHENTICATED_BYTES:
            raise PeerError(self._of_nobody(f"more than {UNAUTHENTICATED_BYTES} bytes"))
        if self._bytes > REQUEST_BYTES:
            raise PeerError(f"request of more than {REQUEST_BYTES} bytes")

    def _serve(self) -> None:
        data, self._waiting = self._waiting, b""
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        if self._inner is None:
            self._admission.begin(self)
            self._inner = self._admission.make_protocol()
            self._inner.connection_made(self._transport)
        if self._frames is None:
            self._end = (self._end + data)[-4:]
        elif self._took_quickly(self._frames, data):
            return
        self._inner.data_received(data)
        if self._unread() > MOST_UNHANDLED:
            self._held = self._was_held = True
            self._transport.pause_reading()

    def _took_quickly(self, frames: Frames, data: bytes) -> bool:
        """See quick.py."""
        quick = self._admission.quick.get(self.session)
        if quick is None or not frames.idle or not frames.whole or self._unread() != 1:
            return False
        if self._transport.get_write_buffer_size() or not quick.take(data, self._answer):
            return False
        self._taken += 1
        return True

    def _answer(self, frame: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frame)


def _is_tls(transport: asyncio.BaseTransport) -> bool:
    """A TLS transport of asyncio that was closed twice has lost its protocol, and cannot tell."""
    try:
        return transport.get_extra_info("sslcontext") is not None
    except AttributeError:
        return True


class Admission:
    """All connections, of all listening sockets.

    authenticated: the claims of the admitted sessions. quick: what takes their counts (quick.py).
    make_protocol: makes aiohttp's protocol for one connection. complain: is called with a session,
    and what it did wrong.
    """

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        max_connections: int,
        complain: Callable[[str, str], None],
    ) -> None:
        self.make_protocol = make_protocol
        self.complain = complain
        self.authenticated: dict[str, Claim] = {}
        self.quick: dict[str, QuickCounts] = {}
        self.handshakes = Handshakes(self._complain_of_handshakes)
        self.buffer = memoryview(bytearray(CHUNK))
        self._max_connections = max_connections
        self._connections: dict[PeerConnection, None] = {}  # in the order of their arrival
        self._pending: dict[PeerConnection, None] = {}  # by age
        self._queues: dict[Waiting, deque[Callable[[], None]]] = {
            queue: deque() for queue in Waiting
        }
        self._served = 0  # in this turn of the event loop
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time

    async def open(self, listener: Listener, tls: ssl.SSLContext | None = None) -> None:
        """Begin to accept connections. tls: what they are secured with, before all else."""
        access = access_of(listener)
        if tls:
            listener.accepted.append(lambda one: self.handshakes.begin(one, PENDING))
        # asyncio accepts `backlog` connections at once. It would call listen() with that number
        # too, if a Listener let it.
        await self._loop.create_server(
            lambda: PeerConnection(self, access),
            sock=listener,
            backlog=ACCEPT_AT_ONCE,
            ssl=tls,
            ssl_handshake_timeout=AUTHENTICATION_TIMEOUT if tls else None,
        )

    def _complain_of_handshakes(self) -> None:
        self.complain("", f"more than {PENDING} TLS handshakes at once, one closed")

    # For the gateway.

    def authenticate(self, session: str, claim: Claim, quick: QuickCounts) -> None:
        """The session has shown the token."""
        self.authenticated[session] = claim
        self.quick[session] = quick
        for peer in [peer for peer in self._pending if peer.session == session]:
            self.release(peer)

    def close(self, session: str) -> None:
        """End the connections of a session that is not authenticated."""
        for peer in [peer for peer in self._pending if peer.session == session]:
            peer.abort()

    def end(self, session: str) -> None:
        """The session has ended. The next sweep() ends its connections."""
        self.authenticated.pop(session, None)
        self.quick.pop(session, None)

    def sweep(self) -> None:
        """Cut the connections that are not authenticated in time. To be called each second."""
        limit = self.now() - AUTHENTICATION_TIMEOUT
        for peer in list(self._connections):
            if peer.arrived < limit and peer.is_unauthenticated:
                self._cut(peer)

    def _cut(self, peer: PeerConnection) -> None:
        try:
            peer.abort()
        # All others have to be cut too.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.complain(peer.session, f"connection that cannot be cut ({type(error).__name__})")

    # For connections.

    def enter(self, peer: PeerConnection) -> None:
        """One more connection."""
        self._connections[peer] = None
        if len(self._connections) > self._max_connections:
            oldest = next((t for t in self._connections if t.is_unauthenticated), peer)
            del self._connections[oldest]
            oldest.abort(f"more than {self._max_connections} connections, one closed")

    def leave(self, peer: PeerConnection) -> None:
        """One connection less."""
        self._connections.pop(peer, None)
        self.release(peer)

    def begin(self, peer: PeerConnection) -> None:
        """aiohttp gets to know a connection."""
        if len(self._pending) >= PENDING:
            oldest = next(iter(self._pending))
            self.release(oldest)
            oldest.abort(f"more than {PENDING} connections without the token, one closed")
        self._pending[peer] = None

    def release(self, peer: PeerConnection) -> None:
        """The connection is authenticated, or has ended."""
        self._pending.pop(peer, None)

    def is_pending(self, peer: PeerConnection) -> bool:
        """Whether aiohttp knows the connection, and it has never been authenticated."""
        return peer in self._pending

    def may_serve_now(self) -> bool:
        """Whether one more can be served in this turn of the event loop."""
        if self._served >= SERVED_AT_ONCE or self._queues[Waiting.AUTHENTICATED]:
            return False
        if not self._served:
            self._loop.call_soon(self._begin_turn)  # before the next turn reads anything
        self._served += 1
        return True

    def _begin_turn(self) -> None:
        self._served = 0

    def enqueue(self, work: Callable[[], None], queue: Waiting = Waiting.PENDING) -> None:
        """Do this after the work that is already queued."""
        if not any(self._queues.values()):
            self._loop.call_soon(self._turn)
        self._queues[queue].append(work)

    def _turn(self) -> None:
        authenticated, pending, accepted = self._queues.values()
        for _ in range(min(len(authenticated), SERVED_AT_ONCE)):
            self._loop.call_soon(authenticated.popleft())
        if pending or accepted:
            self._loop.call_soon((pending or accepted).popleft())
        if any(self._queues.values()):
            self._loop.call_soon(self._turn)
