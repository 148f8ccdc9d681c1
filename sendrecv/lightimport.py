"""The Socket.IO client and the receiver, without the imports that they never use.

Most of the time from exec to the first count is Python importing modules, and most of those that
python-socketio imports serve what a websocket client on one machine never does: servers, long
polling, TLS, proxies. So the packages are put in place without running their __init__, and while
the client is imported, modules that it would not use are declared absent (None in sys.modules:
importlib's documented way, see "The import system", 5.3.1) or stand in for themselves with the few
names that are used. Should any of that fail with a future version, the plain import is used. What
is imported later, by whoever, is the real thing.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import operator
import sys
from types import ModuleType

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES = ("engineio", "socketio", "websocket")
_NEVER_USED = ("requests", "aiohttp", "tornado", "eventlet", "gevent", "kombu", "redis", "msgpack")
# http.HTTPStatus is slow to make, and http.client, where websocket-client before 1.4 looks for the
# same names, imports all of email.
_HTTP_STATUS = {
    "SWITCHING_PROTOCOLS": 101,
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}


def socketio_client(*, tls: bool) -> ModuleType:
    """The module socketio.client. tls: whether it has to speak https."""
    if any(name in sys.modules for name in _PACKAGES):
        return importlib.import_module("socketio.client")
    try:
        return _import_light(_stand_ins(tls))
    except Exception:  # pylint: disable=broad-exception-caught  # whatever a new version does
        for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
            del sys.modules[name]
        return importlib.import_module("socketio.client")


@contextlib.contextmanager
def without_clients() -> Iterator[None]:
    """Meanwhile, python-socketio is imported without what its clients use.

    For the receiver: nobody is answered while it is imported, and that takes a sixth less.
    """
    absent = [name for name in ("requests", "websocket") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: do not import
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _stand_ins(tls: bool) -> dict[str, ModuleType | None]:
    """By name, what is in sys.modules while the client is imported, in place of the real one."""
    modules: dict[str, ModuleType | None] = dict.fromkeys(_NEVER_USED)
    # A WebSocketApp is another kind of client. It brings inspect.
    modules["websocket._app"] = _module("websocket._app", WebSocketApp=None, setReconnect=None)
    # Optional[X] and such, in annotations that nobody reads.
    modules["typing"] = _module("typing", Callable=_Any, Optional=_Any, Union=_Any)
    if not tls:
        # Empty: engineio finds a module, and websocket-client finds a Python without TLS.
        modules["ssl"] = _module("ssl")
        modules.update(_hashes())
    return {name: module for name, module in modules.items() if name not in sys.modules}


class _Any:
    def __class_getitem__(cls, _item: object) -> type[_Any]:
        return cls


def _hashes() -> dict[str, ModuleType | None]:
    """hashlib and hmac without OpenSSL: the handshake of a websocket has a SHA-1 in it."""
    try:
        sha1 = importlib.import_module("_sha1").sha1
    except ImportError:
        return {}
    # What is compared is no secret.
    hmac = _module("hmac", compare_digest=operator.eq)
    return {"hashlib": _module("hashlib", sha1=sha1), "hmac": hmac}


def _module(name: str, **contents: object) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def _unrun(name: str) -> ModuleType:
    """The package, of which submodules can be imported, without what its __init__ would do."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ImportError(name)
    return importlib.util.module_from_spec(spec)


def _import_light(stand_ins: dict[str, ModuleType | None]) -> ModuleType:
    if "http" not in sys.modules:
        http = stand_ins["http"] = _unrun("http")
        status = stand_ins["http.client"] = _module("http.client", **_HTTP_STATUS)
        vars(http).update(HTTPStatus=status, client=status)
    sys.modules.update(stand_ins)  # type: ignore[arg-type]  # None: do not import
    try:
        for name in ("engineio", "socketio"):
            sys.modules[name] = _unrun(name)
        # What engineio's __init__ would have made, and socketio.client asks for.
        vars(sys.modules["engineio"])["Client"] = importlib.import_module("engineio.client").Client
        return importlib.import_module("socketio.client")
    finally:
        for name in (*stand_ins, "http.cookies"):
            sys.modules.pop(name, None)
