"""For what there is one of."""

from collections.abc import Iterable
from typing import TypeVar

Value = TypeVar("Value")


def only(values: Iterable[Value]) -> Value:
    """The one value that there is. Raises ValueError if there are none, or more."""
    (value,) = values
    return value
