"""`sendrecv watch`: what it draws. How it takes and leaves a terminal is in test_terminal.py."""

import pytest

from sendrecv.admin import watch
from sendrecv.admin.facts import App, Facts
from sendrecv.admin.receiver import Receiver
from sendrecv.admin.units import half_of
from tests.unit.admin.journals import EVENT
from tests.unit.admin.test_schema import FACTS


def view(found: Facts, first: int) -> watch.View:
    """Of all Apps, of which one is known for some seconds."""
    events = [EVENT.__class__(**{**vars(EVENT), "instance": "app7"})]
    return watch.View(found, found.apps, {"app7": [-1, 0, 1, 3]}, events, first)


def facts(number: int) -> Facts:
    apps = tuple(
        App(f"app{n}", f"app{n}", "counting", True, True, (half_of("x", "main"),) * 2, "main")
        for n in range(number)
    )
    return FACTS.replace(apps=apps, receiver=Receiver("unix:///x", error="no\x1b answer"))


@pytest.mark.parametrize("size", [(80, 24), (40, 8), (20, 3), (200, 60), (80, 1)])
@pytest.mark.parametrize("number", [0, 1, 8, 100])
def test_it_fits_whatever_the_size_is(
    size: tuple[int, int], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = facts(number)
    for first in (0, number // 2, max(number - 1, 0)):
        lines = watch.lines_of(view(found, first), *size)
        assert len(lines) <= size[1] and "\x1b" not in "".join(lines)
        if size == (80, 24):
            assert max(map(len, lines)) <= 80 and lines[-1].startswith("q quits")
            assert number == 0 or any(line.startswith(f"app{first}") for line in lines)


def test_the_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = facts(8)
    lines = watch.lines_of(view(found, 0), 100, 30)
    (row,) = (line for line in lines if line.startswith("app7 "))
    assert row.endswith((" \u00b7\u2022\u2022", " .||"))
    assert any("app7 by " in line for line in lines)


def test_what_came_in_each_second() -> None:
    strips = watch.Strips()
    one = facts(1).apps[0]
    for count in (None, 5, 5, 8, 2):
        strips.add([one.replace(count=count)])
    assert strips.of_apps == {"app0": [-1, -1, 0, 3, 0]}
    for count in range(2 * watch.STRIP):
        strips.add([one.replace(count=count)])
    assert len(strips.of_apps["app0"]) == watch.STRIP
    strips.add([])
    assert not strips.of_apps
