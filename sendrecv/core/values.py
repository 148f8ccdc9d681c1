"""Frozen values: what a frozen dataclass is, without importing dataclasses.

That import (with inspect, which it brings) and the code that it generates for each class took 14
of the 43 ms that a sender spends importing this package, and a takeover waits for every one.
Type checkers see dataclasses (typing.dataclass_transform, PEP 681).
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own; importing it would cost as much again
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options: object) -> object:
        """At run time, nothing."""
        return lambda decorated: decorated


MILLISECOND = 1_000_000
SECOND = 1000 * MILLISECOND
"""The senders' machine counts time in nanoseconds."""


@dataclass_transform(frozen_default=True)
class Value:
    """Base of a frozen value. Its fields are its annotations, in order; defaults are class
    attributes. Equal to another of the same class with equal fields; hashable if they are.

    A class of values is not derived from another one: whether values of the two are equal, and
    which fields a pattern matches by place, would have no good answer.
    """

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        if cls.__bases__ != (Value,):
            raise TypeError(f"{cls.__name__} must have Value as its only base")
        cls._fields = tuple(cls.__dict__.get("__annotations__", ()))
        type.__setattr__(cls, "__match_args__", cls._fields)

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = self._fields
        if len(values) == len(fields) and not named:  # nearly always
            self.__dict__.update(zip(fields, values, strict=True))
            return
        given = dict(zip(fields, values, strict=False), **named)  # counted below
        for name in fields:
            if name not in given and hasattr(type(self), name):
                given[name] = getattr(type(self), name)
        if len(values) > len(fields) or given.keys() != set(fields):
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}")
        self.__dict__.update({name: given[name] for name in fields})

    def __setattr__(self, name: str, _value: object = None) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name}")

    __delattr__ = __setattr__

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"

    def replace(self, **changes: Any) -> Self:
        """The same but for `changes`."""
        values = {**self.__dict__, **changes}
        if len(values) != len(self._fields):
            raise TypeError(f"{type(self).__name__} has no {', '.join(changes)}")
        return type(self)(*values.values())

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, in order."""
        return {name: self.__dict__[name] for name in self._fields}
