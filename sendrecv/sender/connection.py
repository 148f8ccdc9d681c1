"""The sender's connections: python-socketio's client, whose callbacks become events on a queue.

If the receiver dies during a handshake, python-socketio's connect() and call() return only after
their time-outs. A sender must not wait for that. So each connection is opened in a thread of its
own, with wait=False, and answers arrive through callbacks. Socket.IO has no event for a connection
that ends before its handshake is answered. Engine.IO's own "disconnect" is used instead.

A connection is tried once. If it fails, Closed says why, in words. The machine decides when to try
again. After Refused or Closed a connection posts nothing more, and Connected comes once: a peer
that says the same again and again does not fill the queue.

On this machine the receiver has a Unix socket. Before anything is said there, own_socket.py asks
the kernel who listens. The token is not sent: the socket's mode is the right to connect.
"""

from __future__ import annotations

import errno
import socket
import threading

from sendrecv.core.errors import quoted
from sendrecv.core.sender_events import (
    Closed,
    Connected,
    Refused,
    answered_by,
    refused_by,
    resumed_by,
)
from sendrecv.core.wire import Claim, claim_to_auth, payloads, resume_arguments
from sendrecv.sender import own_socket, patched_websocket
from sendrecv.sender.light_client import SILENT, abandon, engine, socketio_client

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sendrecv.core.sender_events import SenderEvent
    from sendrecv.sender.ahead import Ahead
    from sendrecv.sender.quick import Quick

HANDSHAKE_TIMEOUT = patched_websocket.OPENING
"""Seconds for each step."""
LEAVE_TIMEOUT = 1.0
"""Seconds in which a peer may read that it is left. The receiver, if it lives, does so at once."""
NO_HOST = "http://localhost"
"""What is asked for on a Unix socket, where the request names no other host."""
_UNKNOWN_CA = (18, 19, 20, 21)
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)


def prepare(url: str) -> None:
    """Import what a Connection to `url` needs. A second call does nothing."""
    socketio_client(tls=url.startswith("https:"))


class Connection:
    """One connection. `post` is called with its events, in any thread, and never after close()."""

    def __init__(
        self,
        url: str,
        token: str,
        number: int,
        claim: Claim,
        post: Callable[[SenderEvent], None],
        *,
        ahead: Ahead | None = None,
    ) -> None:
        """Begins to connect at once, in the background. ahead: what may be open already."""
        self._number = number
        self._url = url
        self._path = own_socket.path_of(url)
        self._ahead = ahead
        self._claim = claim
        self._post_to = post
        self._admitted = False
        self._over = False
        self._closed = threading.Event()
        self._client = self._make_client()
        self._quick: Quick | None = None  # set once, before the connection is admitted
        auth = claim_to_auth(claim, "" if self._path else token)
        self._opener = _Opener(target=self._open, args=(auth,), daemon=True)
        self._opener.start()

    def resume(self, last: int) -> None:
        """Ask for the last count; Resumed follows. last: see sender_events.Resume."""
        self._emit("resume", resume_arguments(last), self._on_resumed)

    def emit(self, first: int, last: int) -> None:
        """Send counts; Answered follows."""
        if first == last and self._emitted_quickly(first):
            return
        batch = payloads(first, last, self._claim.app_id, self._claim.node_id)
        self._emit("count", tuple(batch), self._on_answered)

    def close(self) -> None:
        """Close the connection, without waiting for anything."""
        self._closed.set()
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        """A thread of its own. Whatever the peer says or does not read, no thread waits for it."""
        leaving = threading.Thread(target=abandon, args=(self._client,), daemon=True)
        leaving.start()
        leaving.join(LEAVE_TIMEOUT)
        self._opener.cut()

    def _make_client(self) -> Any:
        client = socketio_client(tls=self._url.startswith("https:")).Client(
            reconnection=False,
            handle_sigint=False,
            logger=SILENT,
            engineio_logger=SILENT,
            request_timeout=HANDSHAKE_TIMEOUT,
        )
        client.on("connect", self._on_connected)
        client.on("connect_error", self._on_refused)
        engine(client).on("disconnect", self._on_disconnected)
        return client

    def _open(self, auth: dict[str, object]) -> None:
        """The connecting thread."""
        try:
            if self._path:
                self._hand_over()
            else:
                patched_websocket.assert_safe(self._url)
                self._find()
            url = NO_HOST if self._path else self._url
            self._client.connect(url, auth=auth, transports=["websocket"], wait=False)
        # python-socketio lets OSError, struct.error and others through.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._post_not_connected(cause_of(error, self._path))
        finally:
            if (unused := patched_websocket.taken_back()) is not None:
                unused.close()
        if self._closed.is_set():  # while it connected: close() found nothing to close
            self._end()

    def _hand_over(self) -> None:
        """Raises OSError if nobody listens, or somebody else than root."""
        make = patched_websocket.socket_class()
        opened = own_socket.opened(self._path, HANDSHAKE_TIMEOUT, make)
        patched_websocket.hand_over(opened, self._on_quick)

    def _on_quick(self, quick: Quick) -> None:
        self._quick = quick

    def _find(self) -> None:
        """Raises OSError if nothing listens, unless that is for the client to find out."""
        if self._ahead and (is_open := self._opened_ahead(self._ahead)):
            patched_websocket.hand_over(is_open)
        # The first time there nearly always is a listener, and a takeover does not wait for a
        # probe. Later: a refused connect() costs nothing, a client does.
        elif self._number > 1:
            self._probe()

    def _opened_ahead(self, ahead: Ahead) -> socket.socket | None:
        return ahead.taken() if patched_websocket.can_hand_over() else None

    def _probe(self) -> None:
        """Raises OSError if nothing listens."""
        from urllib.parse import urlsplit  # not before the client: see light_client.py

        parts = urlsplit(self._url)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        socket.create_connection(address, timeout=HANDSHAKE_TIMEOUT).close()

    def _emit(self, event: str, data: tuple[object, ...], callback: Callable[..., None]) -> None:
        try:
            self._client.emit(event, data, callback=callback)
        # The connection has just been lost. The library raises different exceptions then.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._post_lost(f"connection lost ({type(error).__name__})")

    def _emitted_quickly(self, count: int) -> bool:
        """See quick.py."""
        if self._quick is None:
            return False
        claim = self._claim
        names = f'"appID":"{claim.app_id}","nodeID":"{claim.node_id}"'
        try:
            return self._quick.ask(f'["count",{{"count":{count},{names}}}]', self._on_answered)
        except OSError as error:
            self._post_lost(f"connection lost ({type(error).__name__})")
            return True

    def _on_connected(self) -> None:
        if not self._admitted:
            self._admitted = True
            self._post(Connected(self._number))

    def _on_disconnected(self, *_reason: object) -> None:
        if self._admitted:
            self._post_lost("connection lost")
        else:
            self._post_not_connected("closed in the handshake")

    def _on_refused(self, *reply: object) -> None:
        # By the library itself, which is about to raise an error that says more?
        if threading.current_thread() is self._opener:
            return
        if self._admitted:
            self._post_lost("refused after it was admitted")
        else:
            self._post(refused_by(self._number, _single(reply)))

    def _on_resumed(self, *reply: object) -> None:
        self._post(resumed_by(self._number, _single(reply)))

    def _on_answered(self, *reply: object) -> None:
        self._post(answered_by(self._number, _single(reply)))

    def _post_not_connected(self, cause: str) -> None:
        self._post_lost(f"no receiver at {self._url} ({cause})")

    def _post_lost(self, reason: str) -> None:
        self._post(Closed(self._number, reason))

    def _post(self, event: SenderEvent) -> None:
        if not self._closed.is_set() and not self._over:
            self._over = isinstance(event, (Closed, Refused))
            self._post_to(event)


def _single(reply: tuple[object, ...]) -> object:
    """The answer. An answer of several parts is none: a tuple."""
    return reply[0] if len(reply) == 1 else reply or None


class _Opener(threading.Thread):
    """The thread that connects. sockets: those that it has opened, see patched_websocket."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.sockets: list[socket.socket] = []

    def cut(self) -> None:
        """End what any thread reads from, or writes to, these sockets."""
        for opened in self.sockets:
            try:
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
            except OSError:  # it is closed, or was never connected
                pass


def cause_of(error: BaseException, path: str = "") -> str:
    """Why a connection could not be opened, in words; `error` is what python-socketio raised. path:
    of the Unix socket, if it was one.

    The libraries raise errors of their own in place of those that they met, which are their
    contexts. The first one that means something to a person counts, from the innermost.
    """
    chain = [error]
    while chain[-1].__context__ is not None and len(chain) < 10:
        chain.append(chain[-1].__context__)
    if path and isinstance(error, OSError) and (words := own_socket.words_of(error, path)):
        return words
    causes = (cause for one in reversed(chain) if (cause := _cause_in_words(one)))
    return next(causes, f"not a receiver: {type(error).__name__} {quoted(str(error))}")


def _cause_in_words(error: BaseException) -> str:
    """Empty if this error is not known. By names, where a module need not be imported."""
    names = {one.__name__ for one in type(error).__mro__}
    if "SSLCertVerificationError" in names:
        return words_of_certificate(error)
    if "SSLError" in names:
        return f"no TLS: {quoted(getattr(error, 'reason', None) or str(error))}"
    if "WebSocketBadStatusException" in names:
        return f"not a receiver: HTTP {quoted(getattr(error, 'status_code', None))}"
    if isinstance(error, TimeoutError) or "WebSocketTimeoutException" in names:
        return "timed out"
    closed = "WebSocketConnectionClosedException"
    if closed in names or isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "closed in the handshake"
    return words_of_system(error) if isinstance(error, OSError) else ""


def words_of_certificate(error: BaseException, setting: str = "SENDRECV_CA=") -> str:
    """Why a certificate is not trusted. setting: the one that may be wrong.

    The numbers are X509_V_ERR_* of OpenSSL; it has words of its own for a wrong name.
    """
    why = f"its certificate is not trusted: {getattr(error, 'verify_message', '')}"
    if getattr(error, "verify_code", 0) in _UNKNOWN_CA:
        return f"{why}; does {setting} name the certificate of its CA?"
    return why


def words_of_system(error: OSError) -> str:
    """Why the system could not connect."""
    why = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_NONAME:
            return "its name is not known"
        return f"its name cannot be looked up: {why}; does IPAddressDeny= of this unit forbid it?"
    if isinstance(error, ConnectionRefusedError):
        return "refused: nothing listens there"
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"blocked by IPAddressDeny= of this unit: {why}"
    if error.errno == errno.EAFNOSUPPORT:
        return "this unit has no network: it needs the drop-in /usr/lib/sendrecv/network.conf"
    if error.errno in _UNREACHABLE:
        return f"unreachable: {why}"
    return why
