"""websocket-client, read for 1.2.3 and 1.8.0: a socket that reads ahead.

websocket-client reads the answer to its handshake, some 200 bytes, with one recv(1) for each byte.
Then it reads each frame's header separately. Its module _http, which opens connections, is given
another module `socket`, whose sockets read ahead. A socket that is wrapped for TLS does not read
ahead, because TLS takes over its descriptor.

If the library has changed, its sockets stay plain: a takeover takes some milliseconds longer.
"""

from __future__ import annotations

import socket
from types import ModuleType

from sendrecv import patching

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from typing import Any

LIBRARY = patching.Library("websocket-client", "1.2.3", "1.8.0")
_AHEAD = 4096


def patch(http: Any, reader: Any) -> None:
    """Have new connections read ahead. http, reader: the modules websocket._http and ._socket."""
    if LIBRARY.fits(lambda: _check(http, reader), "its sockets do not read ahead"):
        http.socket = stand_in()


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
