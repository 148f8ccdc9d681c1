"""A watch: etcd tells that a key has changed. A hint, which may come late or never."""

from __future__ import annotations

import threading
import time

from sendrecv.sender import etcd_messages as messages
from sendrecv.sender.etcd_connection import FAILURES, MAX_ANSWER, EtcdConnection
from sendrecv.sender.etcd_messages import TokenRefused

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable

    from sendrecv.sender.etcd_messages import EtcdKey, WatchResponse

FIRST_LINE = 2.0
"""Seconds for the beginning of a watch."""
SHORTEST, LONGEST = 0.1, 2.0
"""Seconds between two attempts."""
PAUSE = 0.01
"""Seconds after a wake-up in which there is no other."""


class Watch:
    """A thread that asks etcd to tell of changes of a key. See Etcd.watch()."""

    def __init__(
        self,
        connect: Callable[[int], EtcdConnection | None],
        key: str,
        wake: Callable[[EtcdKey | None], None],
    ) -> None:
        """connect: the connection for an attempt, that is not opened yet; None: no more."""
        self._connect = connect
        self._key = key
        self._wake = wake
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._connection: EtcdConnection | None = None
        threading.Thread(target=self._run, name="etcd watch", daemon=True).start()

    def close(self) -> None:
        """End the thread, without waiting for it. It may be calling `wake` just now."""
        with self._lock:
            self._closed.set()
            if self._connection:
                self._connection.cut()

    def _run(self) -> None:
        attempt, wait = 0, SHORTEST
        while connection := self._next(attempt):
            try:
                if self._follow(connection):
                    wait = SHORTEST
            finally:
                connection.drop()
            attempt += 1
            self._closed.wait(wait)
            wait = min(2 * wait, LONGEST)

    def _next(self, attempt: int) -> EtcdConnection | None:
        with self._lock:
            self._connection = None if self._closed.is_set() else self._connect(attempt)
            return self._connection

    def _begin(self, connection: EtcdConnection) -> http.client.HTTPResponse:
        deadline = time.monotonic() + FIRST_LINE
        stream = connection.follow(messages.watch_request(self._key), deadline)
        if stream.status != 200:
            messages.read_answer(stream.status, stream.read(MAX_ANSWER))
        return stream

    def _follow(self, connection: EtcdConnection) -> bool:
        """Until the watch ends. Whether it had begun."""
        has_begun = False
        try:
            stream = self._begin(connection)
            while line := stream.readline(MAX_ANSWER):
                change = messages.change_in(line)
                has_begun = has_begun or change.is_first
                connection.unbound()
                self._woken(change)
        except TokenRefused:
            connection.forget_token()
        except FAILURES:  # pylint: disable=catching-non-exception  # the next one begins soon
            pass
        return has_begun

    def _woken(self, change: WatchResponse) -> None:
        if (change.is_first or change.changed) and not self._closed.is_set():
            self._wake(change.key)
            self._closed.wait(PAUSE)
