"""A connection to one endpoint of etcd, on which everything ends at a deadline.

http.client has a time-out for each system call, so an answer that trickles in, byte by byte, would
never end. It is given a socket of our own (Wire), on which all reading and writing together ends at
a deadline, and an answer at a size.

A name is looked up when there is no address that worked before. Nothing ends such a look-up early:
the connection's thread waits for it, and nobody waits for that thread.

A connection that was open may have died since: etcd was started again. Its request is then sent
again at once, on a new connection. So etcd may get it twice.
"""

from __future__ import annotations

import io
import socket
import threading
import time

from sendrecv.core.errors import PeerError
from sendrecv.sender import etcd_messages as messages
from sendrecv.sender import light_http
from sendrecv.sender.etcd_messages import EtcdError, EtcdRefused, TokenRefused

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from http import client as http_client
    from typing import Any

    from sendrecv.sender.etcd_access import Endpoint, EtcdAccess
    from sendrecv.sender.etcd_messages import Answer
else:
    http_client = light_http.http_client()

MAX_ANSWER = 65_536
"""Bytes of an answer, its head included; and of a line of a watch."""
KEEPALIVE = ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3))
"""Seconds, seconds and a number, see tcp(7): a silent connection whose other end is gone ends after
4 s. What is sent and not acknowledged ends it after USER_TIMEOUT."""
USER_TIMEOUT = 3000
"""Milliseconds."""
_NEVER = float("inf")


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


FAILURES: tuple[type[Exception], ...] = (
    *(OSError, http_client.HTTPException, ValueError, PeerError, EtcdError, Abandoned),
)
"""What an EtcdConnection raises."""


class Wire:
    """A connected socket for http.client: see above."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self.socket = connected
        self.allow(deadline)

    def allow(self, deadline: float, size: float = MAX_ANSWER) -> None:
        """From now on, read until then (time.monotonic()), and that many bytes."""
        self.deadline, self.size = deadline, size

    def sendall(self, data: bytes) -> None:
        """See socket.socket."""
        self.socket.settimeout(time_left(self.deadline))
        self.socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What is read from it."""
        return io.BufferedReader(_WireReader(self))

    def close(self) -> None:
        """Nothing: http.client closes it, and then reads an answer that ends with the connection.
        See EtcdConnection.drop().
        """


class _WireReader(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        wire = self._wire
        if wire.size <= 0:
            raise PeerError("its answer is too long")
        room = memoryview(buffer)[: int(min(wire.size, len(buffer)))]
        wire.socket.settimeout(time_left(wire.deadline))
        count = wire.socket.recv_into(room)
        wire.size -= count
        return count


def time_left(deadline: float) -> float | None:
    """Seconds until `deadline` (time.monotonic()); None for never. Raises TimeoutError if it is
    over.
    """
    if deadline == _NEVER:
        return None
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


class EtcdConnection(http_client.HTTPConnection):
    """A connection to an endpoint, opened when it is used. One thread uses it; any may cut() it."""

    def __init__(self, endpoint: Endpoint, access: EtcdAccess) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self.endpoint = endpoint
        self._access = access
        self._addresses: list[Any] = []
        self._open: socket.socket | None = None
        self._wire: Wire | None = None
        self._deadline = _NEVER
        self._is_cut = False
        self._lock = threading.Lock()

    def ask(self, path: str, body: bytes, deadline: float) -> Answer:
        """etcd's answer. deadline: of time.monotonic().

        Raises one of FAILURES.
        """
        token = self._token(deadline)
        try:
            answer = self._post(path, body, token, deadline)
        except TokenRefused as error:
            answer = self._post(path, body, self._new_token(token, deadline, error), deadline)
        self._access.verify(answer)
        return answer

    def follow(self, body: bytes, deadline: float) -> http_client.HTTPResponse:
        """Begins a watch. deadline: for its first line; then see unbound()."""
        token = self._token(deadline)
        self._begin(deadline)
        # A member without a leader ends the watch.
        self.request("POST", messages.WATCH, body, {"Grpc-Metadata-hasleader": "true"} | _by(token))
        return self.getresponse()

    def unbound(self) -> None:
        """From now on there is no deadline, and no limit of size. For a watch that has begun."""
        if self._wire:
            self._wire.allow(_NEVER, _NEVER)

    def forget_token(self) -> None:
        """etcd has said that it knows no such token."""
        if self._access.credentials.user:
            self._access.token = None

    def cut(self) -> None:
        """Ends whatever the connection's thread waits for, except the look-up of a name."""
        with self._lock:
            self._is_cut = True
            if self._open is not None:
                _shut(self._open)

    def renew(self) -> None:
        """After cut(): it may be opened again."""
        with self._lock:
            self._is_cut = False

    def drop(self) -> None:
        """Close it. The next request opens it again."""
        self.close()
        self._wire = None
        self._release()

    def connect(self) -> None:
        """Called by http.client."""
        self._wire = Wire(self._connected(), self._deadline)
        self.sock = self._wire  # all that http.client uses of a socket

    def _begin(self, deadline: float) -> None:
        self._deadline = deadline
        if self._wire:
            self._wire.allow(deadline)

    def _token(self, deadline: float) -> str:
        """That of all connections, or a new one."""
        known = self._access.token
        return self._authenticate(deadline) if known is None else known

    def _new_token(self, refused: str, deadline: float, error: EtcdError) -> str:
        if not self._access.credentials.user:
            raise EtcdRefused(f"no user for etcd is set: {error}") from None
        if self._access.token == refused:
            self._access.token = None
        return self._token(deadline)

    def _authenticate(self, deadline: float) -> str:
        own = self._access.credentials
        body = messages.authenticate_request(own.user, own.password)
        try:
            answer = self._post(messages.AUTHENTICATE, body, "", deadline)
            self._access.verify(answer)
            token = messages.token_in(answer)
        except EtcdError as error:
            if not messages.is_without_auth(error):
                raise
            token = ""
        self._access.token = token
        return token

    def _post(self, path: str, body: bytes, token: str, deadline: float) -> Answer:
        reused = self._open is not None
        try:
            status, answer = self._exchange(path, body, token, deadline)
        except (OSError, http_client.HTTPException) as error:
            if not reused or isinstance(error, TimeoutError):
                raise
            status, answer = self._exchange(path, body, token, deadline)
        return messages.read_answer(status, answer, self._access.secrets())

    def _exchange(self, path: str, body: bytes, token: str, deadline: float) -> tuple[int, bytes]:
        """Status and body. The connection stays open only if all is well."""
        is_whole = False
        self._begin(deadline)
        try:
            self.request("POST", path, body, _by(token))
            response = self.getresponse()
            answer = b""
            while not response.isclosed():
                # With a number: http.client makes room for whatever length a head names.
                answer += response.read(MAX_ANSWER)
            is_whole = self.sock is not None
        finally:
            if not is_whole:
                self.drop()
        return response.status, answer

    def _connected(self) -> socket.socket:
        """Raises OSError of the last address, if none answers."""
        if not self._addresses:
            host: str | bytes = self.endpoint.host
            if isinstance(host, str) and host.isascii():
                host = host.encode("ascii")  # for text, Python would import all of IDNA
            self._addresses = socket.getaddrinfo(host, self.endpoint.port, type=socket.SOCK_STREAM)
        failed: OSError = ConnectionError("it has no address")
        try_at = list(enumerate(self._addresses))
        for place, (family, kind, _protocol, _name, address) in try_at:
            left = (time_left(self._deadline) or USER_TIMEOUT / 1000) / (len(try_at) - place)
            try:
                return self._connected_to(socket.socket(family, kind), address, left)
            except OSError as error:
                self._release()  # not close(), for http.client is about to send a request
                failed = error
        self._addresses = []
        raise failed

    def _connected_to(self, plain: socket.socket, address: Any, timeout: float) -> socket.socket:
        self._hold(plain)
        plain.settimeout(timeout)
        plain.connect(address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            plain.setsockopt(socket.IPPROTO_TCP, option, value)
        if not self._access.tls:
            return plain
        secured = self._access.tls.wrap(plain, self.endpoint.host)
        self._hold(secured)
        secured.settimeout(time_left(self._deadline))
        secured.do_handshake()  # checks certificate and name
        return secured

    def _hold(self, opened: socket.socket) -> None:
        """From now on cut() ends this one."""
        with self._lock:
            self._open = opened
            if not self._is_cut:
                return
        raise Abandoned

    def _release(self) -> None:
        with self._lock:
            held, self._open = self._open, None
        if held is not None:
            held.close()


def _by(token: str) -> dict[str, str]:
    return {"Authorization": token} if token else {}


def _shut(opened: socket.socket) -> None:
    """Not ssl's own shutdown(), which would take TLS away from the thread that reads."""
    try:
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
    except OSError:  # it is not connected yet, or no more
        pass
