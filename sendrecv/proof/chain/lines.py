"""Lines of the chain: one JSON object each, which ends with the hash of the line before.

A line's hash is the SHA-256 of its bytes, newline included: `sed -n 5p FILE | sha256sum`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Line = dict[str, Any]
FIRST = "0" * 64
"""What stands in the place of the hash before the first line."""
_LINK = re.compile(rb',"before":"([0-9a-f]{64})"\}\n')
_LINK_SIZE = len(b',"before":""}\n') + 64


class LineError(ValueError):
    """A line that is none, or does not follow the one before. `place`: which one, from 1."""

    def __init__(self, place: int, text: str) -> None:
        super().__init__(f"line {place} {text}")
        self.place = place


def linked(lines: Iterable[Mapping[str, Any]], before: str) -> tuple[bytes, str]:
    """The bytes of these lines, each with the hash of the one before; and the last one's hash."""
    parts = []
    for line in lines:
        fields = {name: value for name, value in line.items() if name != "before"}
        part = json.dumps({**fields, "before": before}, separators=(",", ":")).encode() + b"\n"
        before = digest(part)
        parts.append(part)
    return b"".join(parts), before


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def follow(data: bytes, before: str) -> str:
    """The hash of the last of these lines, if the first follows `before` and each the one before
    it. Raises LineError. It is not parsed: that takes ten times as long.
    """
    for place, line in enumerate(data.splitlines(keepends=True), 1):
        link = _LINK.fullmatch(line[-_LINK_SIZE:])
        if not link:
            raise LineError(place, "is no line of a chain")
        if link[1].decode() != before:
            raise LineError(place, "does not follow the line before: one was altered or removed")
        before = digest(line)
    return before


def parsed(data: bytes) -> Iterator[Line]:
    """The lines as dictionaries. Raises LineError."""
    for place, text in enumerate(data.splitlines(), 1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            raise LineError(place, "is no JSON") from None
        if type(line) is not dict:
            raise LineError(place, "is no JSON object")
        yield line
