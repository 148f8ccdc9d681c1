"""A client of etcd that does not wait for an endpoint: over its JSON gateway, with http.client.

    etcd = Etcd([Endpoint("a", 2379), Endpoint("b", 2379), Endpoint("c", 2379)], None)
    found = etcd.get("app", timeout=0.3)
    outcome = etcd.put_if("app", found.revision if found else 0, b"...", timeout=0.3)

A request goes to the endpoint that answered last. After HEDGE seconds without an answer, or as soon
as that endpoint fails, it goes to the next one too. The first good answer counts. So any endpoint
can be lost, in whatever way, and the answer is a little late, no more.

A request that has failed, or that no endpoint has answered, may still take effect, now or later. A
request that two endpoints have got may take effect twice. For put_if() this does no harm: its
compare lets only one copy through. But the answer that comes first may be that of the other copy.
Then the compare has failed, and what is found is what the caller wanted to write.

No library for etcd, because the one in Debian has no time-outs, and one endpoint only. This module
takes no proxy, password or setting from the environment. Threads end with the process.
"""

from __future__ import annotations

import queue
import time

from sendrecv.sender import etcd_messages as messages
from sendrecv.sender.etcd_access import Credentials, Endpoint, EtcdAccess, Tls
from sendrecv.sender.etcd_connection import EtcdConnection
from sendrecv.sender.etcd_messages import CompareFailed, EtcdError, EtcdKey, EtcdRefused, Written
from sendrecv.sender.etcd_watch import Watch
from sendrecv.sender.etcd_worker import Request, Worker

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sendrecv.sender.etcd_worker import RequestOutcome, Result
    from sendrecv.sender.etcd_messages import Answer

__all__ = [
    *("CompareFailed", "Credentials", "Endpoint", "Etcd", "EtcdError", "EtcdKey", "EtcdRefused"),
    "Watch",
    "Written",
]
HEDGE = 0.08
"""Seconds. An endpoint that answers needs 2 to 6 ms (three members on one machine)."""
WARM = 60.0
"""Seconds between two requests to an endpoint that is not needed: so the connection to it is open,
and it does not forget the token (after 300 s)."""
WARM_TIMEOUT = 2.0
"""Seconds for such a request."""


class Etcd:
    """Some endpoints of one cluster. For one thread; each Watch has a thread of its own.

    is_proven: whether whoever answers has proven to be etcd.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], credentials: Credentials | None, *, tls: bool = False
    ) -> None:
        """Connects to nothing yet. Raises EtcdError if a file of `credentials` cannot be used."""
        given = credentials or Credentials()
        self.is_proven = tls
        self._access = EtcdAccess(given, Tls(given) if tls else None)
        self._workers = [Worker(endpoint, self._access) for endpoint in endpoints]
        """The one to be asked first is the first one."""
        self._watches: list[Watch] = []
        self._warmed = time.monotonic() - WARM + 1  # not while the process starts
        self._ahead: dict[str, Request] = {}
        self._meanwhile: Callable[[], object] | None = None

    def get(self, key: str, timeout: float) -> EtcdKey | None:
        """What the key is now; None: there is no such key. timeout: seconds. Raises EtcdError."""
        request = _get(key, timeout)
        outcome = self._ahead_of(key, timeout)
        found = outcome.result if outcome else self._call(request, timeout)
        assert not isinstance(found, (Written, CompareFailed))
        self._keep_warm(key)
        return found

    def read_ahead(self, key: str, timeout: float) -> None:
        """Ask the first endpoint for the key now. The next get() of it waits no longer for the
        answer than until it would have asked another endpoint. So it may be as old as this call.
        """
        self._ahead[key] = request = _get(key, timeout)
        self._workers[0].ask(request)

    def put_if(
        self, key: str, revision: int, value: bytes, timeout: float, *, absent: str = ""
    ) -> Written | CompareFailed:
        """Write the key if its revision is that one (0: if there is no such key), else read it.

        absent: another key, which must not be there either. timeout: seconds. Raises EtcdError. See
        above for what may have happened then.
        """

        def read(answer: Answer) -> Written | CompareFailed:
            return messages.written_or_found(answer, key)

        body = messages.put_if_request(key, revision, value, absent)
        request = Request(messages.TXN, body, time.monotonic() + timeout, read)
        meanwhile, self._meanwhile = self._meanwhile, None
        outcome = self._call(request, timeout, meanwhile)
        assert isinstance(outcome, (Written, CompareFailed))
        self._keep_warm(key)
        return outcome

    def remove_if(self, key: str, revision: int, timeout: float) -> bool:
        """Remove the key, if its revision is that one; false: it has another one by now, or is
        gone. timeout: seconds. Raises EtcdError, as above.
        """
        body = messages.remove_if_request(key, revision)
        request = Request(messages.TXN, body, time.monotonic() + timeout, messages.removed_or_found)
        return isinstance(self._call(request, timeout), Written)

    def meanwhile(self, act: Callable[[], object]) -> None:
        """The next put_if() calls it, once, while its request is on its way."""
        self._meanwhile = act

    def watch(self, key: str, wake: Callable[[EtcdKey | None], None]) -> Watch:
        """From now on `wake` is called, in another thread, soon after the key has changed: with its
        new value, or None if that is not known.

        This is a hint and no promise. It is also called each time a watch begins, because the key
        may have changed before.
        """
        watch = Watch(self._connection, key, wake)
        self._watches.append(watch)
        return watch

    def close(self) -> None:
        """End all threads, without waiting for them."""
        for worker in self._workers:
            worker.close()
        for watch in self._watches:
            watch.close()
        self._workers = []

    def _ahead_of(self, key: str, timeout: float) -> RequestOutcome | None:
        """The good answer to what was asked ahead."""
        if (request := self._ahead.pop(key, None)) is None:
            return None
        outcome = _within(min(HEDGE, timeout), request)
        return outcome if outcome and outcome.error is None else None

    def _call(
        self, request: Request, timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> Result:
        race = _Race(self._workers, request)
        try:
            if meanwhile and self._workers:
                race.begin()
                meanwhile()
            return race.run(timeout)
        finally:
            self._workers = race.order()

    def _keep_warm(self, key: str) -> None:
        """See WARM. Nobody waits for these answers."""
        now = time.monotonic()
        if now - self._warmed < WARM:
            return
        self._warmed = now
        body = messages.get_request(key, here=True)
        for worker in self._workers[1:]:
            worker.ask(Request(messages.RANGE, body, now + WARM_TIMEOUT, _nothing))

    def _connection(self, attempt: int) -> EtcdConnection | None:
        workers = self._workers
        if not workers:
            return None
        return EtcdConnection(workers[attempt % len(workers)].endpoint, self._access)


def _get(key: str, timeout: float) -> Request:
    def read(answer: Answer) -> EtcdKey | None:
        return messages.key_in(answer, key)

    return Request(messages.RANGE, messages.get_request(key), time.monotonic() + timeout, read)


def _within(seconds: float, request: Request) -> RequestOutcome | None:
    try:
        return request.outcomes.get(timeout=seconds)
    except queue.Empty:
        return None


def _nothing(_answer: Answer) -> None:
    pass


class _Race:
    """A request that one endpoint after the other is given, until there is an answer."""

    def __init__(self, workers: Sequence[Worker], request: Request) -> None:
        self._request = request
        self._left = list(workers)
        self._running: list[Worker] = []
        self._failures: list[tuple[Worker, str]] = []
        self._answered: list[Worker] = []

    def begin(self) -> None:
        """Ask the first one."""
        self._ask(self._left.pop(0))

    def run(self, timeout: float) -> Result:
        """The first good answer. timeout: seconds, for people. Raises EtcdError."""
        if not self._running and self._left:
            self.begin()
        while self._running or self._left:
            left = max(self._request.deadline - time.monotonic(), 0)
            seconds = min(left, HEDGE) if self._left or self._failures else left
            outcome = _within(seconds, self._request)
            if outcome and (error := self._take(outcome)) is None:
                return outcome.result
            if outcome and isinstance(error, EtcdRefused):
                raise EtcdRefused(f"{_named(outcome.worker)}: {error}")
            if outcome is None and not self._left and self._failures:
                break  # those that can be reached elect a leader: it is better to ask them again
            if self._request.deadline <= time.monotonic():
                break
            if self._left:
                self._ask(self._left.pop(0))
        raise EtcdError(self._words(timeout))

    def order(self) -> list[Worker]:
        """Whom to ask first the next time: who has answered; last, who has been asked in vain."""
        failed = [worker for worker, _ in self._failures]
        return [*self._answered, *self._left, *failed, *self._running]

    def _ask(self, worker: Worker) -> None:
        self._running.append(worker)
        worker.ask(self._request)

    def _take(self, outcome: RequestOutcome) -> EtcdError | None:
        self._running.remove(outcome.worker)
        if outcome.error is None:
            self._answered.append(outcome.worker)
        else:
            self._failures.append((outcome.worker, str(outcome.error)))
        return outcome.error

    def _words(self, timeout: float) -> str:
        """What each endpoint has said."""
        if not (self._failures or self._running or self._left):
            return "etcd is not asked any more: closed"
        said = [f"{_named(worker)} ({words})" for worker, words in self._failures]
        said += [f"{_named(worker)} (not within {timeout:g} s)" for worker in self._running]
        return f"no endpoint of etcd answers: {', '.join(said)}"


def _named(worker: Worker) -> str:
    host, port = worker.endpoint.host, worker.endpoint.port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
