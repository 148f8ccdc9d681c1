"""A start is nearly all imports: modules that are imported late, or not at all; and no garbage
collection meanwhile.
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

# For sendfile(2) and TLS, deprecations, addresses in brackets, cookies, and the library's own
# reconnections.
HARDLY_USED = ("selectors", "warnings", "ipaddress", "http.cookies", "random")


class Deferred(ModuleType):
    """A module that is imported when something is asked of it that `contents` has not."""

    def __init__(self, name: str, **contents: object) -> None:
        super().__init__(name)
        vars(self).update(contents)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of those, what is not here is what the import system looks for
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

    For the receiver: nobody is answered while it is imported, and that takes a sixth less.
    """
    return in_place(unless_imported(dict.fromkeys(("requests", "websocket"))))


def unless_imported(modules: Modules) -> Modules:
    return {name: module for name, module in modules.items() if name not in sys.modules}


def begin() -> None:
    """Long imports follow. They make hardly any garbage, and looking for it is a fifteenth of the
    receiver's start.
    """
    gc.disable()


def end() -> None:
    """The imports are done: what they made stays, and need not be looked at again."""
    gc.freeze()
    gc.enable()


def collect_in_small_steps() -> None:
    """Python's garbage collector stops everything. A connection that ends leaves a hundred objects
    to it: by default it would collect those of thousands at once, for half a second.
    """
    gc.freeze()
    gc.set_threshold(2000, 5, 2)
