"""python-socketio's server, with checks that it lacks.

    Packet   refuses attachments, of which any number would be kept, and malformed packets

If the library has changed, its own Packet is used. Then a peer with the token can make the receiver
keep attachments until the unit's MemoryMax= ends it. The receiver starts again, and no count is
lost. A peer without the token can send only the packet that must have the token (gateway.py).
"""

from __future__ import annotations

import logging
from typing import Any

import socketio
from socketio import packet

from sendrecv import patching
from sendrecv.core.errors import PeerError
from sendrecv.core.wire import MAX_MESSAGE
from sendrecv.receiver import patched_engineio
from sendrecv.receiver.patched_aiohttp import websocket_response

# Packet types of the protocol, revision 5.
_EVENT = 2
_BINARY = ("5", "6")
_AnyPacket: Any = getattr(packet, "Packet", object)


class Packet(_AnyPacket):  # type: ignore[misc]  # untyped library
    """A Socket.IO packet; one with attachments, or an event without a name, is a PeerError."""

    def decode(self, encoded_packet: str) -> int:
        """See the library; the number of attachments is always 0."""
        if not isinstance(encoded_packet, str):
            raise PeerError("binary attachment")
        if encoded_packet[:1] in _BINARY:
            raise PeerError("packet with binary attachments")
        try:
            super().decode(encoded_packet)
        except (ValueError, RecursionError) as error:
            raise PeerError(f"malformed packet ({type(error).__name__})") from None
        if self.data is not None and not isinstance(self.data, (dict, list)):
            raise PeerError("packet whose data is neither object nor array")
        if self.packet_type == _EVENT and not _is_event(self.data):
            raise PeerError("event without a name")
        return 0


def _is_event(data: object) -> bool:
    # Events called "connect" or "disconnect" would call the handlers of these names.
    reserved = ("connect", "disconnect")
    named = isinstance(data, list) and bool(data) and isinstance(data[0], str)
    return named and data[0] not in reserved  # type: ignore[index]  # it is a list


def make_server() -> Any:
    """A Socket.IO server."""
    patched_engineio.patch_driver(websocket_response())
    otherwise = "attachments and malformed packets of senders are not refused"
    is_fit = patching.SOCKETIO.fits(_check, otherwise)
    strict = {"serializer": Packet} if is_fit else {}
    return socketio.AsyncServer(
        async_mode="aiohttp",
        async_handlers=False,  # one event of a connection after the other
        max_http_buffer_size=MAX_MESSAGE,
        http_compression=False,
        ping_interval=patched_engineio.PING_INTERVAL,
        ping_timeout=patched_engineio.PING_TIMEOUT,
        logger=logging.getLogger("socketio.server"),
        engineio_logger=logging.getLogger("engineio.server"),
        **strict,
    )


def engine(server: Any) -> Any:
    """The Engine.IO server below that server; None if the library has changed."""
    fits = patching.SOCKETIO.fits(lambda: _check_engine(server), patched_engineio.NONE_KNOWN)
    return server.eio if fits else None


def _check_engine(server: Any) -> None:
    if getattr(server, "eio", None) is None:
        raise patching.Misfit("AsyncServer has no eio")


def _check() -> None:
    patching.uses(socketio.AsyncServer, "__init__", "serializer")
    patching.coroutine(socketio.AsyncServer, "_handle_eio_message", "self", "eio_sid", "data")
    patching.uses(socketio.AsyncServer, "_handle_eio_message", "packet_class")
    patching.function(_AnyPacket, "decode", "self", "encoded_packet")
    for name in ("decode", "data", "packet_type"):
        patching.uses(_AnyPacket, "__init__", name)
