"""Python's asyncio, read for 3.11.2 and 3.13.5, with less memory and time for TLS connections.

    TlsProtocol   reads BUFFER bytes at a time, into a buffer of that size in place of 256 KiB, and
                  reads no more than that ahead: a peer that has shown no token could have half a
                  MiB of memory. (A TLS record has 16 KiB at most.)
                  What the kernel does not take is kept where the limits of the TLS transport count
                  it, and not in 64 KiB more of the transport below.
                  Takes HANDSHAKES_AT_ONCE steps of handshakes in a turn of the event loop. A step
                  takes a millisecond: those of hundreds of peers at once would keep the loop from
                  the watchdog's pings

If asyncio has changed, its own class is used. Then fewer TLS connections than
SENDRECV_MAX_TCP_CONNECTIONS= fit into the unit's MemoryMax=, and a flood of handshakes delays all
Apps.
"""

from __future__ import annotations

from asyncio import get_running_loop, selector_events, sslproto
from collections import deque
from typing import Any

from sendrecv import patching

BUFFER = 16_384
HANDSHAKES_AT_ONCE = 4


_Protocol: Any = getattr(sslproto, "SSLProtocol", object)
_State: Any = getattr(sslproto, "SSLProtocolState", object)


class TlsProtocol(_Protocol):  # type: ignore[misc]  # its base is checked below
    """What is between a TLS connection and the protocol that it serves."""

    max_size = BUFFER

    def connection_made(self, transport: Any) -> None:
        """See the library. `transport` is the one below, of what is encrypted."""
        transport.set_write_buffer_limits(0)
        self._set_read_buffer_limits(BUFFER)
        super().connection_made(transport)

    def buffer_updated(self, nbytes: int) -> None:
        """See the library."""
        if self._state is not _State.DO_HANDSHAKE:
            return super().buffer_updated(nbytes)  # type: ignore[no-any-return]
        self._transport.pause_reading()  # what has come stays in the buffer
        if not _steps:
            get_running_loop().call_soon(_turn)
        _steps.append((self, nbytes))
        return None

    def step(self, nbytes: int) -> None:
        """Go on with the handshake, unless the connection has ended."""
        if self._transport is not None:
            self._transport.resume_reading()
            super().buffer_updated(nbytes)


_steps: deque[tuple[TlsProtocol, int]] = deque()
"""Handshakes that go on, by age."""


def _turn() -> None:
    for _ in range(min(len(_steps), HANDSHAKES_AT_ONCE)):
        protocol, nbytes = _steps.popleft()
        get_running_loop().call_soon(protocol.step, nbytes)  # an exception ends that step alone
    if _steps:
        get_running_loop().call_soon(_turn)


def patch_tls() -> None:
    """From now on, TLS connections have little memory."""
    otherwise = "a TLS connection takes much memory, and many handshakes much time"
    if patching.ASYNCIO.fits(_check, otherwise):
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
    patching.function(_Protocol, "buffer_updated", "self", "nbytes")
    for word in ("_ssl_buffer_view", "_state", "DO_HANDSHAKE", "_do_handshake"):
        patching.uses(_Protocol, "buffer_updated", word)
    patching.attribute(_State, "DO_HANDSHAKE", _State)
    patching.uses(_Protocol, "connection_lost", "_transport")
    patching.uses(_Protocol, "_process_outgoing", "_ssl_writing_paused")
    patching.uses(_Protocol, "_get_write_buffer_size", "_outgoing")
