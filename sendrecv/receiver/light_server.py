"""aiohttp and python-socketio, imported without what only their clients use.

A receiver answers nobody during its imports, and without these modules they take a third less time.
aiohttp's __init__ takes names from six of its modules, and only passes the names on. While aiohttp
is imported, stand-ins that have every name are in their place. While python-socketio is imported,
requests and websocket-client are not there: its servers do without them.

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
    from sendrecv.imports import Modules

AIOHTTP = patching.Library("aiohttp", "3.8.4", "3.11.16")
SOCKETIO = patching.Library("python-socketio", "5.7.2", "5.12.1")
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
    _import(AIOHTTP, ["aiohttp.web"], {name: _Absent(name) for name in absent})
    servers = ["engineio.async_drivers.aiohttp", "socketio"]
    _import(SOCKETIO, servers, dict.fromkeys(("requests", "websocket")))


def _import(library: patching.Library, servers: list[str], stand_ins: Modules) -> None:
    packages = [name.partition(".")[0] for name in servers]

    def check() -> None:
        for name in servers:
            imported(name)
        for name in _below(packages):
            if name != "aiohttp" and any(map(_is_absent, vars(sys.modules[name]).values())):
                raise patching.Misfit(f"{name} uses a part of aiohttp's client")

    with InPlace(unless_imported(stand_ins)):
        fits = library.fits(check, "imported with all that its clients use")
    if not fits:  # whoever needs it imports it again
        for name in _below(packages):
            del sys.modules[name]


def _below(packages: list[str]) -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in packages]


def _is_absent(found: object) -> bool:
    if isinstance(found, type):
        return issubclass(found, _NotImported)
    return isinstance(found, _Absent)
