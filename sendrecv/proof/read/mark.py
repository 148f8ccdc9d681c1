"""How far a journal was read, so that the next reading goes on from there.

Neither clock nor order of boots is trusted for that: a boot that was there already is not read
again, but for the one of the last entry, and one that is new is read, whatever its clock says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

_CURSOR = re.compile(
    r"s=([0-9a-f]{32});i=([0-9a-f]{1,16});b=([0-9a-f]{32});m=([0-9a-f]{1,16});t=([0-9a-f]{1,16})"
    r";x=[0-9a-f]{1,16}"
)
_ID = re.compile(r"[0-9a-f]{32}")


class ReadMark(NamedTuple):
    """cursor: of the last entry. boots: those that were there. numberings: of each of journald's
    numberings, the last number.
    """

    cursor: str
    boots: frozenset[str]
    numberings: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """For decode()."""
        numberings = dict(self.numberings)
        return {"cursor": self.cursor, "boots": sorted(self.boots), "numberings": numberings}

    @classmethod
    def decode(cls, said: Any) -> Self:
        """Raises ValueError if that is no mark."""
        try:
            mark = cls(said["cursor"], frozenset(said["boots"]), dict(said["numberings"]))
            ids = [*mark.boots, *mark.numberings]
            is_one = _CURSOR.fullmatch(mark.cursor) and all(_ID.fullmatch(one) for one in ids)
            if not is_one or not all(type(one) is int for one in mark.numberings.values()):
                raise ValueError("not a mark")
        except (TypeError, LookupError):
            raise ValueError("not a mark") from None
        return mark


class Cursor(NamedTuple):
    """What a cursor says: journald's numbering and number, the boot, microseconds of its monotonic
    clock and of the wall clock.
    """

    numbering: str
    number: int
    boot: str
    mono: int
    wall: int


def place(cursor: str) -> Cursor | None:
    """None if it is no cursor of journald's."""
    match = _CURSOR.fullmatch(cursor)
    if not match:
        return None
    numbering, number, boot, mono, wall = match.groups()
    return Cursor(numbering, int(number, 16), boot, int(mono, 16), int(wall, 16))


def later(one: str, other: str) -> str:
    """The later of two cursors of the newest boot."""
    first, second = place(one), place(other)
    if not first or not second:
        return one if first else other
    if first.numbering == second.numbering:
        return one if first.number >= second.number else other
    return one if first.mono >= second.mono else other
