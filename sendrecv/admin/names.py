"""How a person names an App on the command line, and what may be meant by a name that is none."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNIT = re.compile(r"(?:sender|sender-failover)@(.+?)(?:\.service)?|sendrecv@(.+?)(?:\.target)?")


def instance_of(name: str) -> str:
    """The instance that is meant: the name of each of an App's units is accepted too."""
    found = _UNIT.fullmatch(name)
    return (found[1] or found[2]) if found else name


def alike(name: str, others: Iterable[str]) -> list[str]:
    """Those names that differ from this one in case or in dots alone, in order."""
    return sorted(other for other in others if other != name and _bare(other) == _bare(name))


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say of a name that no App has."""
    near = alike(name, known)
    said = f"no App is called {name if name.isprintable() and name.strip() else ascii(name)}"
    return f"{said}; there is {' and '.join(near)}" if near else said


def _bare(name: str) -> str:
    return name.casefold().replace(".", "")
