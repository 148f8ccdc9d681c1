"""What is shown to a person: tables that fit the terminal, colours where they are wanted, times."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from sendrecv.core.values import Value

BOLD, RED, YELLOW, DIM = "1", "1;31", "33", "2"
NARROW = 80


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

    def __init__(self) -> None:
        self.width = _width()
        term = os.environ.get("TERM", "dumb")
        self._coloured = sys.stdout.isatty() and term != "dumb" and not os.environ.get("NO_COLOR")

    def paint(self, text: str, colour: str) -> str:
        """The text in that colour, where colours are wanted."""
        return f"\x1b[{colour}m{text}\x1b[m" if colour and self._coloured else text

    def table(self, columns: Sequence[Column]) -> str:
        """The columns that fit. If not even those fit that must be there, the first column stands
        on lines of its own.
        """
        shown = [column for column in columns if column.cells]
        while _total(shown) > self.width and any(column.drop for column in shown):
            least = max(shown, key=lambda column: column.drop)
            shown = [column for column in shown if column is not least]
        if shown and _total(shown) > self.width:
            return self._broken(shown)
        return "\n".join(self._lines(shown))

    def _lines(self, columns: Sequence[Column]) -> list[str]:
        widths = [_size(column) for column in columns]
        lines = [[self.paint(_cell(c, c.header, w), BOLD) for c, w in zip(columns, widths)]]
        for row in range(len(columns[0].cells) if columns else 0):
            lines.append(
                [
                    self.paint(_cell(c, c.cells[row], w), c.colours[row] if c.colours else "")
                    for c, w in zip(columns, widths)
                ]
            )
        return ["  ".join(line).rstrip() for line in lines]

    def _broken(self, columns: Sequence[Column]) -> str:
        first, *others = columns
        header, *rows = self._lines(others)
        names = [self.paint(first.header, BOLD), *first.cells]
        pairs = zip(names, [header, *rows], strict=True)
        return "\n".join(f"{name}\n    {line}" for name, line in pairs)

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


def _total(columns: Sequence[Column]) -> int:
    return sum(map(_size, columns)) + 2 * (len(columns) - 1)


def _cell(column: Column, text: str, width: int) -> str:
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
