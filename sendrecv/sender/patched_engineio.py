"""python-engineio's client.

Messages are handled where they are read, and a peer that does not read is left. What other modules
take for granted of this client is checked here, too: how it opens, reads and ends a connection.

engineio starts a thread for each message. A sender's handlers only put events on a queue, which
takes less time than the start of a thread.

engineio answers each PING with its data, and keeps without limit what the peer does not read of
that. A sender's own packets are few, because a sender has only one question open at a time.

If the library has changed, each message keeps its thread (the answers still keep their order), and
unread answers have no limit.
"""

from __future__ import annotations

from sendrecv import patching

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from typing import Any

MAX_UNREAD = 16
"""Packets that wait until the peer reads."""


def patch(client: Any) -> None:
    """Patch the class engineio.Client."""
    otherwise = "a lost connection may be noticed late, and what is not read is kept"
    can_end = patching.ENGINEIO.fits(lambda: _check_end(client), otherwise)
    otherwise = "each message has a thread, and what is not read is kept"
    if patching.ENGINEIO.fits(lambda: _check(client), otherwise):
        _handle_here(client)
        if can_end:
            _limit(client)


def opens_by(module: Any, websocket: Any, otherwise: str) -> bool:
    """Whether the module engineio.client opens connections by websocket.create_connection()."""
    return patching.ENGINEIO.fits(lambda: _check_opening(module, websocket), otherwise)


def reads_by_recv(module: Any, otherwise: str) -> bool:
    """Whether its client reads each message by recv() of what create_connection() has returned."""
    return patching.ENGINEIO.fits(lambda: _check_reading(module), otherwise)


def _handle_here(client: Any) -> None:
    trigger = client._trigger_event  # pylint: disable=protected-access

    def trigger_here(self: Any, event: str, *arguments: Any, **_run_async: bool) -> Any:
        return trigger(self, event, *arguments, run_async=False)

    client._trigger_event = trigger_here  # pylint: disable=protected-access


def _limit(client: Any) -> None:
    receive = client._receive_packet  # pylint: disable=protected-access

    def receive_within(self: Any, packet: Any) -> None:
        if self.queue.qsize() > MAX_UNREAD:
            self.disconnect(abort=True)  # "disconnect" is triggered before anything is waited for
        else:
            receive(self, packet)

    client._receive_packet = receive_within  # pylint: disable=protected-access


def _check_end(client: Any) -> None:
    patching.function(client, "disconnect", "self", "abort")


def _check_opening(module: Any, websocket: Any) -> None:
    if getattr(module, "websocket", None) is not websocket:
        raise patching.Misfit("no module websocket in engineio.client")
    patching.uses(module.Client, "_connect_websocket", "create_connection")


def _check_reading(module: Any) -> None:
    for name in ("ws", "recv"):
        patching.uses(module.Client, "_read_loop_websocket", name)


def _check(client: Any) -> None:
    patching.function(client, "_trigger_event", "self", "event")
    patching.uses(client, "_trigger_event", "run_async")
    patching.function(client, "_receive_packet", "self", "pkt")
    patching.uses(client, "_receive_packet", "_trigger_event")
    patching.uses(client, "_send_packet", "queue")
    patching.uses(client, "create_queue", "Queue")
