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
       end of a thousand connections at once, delays no authenticated connection. Each kind of
       socket has a queue of its own.
    3. Of each kind of socket, at most PENDING connections that are not authenticated are known to
       aiohttp. When one more sends something, the oldest of them is cut. Those known to aiohttp are
       served before the others. At most PENDING TLS connections have sent nothing after their
       handshake, or not finished it. When one more begins, the oldest of them is cut. So no peer
       can keep the others out. And Python's garbage collector, which looks at every object of every
       connection at once, never takes long.
    4. In one turn of the event loop at most SERVED_AT_ONCE authenticated connections are served:
       the loop must reach the watchdog's pings in time.
    5. An authenticated connection is not read while MOST_UNHANDLED of its messages are unhandled.
       After that happened once, the connection is served from the queue of rule 2. A frame above
       MAX_MESSAGE ends the connection before the frame is stored. (aiohttp checks the size of a
       message only when it has the whole message.)
    6. crowds.py has the limits of what all connections on one kind of socket take together.

aiohttp has no such limits. So a PeerConnection is between the event loop and aiohttp's protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable
from functools import partial

from sendrecv.core.errors import PeerError
from sendrecv.core.frames import Frames
from sendrecv.core.wire import MAX_MESSAGE, Claim
from sendrecv.descriptors import Listener
from sendrecv.receiver import crowds
from sendrecv.receiver.access import Access, access_of
from sendrecv.receiver.crowds import UNREAD, Crowd, Limits, Peer, Received
from sendrecv.receiver.patched_asyncio import patch_tls
from sendrecv.receiver.quick import QuickCounts
from sendrecv.receiver.tls import Handshakes

AUTHENTICATION_TIMEOUT = 5.0
UNAUTHENTICATED_BYTES = 16_384
"""A session's long poll may come on a new connection, whose session is known three reads later."""
UNAUTHENTICATED_MESSAGES = 8
SERVED_AT_ONCE = 64
MOST_UNHANDLED = 64
CHUNK, SMALL_CHUNK = 32_768, 4096
"""Bytes that are read at once. The larger one is mostly enough for a batch of MAX_BATCH."""
REQUEST_BYTES = MAX_MESSAGE + UNAUTHENTICATED_BYTES
"""The HTTP request of an authenticated connection, head and body."""
ACCEPT_AT_ONCE, ACCEPT_TLS = 16, 1
"""Connections that are accepted in one turn of the event loop. By TLS, no more than can finish
their handshakes meanwhile (patched_asyncio.py): else newcomers would cut all of them before."""


class PeerConnection(asyncio.BufferedProtocol):
    """One connection. session: the Engine.IO session that it serves, "" for none yet."""

    def __init__(self, admission: Admission, access: Access) -> None:
        self.session = ""
        self.access = access
        self.arrived = admission.now()
        self._admission = admission
        self._transport: asyncio.Transport
        self._tls: socket.socket | None = None  # that TLS is spoken on
        self._inner: asyncio.Protocol | None = None
        self._waiting = b""  # received, and not looked at
        self._received = Received(self._crowd.held, self)
        self._frames: Frames | None = None
        self._taken = 0
        self._held = False  # not read, because of messages that are unread
        self._was_held = False  # was held before

    @property
    def _crowd(self) -> Crowd:
        return self._admission.crowds[self.access]

    @property
    def is_unauthenticated(self) -> bool:
        """Whether it has not shown the token yet, or its session has ended."""
        return self.session not in self._admission.authenticated

    def abort(self, complaint: str = "") -> None:
        """Cut the connection, now."""
        if complaint and not self._transport.is_closing():
            self._admission.complain(self.session, complaint)
        if not self._tls:
            return self._transport.abort()
        with contextlib.suppress(AttributeError):  # on Python 3.11; see _is_tls()
            self._transport.abort()
        with contextlib.suppress(OSError):  # abort() does not end what was closed twice
            return self._tls.shutdown(socket.SHUT_RDWR)

    # What the gateway tells.

    def serve(self, session: str) -> bool:
        """Serve that session from now on, or none. False: the session or the socket has too many
        connections.
        """
        had_one = self.session
        if not self._crowd.serve(self, session):
            return False
        if had_one and not session:  # from now on, its time is that of a new one
            self.arrived, self._received.early = self._admission.now(), 0
            self._crowd.begin(self)
        return True

    def answered(self, size: int) -> None:
        """An HTTP request of about so many bytes has been handled. The next may be here already."""
        self._received.handled(size)

    def upgraded(self, counted: bool = True) -> None:
        """From now on, frames come. Raises PeerError if a frame came before the answer.

        counted: took_message() will be called for each message.
        """
        if self._waiting or self._received.end != b"\r\n\r\n":
            self.abort()
            raise PeerError("frames before the answer to the upgrade")
        self._frames = Frames()
        self._received.handled(left=0)
        self._received.is_counted = counted
        self._taken = 0 if counted else sys.maxsize  # so there never are too many unread

    def listens(self) -> None:
        """All messages that were read are handled."""
        if self._frames:
            self._frames.idle = True
            self._received.handled(left=None if self._unread() else self._frames.unfinished)

    def took_message(self, size: int) -> None:
        """A message has been read, of about so many bytes."""
        self._taken += 1
        self._received.handle(size)
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
        was_authenticated = self._inner is not None and not self._crowd.is_pending(self)
        return "" if was_authenticated else f"{much} without the token"

    def _unread(self) -> int:
        return self._frames.messages - self._taken if self._frames else 0

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if _is_tls(transport):
            self._tls = transport.get_extra_info("socket")
        transport.set_write_buffer_limits(UNREAD)
        self._crowd.enter(self)

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
            if self._tls and not self._inner:
                self._admission.handshakes.finished(self._tls.fileno())
            self._admission.enqueue(self._serve, self._queue())
        self._waiting += data
        return None

    def eof_received(self) -> bool:
        self._admission.enqueue(self.abort, self._crowd.known)
        return not _is_tls(self._transport)  # not at once; with TLS it is

    def pause_writing(self) -> None:
        self._crowd.pause(self)
        if self._inner:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._crowd.resume(self)
        if self._inner:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        if self._inner:
            self._admission.enqueue(partial(self._inner.connection_lost, exc), self._crowd.known)

    def _has_to_wait(self) -> bool:
        return self._was_held or self.is_unauthenticated

    def _queue(self) -> deque[Callable[[], None]]:
        if not self._has_to_wait():
            return self._admission.authenticated_first
        return self._crowd.known if self._inner else self._crowd.accepted

    def _measure(self, data: bytes) -> None:
        self._received.more(len(data))
        if self._frames:
            self._frames.feed(data)
        if self.is_unauthenticated:
            self._received.early += len(data)
            if self._received.early > UNAUTHENTICATED_BYTES:
                raise PeerError(self._of_nobody(f"more than {UNAUTHENTICATED_BYTES} bytes"))
        elif not self._frames and self._received.unhandled > REQUEST_BYTES:
            raise PeerError(f"request of more than {REQUEST_BYTES} bytes")

    def _serve(self) -> None:
        data, self._waiting = self._waiting, b""
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        if self._inner is None:
            self._crowd.begin(self)
            self._inner = self._admission.make_protocol()
            self._inner.connection_made(self._transport)
        if self._frames is None:
            self._received.end = (self._received.end + data)[-4:]
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
        self._received.unhandled = 0
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
        limits: Limits,
        complain: Callable[[str, str], None],
    ) -> None:
        self.make_protocol = make_protocol
        self.complain = complain
        self.authenticated: dict[str, Claim] = {}
        self.quick: dict[str, QuickCounts] = {}
        self.handshakes = Handshakes(self._complain_of_handshakes)
        self.buffer = memoryview(bytearray(CHUNK))
        self.crowds: dict[Access, Crowd] = crowds.crowds(limits)
        self.authenticated_first: deque[Callable[[], None]] = deque()
        of_crowds = (queue for one in self.crowds.values() for queue in (one.known, one.accepted))
        self._queues = (self.authenticated_first, *of_crowds)
        self._served = 0  # in this turn of the event loop
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time

    async def open(self, listener: Listener, tls: ssl.SSLContext | None = None) -> None:
        """Begin to accept connections. tls: what they are secured with, before all else."""
        access = access_of(listener)
        if tls:
            patch_tls()
            listener.accepted.append(lambda one: self.handshakes.begin(one, crowds.PENDING))
        # asyncio accepts `backlog` connections at once. It would call listen() with that number
        # too, if a Listener let it.
        await self._loop.create_server(
            lambda: PeerConnection(self, access),
            sock=listener,
            backlog=ACCEPT_TLS if tls else ACCEPT_AT_ONCE,
            ssl=tls,
            ssl_handshake_timeout=AUTHENTICATION_TIMEOUT if tls else None,
            ssl_shutdown_timeout=AUTHENTICATION_TIMEOUT if tls else None,
        )

    def _complain_of_handshakes(self) -> None:
        most = crowds.PENDING
        self.complain("", f"more than {most} TLS connections without a request, one closed")

    # For the gateway.

    def authenticate(self, session: str, claim: Claim, quick: QuickCounts) -> None:
        """The session is admitted."""
        self.authenticated[session] = claim
        self.quick[session] = quick

    def gives_way(self, access: Access, claim: Claim, token: str) -> str | None:
        """See Crowd. A new session of an App takes the place of the one that it ends."""
        session = self.crowds[access].gives_way(token)
        if session == "" or all(claim.app_id != one.app_id for one in self.authenticated.values()):
            return session
        return ""

    def close(self, session: str) -> None:
        """End the connections of a session that is not authenticated."""
        for crowd in self.crowds.values():
            for peer in crowd.serving(session):
                if crowd.is_pending(peer):
                    peer.abort()

    def end(self, session: str) -> None:
        """The session has ended. The next sweep() ends its connections."""
        self.authenticated.pop(session, None)
        self.quick.pop(session, None)
        for crowd in self.crowds.values():
            crowd.end(session)

    def sweep(self) -> None:
        """Cut the connections that are not authenticated in time. To be called each second."""
        limit = self.now() - AUTHENTICATION_TIMEOUT
        for crowd in self.crowds.values():
            for peer in list(crowd.unauthenticated):
                if peer.arrived < limit and peer.is_unauthenticated:
                    self._cut(peer)

    def _cut(self, peer: Peer) -> None:
        try:
            peer.abort()
        # All others have to be cut too.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.complain(peer.session, f"connection that cannot be cut ({type(error).__name__})")

    # For connections.

    def may_serve_now(self) -> bool:
        """Whether one more can be served in this turn of the event loop."""
        if self._served >= SERVED_AT_ONCE or self.authenticated_first:
            return False
        if not self._served:
            self._loop.call_soon(self._begin_turn)  # before the next turn reads anything
        self._served += 1
        return True

    def _begin_turn(self) -> None:
        self._served = 0

    def enqueue(self, work: Callable[[], None], queue: deque[Callable[[], None]]) -> None:
        """Do this after the work that is already in that queue."""
        if not any(self._queues):
            self._loop.call_soon(self._turn)
        queue.append(work)

    def _turn(self) -> None:
        first = self.authenticated_first
        for _ in range(min(len(first), SERVED_AT_ONCE)):
            self._loop.call_soon(first.popleft())
        for crowd in self.crowds.values():
            if queue := crowd.known or crowd.accepted:
                self._loop.call_soon(queue.popleft())
        if any(self._queues):
            self._loop.call_soon(self._turn)
