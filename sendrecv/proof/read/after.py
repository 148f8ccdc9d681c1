"""Reading on after a read mark: what is new, and what is missing in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sendrecv.proof.evidence import text as text_of
from sendrecv.proof.read.files import Held
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.journal import Source, boots_in_order, values_of
from sendrecv.proof.read.mark import ReadMark, later, place
from sendrecv.proof.statements import Missing


def boots(source: Source) -> frozenset[str]:
    """The IDs of all boots of which the journal has entries."""
    return frozenset(values_of("_BOOT_ID", source))


def relevant(source: Source, mark: ReadMark | None, found: Iterable[Header]) -> Held:
    """The files that may have something after the mark. journalctl opens no others."""
    at = place(mark.cursor) if mark else None
    if mark is None or at is None:
        return source.held
    known = {**mark.numberings, at.numbering: at.number}
    old = {Path(one.path) for one in found if one.tail < known.get(one.series, 0)}
    return source.held.of(path for path in source.held.descriptors if path not in old)


def mark_of(source: Source, there: frozenset[str], found: Iterable[Header]) -> ReadMark | None:
    """How far a reading goes that begins now; None if there is no entry. It may go farther, as
    journald goes on to write: see moved(). there: all boots that the journal has.
    """
    order = boots_in_order(source)
    if not order:
        return None
    entry = source.journalctl.first("--reverse", "--lines=1", f"_BOOT_ID={order[-1]}")
    cursor = text_of(entry, b"__CURSOR") if entry else ""
    if not place(cursor):
        return None
    numberings: dict[str, int] = {}
    for header in found:
        numberings[header.series] = max(header.tail, numberings.get(header.series, 0))
    return moved(ReadMark(cursor, there, numberings), b"")


def moved(mark: ReadMark, last: bytes) -> ReadMark:
    """The mark after a reading. last: the last entry that was read."""
    cursor = text_of(last, b"__CURSOR") if last else mark.cursor
    read, there = place(cursor), place(mark.cursor)
    if read and there and read.boot == there.boot:
        mark = mark._replace(cursor=later(cursor, mark.cursor))
    ends = place(mark.cursor)
    if not ends:
        return mark
    last_number = max(ends.number, mark.numberings.get(ends.numbering, 0))
    return mark._replace(numberings={**mark.numberings, ends.numbering: last_number})


def news(mark: ReadMark, found: Sequence[Header]) -> list[Header]:
    """The system's files that have something after the mark, and in front of them one that ends
    with the mark: so what is missing in between shows as a hole.
    """
    at = place(mark.cursor)
    if not at:
        return list(found)
    known = {**mark.numberings, at.numbering: at.number}
    files = [one for one in found if not one.of_user and one.tail > known.get(one.series, 0)]
    machine = next((one.machine for one in found), "")
    read = Header("", machine, at.numbering, at.number, at.number, at.wall, at.wall)
    return [read, *files]


def lost(mark: ReadMark, found: Sequence[Header]) -> list[Missing]:
    """Whether nothing can be known of what followed the mark: its numbering is gone, or ends before
    the mark. For a numbering that goes on, news() shows what is missing.
    """
    at = place(mark.cursor)
    if not at or any(one.series == at.numbering and one.tail >= at.number for one in found):
        return []
    if any(one.head == at.number + 1 for one in found):
        return []  # journald has put a damaged file aside, and goes on with its numbers
    machine = next((one.machine for one in found), "")
    begins = min((one.head_time for one in news(mark, found)[1:]), default=0)
    text = f"the journal's file with entry {at.number}, the last one that was audited, is gone"
    return [Missing(f"{text}: what followed may be missing", begins, machine=machine)]
