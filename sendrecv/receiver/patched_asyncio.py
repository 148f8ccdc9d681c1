"""Python's asyncio, read for 3.11.2 and 3.13.5, with less memory for each TLS connection.

    TlsProtocol   reads BUFFER bytes at a time, into a buffer of that size in place of 256 KiB, and
                  reads no more than that ahead: a peer that has shown no token could have half a
                  MiB of memory. (A TLS record has 16 KiB at most.)
                  What the kernel does not take is kept where the limits of the TLS transport count
                  it, and not in 64 KiB more of the transport below

If asyncio has changed, its own class is used. Then fewer TLS connections than
SENDRECV_MAX_TCP_CONNECTIONS= fit into the unit's MemoryMax=.
"""

from __future__ import annotations

from asyncio import selector_events, sslproto
from typing import Any

from sendrecv import patching

BUFFER = 16_384


_Protocol: Any = getattr(sslproto, "SSLProtocol", object)


class TlsProtocol(_Protocol):  # type: ignore[misc]  # its base is checked below
    """What is between a TLS connection and the protocol that it serves."""

    max_size = BUFFER

    def connection_made(self, transport: Any) -> None:
        """See the library. `transport` is the one below, of what is encrypted."""
        transport.set_write_buffer_limits(0)
        self._set_read_buffer_limits(BUFFER)
        super().connection_made(transport)


def patch_tls() -> None:
    """From now on, TLS connections have little memory."""
    if patching.ASYNCIO.fits(_check, "a TLS connection may take more than half a MiB of memory"):
        setattr(sslproto, "SSLProtocol", TlsProtocol)


def _check() -> None:
    loop = patching.attribute(selector_events, "BaseSelectorEventLoop", type)
    patching.uses(loop, "_make_ssl_transport", "SSLProtocol")
    patching.attribute(_Protocol, "max_size", int)
    for name in ("__init__", "get_buffer"):
        patching.uses(_Protocol, name, "max_size")
    patching.function(_Protocol, "connection_made", "self", "transport")
    patching.function(_Protocol, "_set_read_buffer_limits", "self", "high")
    patching.uses(_Protocol, "_control_ssl_reading", "_incoming_high_water")
    for name in ("pause_writing", "resume_writing"):
        patching.function(_Protocol, name, "self")
    patching.uses(_Protocol, "_process_outgoing", "_ssl_writing_paused")
    patching.uses(_Protocol, "_get_write_buffer_size", "_outgoing")
