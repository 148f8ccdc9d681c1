"""python-socketio's client, without the imports that it never uses here.

From exec to the first count, Python spends most of the time on imports. Most of the modules that
python-socketio imports are for servers, long polling, TLS, proxies and debug output, which a
websocket client on one machine never uses. So the packages are put into sys.modules without running
their __init__. While the client is imported, a module that it would not use is replaced in one of
three ways:

- It is declared absent: None in sys.modules, importlib's documented way (see "The import system",
  5.3.1).
- Its import is deferred until it is used.
- A stand-in has only the few names that are used.

Whatever is imported later is the real module.

If a library has changed so that this import fails, the plain import follows, and a takeover takes
about twice as long. If the client later asks a package for a name that only its __init__ makes,
that __init__ is run then.
"""

from __future__ import annotations

import operator
import sys
from functools import partial
from types import ModuleType

from sendrecv import patching
from sendrecv.imports import HARDLY_USED, Deferred, InPlace, imported, unless_imported
from sendrecv.sender import patched_engineio, patched_websocket

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from typing import Any

    Modules = dict[str, ModuleType | None]

_clients: list[ModuleType] = []
"""The module, once it is patched. Another part of the process may have imported it before."""
_PACKAGES = ("engineio", "socketio", "websocket")
_NEVER_USED = ("requests", "python_socks", "aiohttp", "tornado", "eventlet", "gevent", "msgpack")
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


class _Silent:
    """A logging.Logger, or a handler, that ignores everything."""

    def __init__(self, *_: object) -> None:
        pass

    def __getattr__(self, _name: str) -> Any:
        return _nothing


def _nothing(*_: object, **__: object) -> None:
    pass


SILENT = _Silent()
"""The logger that the libraries are given. What they would log reaches a sender as an event."""


def socketio_client(*, tls: bool) -> ModuleType:
    """The module socketio.client, imported and patched once. tls: whether it has to speak https."""
    if not _clients:
        client = _import(tls)
        _clients.append(client)
        modules = sys.modules.get
        names = ("_http", "_socket", "_abnf", "_core", "_handshake")
        patched_websocket.patch(*(modules(f"websocket.{name}") for name in names))
        opening = ("websocket", "websocket._core", "engineio.client")
        patched_websocket.patch_opening(*map(modules, opening))
        patched_engineio.patch(getattr(modules("engineio"), "Client", None))
        patching.SOCKETIO.fits(lambda: _check(client), "a lost connection may be noticed late")
    return _clients[0]


def engine(client: Any) -> Any:
    """The Engine.IO client below a client, whose "disconnect" tells of each connection that ends.

    If there is none, the client, whose "disconnect" comes only after an answered handshake.
    """
    return getattr(client, "eio", client)


def abandon(client: Any) -> None:
    """End the connection, without waiting for the client's threads."""
    below = engine(client)
    try:
        if below is client:
            client.disconnect()
        else:
            below.disconnect(True)
    except AttributeError:
        # It says that it is connected just before it has its socket, as `ws`. The caller cuts that.
        if getattr(below, "ws", None) is not None:
            raise


def _check(module: Any) -> None:
    patching.uses(module.Client, "__init__", "eio")


def _import(tls: bool) -> ModuleType:
    if any(name in sys.modules for name in _PACKAGES):
        return imported("socketio.client")
    begun = [patching.SOCKETIO]
    try:
        return _import_light(tls, begun)
    except Exception as error:  # pylint: disable=broad-exception-caught  # whatever has changed
        for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
            del sys.modules[name]
        client = imported("socketio.client")
        begun[-1].report(error, "imported with all that it brings")
        return client


def _import_light(tls: bool, begun: list[patching.Library]) -> ModuleType:
    """begun: the library that is imported is put there."""
    stand_ins = unless_imported(_stand_ins(tls))
    if "http" in stand_ins:
        stand_ins["http"] = _http(stand_ins)
    with InPlace(stand_ins):
        begun.append(patching.WEBSOCKET)
        imported("websocket")  # engineio goes on without it if that fails
        begun.append(patching.ENGINEIO)
        packages = [_unrun(name) for name in ("engineio", "socketio")]
        sys.modules.update({package.__name__: package for package in packages})
        # What engineio's __init__ would have made, and socketio.client asks for.
        vars(packages[0])["Client"] = imported("engineio.client").Client
        begun.append(patching.SOCKETIO)
        client = imported("socketio.client")
    for package in packages:
        vars(package)["__getattr__"] = partial(_run_after_all, package)
    return client


def _run_after_all(package: ModuleType, name: str) -> Any:
    """What the package has by that name once its __init__ has been run."""
    loader = package.__spec__.loader if package.__spec__ else None
    if name.startswith("__") or loader is None:
        raise AttributeError(name)
    del vars(package)["__getattr__"]
    change = patching.Misfit(f"it asks for {package.__name__}.{name}")
    patching.SOCKETIO.report(change, f"all of {package.__name__} is imported")
    loader.exec_module(package)
    return getattr(package, name)


def _stand_ins(tls: bool) -> Modules:
    """By name, what is in sys.modules while the client is imported, in place of the real one."""
    modules: Modules = dict.fromkeys(_NEVER_USED)
    modules.update({name: Deferred(name) for name in HARDLY_USED})
    # A WebSocketApp is another kind of client. It brings inspect.
    modules["websocket._app"] = Deferred("websocket._app", WebSocketApp=None, setReconnect=None)
    # Optional[X] and such, in annotations that nobody reads.
    modules["typing"] = Deferred("typing", Callable=_Any, Optional=_Any, Union=_Any)
    modules["logging"] = _logging()
    modules["http"] = None  # made by _http()
    modules["http.client"] = Deferred("http.client", **_HTTP_STATUS)
    if tls:
        imported("ssl")  # with the real socket, of which it makes a class
    else:
        # Empty: engineio finds a module, and websocket-client finds a Python without TLS.
        modules["ssl"] = ModuleType("ssl")
        modules.update(_hashes())
    return modules


class _Any:
    def __class_getitem__(cls, _item: object) -> type[_Any]:
        return cls


def _logging() -> ModuleType:
    levels = {"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}
    return Deferred(
        "logging", getLogger=_Silent, NullHandler=_Silent, StreamHandler=_Silent, **levels
    )


def _http(stand_ins: Modules) -> ModuleType:
    http = _unrun("http")
    status = stand_ins["http.client"]
    vars(http).update(HTTPStatus=status, client=status, cookies=stand_ins["http.cookies"])
    return http


def _hashes() -> Modules:
    """hashlib and hmac without OpenSSL: the handshake of a websocket has a SHA-1 in it."""
    try:
        sha1 = imported("_sha1").sha1
    except ImportError:
        return {}
    # The values that are compared are not secret.
    hmac = Deferred("hmac", compare_digest=operator.eq)
    return {"hashlib": Deferred("hashlib", sha1=sha1), "hmac": hmac}


def _unrun(name: str) -> ModuleType:
    """The package without a run of its __init__. Its submodules can be imported."""
    specs = (finder.find_spec(name, None) for finder in sys.meta_path)
    spec = next((spec for spec in specs if spec is not None), None)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(name)
    module = ModuleType(name)
    vars(module).update(__spec__=spec, __path__=spec.submodule_search_locations, __package__=name)
    return module
