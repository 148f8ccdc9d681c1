"""Frozen values behave as frozen dataclasses do."""

from typing import Any

import pytest

from sendrecv.core.values import Value


class Point(Value):
    row: int
    col: int = 0


class Other(Value):
    row: int
    col: int = 0


def test_fields_by_place_by_name_and_by_default() -> None:
    assert Point(1, 2) == Point(row=1, col=2) == Point(1, col=2)
    assert Point(1) == Point(1, 0)
    assert (Point(3).row, Point(3).col) == (3, 0)


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((1, 2, 3), {}), ((), {"col": 1}), ((1,), {"z": 1}), ((1, 2, 3), {"row": 1})],
)
def test_other_fields_are_refused(values: tuple[int, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Point takes row, col"):
        Point(*values, **named)


def test_a_class_of_values_has_no_other_base() -> None:
    """It would lose the fields of that base."""
    with pytest.raises(TypeError, match="Point3 must have Value as its only base"):
        type("Point3", (Point,), {"__annotations__": {"height": int}})
    with pytest.raises(TypeError, match="Mixed must have Value as its only base"):
        type("Mixed", (Value, dict), {})


def test_equality_is_of_class_and_fields() -> None:
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != Other(1, 2)
    assert Point(1, 2) != (1, 2)
    assert len({Point(1, 2), Point(1, 2), Other(1, 2)}) == 2


def test_it_is_frozen() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="Point is frozen: row"):
        point.row = 2  # type: ignore[misc]  # mypy sees it, too
    with pytest.raises(AttributeError, match="Point is frozen: row"):
        del point.row
    assert point == Point(1)


def test_the_order_of_names_does_not_matter() -> None:
    by_name = Point(col=2, row=1)
    assert hash(by_name) == hash(Point(1, 2))
    assert by_name.replace(row=3) == Point(3, 2)
    with pytest.raises(TypeError):
        by_name.replace(z=3)


def test_repr_replace_as_dict_and_match() -> None:
    point = Point(1, 2)
    assert repr(point) == "Point(row=1, col=2)"
    assert point.replace(col=5) == Point(1, 5)
    assert list(Point(col=2, row=1).as_dict().items()) == [("row", 1), ("col", 2)]
    match point:
        case Point(row, col):
            assert (row, col) == (1, 2)
    with pytest.raises(TypeError):
        point.replace(z=1)
