"""An outage of etcd during which the holder counts on (SENDRECV_ETCD_OUTAGE=continue).

The record is kept on this host meanwhile, and a thread tries to write the key. What that gives up:
another host may take the App as soon as etcd answers it, while this one still counts. Then only
the receiver's epoch keeps a count from being printed twice.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.core.lease import LeaseLost, Tenure


class Outage:
    """Attribute ended: what came of it, None while it lasts: a lease again, or the loss of it."""

    def __init__(self, attempt: Callable[[], Tenure | LeaseLost | None], pause: float) -> None:
        """`attempt` is called in a thread, until it returns something. pause: seconds."""
        self.ended: Tenure | LeaseLost | None = None
        self._attempt = attempt
        self._pause = pause
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="etcd-outage", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No attempt begins from now on, and none is under way: they use the same client."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            self.ended = self._attempt()
            if self.ended is not None:
                return
            self._closed.wait(self._pause)
