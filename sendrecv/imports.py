"""Faster imports, of which a start is nearly all: some modules are imported late or not at all, and
garbage is not collected meanwhile.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from types import ModuleType

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def in_place(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Meanwhile, these are what is imported under their names; None: it is not there."""
    displaced = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)  # type: ignore[arg-type]  # None: do not import
    try:
        yield
    finally:
        for name, module in modules.items():
            if sys.modules.get(name, module) is module:  # not if the real one was fetched meanwhile
                sys.modules.pop(name, None)
        sys.modules.update(displaced)


def deferred() -> contextlib.AbstractContextManager[None]:
    """Meanwhile, the modules that a sender hardly uses are imported when it does."""
    return in_place(unless_imported({name: Deferred(name) for name in HARDLY_USED}))


def without_clients() -> contextlib.AbstractContextManager[None]:
    """Meanwhile, python-socketio is imported without what its clients use.

    For the receiver, which answers nobody during its imports: they take a sixth less time.
    """
    return in_place(unless_imported(dict.fromkeys(("requests", "websocket"))))


def unless_imported(modules: Modules) -> Modules:
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
