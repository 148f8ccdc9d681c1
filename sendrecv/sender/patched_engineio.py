"""python-engineio's client, read for 4.3.4 and 4.11.2.

Messages are handled where they are read, and a peer that does not read is left.

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

LIBRARY = patching.Library("python-engineio", "4.3.4", "4.11.2")
MAX_UNREAD = 16
"""Packets that wait until the peer reads."""


def patch(client: Any) -> None:
    """Patch the class engineio.Client."""
    otherwise = "each message has a thread, and what is not read is kept"
    if LIBRARY.fits(lambda: _check(client), otherwise):
        _handle_here(client)
        _limit(client)


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


def _check(client: Any) -> None:
    patching.function(client, "_trigger_event", "self", "event")
    patching.uses(client, "_trigger_event", "run_async")
    patching.function(client, "_receive_packet", "self", "pkt")
    patching.uses(client, "_receive_packet", "_trigger_event")
    patching.uses(client, "_send_packet", "queue")
    patching.uses(client, "create_queue", "Queue")
