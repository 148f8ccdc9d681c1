"""aiohttp, python-engineio and python-socketio, imported without what only their clients use.

A receiver answers nobody during its imports, and without these modules they take a third less time.
aiohttp's __init__ takes names from six of its modules, and only passes the names on. While aiohttp
is imported, stand-ins that have every name are in their place. While python-engineio and
python-socketio are imported, requests and websocket-client are not there: servers do without them.

If a library has changed so that more than that __init__ needs one of these modules, one line says
so, and the library is imported with all that it brings.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from sendrecv import patching
from sendrecv.imports import InPlace, imported, unless_imported

if TYPE_CHECKING:
    from collections.abc import Callable

    from sendrecv.imports import Modules

OF_CLIENTS = ("client", "connector", "cookiejar", "formdata", "resolver", "tracing")


class _Absent(ModuleType):
    """Has every name. What it is cannot be used."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NotImported


class _NotImported:
    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("a client of aiohttp, which is not imported: see light_server.py")


def import_libraries() -> None:
    """To be called before anything else imports them. Afterwards, an import finds them."""
    absent = [f"aiohttp.{part}" for part in OF_CLIENTS]
    stand_ins: Modules = {name: _Absent(name) for name in absent}
    _import(patching.AIOHTTP, "aiohttp", lambda: imported("aiohttp.web"), stand_ins)
    unused: Modules = dict.fromkeys(("requests", "websocket"))
    _import(
        patching.ENGINEIO, "engineio", lambda: imported("engineio.async_drivers.aiohttp"), unused
    )
    _import(patching.SOCKETIO, "socketio", lambda: imported("socketio"), unused)


def _import(
    library: patching.Library, package: str, load: Callable[[], object], stand_ins: Modules
) -> None:
    def check() -> None:
        load()
        for name in _below(package):
            if name != "aiohttp" and any(map(_is_absent, vars(sys.modules[name]).values())):
                raise patching.Misfit(f"{name} uses a part of aiohttp's client")

    with InPlace(unless_imported(stand_ins)):
        fits = library.fits(check, "imported with all that its clients use")
    if not fits:
        for name in _below(package):
            del sys.modules[name]
        load()  # before another library imports it, with stand-ins of its own


def _below(package: str) -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == package]


def _is_absent(found: object) -> bool:
    if isinstance(found, type):
        return issubclass(found, _NotImported)
    return isinstance(found, _Absent)
