"""websocket-client: sockets that read ahead, or are open already; and limits.

websocket-client reads the answer to its handshake, some 200 bytes, with one recv(1) for each byte.
Then it reads each frame's header separately. Its module _http, which opens connections, is given
another module `socket`, whose sockets read ahead. A socket that is wrapped for TLS does not read
ahead, because TLS takes over its descriptor. A thread that has a list `sockets` keeps its own
there, so that another thread can cut them, whatever the library is waiting for.

TLS is done with a context of our own: TLS 1.2 at least, the certificate and its name are checked,
and SENDRECV_CA= says who may sign. A message has a limit, as the receiver's have, and so has the
head of the answer to a handshake. A redirection is not followed: it could lead from TLS to a plain
connection, or from the Unix socket to a port.

If the library has changed, its sockets stay plain: a takeover takes some milliseconds longer. But
what nobody can be sure of is not done: without our TLS no connection by https:// is opened, since
the library's own trusts all CAs of the machine, and where it follows redirections no token is sent.

websocket-client can use a connection that is open already (`socket=`, in its manual). engineio
passes that option on from 4.4 on, and Debian 12 has an older one. So what engineio calls to open a
connection is given the option here, on both. A thread hands over a socket, and the next connection
that this thread opens uses it.

If one of the two libraries has changed, nothing is handed over: hand_over() raises an error. There
is no plain way then, because a connection to another place would tell an impostor the sender's
claim.
"""

from __future__ import annotations

import errno
import socket
import threading
from types import ModuleType

from sendrecv import patching
from sendrecv.core.wire import MAX_MESSAGE
from sendrecv.sender import patched_engineio
from sendrecv.sender.quick import Quick

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any

_AHEAD = 4096
MAX_HEAD, MAX_LINE = 65_536, 8192
"""Bytes of the head of an answer to a handshake, and of a line in it. The receiver's head has about
250, and proxies in front of it may add cookies and the like."""
OPENING = 4.0
"""Seconds for each step of opening a connection: less than the machine's ANSWER_TIMEOUT, after
which nobody would know the cause."""
_OPTIONS = (
    (socket.SOL_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.SOL_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.SOL_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.SOL_TCP, socket.TCP_KEEPCNT, 3),
)
"""As websocket-client has them."""
_NOT_HANDED_OVER = "this python3-websocket or python3-engineio cannot be given an open connection"
_NOT_CHECKED = "this python3-websocket cannot be told which certificates to trust"
_REDIRECTED = "this python3-websocket may be sent elsewhere, with the token"


class _HandedOver(threading.local):
    """Of each thread: the connection that it uses next. on_quick: see hand_over()."""

    socket: socket.socket | None = None
    on_quick: Callable[[Quick], None] | None = None


_handed_over = _HandedOver()
_reads_ahead: list[object] = []
_patched: list[object] = []
"""The modules that are patched: none, if they do not fit."""
SEEN = ("/etc/", "/usr/", "/run/")
"""What a sender's root has of the host's, see systemd/10-sender.conf."""
_safe: set[Callable[..., Any]] = set()
"""The patches without which the token, or a certificate, is not safe."""
_trusted: list[str] = []
"""A file of certificates; if there is none, the CAs of the machine are trusted."""


def trust(file: str) -> None:
    """From now on, trust the CAs in this file only. "": those of the machine."""
    _trusted[:] = [file] if file else []


def patch(http: Any, reader: Any, frames: Any, core: Any, handshake: Any) -> None:
    """Patch the modules websocket._http, ._socket, ._abnf, ._core and ._handshake."""
    any_head = "heads of any size are read"
    if patching.WEBSOCKET.fits(
        lambda: _check(http, reader), f"its sockets do not read ahead, and {any_head}"
    ):
        http.socket = stand_in()
        _reads_ahead.append(http)
        if patching.WEBSOCKET.fits(lambda: _check_head(http, handshake), any_head):
            _limit_head(http, reader, handshake)
    if patching.WEBSOCKET.fits(lambda: _check_tls(http), "no connection by https:// is opened"):
        http._ssl_socket = _secured  # pylint: disable=protected-access
        _safe.add(_check_tls)
    if patching.WEBSOCKET.fits(lambda: _check_frames(frames), "answers of any size are read"):
        _limit(frames)
    if patching.WEBSOCKET.fits(lambda: _check_redirections(core), "no token is sent"):
        core.SUPPORTED_REDIRECT_STATUSES = ()
        _safe.add(_check_redirections)


def assert_safe(url: str) -> None:
    """Raises OSError if a token must not be sent there."""
    if url.startswith("https:") and _check_tls not in _safe:
        raise OSError(errno.ENOSYS, _NOT_CHECKED)
    if _check_redirections not in _safe:
        raise OSError(errno.ENOSYS, _REDIRECTED)


def socket_class() -> type[socket.socket]:
    """What a socket that is handed over has to be made of."""
    return QuickSocket if _reads_ahead else socket.socket


def patch_opening(package: Any, core: Any, engineio: Any) -> None:
    """Have connections use what is handed over. package, core, engineio: the modules websocket,
    websocket._core and engineio.client.
    """
    otherwise = "a receiver can only be reached by TCP"
    fits = patching.WEBSOCKET.fits(lambda: _check_opening(package, core), otherwise)
    if fits and patched_engineio.opens_by(engineio, package, otherwise):
        package.create_connection = _opener(package, core, engineio)
        _patched.append(package)


def _check_opening(package: Any, core: Any) -> None:
    patching.function(package, "create_connection", "url")
    patching.function(core.WebSocket, "connect", "self", "url")
    patching.uses(core.WebSocket, "connect", "socket")


def _check_quick(package: Any, core: Any) -> None:
    patching.attribute(package, "WebSocketTimeoutException", type)
    patching.function(core.WebSocket, "recv", "self")
    patching.uses(core.WebSocket, "send_frame", "lock")


def _opener(package: Any, core: Any, engineio: Any) -> Callable[..., Any]:
    create = package.create_connection
    otherwise = "each count takes more of the processor"
    is_quick = patching.WEBSOCKET.fits(
        lambda: _check_quick(package, core), otherwise
    ) and patched_engineio.reads_by_recv(engineio, otherwise)
    timed_out = getattr(package, "WebSocketTimeoutException", TimeoutError)

    def create_connection(url: str, *arguments: Any, **options: Any) -> Any:
        on_quick = _handed_over.on_quick
        if (given := taken_back()) is not None:
            options["socket"] = given
        opened_now = create(url, *arguments, **options)
        if is_quick and on_quick and isinstance(given, QuickSocket):
            quick = Quick(given, opened_now.lock, opened_now.recv, timed_out)
            opened_now.recv = quick.recv
            on_quick(quick)
        return opened_now

    return create_connection


def hand_over(connection: socket.socket, on_quick: Callable[[Quick], None] | None = None) -> None:
    """The next WebSocket that this thread opens uses this connection. Raises OSError if it cannot
    be used: then nobody may try to open one.

    on_quick: for a Unix socket. Is called with what sends counts past the libraries (quick.py).
    """
    if not _patched:
        connection.close()
        raise OSError(errno.ENOSYS, _NOT_HANDED_OVER)
    _keep(connection)
    _handed_over.socket, _handed_over.on_quick = connection, on_quick


def can_hand_over() -> bool:
    """Whether the libraries can use what is handed over."""
    return bool(_patched)


def opened(url: str, timeout: float) -> socket.socket:
    """A connection to that address, for hand_over(), as websocket-client would open it; this works
    before that is imported. timeout: seconds, for each step. Raises OSError.
    """
    from urllib.parse import urlsplit  # not before the client: see light_client.py

    parts = urlsplit(url)
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    failed = OSError(errno.EADDRNOTAVAIL, "it has no address")
    for family, kind, protocol, _, address in _getaddrinfo(host, port, type=socket.SOCK_STREAM):
        plain = socket.socket(family, kind, protocol)
        try:
            _keep(plain)
            plain.settimeout(timeout)
            for option in _OPTIONS:
                plain.setsockopt(*option)
            plain.connect(address)
            return _secured(plain, None, host) if is_secure else plain
        except OSError as error:
            failed = error
            plain.close()
    raise failed


def taken_back() -> socket.socket | None:
    """What this thread has handed over, and nobody has used."""
    connection, _handed_over.socket, _handed_over.on_quick = _handed_over.socket, None, None
    return connection


def _check(http: Any, reader: Any) -> None:
    patching.function(http, "_open_socket", "addrinfo_list", "sockopt", "timeout")
    patching.function(http, "_get_addrinfo_list", "hostname", "port", "is_secure", "proxy")
    if getattr(http, "socket", None) is not socket:
        raise patching.Misfit("no module socket in websocket._http")
    # Whatever is read is read by this function, and with the socket's recv().
    recv = patching.function(reader, "recv", "sock", "bufsize")
    patching.uses(reader, "recv", "recv")
    if patching.mentions(recv, "recv_into", "recvfrom", "recvmsg", "makefile"):
        raise patching.Misfit("websocket._socket.recv reads in another way")


def _check_head(http: Any, handshake: Any) -> None:
    patching.function(http, "read_headers", "sock")
    patching.function(http, "recv_line", "sock")
    patching.uses(http, "read_headers", "recv_line")
    if getattr(handshake, "read_headers", None) is not http.read_headers:
        raise patching.Misfit("no function read_headers in websocket._handshake")
    patching.uses(handshake, "_get_resp_headers", "read_headers")


def _check_tls(http: Any) -> None:
    patching.function(http, "_ssl_socket", "sock", "user_sslopt", "hostname")
    patching.uses(http, "connect", "_ssl_socket")


def _check_frames(frames: Any) -> None:
    patching.function(frames.frame_buffer, "recv_length", "self")
    patching.uses(frames.frame_buffer, "recv_length", "length")
    patching.uses(frames.frame_buffer, "recv_frame", "recv_length")
    patching.function(frames.continuous_frame, "add", "self", "frame")
    patching.uses(frames.continuous_frame, "add", "cont_data")


def _check_redirections(core: Any) -> None:
    patching.attribute(core, "SUPPORTED_REDIRECT_STATUSES", tuple)
    patching.uses(core.WebSocket, "connect", "SUPPORTED_REDIRECT_STATUSES")


def _secured(sock: socket.socket, _options: object, hostname: str) -> socket.socket:
    """The socket after the TLS handshake. Nothing was said before, above all not the token."""
    import ssl  # pylint: disable=redefined-outer-name,reimported  # a plain connection has none

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if _trusted and (problem := _load(context, _trusted[0])):
        raise OSError(0, f"SENDRECV_CA={_trusted[0]}: {problem}")  # not with the cause as context
    if not _trusted:
        context.load_default_certs()
    # Known before the handshake: it may be what has to be cut.
    secured = context.wrap_socket(sock, server_hostname=hostname, do_handshake_on_connect=False)
    _keep(secured)
    secured.do_handshake()
    return secured


def _load(context: ssl.SSLContext, file: str) -> str:
    """Trust the CAs in the file. Returns what is wrong with it."""
    try:
        context.load_verify_locations(file)
    except OSError as error:  # an SSLError is one, too
        why = error.strerror or str(error)
        hidden = isinstance(error, FileNotFoundError) and not file.startswith(SEEN)
        return f"{why}; a sender sees files in /etc, /usr and /run alone" if hidden else why
    return ""


class _Head:
    """What read_headers() is given in place of a socket. left: bytes that may come."""

    __slots__ = ("sock", "left")

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.left = MAX_HEAD


def _limit_head(http: Any, reader: Any, handshake: Any) -> None:
    """No head is longer than MAX_HEAD, and no line in it longer than MAX_LINE."""
    read_headers, recv = http.read_headers, reader.recv

    def read_headers_within(sock: Any) -> Any:
        return read_headers(_Head(sock))

    def recv_line_within(head: Any) -> bytes:
        if not isinstance(head, _Head):
            head = _Head(head)  # of another answer, such as a proxy's
        line = bytearray()
        while not line.endswith(b"\n"):
            line += recv(head.sock, 1)
            if len(line) > MAX_LINE:
                raise ConnectionAbortedError(f"line of more than {MAX_LINE} bytes in its answer")
            if len(line) > head.left:
                raise ConnectionAbortedError(f"head of more than {MAX_HEAD} bytes in its answer")
        head.left -= len(line)
        return bytes(line)

    handshake.read_headers, http.recv_line = read_headers_within, recv_line_within


def _limit(frames: Any) -> None:
    """No frame, and no message of several frames, is longer than MAX_MESSAGE."""
    recv_length, add = frames.frame_buffer.recv_length, frames.continuous_frame.add

    def recv_length_within(self: Any) -> None:
        recv_length(self)
        if self.length > MAX_MESSAGE:
            raise ConnectionAbortedError(f"answer of more than {MAX_MESSAGE} bytes")

    def add_within(self: Any, frame: Any) -> None:
        add(self, frame)
        if len(self.cont_data[1]) > MAX_MESSAGE:
            raise ConnectionAbortedError(f"answer of more than {MAX_MESSAGE} bytes")

    frames.frame_buffer.recv_length = recv_length_within
    frames.continuous_frame.add = add_within


def _keep(sock: socket.socket) -> None:
    """Have the thread know its socket, if it wants to."""
    sockets = getattr(threading.current_thread(), "sockets", None)
    if sockets is not None and sock not in sockets:
        sockets.append(sock)


def stand_in() -> ModuleType:
    """The module socket with another `socket` and `getaddrinfo`; all else is its own."""
    module = ModuleType("socket")
    module.__dict__.update(
        __getattr__=lambda name: getattr(socket, name),
        socket=QuickSocket,
        getaddrinfo=_getaddrinfo,
    )
    return module


class QuickSocket(socket.socket):
    """A stream socket that reads ahead. Only recv() may be used to read from it."""

    __slots__ = ("_ahead",)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._ahead = b""
        _keep(self)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """See recv(2)."""
        if not self._ahead:
            if bufsize >= _AHEAD or flags:
                return super().recv(bufsize, flags)
            self._ahead = super().recv(_AHEAD)
        data, self._ahead = self._ahead[:bufsize], self._ahead[bufsize:]
        return data

    def ahead(self, least: int) -> bytes:
        """What will be read next: at least so many bytes, which are waited for; less at the end."""
        while len(self._ahead) < least and (data := super().recv(_AHEAD)):
            self._ahead += data
        return self._ahead

    def skip(self, size: int) -> None:
        """So many bytes of that are read."""
        self._ahead = self._ahead[size:]


def _getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
    """As socket.getaddrinfo(). For an ASCII name as text, Python would import all of IDNA."""
    if isinstance(host, str) and host.isascii():
        host = host.encode("ascii")
    return socket.getaddrinfo(host, *arguments, **named)
