"""Counts that need no library: one count of an admitted connection, written as senders write it.

Nearly all that a receiver does is to take such counts. aiohttp, engineio and python-socketio start
tasks and timers for each message, which is most of what a count costs. So a message that is, byte
for byte, what a sender sends for one count is read here, and answered here with the bytes that the
libraries would send. Every other message goes to the libraries. A message is taken here only if the
libraries have handled all that came before on its connection, and if the peer reads its answers: so
the order of events, and the limits of admission.py, are the same either way.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable

from sendrecv.core.frames import short_frame, short_text
from sendrecv.core.receiver_events import Answer, CountsSent, Reply
from sendrecv.core.wire import MAX_COUNT, Claim, Status

_EVENT, _ACK = b"42", "43"
"""Engine.IO's "message", and Socket.IO's "event" and "ack"."""
_HEAD = b'["count",{"count":'
_LONGEST_ID, _LONGEST_COUNT = 15, 19
"""Digits."""

Submit = Callable[[CountsSent], "Future[Reply | None]"]


class QuickCounts:
    """Of one admitted connection."""

    def __init__(self, connection: str, claim: Claim, submit: Submit) -> None:
        """connection: as events name it. submit: see gateway.Inbox."""
        self._connection = connection
        self._app_id = claim.app_id
        self._tail = f',"appID":"{claim.app_id}","nodeID":"{claim.node_id}"}}]'.encode("ascii")
        self._submit = submit
        self._is_open = False  # a count that is not answered yet

    def take(self, frame: bytes, answer: Callable[[bytes], None]) -> bool:
        """Whether the frame is such a count, which is submitted then. `answer` is called with the
        frame of its answer.
        """
        if self._is_open or (found := self._parse(frame)) is None:
            return False
        number, count = found
        self._is_open = True

        def answered(reply: Future[Reply | None]) -> None:
            self._is_open = False
            if not reply.cancelled():
                answer(_answer(number, reply.result()))

        event = CountsSent(self._connection, self._app_id, count, count)
        self._submit(event).add_done_callback(answered)
        return True

    def _parse(self, frame: bytes) -> tuple[str, int] | None:
        """The number of the question, and the count."""
        text = short_text(frame)
        if text is None or not text.startswith(_EVENT) or not text.endswith(self._tail):
            return None
        number, head, count = text[len(_EVENT) : -len(self._tail)].partition(_HEAD)
        if not head or not _is_number(number, _LONGEST_ID) or not _is_number(count, _LONGEST_COUNT):
            return None
        return (number.decode("ascii"), int(count)) if int(count) <= MAX_COUNT else None


def _is_number(digits: bytes, longest: int) -> bool:
    """Whether it is one as JSON has it."""
    is_short = digits.isdigit() and len(digits) <= longest
    return is_short and (digits[:1] != b"0" or digits == b"0")


def _answer(number: str, reply: Reply | None) -> bytes:
    status, last = Status.UNAVAILABLE, None
    if isinstance(reply, Answer):
        status, last = reply.status, reply.last
    known = "null" if last is None else last
    text = f'{_ACK}{number}[{{"status":"{status.value}","last":{known}}}]'
    return short_frame(text.encode("ascii"))
