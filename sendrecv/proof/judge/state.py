"""What a judge remembers, as values for JSON, and back.

The classes of the judge are the schema: their fields, by their annotations. A field whose metadata
is NOT_KEPT is left out, and so is one that has its default. What is read is checked against the
annotations, because it comes from a file.

A state should be small: an App has one for its whole life, and an audit writes it each time. So a
text that may stand in it often is kept once, with its number in place of it; and of a cursor only
what its entry's times do not tell.
"""

from __future__ import annotations

import re
import types
from collections import deque
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from sendrecv.proof.judge.boots import Boot
from sendrecv.proof.judge.counts import REMEMBERED
from sendrecv.proof.judge.runs import Run
from sendrecv.proof.judge.sessions import Session
from sendrecv.proof.statements import At

VERSION = 1
LONG = 8
"""Characters from which on a text is kept once."""
LONGEST = 4096
MOST = 100_000
"""Items of a list."""
GREATEST = 1 << 63
_SHARED = (Boot, Run, Session)
"""Things that others refer to: each is kept once."""
_CURSOR = re.compile(r"s=([0-9a-f]{1,32});i=([0-9a-f]{1,16});b=\w+;m=\w+;t=\w+;x=([0-9a-f]{1,16})")


class StateError(ValueError):
    """It is not the state of a judge."""


class Writer:
    """Makes one part of a state. `of_machine`: the part to which boots and runs belong."""

    def __init__(self, of_machine: Writer | None = None) -> None:
        self._of_machine = of_machine
        self._texts: dict[str, int] = {}
        self._places: dict[int, int] = {}
        self._shared: dict[str, list[Any]] = {}
        self._held: list[object] = []  # so that no other object gets the same id()

    def finish(self, **parts: object) -> dict[str, Any]:
        """The part, with these objects of the judge's."""
        written = {name: self.write(part) for name, part in parts.items()}
        return written | {"shared": self._shared, "texts": list(self._texts)}

    def write(self, value: Any) -> Any:
        """Of any type that the judge keeps."""
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, str):
            return value if len(value) < LONG else self._texts.setdefault(value, len(self._texts))
        if isinstance(value, _SHARED):
            return self.refer(value)
        if is_dataclass(value):
            return self._fields(value)
        if isinstance(value, tuple):
            return self._tuple(value)
        if isinstance(value, dict):
            return [[self.write(key), self.write(one)] for key, one in value.items()]
        items = sorted(value) if isinstance(value, set) else value
        return [self.write(one) for one in items]

    def refer(self, value: Any) -> int:
        """The number of a boot, a run or a session."""
        if self._of_machine and not isinstance(value, Session):
            return self._of_machine.refer(value)
        place = self._places.get(id(value))
        if place is None:
            shared = self._shared.setdefault(type(value).__name__, [])
            place = self._places[id(value)] = len(shared)
            shared.append(None)
            self._held.append(value)
            shared[place] = self._fields(value)
        return place

    def _fields(self, value: Any) -> dict[str, Any]:
        kept = ((one, getattr(value, one.name)) for one in kept_fields(type(value)))
        return {one.name: self.write(it) for one, it in kept if not _is_default(one, it)}

    def _tuple(self, value: tuple[Any, ...]) -> list[Any]:
        names = getattr(value, "_fields", ())
        if "ref" not in names:
            written = [self.write(one) for one in value]
        else:
            at = value[names.index("at")] if "at" in names else None
            written = [
                self._cursor(one, at) if name == "ref" else self.write(one)
                for name, one in zip(names, value, strict=True)
            ]
        # Of some fields the annotation names two types.
        return [type(value).__name__, *written] if type(value).__name__ in _NAMED else written

    def _cursor(self, ref: str, at: At | None) -> Any:
        found = _CURSOR.fullmatch(ref)
        if at is None or not found or ref != cursor(found[1], found[2], found[3], at):
            return self.write(ref)
        return [self.write(found[1]), found[2], found[3]]


def cursor(numbering: str, number: str, hashed: str, at: At) -> str:
    """As journald writes it."""
    return f"s={numbering};i={number};b={at.boot};m={at.mono:x};t={at.wall:x};x={hashed}"


_NAMED = frozenset({"Claimed", "Counted"})


class Reader:
    """Reads what a Writer has made of one part. Raises StateError."""

    def __init__(self, part: Any, of_machine: Reader | None = None) -> None:
        self._part = _checked(part, dict)
        self._of_machine = of_machine
        self._texts = [_text(one) for one in _items(self._part.get("texts"))]
        self._shared = _checked(self._part.get("shared"), dict)
        self._read: dict[tuple[str, int], Any] = {}

    def part(self, name: str, into: Any) -> None:
        """Fill an object of the judge's with what is kept of it."""
        self._fill(into, self._part.get(name))

    def _fill(self, into: Any, written: Any) -> None:
        types_of = _checked_names(type(into), written)
        for name, one in written.items():
            part = getattr(into, name)
            if is_dataclass(part) and type(part) not in _SHARED:
                self._fill(part, one)  # others have it too, or it has what is not kept
            else:
                setattr(into, name, self.read(one, types_of[name]))

    def _values(self, kind: type, written: Any) -> dict[str, Any]:
        types_of = _checked_names(kind, written)
        return {name: self.read(one, types_of[name]) for name, one in written.items()}

    def read(self, written: Any, kind: Any) -> Any:
        """A value of this type."""
        if kind in _PLAIN:
            return _PLAIN[kind](self, written)
        if kind in _SHARED:
            return self.refer(written, kind)
        if isinstance(kind, type) and is_dataclass(kind):
            return _made(kind, self._values(kind, written))
        if isinstance(kind, type) and issubclass(kind, tuple):
            return self._named(written, kind)
        return self._generic(written, get_origin(kind), get_args(kind))

    def _generic(self, written: Any, origin: Any, of: tuple[Any, ...]) -> Any:
        if origin in (Union, types.UnionType):
            return self._either(written, of)
        items = _items(written)
        if origin is dict:
            pairs = [_items(pair, 2) for pair in items]
            return {self.read(key, of[0]): self.read(value, of[1]) for key, value in pairs}
        if origin is tuple and of[-1] is not Ellipsis:
            _items(written, len(of))
            return tuple(self.read(one, kind) for one, kind in zip(items, of, strict=True))
        read = [self.read(one, of[0]) for one in items]
        if origin is deque:
            return deque(read, REMEMBERED)
        return _MADE[origin](read)

    def _either(self, written: Any, of: tuple[Any, ...]) -> Any:
        if written is None and type(None) in of:
            return None
        kinds = [kind for kind in of if kind is not type(None)]
        if len(kinds) > 1:
            name = _items(written)[:1]
            kinds = [kind for kind in kinds if [kind.__name__] == name]
        if not kinds:
            raise StateError(f"{str(written)[:80]} is none of {of}")
        return self.read(written, kinds[0])

    def _named(self, written: Any, kind: Any) -> Any:
        items = _items(written)
        if kind.__name__ in _NAMED:
            if items[:1] != [kind.__name__]:
                raise StateError(f"{str(written)[:80]} is no {kind.__name__}")
            items = items[1:]
        _items(items, len(kind._fields))
        values: dict[str, Any] = {}
        for name, one in zip(kind._fields, items, strict=True):
            is_cursor = name == "ref" and isinstance(one, list)
            at = values.get("at")
            values[name] = self._cursor(one, at) if is_cursor else self.read(one, hints(kind)[name])
        return kind(**values)

    def _cursor(self, written: Any, at: At | None) -> str:
        numbering, number, hashed = (self.read(one, str) for one in _items(written, 3))
        if at is None:
            raise StateError("a cursor without its time")
        return cursor(numbering, number, hashed, at)

    def refer(self, written: Any, kind: type) -> Any:
        """The boot, run or session with this number."""
        if self._of_machine and kind is not Session:
            return self._of_machine.refer(written, kind)
        place = _number(written)
        if (kind.__name__, place) not in self._read:
            shared = _items(self._shared.get(kind.__name__))
            if not 0 <= place < len(shared):
                raise StateError(f"there is no {kind.__name__} {place}")
            read = _made(kind, self._values(kind, shared[place]))
            self._read[kind.__name__, place] = read
        return self._read[kind.__name__, place]

    def text(self, written: Any) -> str:
        """A text, or the number of one."""
        if isinstance(written, str):
            return _text(written)
        place = _number(written)
        if not 0 <= place < len(self._texts):
            raise StateError(f"there is no text {place}")
        return self._texts[place]


def kept_fields(kind: type) -> list[Field[Any]]:
    """Those of a dataclass that are part of a state."""
    return [one for one in fields(kind) if one.metadata.get("kept", True)]


@cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a class's fields."""
    return get_type_hints(kind)


def _checked_names(kind: type, written: Any) -> dict[str, Any]:
    """The types of the fields, if no other ones are written."""
    known = {one.name for one in kept_fields(kind)}
    if not _checked(written, dict).keys() <= known:
        raise StateError(f"{kind.__name__} has no {next(iter(written.keys() - known))}")
    return hints(kind)


def _is_default(one: Field[Any], value: Any) -> bool:
    if one.default is not MISSING:
        return bool(value == one.default)
    return one.default_factory is not MISSING and bool(value == one.default_factory())


def _made(kind: type, values: dict[str, Any]) -> Any:
    try:
        return kind(**values)
    except TypeError as error:
        raise StateError(str(error)) from None


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise StateError(f"{str(value)[:80]} is no {kind.__name__}")
    return value


def _items(value: Any, number: int = -1) -> list[Any]:
    items: list[Any] = _checked(value, list)
    if len(items) > MOST or number not in (-1, len(items)):
        raise StateError(f"{str(value)[:80]} has {len(items)} items")
    return items


def _text(value: Any) -> str:
    text: str = _checked(value, str)
    if len(text) > LONGEST:
        raise StateError(f"a text of {len(text)} characters")
    return text


def _number(value: Any) -> int:
    if type(value) is not int or not -GREATEST < value < GREATEST:
        raise StateError(f"{str(value)[:80]} is no number")
    return value


_MADE: dict[Any, Callable[[list[Any]], Any]] = {list: list, set: set, tuple: tuple}
_PLAIN: dict[Any, Callable[[Reader, Any], Any]] = {
    str: Reader.text,
    int: lambda _, value: _number(value),
    bool: lambda _, value: _checked(value, bool),
}
