"""What a peer may do, by the socket on which it has connected."""

from __future__ import annotations

import socket
from enum import Enum

from sendrecv.descriptors import Listener

READERS = "receiver-status"
"""FileDescriptorName= of the socket on which a peer may only look."""


class Access(Enum):
    """What a peer may, by the socket on which it has connected.

    TOKEN: everything, once it has shown the token. GRANTED: everything, because the mode of the
    Unix socket lets only root and senders connect. LOOK: it may only ask for the list of Apps.
    """

    TOKEN = 0
    GRANTED = 1
    LOOK = 2


def access_of(listener: Listener) -> Access:
    """What whoever connects to this socket may.

    The address family decides, not the name alone: a drop-in may give any unit a TCP port.
    """
    if listener.family is not socket.AF_UNIX:
        return Access.TOKEN
    return Access.LOOK if listener.name == READERS else Access.GRANTED
