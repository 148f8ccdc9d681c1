"""Python's http.client, read for Python 3.11 and 3.13, without the package email.

http.client reads the head of an answer with email's parser. That package, and what it imports in
turn, is nine tenths of http.client's import, for which a takeover on several hosts would wait. What
is needed of a head here is a few fields by their names. So http.client gets a parser of its own,
which reads the same lines under the same limits (http.client's _read_headers()).

It is a copy for the client of etcd alone: whoever imports http.client gets the real one. If Python
has changed, the real one is used here too.
"""

from __future__ import annotations

import sys
from types import ModuleType

from sendrecv import patching
from sendrecv.imports import Deferred, InPlace, deferred, imported, unless_imported

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Modules = dict[str, ModuleType | None]

LIBRARY = patching.Library("Python's http.client", "3.11", "3.13")
_STATUS = {"CONTINUE": 100, "OK": 200, "NO_CONTENT": 204, "NOT_MODIFIED": 304}
"""What http.client uses of http.HTTPStatus, which is slow to make."""


class HttpStatus(int):
    """An http.HTTPStatus."""

    phrase = ""


class HttpHeaders(dict[str, str]):
    """The head of an answer, by names in lower case. Of a field that comes twice, the first."""

    def get(self, name: str, default: Any = None) -> Any:
        """The field's value. name: in any case."""
        return super().get(name.lower(), default)


def http_client() -> ModuleType:
    """The copy; or http.client itself, if Python has changed so that there can be none."""
    copies: list[ModuleType] = []
    if LIBRARY.fits(lambda: copies.append(_copy()), "imported with all that it brings"):
        return copies[0]
    return imported("http.client")


def _copy() -> ModuleType:
    copy = ModuleType("http.client")
    spec = _spec()
    vars(copy).update(__spec__=spec, __package__="http")
    http, email = ModuleType("http"), ModuleType("email")
    members = {name: HttpStatus(number) for name, number in _STATUS.items()}
    vars(http)["HTTPStatus"] = type("HTTPStatus", (), {"__members__": members, **members})
    message = Deferred("email.message", Message=object)
    vars(email)["message"] = message
    absent: Modules = {"http": http, "email": email, "email.message": message}
    absent["email.parser"] = ModuleType("email.parser")
    # ssl is imported if it is needed: what http.client has of it is not used here.
    absent |= unless_imported({"ssl": None})
    with deferred(), InPlace(absent):
        spec.loader.exec_module(copy)
    _patch(copy, patching.function(copy, "_read_headers", "fp"))
    return copy


def _patch(copy: Any, read_lines: Callable[[Any], list[bytes]]) -> None:
    patching.function(copy, "parse_headers", "fp")
    patching.uses(copy.HTTPResponse, "begin", "parse_headers")
    patching.uses(copy.HTTPResponse, "begin", "get")

    def parse_headers(file: Any) -> HttpHeaders:
        head = HttpHeaders()
        for line in read_lines(file)[:-1]:  # the last one is empty
            name, colon, value = line.decode("iso-8859-1").partition(":")
            if not colon or not name or name != name.strip():  # no lines that go on, either
                raise copy.HTTPException(f"no field of a head: {line[:80]!r}")
            head.setdefault(name.lower(), value.strip())
        return head

    copy.parse_headers = parse_headers


def _spec() -> Any:
    """Of http.client, found without a run of the package's __init__."""
    for finder in sys.meta_path:
        if (http := finder.find_spec("http", None)) and http.submodule_search_locations:
            if found := finder.find_spec("http.client", http.submodule_search_locations):
                return found
    raise patching.Misfit("no module http.client")
