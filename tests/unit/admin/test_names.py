"""The names of Apps, as people type them."""

import pytest

from sendrecv.admin.bus import path_of
from sendrecv.admin.names import alike, instance_of, unknown


@pytest.mark.parametrize(
    ("typed", "instance"),
    [
        ("main", "main"),
        ("sender@main", "main"),
        ("sender@main.service", "main"),
        ("sender-failover@a.b.service", "a.b"),
        ("sendrecv@main.target", "main"),
        ("sendrecv@main", "main"),
        ("sender@main.", "main."),
        ("sender@", "sender@"),
        ("a@b", "a@b"),
        ("sender@a@b.service", "a@b"),
    ],
)
def test_the_names_of_units_are_accepted(typed: str, instance: str) -> None:
    assert instance_of(typed) == instance


def test_a_name_that_is_nearly_one() -> None:
    known = ["main", "main.", "other", "MAIN"]
    assert alike("Main", known) == ["MAIN", "main", "main."]
    assert alike("main", known) == ["MAIN", "main."] and alike("others", known) == []
    assert unknown("Main", ["main"]) == "no App is called Main; there is main"
    assert unknown("x\x1b", ["main"]) == r"no App is called 'x\x1b'"


def test_the_object_of_a_unit() -> None:
    """As busctl(1) shows it."""
    assert path_of("sender@a-1.service").endswith(b"/unit/sender_40a_2d1_2eservice")
    assert path_of("1.target").endswith(b"/unit/_31_2etarget")
