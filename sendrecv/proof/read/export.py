"""The journal export format, read: https://systemd.io/JOURNAL_EXPORT_FORMATS/

An entry is passed on as the bytes of its text fields, b"\\nNAME=value\\nNAME=value\\n". Each value
is between b"\\nNAME=" and the next newline. So a field can be found or matched without parsing the
whole entry. Binary fields (those with a newline, or not text) are left out: they have no evidence,
and an entry that somebody hides in such a field is not seen as an entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

CHUNK = 1 << 20
_TEXT_ONLY = re.compile(rb"\n(?:[A-Z0-9_]++=[^\n]*+\n)++")


class Stream(Protocol):
    """What entries() reads: a buffered binary file."""

    def read1(self, size: int, /) -> bytes:
        """At most so many bytes, as soon as there are any; b"" at the end."""


class ExportError(ValueError):
    """The stream is not in the journal export format, or ends inside an entry."""


def entries(stream: Stream) -> Iterator[bytes]:
    """Yield each entry's text fields. Memory is bounded, whatever the size of a binary field."""
    window = _Window(stream)
    while True:
        end = window.find(b"\n\n")
        if end >= 0 and _TEXT_ONLY.fullmatch(window.data, window.at, end + 1):
            yield window.data[window.at : end + 1]
            window.at = end + 1
        elif end == window.at:
            window.at += 1  # an empty line more than is needed
        elif end >= 0 or window.full:
            yield _with_binary_fields(window)
        elif not window.more():
            if window.data[window.at :].strip():
                raise ExportError("it ends in the middle of an entry")
            return


class _Window:
    """A part of the stream. `at` is always at a newline that ends an entry or a field."""

    def __init__(self, stream: Stream) -> None:
        self.data = b"\n"
        self.at = 0
        self._stream = stream

    @property
    def full(self) -> bool:
        """Whether an entry that is not whole here has a field worth skipping."""
        return len(self.data) - self.at > 4 * CHUNK

    def more(self) -> bool:
        """Read on; False at the end of the stream."""
        more = self._stream.read1(CHUNK)
        self.data = self.data[self.at :] + more
        self.at = 0
        return bool(more)

    def find(self, what: bytes) -> int:
        return self.data.find(what, self.at)

    def need(self, size: int) -> None:
        """Have `size` bytes at `at`."""
        while len(self.data) - self.at < size:
            if not self.more():
                raise ExportError("it ends in the middle of an entry")

    def line(self) -> bytes:
        """The line after the newline at `at`; move to the newline that ends it."""
        start = 1
        while (end := self.data.find(b"\n", self.at + start)) < 0:
            start = len(self.data) - self.at
            if start > 64 * CHUNK:
                raise ExportError("a line is too long")
            if not self.more():
                raise ExportError("it ends in the middle of an entry")
        line = self.data[self.at + 1 : end]
        self.at = end
        return line

    def skip(self, size: int) -> None:
        while size > len(self.data) - self.at:
            size -= len(self.data) - self.at
            self.at = len(self.data)
            if not self.more():
                raise ExportError("it ends in the middle of an entry")
        self.at += size


def _with_binary_fields(window: _Window) -> bytes:
    fields = [b""]
    while line := window.line():
        if b"=" in line:
            fields.append(line)
            continue
        if not re.fullmatch(rb"[A-Z0-9_]+", line):
            raise ExportError(f"not a field: {line[:40]!r}")
        window.need(9)
        size = int.from_bytes(window.data[window.at + 1 : window.at + 9], "little")
        window.skip(9 + size)
        window.need(1)
        if window.data[window.at] != 0x0A:
            raise ExportError(f"the field {line[:40]!r} has no end")
    fields.append(b"")
    return b"\n".join(fields)
