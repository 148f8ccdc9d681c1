"""A client's WebSocket frames, counted and measured as their bytes arrive."""

from __future__ import annotations

import struct

from sendrecv.core.errors import PeerError
from sendrecv.core.wire import MAX_MESSAGE


_TEXT = 0x81
"""A frame of text that is a whole message."""
_MASKED = 0x80
_FIN, _CONTROL = 0x80, 0x08
"""The last frame of a message; the lowest opcode of a frame that is of no message."""
_SHORT = 125
"""Bytes. The length of a longer payload has a field of its own."""


def short_text(frame: bytes) -> bytes | None:
    """The text of a client's message, if the data is just one short frame that has all of it."""
    length = len(frame) - 6
    if length < 0 or length > _SHORT or frame[0] != _TEXT or frame[1] != _MASKED | length:
        return None
    mask = (frame[2:6] * (length // 4 + 1))[:length]
    text = int.from_bytes(frame[6:], "big") ^ int.from_bytes(mask, "big")
    return text.to_bytes(length, "big")


def short_frame(text: bytes) -> bytes:
    """The frame of a server's message of at most 125 bytes."""
    if len(text) > _SHORT:
        raise ValueError(f"{len(text)} bytes are no short frame")
    return bytes((_TEXT, len(text))) + text


class Frames:
    """Follows a client's WebSocket frames (RFC 6455, section 5.2), and keeps none of them.

    messages: how many have begun their last frame. whole: whether the last data began and ended
    where a frame does. unfinished: the bytes of a message that has not ended. idle: for whoever
    reads the messages: whether it has handled all of them.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.whole = True
        self.unfinished = 0
        self.idle = False
        self._head = b""
        self._left = 0  # of the payload of the current frame
        self._is_data = self._is_last = False  # the current frame: of a message, and its last

    def feed(self, data: bytes) -> None:
        """Raises PeerError if a frame is too large."""
        begins = not self._left and not self._head
        data = self._head + data
        at = 0
        while True:
            skipped = min(self._left, len(data) - at)
            at += skipped
            self._left -= skipped
            if self._is_data:
                self.unfinished = (
                    0 if self._is_last and not self._left else self.unfinished + skipped
                )
            size = self._enter(data, at) if not self._left else 0
            if not size:
                self._head = data[at:]
                self.whole = begins and not self._left and not self._head
                return
            at += size

    def _enter(self, data: bytes, at: int) -> int:
        """Read the header at `at`: its size; 0 if there is not all of it."""
        if len(data) < at + 2:
            return 0
        length = data[at + 1] & 0x7F
        size = 2 + {126: 2, 127: 8}.get(length, 0) + (4 if data[at + 1] & 0x80 else 0)
        if len(data) < at + size:
            return 0
        if length == 126:
            (length,) = struct.unpack_from(">H", data, at + 2)
        elif length == 127:
            (length,) = struct.unpack_from(">Q", data, at + 2)
        if length > MAX_MESSAGE:
            raise PeerError(f"message of {length} bytes, must be at most {MAX_MESSAGE}")
        self._left = length
        self._is_data = data[at] & 0x0F < _CONTROL
        self._is_last = data[at] >= _FIN
        self.messages += data[at] >> 7
        return size
