"""The module socket, for a library that asks for its bytes one at a time.

websocket-client reads the answer to its handshake, some 200 bytes, with a recv(1) for each, and
then each frame's header by itself. A socket made by this module reads ahead. One that is wrapped
for TLS does not, for that takes its descriptor and leaves it.
"""

from __future__ import annotations

import socket
from types import ModuleType

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from typing import Any

_AHEAD = 4096


def module() -> ModuleType:
    """The module socket with another `socket` and `getaddrinfo`; all else is its own."""
    stand_in = ModuleType("socket")
    stand_in.__dict__.update(
        __getattr__=lambda name: getattr(socket, name),
        socket=QuickSocket,
        getaddrinfo=_getaddrinfo,
    )
    return stand_in


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
    """An ASCII name as bytes, or Python imports all of IDNA for it."""
    if isinstance(host, str) and host.isascii():
        host = host.encode("ascii")
    return socket.getaddrinfo(host, *arguments, **named)
