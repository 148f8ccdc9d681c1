"""Faster imports, of which a start is nearly all: some modules are imported late or not at all, and
garbage is not collected meanwhile.
"""

from __future__ import annotations

import gc
import sys
from types import ModuleType

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    Modules = dict[str, ModuleType | None]

# In this order they are for: sendfile(2) and TLS; deprecations; addresses in brackets; cookies; the
# library's own reconnections.
HARDLY_USED = ("selectors", "warnings", "ipaddress", "http.cookies", "random")


class Deferred(ModuleType):
    """Has `contents`, and imports the real module when another name of it is used."""

    def __init__(self, name: str, **contents: object) -> None:
        super().__init__(name)
        vars(self).update(contents)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system looks for such names
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(imported(self.__name__), name)


def imported(name: str) -> ModuleType:
    """The module. importlib.import_module() is the same, in a package that a start would import."""
    __import__(name)
    return sys.modules[name]


class InPlace:
    """Meanwhile, these are what is imported under their names; None: it is not there.

    Not made with contextlib: a takeover would wait for the 0.7 ms that its import takes.
    """

    def __init__(self, modules: Mapping[str, ModuleType | None]) -> None:
        self._modules = modules
        self._displaced: dict[str, ModuleType] = {}

    def __enter__(self) -> None:
        names = (name for name in self._modules if name in sys.modules)
        self._displaced = {name: sys.modules[name] for name in names}
        sys.modules.update(self._modules)  # type: ignore[arg-type]  # None: do not import

    def __exit__(self, *_error: object) -> None:
        for name, module in self._modules.items():
            if sys.modules.get(name, module) is module:  # not if the real one was fetched meanwhile
                sys.modules.pop(name, None)
        sys.modules.update(self._displaced)


def deferred() -> AbstractContextManager[None]:
    """Meanwhile, the modules that a sender hardly uses are imported when it does."""
    return InPlace(unless_imported({name: Deferred(name) for name in HARDLY_USED}))


def unless_imported(modules: Modules) -> Modules:
    """Without those that are imported already."""
    return {name: module for name, module in modules.items() if name not in sys.modules}


def begin() -> None:
    """Call this before long imports. They make hardly any garbage, and to look for it would take a
    fifteenth of the receiver's start.
    """
    gc.disable()


def end() -> None:
    """Call this after the imports. Their objects stay, and need not be looked at again."""
    gc.freeze()
    gc.enable()


def collect_in_small_steps() -> None:
    """Python's garbage collector stops everything else. A connection that ends leaves it a hundred
    objects. By default it would collect those of thousands of connections at once, for half a
    second.
    """
    gc.freeze()
    gc.set_threshold(2000, 5, 2)
