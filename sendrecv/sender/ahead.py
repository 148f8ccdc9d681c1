"""A connection to the receiver that is opened before it is needed: TCP and TLS, and nothing said.

For a takeover on several hosts: while etcd writes that this host has the App now, the receiver's
certificate can be checked. If that comes to nothing, the Connection opens one itself as ever, and
finds out why it cannot.
"""

from __future__ import annotations

import socket
import threading

from sendrecv.sender import patched_websocket

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 4.0
"""Seconds for each step; and whoever wants the connection waits no longer. As HANDSHAKE_TIMEOUT."""


class Ahead:
    """For one address, and one thread. open: opens a connection to it, or raises an error."""

    def __init__(self, open_it: Callable[[], socket.socket]) -> None:
        self._open_it = open_it
        self._attempt: _Attempt | None = None

    def begin(self) -> None:
        """Open a connection, in the background."""
        self.close()
        self._attempt = _Attempt(self._open_it)
        self._attempt.start()

    def taken(self) -> socket.socket | None:
        """What is open now, or soon. None: nothing is, or begin() was not called since."""
        attempt, self._attempt = self._attempt, None
        return attempt.taken() if attempt else None

    def close(self) -> None:
        """Nobody wants it."""
        if self._attempt:
            self._attempt.abandon()
            self._attempt = None


class _Attempt(threading.Thread):
    """sockets: see patched_websocket."""

    def __init__(self, open_it: Callable[[], socket.socket]) -> None:
        super().__init__(name="ahead", daemon=True)
        self.sockets: list[socket.socket] = []
        self._open_it = open_it
        self._lock = threading.Lock()
        self._is_wanted = True
        self._opened: socket.socket | None = None

    def run(self) -> None:
        try:
            opened = self._open_it()
        except Exception:  # pylint: disable=broad-exception-caught  # whatever it is: see above
            return
        with self._lock:
            if self._is_wanted:
                self._opened = opened
                return
        opened.close()

    def taken(self) -> socket.socket | None:
        """The connection. From now on, nobody else wants it."""
        self.join(TIMEOUT)
        with self._lock:
            self._is_wanted = False
            found, self._opened = self._opened, None
        return found

    def abandon(self) -> None:
        """As taken(), without waiting; and close it."""
        with self._lock:
            self._is_wanted = False
            if self._opened:
                self._opened.close()


def opened(url: str) -> Callable[[], socket.socket]:
    """What opens a connection to the receiver at that address."""
    return lambda: patched_websocket.opened(url, TIMEOUT)
