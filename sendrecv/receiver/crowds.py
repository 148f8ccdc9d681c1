"""Crowds: the connections on the sockets of one kind, and what they may take together.

Each kind of socket (Access) has slots of its own. So no client by TCP can shut out a sender on this
machine, whatever the client has, and whoever may only look can shut out neither.

Rules
    1. At most `limit` sessions are admitted, fewer if they have more connections than that. When
       all these slots are taken, the token that has most of them gives one up to a session with a
       token that has fewer. A session with that same token is refused. So the holder of one token
       shuts out no holder of another. A new session of an App that is connected is always admitted.
    2. Above `limit` connections, the oldest that is not authenticated is cut. But PENDING of these
       may connect even if all slots are taken: else they could not show their tokens.
    3. A session has at most SESSION_CONNECTIONS connections. Long polling needs two, and an upgrade
       to a WebSocket one more.
    4. The requests and messages that are not handled yet have at most `held` bytes, without those
       of at most SMALL bytes. Above that, the connection that has held its own for longest is cut:
       those of a peer that finishes what it sends are held for a moment only.
    5. At most LARGE messages of more than SMALL bytes are handled at the same time, and the others
       wait: until a batch is on disk, it takes some ten times its bytes.
    6. A transport has at most UNREAD bytes of answers before it is asked to wait. At most PAUSED
       connections have to. For one more, the one that has read too little for longest is cut.
    7. At most 2 * PENDING sessions are opened and not admitted. For one more, the oldest is closed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sendrecv.core.errors import PeerError
from sendrecv.receiver.access import Access

PENDING = 256
SESSION_CONNECTIONS = 4
READERS = 64
"""Connections of those who may only look."""
SMALL = 4096
LARGE = 32
UNREAD, PAUSED = 16_384, 128
HELD_LOCAL, HELD = 64 << 20, 16 << 20
"""On this machine, 4096 senders may have a batch of MAX_BATCH under way at the same time. Most of
it waits in the kernel."""
Work = Callable[[], None]


class Limits(NamedTuple):
    """The settings: connections on the Unix socket, and by TCP."""

    local: int
    tcp: int


class Peer(Protocol):
    """A connection. session: the Engine.IO session that it serves, "" for none. arrived: since when
    it may take its time to be authenticated.
    """

    session: str
    arrived: float

    @property
    def is_unauthenticated(self) -> bool:
        """Whether its session is not admitted, or it has none."""

    def abort(self, complaint: str = "") -> None:
        """Cut the connection, now."""


class HeldBytes:
    """The bytes that are not handled, of all connections: at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._total = 0
        self._of: dict[Peer, int] = {}  # who has had some for longest comes first

    def set(self, peer: Peer, size: int) -> None:
        """The connection has so many. Raises PeerError if it has to be cut for that."""
        before = self._of.get(peer, 0) if size > SMALL else self._of.pop(peer, 0)
        if size > SMALL:
            self._of[peer] = size
        else:
            size = 0
        self._total += size - before
        while self._total > self._most:
            self._cut_the_slowest(peer)

    def _cut_the_slowest(self, peer: Peer) -> None:
        slowest = next(iter(self._of))
        self._total -= self._of.pop(slowest)
        complaint = f"more than {self._most} bytes of requests at once, one closed"
        if slowest is peer:
            raise PeerError(complaint)
        slowest.abort(complaint)


class Received:
    """The bytes that one connection has sent.

    early: those that came while it was not authenticated. unhandled: those of its request, or of
    its messages, that are not handled. is_counted: whether it is told which are handled. end: the
    last bytes that were handed on.
    """

    def __init__(self, held: HeldBytes, peer: Peer) -> None:
        self.early = self.unhandled = 0
        self.is_counted = True
        self.end = b""
        self._handling = 0
        self._held = held
        self._peer = peer

    def more(self, size: int) -> None:
        """So many have come. Raises PeerError: see HeldBytes."""
        self.unhandled += size
        if self.unhandled > SMALL and self.is_counted:
            self._held.set(self._peer, self.unhandled)

    def handle(self, size: int) -> None:
        """A message of about so many bytes begins to be handled."""
        self._handling = size

    def handled(self, size: int = 0, left: int | None = None) -> None:
        """The message is handled, and about so many more bytes. left: all that is not, if that is
        known.
        """
        about = self.unhandled - self._handling - size
        self.unhandled = max(0, about) if left is None else left
        self._handling = 0
        self._held.set(self._peer, self.unhandled)


class Crowd:
    """The connections on the sockets of one kind.

    unauthenticated: those that are not authenticated, by age. opened: the sessions that are not
    admitted yet, and since when, by the clock of whoever opens them. known, accepted: the work that
    waits, for connections that aiohttp knows and for the others. large: to be had while a large
    message is handled.
    """

    def __init__(self, limit: int, held: int) -> None:
        self.unauthenticated: dict[Peer, None] = {}
        self.opened: dict[str, float] = {}
        self.known: deque[Work] = deque()
        self.accepted: deque[Work] = deque()
        self.large = asyncio.Semaphore(LARGE)
        self._limit = limit
        self.held = HeldBytes(held)
        self._connections: dict[Peer, None] = {}  # by age
        self._pending: dict[Peer, None] = {}  # the unauthenticated that aiohttp knows, by age
        self._keys: dict[str, str] = {}  # the admitted sessions, by age: whose token each has shown
        self._serving: dict[str, dict[Peer, None]] = {}  # the connections of each session
        self._paused: dict[Peer, None] = {}

    # Connections.

    def enter(self, peer: Peer) -> None:
        """One more connection."""
        self._connections[peer] = self.unauthenticated[peer] = None
        if len(self._connections) > self._limit and len(self.unauthenticated) > self._reserved():
            oldest = next(iter(self.unauthenticated))
            self.leave(oldest)
            oldest.abort(f"more than {self._limit} connections, one closed")

    def leave(self, peer: Peer) -> None:
        """One connection less."""
        self._connections.pop(peer, None)
        self.unauthenticated.pop(peer, None)
        self._pending.pop(peer, None)
        self._stop_serving(peer)
        self.resume(peer)
        self.held.set(peer, 0)

    def begin(self, peer: Peer) -> None:
        """aiohttp gets to know a connection."""
        if len(self._pending) >= PENDING:
            oldest = next(iter(self._pending))
            del self._pending[oldest]
            oldest.abort(f"more than {PENDING} connections without the token, one closed")
        self._pending[peer] = None

    def is_pending(self, peer: Peer) -> bool:
        """Whether aiohttp knows the connection, and it has never been authenticated."""
        return peer in self._pending

    def pause(self, peer: Peer) -> None:
        """Too much is unread on the connection."""
        if len(self._paused) >= PAUSED:
            slowest = next(iter(self._paused))
            del self._paused[slowest]
            slowest.abort(f"more than {PAUSED} connections with unread answers, one closed")
        self._paused[peer] = None

    def resume(self, peer: Peer) -> None:
        """Most of it was read."""
        self._paused.pop(peer, None)

    def _reserved(self) -> int:
        return min(PENDING, self._limit)

    # Sessions.

    def serve(self, peer: Peer, session: str) -> bool:
        """The connection serves that session, or none, from now on. False: it may not."""
        if session == peer.session:
            return True
        if peer not in self._connections:  # it has ended
            return False
        if len(self._serving.get(session, ())) >= SESSION_CONNECTIONS:
            return False
        if session in self._keys and self._authenticated() >= self._limit + self._reserved():
            return False
        self._stop_serving(peer)
        peer.session = session
        if session:
            self._serving.setdefault(session, {})[peer] = None
        self._place(peer)
        return True

    def authenticate(self, session: str, key: str) -> None:
        """The session is admitted. key: the name of the token that it has shown."""
        self._keys[session] = key
        self.opened.pop(session, None)
        for peer in self._serving.get(session, ()):
            self._place(peer)

    def end(self, session: str) -> None:
        """The session has ended; its connections have not yet."""
        self._keys.pop(session, None)
        self.opened.pop(session, None)
        for peer in self._serving.get(session, ()):
            self._place(peer)

    def serving(self, session: str) -> list[Peer]:
        """The connections of that session."""
        return list(self._serving.get(session, ()))

    def gives_way(self, key: str) -> str | None:
        """The session that has to end before one more is admitted, with a token of that name. "":
        none. None: the one more is refused.
        """
        if max(len(self._keys), self._authenticated()) < self._limit:
            return ""
        slots: Counter[str] = Counter()
        for session, name in self._keys.items():
            slots[name] += max(1, len(self._serving.get(session, ())))
        most = max(slots, key=slots.__getitem__)
        if slots[key] + 1 >= slots[most]:
            return None
        return next(session for session in reversed(self._keys) if self._keys[session] == most)

    def open(self, session: str, now: float) -> str:
        """A session begins. Returns the one that is closed for it, "" for none."""
        oldest = next(iter(self.opened)) if len(self.opened) >= 2 * PENDING else ""
        self.opened[session] = now
        return oldest

    def _authenticated(self) -> int:
        return len(self._connections) - len(self.unauthenticated)

    def _place(self, peer: Peer) -> None:
        if peer.session not in self._keys:
            self.unauthenticated[peer] = None
        else:
            self.unauthenticated.pop(peer, None)
            self._pending.pop(peer, None)

    def _stop_serving(self, peer: Peer) -> None:
        connections = self._serving.get(peer.session, {})
        connections.pop(peer, None)
        if not connections:
            self._serving.pop(peer.session, None)


def crowds(limits: Limits) -> dict[Access, Crowd]:
    """One for each kind of socket."""
    return {
        Access.GRANTED: Crowd(limits.local, HELD_LOCAL),
        Access.TOKEN: Crowd(limits.tcp, HELD),
        Access.LOOK: Crowd(READERS, HELD),
    }
