"""The checks of libraries find what has changed, and the package's bounds are what was read."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sendrecv import patching
from sendrecv.patching import AIOHTTP, ENGINEIO, SOCKETIO, WEBSOCKET, Library, Misfit

TOP = Path(__file__).resolve().parents[2]
PACKAGED = {
    "python3-aiohttp": AIOHTTP,
    "python3-engineio": ENGINEIO,
    "python3-socketio": SOCKETIO,
    "python3-websocket": WEBSOCKET,
}
# Who checks what of which library: see the header of patching.py.
PATCHES = {
    "receiver/patched_aiohttp.py": {"AIOHTTP"},
    "receiver/patched_asyncio.py": {"ASYNCIO"},
    "receiver/patched_engineio.py": {"ENGINEIO"},
    "receiver/patched_socketio.py": {"SOCKETIO"},
    "receiver/light_server.py": {"AIOHTTP", "ENGINEIO", "SOCKETIO"},
    "sender/patched_engineio.py": {"ENGINEIO"},
    "sender/patched_websocket.py": {"WEBSOCKET"},
    "sender/light_client.py": {"ENGINEIO", "SOCKETIO", "WEBSOCKET"},
    "sender/light_http.py": {"HTTP_CLIENT"},
}


class Base:
    """A library's class."""

    size = 3

    def __init__(self) -> None:
        self.queue = [0]

    def plain(self, first: int, second: int = 0, *, option: int = 0) -> Callable[[], int]:
        """It uses more than is in its own code."""

        def inner() -> int:
            return first + second + option + len(self.queue) + len("text")

        return inner

    async def later(self, first: int) -> int:
        """To be awaited."""
        return first


class Derived(Base):
    """With the __init__ of another class."""

    def __init__(self) -> None:
        super().__init__()
        self.other = 0


FITTING: dict[str, Callable[[], object]] = {
    "function": lambda: patching.function(Derived, "plain", "self", "first"),
    "coroutine": lambda: patching.coroutine(Base, "later", "self", "first"),
    "accepts": lambda: patching.accepts(Base, "plain", "option", "second"),
    "uses, inside": lambda: patching.uses(Base, "plain", "queue"),
    "uses, a text": lambda: patching.uses(Base, "plain", "nothing", "text"),
    "uses, of the base": lambda: patching.uses(Derived, "__init__", "queue"),
    "attribute": lambda: patching.attribute(Base, "size", int),
    "module": lambda: patching.module("no_such_module", "json"),
}
CHANGED: dict[str, tuple[Callable[[], object], str]] = {
    "no function": (lambda: patching.function(Base, "gone"), "no function Base.gone"),
    "no owner": (lambda: patching.function(None, "gone"), "no function NoneType.gone"),
    "not a function": (lambda: patching.function(Base, "size"), "no function Base.size"),
    "arguments": (
        lambda: patching.function(Base, "plain", "self", "second"),
        "Base.plain(self, first, second, option)",
    ),
    "not a coroutine": (lambda: patching.coroutine(Base, "plain"), "Base.plain is no coroutine"),
    "accepts": (lambda: patching.accepts(Base, "plain", "gone"), "Base.plain has no argument gone"),
    "accepts a local": (lambda: patching.accepts(Base, "plain", "inner"), "no argument inner"),
    "uses": (lambda: patching.uses(Base, "later", "queue"), "Base.later does not use queue"),
    "uses its own name": (lambda: patching.uses(Base, "later", "later"), "does not use later"),
    "uses, of the base": (lambda: patching.uses(Derived, "__init__", "gone"), "not use gone"),
    "no attribute": (lambda: patching.attribute(Base, "gone", int), "no int Base.gone"),
    "another type": (lambda: patching.attribute(Base, "size", str), "no str Base.size"),
    "an object": (lambda: patching.attribute(SimpleNamespace(), "x", int), "SimpleNamespace.x"),
    "no module": (lambda: patching.module("no_such", "nor_this"), "no module no_such or nor_this"),
}


@pytest.mark.parametrize("name", FITTING)
def test_what_fits_is_not_complained_of(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Library("pytest", "1").fits(FITTING[name], "nothing")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", CHANGED)
def test_what_has_changed_is_found_and_said(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check, problem = CHANGED[name]
    with pytest.raises(Misfit, match=re.escape(problem)):
        check()
    assert not Library("pytest", "1.0", "2.0").fits(check, "slower")
    (line,) = capsys.readouterr().err.splitlines()
    said = f"pytest {pytest.__version__} is not as it was in 1.0 and 2.0 ("
    assert line.startswith(said) and problem in line and line.endswith("): slower, ignoring")


def test_whatever_a_check_meets_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def check() -> None:
        raise ValueError("many\nlines " * 100)

    assert not Library("no-such-distribution", "1").fits(check, "slower")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no-such-distribution of an unknown version is not as it was in 1 (Val")
    assert line.endswith("): slower, ignoring") and len(line) < 400


@pytest.mark.parametrize("package", PACKAGED)
def test_the_bounds_of_the_package_are_what_was_read(package: str) -> None:
    """From the first version that was read up to the next major one, for dpkg and for pip."""
    control = (TOP / "debian/control").read_text(encoding="utf-8")
    bounds = re.findall(rf"{package} \((>=|<<) ([^)]+)\)", control)
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    library = PACKAGED[package]
    first, major = library.read[0], int(library.read[-1].split(".")[0]) + 1
    assert bounds == [(">=", first), ("<<", f"{major}~")]
    assert f"{library.distribution} >= {first}, < {major}" in project["dependencies"]


def test_a_library_has_one_module_on_each_side_and_its_versions_stand_in_one_place() -> None:
    found = {}
    for file in (TOP / "sendrecv").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert file.name == "patching.py" or "Library(" not in text, file
        if names := set(re.findall(r"\bpatching\.([A-Z][A-Z_]+)\b", text)):
            found[str(file.relative_to(TOP / "sendrecv"))] = names
    assert found == PATCHES
