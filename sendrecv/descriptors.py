"""What the service manager hands over: listening sockets, and what an earlier process of the unit
has stored. sd_listen_fds(3), sd_pid_notify_with_fds(3).
"""

from __future__ import annotations

import os
import socket
import stat

from sendrecv.errors import UsageError

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FIRST_LISTEN_FD = 3


class Listener(socket.socket):
    """A listening socket that systemd has made. name: its FileDescriptorName=. accepted: each is
    called with each connection, before anything is read from it.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        super().__init__(fileno=descriptor)
        self.name = name
        self.accepted: list[Callable[[socket.socket], None]] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """See socket.accept()."""
        connection, address = socket.socket.accept(self)
        for tell in self.accepted:
            tell(connection)
        return connection, address

    def listen(self, backlog: int = 0) -> None:
        """Does nothing. systemd listens already, with the unit's Backlog=.

        The kernel tells the client of a Unix socket who called listen() last (SO_PEERCRED in
        unix(7)). That must stay PID 1, or senders do not believe in the receiver. asyncio calls
        this for each socket that it serves.
        """


def listening_sockets(*wanted: str) -> list[Listener]:
    """The inherited stream sockets with one of these names (FileDescriptorName=). Clears systemd's
    variables.

    One for each ListenStream=, whatever its family. Raises UsageError if this process was handed
    none.
    """
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    pid = os.environ.pop("LISTEN_PID", "")
    if pid != str(os.getpid()) or not count.isdigit():
        raise UsageError("no listening socket was handed over", "start receiver.socket")
    listeners = []
    for offset in range(int(count)):
        # systemd-socket-activate(1) calls every socket "unknown".
        name = "".join(names[offset : offset + 1])
        if name in (*wanted, "unknown"):
            listeners += _listener(name, _FIRST_LISTEN_FD + offset)
    if not listeners:
        raise UsageError(f"no socket called {wanted[0]} was handed over", "see receiver.socket")
    return listeners


def stored(name: str) -> list[int]:
    """The descriptors that an earlier process of this unit has stored under that name. To be called
    before listening_sockets().
    """
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit():
        return []
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")[: int(count)]
    return [_FIRST_LISTEN_FD + place for place, one in enumerate(names) if one == name]


def store(name: str, descriptor: int) -> None:
    """Have the service manager keep it for the next process of this unit, in place of what it has
    under that name: FileDescriptorStoreMax=, sd_pid_notify_with_fds(3). Without one, do nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect("\0" + address[1:] if address[0] == "@" else address)
        manager.send(f"FDSTOREREMOVE=1\nFDNAME={name}".encode())
        socket.send_fds(manager, [f"FDSTORE=1\nFDNAME={name}".encode()], [descriptor])


def _listener(name: str, descriptor: int) -> list[Listener]:
    """None, if nothing can connect there: a ListenDatagram=, a ListenFIFO= ..."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return []
    listener = Listener(name, descriptor)
    listener.setblocking(False)
    accepts = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return [listener] if accepts and listener.type == socket.SOCK_STREAM else []
