"""The transition tables in the headers of the machines, as the tests read them."""

import re
from types import ModuleType

_GAP = re.compile(r"  +")
_COMMAND = re.compile(r"\[[^]]+]|\S+")


def table(module: ModuleType, *titles: str) -> list[tuple[str, ...]]:
    """The rows of the table with these titles in the module's header. A line that begins below the
    last title goes on with the row above it.
    """
    lines = (module.__doc__ or "").splitlines()
    starts = [i for i, line in enumerate(lines) if tuple(_GAP.split(line.strip())) == titles]
    assert len(starts) == 1, titles
    margin = lines[starts[0]].index(titles[-1])
    rows: list[tuple[str, ...]] = []
    for line in lines[starts[0] + 1 :]:
        cells = tuple(_GAP.split(line.strip()))
        if rows and len(line) - len(line.lstrip()) == margin:
            rows[-1] = (*rows[-1][:-1], f"{rows[-1][-1]} {line.strip()}")
        elif len(cells) == len(titles):
            rows.append(cells)
        else:
            break
    assert len(rows) > 10
    return rows


def parts(commands: str) -> list[str]:
    """The commands of a row, in order. Those that are not always there are still in brackets."""
    return _COMMAND.findall(commands.strip("-"))
