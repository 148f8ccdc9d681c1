"""TLS for senders on other hosts: which sockets need it, and the certificate and key for it.

sendrecv-tls.service reads certificate and key as root, and hands them over in one file. When that
file changes, new connections get the new certificate; those that are open stay.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterable

from sendrecv import descriptors, systemd
from sendrecv.core.errors import ERROR, NOTICE

IDENTITY = "/run/sendrecv-tls/identity.pem"
HINT = "set SENDRECV_TLS_CERTIFICATE= and SENDRECV_TLS_KEY= in /etc/sendrecv/receiver.env"


def needs_tls(listener: socket.socket) -> bool:
    """Whether another host may reach this socket: it is neither a Unix socket nor on loopback."""
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return listener.family != socket.AF_UNIX
    address = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_loopback


class Identity:
    """Certificate and key in the file `path`. context: None until there is a file that fits."""

    def __init__(self, path: str = IDENTITY) -> None:
        self.context: ssl.SSLContext | None = None
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._missing = False

    def refresh(self) -> None:
        """Look whether the file has changed. A file that does not fit changes nothing."""
        try:
            there = os.stat(self._path)
        except OSError:
            self._say_that_it_is_missing()
            return
        seen = (there.st_dev, there.st_ino, there.st_mtime_ns)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            _context().load_cert_chain(self._path)  # a key of another certificate would spoil it
            renewed = self.context or _context()
            renewed.load_cert_chain(self._path)
        except OSError as error:  # an SSLError is one, too
            systemd.log(ERROR, f"{self._path}: {error.strerror or error}, ignoring")
            return
        systemd.log(NOTICE, f"TLS: {'new ' if self.context else ''}certificate taken over")
        self.context = renewed

    def _say_that_it_is_missing(self) -> None:
        if not self.context and not self._missing:
            text = f"an address that other hosts can reach is not served without TLS: {HINT}"
            systemd.log(ERROR, text)
        self._missing = True


class Secured:
    """The listening sockets that need TLS. others: those that need none."""

    def __init__(self, listeners: Iterable[descriptors.Listener], identity: Identity) -> None:
        self.others: list[descriptors.Listener] = []
        self._waiting: list[descriptors.Listener] = []
        for listener in listeners:
            (self._waiting if needs_tls(listener) else self.others).append(listener)
        self._is_needed = bool(self._waiting)
        self._identity = identity

    def refresh(self) -> list[tuple[descriptors.Listener, ssl.SSLContext]]:
        """Take over a new certificate. Returns those that can be served now, and how."""
        if not self._is_needed:
            return []
        self._identity.refresh()
        if self._identity.context is None:
            return []
        ready, self._waiting = self._waiting, []
        return [(listener, self._identity.context) for listener in ready]


class Handshakes:
    """The TLS connections that have sent nothing yet but their handshake, or a part of it. cut: is
    called when the oldest one has to give way.

    asyncio tells a protocol of its connection only when the handshake is done.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._silent: dict[int, socket.socket] = {}  # by descriptor, in the order of arrival

    def begin(self, connection: socket.socket, most: int) -> None:
        """One more begins, of which there may be `most`."""
        there = self._silent.items()
        self._silent = {number: one for number, one in there if one.fileno() == number}
        if len(self._silent) >= most:
            oldest = self._silent.pop(next(iter(self._silent)))
            with contextlib.suppress(OSError):  # it is not connected any more
                oldest.shutdown(socket.SHUT_RDWR)
            self._cut()
        self._silent[connection.fileno()] = connection

    def finished(self, descriptor: int) -> None:
        """Something was sent by TLS on the connection with this descriptor."""
        self._silent.pop(descriptor, None)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # pylint: disable=no-member
    return context
