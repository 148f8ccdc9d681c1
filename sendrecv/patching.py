"""Checks for patches of a library: does the library still have what a patch uses or changes?

Each library that is patched is a constant here, with the versions of it that were read. Its patches
stand in one module, patched_LIBRARY.py (light_http.py for Python's http.client), which checks every
name and signature that it uses, as it patches. If one of them has changed, one line in the journal
names the library and says so, and the library is used without the patch.

There are two exceptions. Both are for a start, which is nearly all imports:

- python-engineio and python-socketio are used by senders and by the receiver, which share no
  imports. A sender has the libraries' clients, and the receiver has their servers: so each side has
  a module for either library, with nothing in it that the other side's has.
- How the libraries of one side are imported without what it never uses is in light_client.py and
  light_server.py, for all of them at once: what takes the place of other modules must do so before
  the first library is imported, and the libraries import each other. A line about that names the
  library whose own import failed. light_client.py is the sender's module for python-socketio, too:
  it checks one name, for which no start should read one more file.

The checks are cheap, and do without `inspect`. They also look into compiled code. If a name still
exists but the library no longer uses it, a patch of this name would have no effect.
"""

from __future__ import annotations

from sendrecv.core.errors import WARNING
from sendrecv.imports import imported
from sendrecv.systemd import log

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_COROUTINE = 0x80  # CO_COROUTINE, see inspect


class Misfit(Exception):
    """A library has changed since it was read for the patch. The text says what is different."""


class Library:
    """A library that is patched. read: the versions that were read for the patches."""

    def __init__(self, distribution: str, *read: str) -> None:
        self.distribution = distribution
        self.read = read

    def fits(self, check: Callable[[], object], otherwise: str) -> bool:
        """Whether check() raises nothing. If it raises, one line says why, and what follows."""
        try:
            check()
        # A library that has changed may raise anything.
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.report(error, otherwise)
            return False
        return True

    def report(self, error: Exception, otherwise: str) -> None:
        """Log the line about the change."""
        what = str(error) if isinstance(error, Misfit) else f"{type(error).__name__}: {error}"
        then = f"in {' and '.join(self.read)}" if self.read else "before"
        log(
            WARNING,
            f"{self.distribution} {self.version()} is not as it was {then} ({_line(what)}):"
            f" {otherwise}, ignoring",
        )

    def version(self) -> str:
        """The version that is installed."""
        from importlib import metadata  # slow, and only for people

        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return "of an unknown version"


AIOHTTP = Library("aiohttp", "3.8.4", "3.11.16")
ENGINEIO = Library("python-engineio", "4.3.4", "4.11.2")
SOCKETIO = Library("python-socketio", "5.7.2", "5.12.1")
WEBSOCKET = Library("websocket-client", "1.2.3", "1.8.0")
HTTP_CLIENT = Library("Python's http.client", "3.11", "3.13")
ASYNCIO = Library("Python's asyncio", "3.11", "3.13")
"""The versions are those of Debian 12 and 13. Others are taken for the same, until a check finds
that they are not. See debian/control for the bounds.
"""


def function(owner: Any, name: str, *first: str) -> Any:
    """The function of that name in a class or module. Its arguments must begin with `first`.

    Raises Misfit.
    """
    found = getattr(owner, name, None)
    if _code(found) is None:
        raise Misfit(f"no function {_label(owner)}.{name}")
    if _arguments(found)[: len(first)] != first:
        raise Misfit(f"{_label(owner)}.{name}({', '.join(_arguments(found))})")
    return found


def coroutine(owner: Any, name: str, *first: str) -> Any:
    """As function(), but for a coroutine function."""
    found = function(owner, name, *first)
    if not _code(found).co_flags & _COROUTINE:
        raise Misfit(f"{_label(owner)}.{name} is no coroutine")
    return found


def accepts(owner: Any, name: str, *arguments: str) -> None:
    """Raises Misfit if the function does not have all of these arguments, at any position."""
    missing = set(arguments) - set(_arguments(function(owner, name)))
    if missing:
        raise Misfit(f"{_label(owner)}.{name} has no argument {', '.join(sorted(missing))}")


def uses(owner: Any, name: str, *words: str) -> None:
    """Raises Misfit if none of `words` (names, attributes, texts) is in the code of the function,
    or of a function defined in it. For an __init__, the code of a base class will do.
    """
    owners = owner.__mro__ if name == "__init__" else (owner,)
    if not any(mentions(getattr(each, name, None), *words) for each in owners):
        raise Misfit(f"{_label(owner)}.{name} does not use {' or '.join(words)}")


def mentions(found: Any, *words: str) -> bool:
    """Whether one of `words` is in the code of the function, or of a function defined in it."""
    code = _code(found)
    return code is not None and _has(code, words)


def attribute(owner: Any, name: str, kind: type) -> Any:
    """The attribute, of that type. Raises Misfit."""
    found = getattr(owner, name, None)
    if not isinstance(found, kind):
        raise Misfit(f"no {kind.__name__} {_label(owner)}.{name}")
    return found


def module(*names: str) -> Any:
    """The first of these modules that exists: versions name it differently. Raises Misfit."""
    for name in names:
        try:
            return imported(name)
        except ModuleNotFoundError:
            continue
    raise Misfit(f"no module {' or '.join(names)}")


def _code(found: object) -> Any:
    return getattr(found, "__code__", None)


def _arguments(found: Any) -> tuple[str, ...]:
    code = _code(found)
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names


def _has(code: Any, words: tuple[str, ...]) -> bool:
    places = (code.co_names, code.co_consts, code.co_varnames, code.co_freevars, code.co_cellvars)
    if any(word in place for place in places for word in words):
        return True
    return any(_has(item, words) for item in code.co_consts if isinstance(item, type(code)))


def _label(owner: Any) -> str:
    return str(getattr(owner, "__name__", None) or type(owner).__name__)


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
