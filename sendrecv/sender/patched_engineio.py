"""python-engineio's client, read for 4.3.4 and 4.11.2: messages are handled where they are read.

engineio starts a thread for each message. A sender's handlers only put events on a queue, which
takes less time than the start of a thread.

If the library has changed, each message keeps its thread. The answers still keep their order,
because a sender has only one question open at a time.
"""

from __future__ import annotations

from sendrecv import patching

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from typing import Any

LIBRARY = patching.Library("python-engineio", "4.3.4", "4.11.2")


def patch(client: Any) -> None:
    """Have the class engineio.Client handle messages in the thread that reads them."""
    if not LIBRARY.fits(lambda: _check(client), "each message has a thread of its own"):
        return
    trigger = client._trigger_event  # pylint: disable=protected-access

    def trigger_here(self: Any, event: str, *arguments: Any, **_run_async: bool) -> Any:
        return trigger(self, event, *arguments, run_async=False)

    client._trigger_event = trigger_here  # pylint: disable=protected-access


def _check(client: Any) -> None:
    patching.function(client, "_trigger_event", "self", "event")
    patching.uses(client, "_trigger_event", "run_async")
    patching.function(client, "_receive_packet", "self", "pkt")
    patching.uses(client, "_receive_packet", "_trigger_event")
