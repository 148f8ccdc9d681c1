"""websocket-client, read for 1.2.3 and 1.8.0: a socket that reads ahead, and one that is open.

websocket-client reads the answer to its handshake, some 200 bytes, with one recv(1) for each byte.
Then it reads each frame's header separately. Its module _http, which opens connections, is given
another module `socket`, whose sockets read ahead. A socket that is wrapped for TLS does not read
ahead, because TLS takes over its descriptor.

If the library has changed, its sockets stay plain: a takeover takes some milliseconds longer.

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
from threading import local
from types import ModuleType

from sendrecv import patching

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIBRARY = patching.Library("websocket-client", "1.2.3", "1.8.0")
_AHEAD = 4096
_NOT_HANDED_OVER = "this python3-websocket or python3-engineio cannot be given an open connection"


class _HandedOver(local):
    """Of each thread: the connection that it uses next."""

    socket: socket.socket | None = None


_handed_over = _HandedOver()
_reads_ahead: list[object] = []
_patched: list[object] = []
"""The modules that are patched: none, if they do not fit."""


def patch(http: Any, reader: Any) -> None:
    """Have new connections read ahead. http, reader: the modules websocket._http and ._socket."""
    if LIBRARY.fits(lambda: _check(http, reader), "its sockets do not read ahead"):
        http.socket = stand_in()
        _reads_ahead.append(http)


def socket_class() -> type[socket.socket]:
    """What a socket that is handed over has to be made of."""
    return QuickSocket if _reads_ahead else socket.socket


def patch_opening(package: Any, core: Any, engineio: Any) -> None:
    """Have connections use what is handed over. package, core, engineio: the modules websocket,
    websocket._core and engineio.client.
    """
    otherwise = "a receiver can only be reached by TCP"
    if LIBRARY.fits(lambda: _check_opening(package, core, engineio), otherwise):
        package.create_connection = _opener(package.create_connection)
        _patched.append(package)


def _check_opening(package: Any, core: Any, engineio: Any) -> None:
    patching.function(package, "create_connection", "url")
    patching.function(core.WebSocket, "connect", "self", "url")
    patching.uses(core.WebSocket, "connect", "socket")
    if getattr(engineio, "websocket", None) is not package:
        raise patching.Misfit("no module websocket in engineio.client")
    patching.uses(engineio.Client, "_connect_websocket", "create_connection")


def _opener(create: Callable[..., Any]) -> Callable[..., Any]:
    def create_connection(url: str, *arguments: Any, **options: Any) -> Any:
        if (given := taken_back()) is not None:
            options["socket"] = given
        return create(url, *arguments, **options)

    return create_connection


def hand_over(connection: socket.socket) -> None:
    """The next WebSocket that this thread opens uses this connection. Raises OSError if it cannot
    be used: then nobody may try to open one.
    """
    if not _patched:
        connection.close()
        raise OSError(errno.ENOSYS, _NOT_HANDED_OVER)
    _handed_over.socket = connection


def taken_back() -> socket.socket | None:
    """What this thread has handed over, and nobody has used."""
    connection, _handed_over.socket = _handed_over.socket, None
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

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """See recv(2)."""
        if not self._ahead:
            if bufsize >= _AHEAD or flags:
                return super().recv(bufsize, flags)
            self._ahead = super().recv(_AHEAD)
        data, self._ahead = self._ahead[:bufsize], self._ahead[bufsize:]
        return data


def _getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
    """As socket.getaddrinfo(). For an ASCII name as text, Python would import all of IDNA."""
    if isinstance(host, str) and host.isascii():
        host = host.encode("ascii")
    return socket.getaddrinfo(host, *arguments, **named)
