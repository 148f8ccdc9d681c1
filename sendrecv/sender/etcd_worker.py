"""The thread of one endpoint of etcd: it asks and reads, so that nobody else has to wait."""

from __future__ import annotations

import queue
import threading

from sendrecv.core.errors import PeerError
from sendrecv.core.values import Value
from sendrecv.sender.connection import words_of_certificate, words_of_system
from sendrecv.sender.etcd_connection import EtcdConnection, time_left
from sendrecv.sender.etcd_messages import EtcdError

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.sender.etcd_access import Endpoint, EtcdAccess
    from sendrecv.sender.etcd_messages import Answer, CompareFailed, EtcdKey, Written

    Result = EtcdKey | Written | CompareFailed | None

CA_SETTING = "the credential etcd-ca"


class Request:
    """What is asked. read: gets the result from the answer, or raises EtcdError or PeerError."""

    def __init__(
        self, path: str, body: bytes, deadline: float, read: Callable[[Answer], Result]
    ) -> None:
        self.path = path
        self.body = body
        self.deadline = deadline
        self.read = read
        self.outcomes: queue.SimpleQueue[RequestOutcome] = queue.SimpleQueue()
        """One from each worker that is asked, at some time or never."""


class RequestOutcome(Value):
    """What came of a request to a worker: error, if it is not None; else result."""

    worker: Worker
    result: Result
    error: EtcdError | None


class Worker:
    """The thread of an endpoint, started when it is needed. It handles one request at a time."""

    def __init__(self, endpoint: Endpoint, access: EtcdAccess) -> None:
        self.endpoint = endpoint
        self._access = access
        self._connection = EtcdConnection(endpoint, access)
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._latest: Request | None = None
        self._is_busy = False
        self._thread: threading.Thread | None = None

    def ask(self, request: Request) -> None:
        """Its outcome is put on its queue. An earlier request is abandoned."""
        if not self._thread:
            name = f"etcd {self.endpoint.host}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()
        self._replace(request)

    def close(self) -> None:
        """End the thread, without waiting for it."""
        self._replace(None)

    def _replace(self, request: Request | None) -> None:
        with self._lock:
            self._latest = request
            if self._is_busy:
                self._connection.cut()
        self._requests.put(request)

    def _run(self) -> None:
        while request := self._requests.get():
            if self._begins(request):
                outcome = self._outcome(request)
                with self._lock:
                    self._is_busy = False
                request.outcomes.put(outcome)
        self._connection.drop()

    def _begins(self, request: Request) -> bool:
        """False if the request is abandoned already."""
        with self._lock:
            if request is not self._latest:
                return False
            self._is_busy = True
            self._connection.renew()
            return True

    def _outcome(self, request: Request) -> RequestOutcome:
        try:
            return RequestOutcome(self, self._handle(request), None)
        # Of an endpoint, anything can come: no answer ends this thread.
        except Exception as found:  # pylint: disable=broad-exception-caught
            known = found if isinstance(found, EtcdError) else EtcdError(words_of(found))
            return RequestOutcome(self, None, known)

    def _handle(self, request: Request) -> Result:
        time_left(request.deadline)  # while it was in the queue
        answer = self._connection.ask(request.path, request.body, request.deadline)
        result = request.read(answer)
        self._access.believe(answer)
        return result


def words_of(error: Exception) -> str:
    """Why an endpoint has not answered. By names, where a module need not be imported."""
    names = {one.__name__ for one in type(error).__mro__}
    if isinstance(error, PeerError):
        return str(error)
    if "SSLCertVerificationError" in names:
        return words_of_certificate(error, CA_SETTING)
    if "SSLError" in names:
        return f"no TLS: {getattr(error, 'reason', None) or 'closed in the handshake'}"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "it has closed the connection"
    if isinstance(error, OSError):
        return words_of_system(error)
    return f"not etcd: {type(error).__name__}"
