"""The receiver's Unix socket: opened, and believed only if root listens there.

The kernel keeps who called listen() on a Unix socket, and tells each client (SO_PEERCRED, see
unix(7)). systemd, as root, listens for the receiver. So this is known before a byte is sent, and
nobody but root can pretend it.
"""

from __future__ import annotations

import errno
import os
import socket
import sys

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable

SCHEME = "unix://"
ROOT = 0
_CREDENTIALS = 12
"""Bytes of a struct ucred: process, user and group, four each."""


class Impostor(OSError):
    """Another user than root listens there."""


def path_of(url: str) -> str:
    """The path in "unix:///PATH"; empty for another kind of address."""
    return url[len(SCHEME) :] if url.startswith(SCHEME) else ""


def opened(
    path: str, timeout: float, make: Callable[[int, int], socket.socket] = socket.socket
) -> socket.socket:
    """A connection to that path, in which nothing has been said, and where root listens.

    make: makes the socket, of a family and a type. Raises OSError; Impostor if it is not root.
    """
    connection = make(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
        _assert_root(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _assert_root(connection: socket.socket) -> None:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS)
    user = int.from_bytes(data[4:8], sys.byteorder)
    if len(data) != _CREDENTIALS or user != ROOT:
        raise Impostor(errno.EPERM, f"not a receiver: user {user} listens there, and not root")


def words_of(error: OSError, path: str) -> str:
    """Why the connection could not be opened; empty if it is nothing special."""
    if isinstance(error, Impostor):
        return str(error.strerror)
    if isinstance(error, FileNotFoundError):
        return "nothing listens there: no such file"
    if isinstance(error, (ConnectionRefusedError, PermissionError)) and not _is_socket(path):
        return "not a receiver: no socket"
    if isinstance(error, PermissionError):
        return f"no right to open it: {error.strerror}"
    if isinstance(error, BlockingIOError):
        return "too many connections wait there"
    return ""


def _is_socket(path: str) -> bool:
    import stat  # only for this message

    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return True
