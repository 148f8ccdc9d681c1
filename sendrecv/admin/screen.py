"""What is shown to a person: tables that fit the terminal, colours where they are wanted, times."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence

from sendrecv.core.values import Value

BOLD, RED, YELLOW, DIM = "1", "1;31", "33", "2"
NARROW = 80
LONG = 16
"""Characters of a name for which there is always room in a table."""


class Column(Value):
    """One column of a table. cells: a text for each row, none longer than needed. drop: the columns
    with the greatest number are left out first where the terminal is too narrow; 0 for never.
    colours: one for each cell, "" for none.
    """

    header: str
    cells: tuple[str, ...]
    drop: int = 0
    right: bool = False
    colours: tuple[str, ...] = ()


class Screen:
    """Where it is shown. Attribute width: in characters."""

    def __init__(self, width: int = 0) -> None:
        """width: 0 to ask the terminal."""
        self.width = width or _width()
        term = os.environ.get("TERM", "dumb")
        self._coloured = sys.stdout.isatty() and term != "dumb" and not os.environ.get("NO_COLOR")

    def paint(self, text: str, colour: str) -> str:
        """The text in that colour, where colours are wanted."""
        return f"\x1b[{colour}m{text}\x1b[m" if colour and self._coloured else text

    def table(self, columns: Sequence[Column]) -> str:
        """The columns that fit. The first one may be cut in two: a name that is too long for it
        stands on a line of its own.
        """
        shown = [column for column in columns if column.cells]
        if not shown:
            return ""
        most = _size(shown[0])
        if _total(shown, most) > self.width:
            most = min(most, LONG)
        while _total(shown, most) > self.width and any(column.drop for column in shown):
            least = max(shown, key=lambda column: column.drop)
            shown = [column for column in shown if column is not least]
        return "\n".join(self._lines(shown, most))

    def _lines(self, columns: Sequence[Column], most: int) -> Iterator[str]:
        """most: the width of the first column."""
        widths = [most, *map(_size, columns[1:])]
        for row in range(-1, len(columns[0].cells)):
            texts = [_cell(column, row) for column in columns]
            if len(texts[0]) > most:
                yield texts[0]
                texts[0] = ""
            cells = [
                self.paint(_aligned(column, text, width), _colour(column, row))
                for column, text, width in zip(columns, texts, widths, strict=True)
            ]
            yield "  ".join(cells).rstrip()

    def wrapped(self, text: str, first: str, others: str) -> list[str]:
        """The text in lines that fit, with what the first and the other lines begin with."""
        lines, line = [], first
        for word in text.split():
            if len(line) + len(word) > self.width and line.strip():
                lines.append(line.rstrip())
                line = others
            line += f"{word} "
        return [*lines, line.rstrip()]


def _width() -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(1).columns or NARROW
    except OSError:
        return NARROW


def _size(column: Column) -> int:
    return max(map(len, (column.header, *column.cells)))


def _total(columns: Sequence[Column], most: int) -> int:
    """Of all columns, the first of which is that wide."""
    return most + sum(_size(column) + 2 for column in columns[1:])


def _cell(column: Column, row: int) -> str:
    """Row -1 is the header."""
    return column.header if row < 0 else column.cells[row]


def _colour(column: Column, row: int) -> str:
    if row < 0:
        return BOLD
    return column.colours[row] if column.colours else ""


def _aligned(column: Column, text: str, width: int) -> str:
    return text.rjust(width) if column.right else text.ljust(width)


def moment(when: float | None, now: float) -> str:
    """A moment of the wall clock, in local time: the time if it is today, else the date."""
    if when is None:
        return ""
    there, here = time.localtime(when), time.localtime(now)
    if there[:3] == here[:3]:
        return time.strftime("%H:%M:%S", there)
    return time.strftime("%b %d %H:%M" if there[0] == here[0] else "%Y-%m-%d", there)


def duration(seconds: float) -> str:
    """In the unit that a person would take: "3.2 s", "5 min", "2 h", "3 d"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def plain(text: str) -> str:
    """What somebody else has written, on one line, with nothing that a terminal would obey."""
    return text if text.isprintable() else ascii(text)[1:-1]
