"""The sender's connections: python-socketio's client, whose callbacks become events on a queue.

If the receiver dies during a handshake, python-socketio's connect() and call() return only after
their time-outs. A sender must not wait for that. So each connection is opened in a thread of its
own, with wait=False, and answers arrive through callbacks. Socket.IO has no event for a connection
that ends before its handshake is answered. Engine.IO's own "disconnect" is used instead.
"""

from __future__ import annotations

import socket
import threading

from sendrecv.core.errors import quoted
from sendrecv.core.sender_events import Connected, Lost, answered_by, refused_by, resumed_by
from sendrecv.core.wire import Claim, claim_to_auth, payloads
from sendrecv.sender.light_client import SILENT, abandon, engine, socketio_client

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sendrecv.core.sender_events import SenderEvent

HANDSHAKE_TIMEOUT = 5.0
PROBE_INTERVAL = 0.04
"""Seconds between two attempts to reach a receiver that is not listening."""


def prepare(url: str) -> None:
    """Import what a Connection to `url` needs."""
    socketio_client(tls=url.startswith("https:"))


class Connection:
    """One connection. `post` is called with its events, in any thread, and never after close()."""

    def __init__(
        self, url: str, token: str, number: int, claim: Claim, post: Callable[[SenderEvent], None]
    ) -> None:
        """Begins to connect at once, in the background."""
        self._number = number
        self._url = url
        self._claim = claim
        self._post_to = post
        self._closed = threading.Event()
        self._client = self._make_client()
        auth = claim_to_auth(claim, token)
        threading.Thread(target=self._open, args=(auth,), daemon=True).start()

    def resume(self) -> None:
        """Ask for the last count; Resumed follows."""
        self._emit("resume", (), self._on_resumed)

    def emit(self, first: int, last: int) -> None:
        """Send counts; Answered follows."""
        batch = payloads(first, last, self._claim.app_id, self._claim.node_id)
        self._emit("count", tuple(batch), self._on_answered)

    def close(self) -> None:
        """Close the connection, without waiting for anything."""
        self._closed.set()
        threading.Thread(target=abandon, args=(self._client,), daemon=True).start()

    def _make_client(self) -> Any:
        client = socketio_client(tls=self._url.startswith("https:")).Client(
            reconnection=False,
            handle_sigint=False,
            logger=SILENT,
            engineio_logger=SILENT,
            request_timeout=HANDSHAKE_TIMEOUT,
        )
        client.on("connect", lambda: self._post(Connected(self._number)))
        client.on("connect_error", self._on_refused)
        engine(client).on("disconnect", lambda *_reason: self._post_lost("connection lost"))
        return client

    def _open(self, auth: dict[str, object]) -> None:
        """The connecting thread."""
        # For the first connection there nearly always is a listener: a takeover saves the probe.
        if self._number > 1 and not self._wait_for_listener():
            return
        try:
            self._client.connect(self._url, auth=auth, transports=["websocket"], wait=False)
        # python-socketio lets OSError, struct.error and others through.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._post_lost(f"cannot connect to {self._url} ({type(error).__name__})")
        if self._closed.is_set():  # while it connected: close() found nothing to close
            abandon(self._client)

    def _wait_for_listener(self) -> bool:
        """Wait until something listens. A refused connect() is cheap, a client is not."""
        from urllib.parse import urlsplit  # not before the client: see light_client.py

        parts = urlsplit(self._url)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        while not self._closed.is_set():
            try:
                socket.create_connection(address, timeout=HANDSHAKE_TIMEOUT).close()
            except OSError:
                self._closed.wait(PROBE_INTERVAL)
            else:
                return True
        return False

    def _emit(self, event: str, data: tuple[object, ...], callback: Callable[..., None]) -> None:
        try:
            self._client.emit(event, data, callback=callback)
        # The connection has just been lost. The library raises different exceptions then.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._post_lost(f"connection lost ({type(error).__name__})")

    def _on_refused(self, reply: object = None) -> None:
        if isinstance(reply, str):  # the library's own text: the handshake got no answer
            return self._post_lost(f"cannot connect to {self._url} ({quoted(reply)})")
        return self._post(refused_by(self._number, reply))

    def _on_resumed(self, reply: object = None) -> None:
        self._post(resumed_by(self._number, reply))

    def _on_answered(self, reply: object = None) -> None:
        self._post(answered_by(self._number, reply))

    def _post_lost(self, reason: str) -> None:
        self._post(Lost(self._number, reason))

    def _post(self, event: SenderEvent) -> None:
        if not self._closed.is_set():
            self._post_to(event)
