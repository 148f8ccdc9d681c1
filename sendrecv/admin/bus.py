"""PID 1's D-Bus, for what `systemctl show` is too slow for.

`systemctl show` asks for all properties of each unit, whichever are to be printed: of 100 Apps that
is 3 MB, PID 1 works at them for half a second, and starts no sender meanwhile. One property costs
less than a thousandth of that. Rejected: python3-dbus, whose import takes longer than all this, and
a D-Bus client of our own. libsystemd is on each machine that has systemd (sd-bus(3)).
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import string
from collections.abc import Iterator, Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any, Self

from sendrecv.core.values import Value

_PRIVATE = b"unix:path=/run/systemd/private"
"""PID 1's own socket, which only root can open: it is there before the bus is, and without it."""
_NAME = b"org.freedesktop.systemd1"
_MANAGER = b"/org/freedesktop/systemd1"
_LISTED = b"(ssssssouso)"
_KEPT = frozenset((string.ascii_letters + string.digits).encode())


class BusError(Exception):
    """systemd cannot be asked; the text says why."""


class Listed(Value):
    """A unit that systemd has in memory. load, active: its LoadState= and ActiveState=."""

    name: str
    load: str
    active: str


class Bus:
    """A connection to PID 1, in its context. Each method raises BusError."""

    def __init__(self) -> None:
        try:
            self._lib = ctypes.CDLL("libsystemd.so.0")
        except OSError as error:
            raise BusError(str(error)) from None
        self._libc = ctypes.CDLL(None)
        self._libc.free.argtypes = [c_void_p]
        self._bus = c_void_p()
        if os.geteuid() == 0 and self._open_private():
            return
        self._done(self._lib.sd_bus_open_system(byref(self._bus)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lib.sd_bus_flush_close_unref(self._bus)

    def units(self, patterns: Sequence[str]) -> list[Listed]:
        """Those units in memory whose names match one of the patterns."""
        reply = c_void_p()
        words = [c_char_p(pattern.encode()) for pattern in patterns]
        asked = (b"org.freedesktop.systemd1.Manager", b"ListUnitsByPatterns", None)
        sizes = (c_uint(0), c_uint(len(words)))  # of the list of states, which is empty: any
        called = self._lib.sd_bus_call_method(
            self._bus, _NAME, _MANAGER, *asked, byref(reply), b"asas", *sizes, *words
        )
        with self._message(called, reply):
            self._done(self._lib.sd_bus_message_enter_container(reply, c_int(ord("a")), _LISTED))
            return [*self._listed(reply)]

    def text(self, unit: str, key: str, kind: str = "Unit") -> str:
        """A property that is a text. kind: the D-Bus interface that has it, "Unit" or "Service"."""
        found = c_void_p()
        self._done(self._lib.sd_bus_get_property_string(*self._property(unit, key, kind, found)))
        try:
            return ctypes.string_at(found).decode("utf-8", "replace")
        finally:
            self._libc.free(found)

    def number(self, unit: str, key: str, kind: str = "Unit") -> int:
        """A property that is a time in microseconds (t)."""
        return self._trivial(unit, key, kind, "t", c_uint64())

    def status(self, unit: str, key: str) -> int:
        """A property of a service that is an exit status (i)."""
        return self._trivial(unit, key, "Service", "i", c_int())

    def run(self, unit: str) -> str:
        """The unit's InvocationID=, 32 hexadecimal digits; "" if it has none."""
        reply = c_void_p()
        called = self._lib.sd_bus_get_property(
            *self._property(unit, "InvocationID", "Unit", reply), b"ay"
        )
        with self._message(called, reply):
            data, size = c_void_p(), c_size_t()
            read = self._lib.sd_bus_message_read_array
            self._done(read(reply, c_int(ord("y")), byref(data), byref(size)))
            return ctypes.string_at(data, size.value).hex()  # of no byte, if it has none

    def switch(self, unit: str, key: str, kind: str = "Unit") -> bool:
        """A property that is true or false (b)."""
        return bool(self._trivial(unit, key, kind, "b", c_int()))

    def count(self, unit: str, key: str, kind: str = "Service") -> int:
        """A property that is a small number without a sign (u)."""
        return self._trivial(unit, key, kind, "u", c_uint())

    def texts(self, unit: str, key: str, kind: str = "Unit") -> tuple[str, ...]:
        """A property that is a list of texts (as)."""
        found = POINTER(c_void_p)()
        self._done(self._lib.sd_bus_get_property_strv(*self._property(unit, key, kind, found)))
        return self._taken(found)

    def pairs(
        self, unit: str, key: str, kind: str, second: str = "s"
    ) -> tuple[tuple[str, str], ...]:
        """A property that is a list of pairs (a(ss)). second: the D-Bus type of the second of each,
        "s"; or "b", which is "0" or "1" here.
        """
        types = f"(s{second})".encode()
        reply = c_void_p()
        called = self._lib.sd_bus_get_property(
            *self._property(unit, key, kind, reply), b"a" + types
        )
        with self._message(called, reply):
            self._done(self._lib.sd_bus_message_enter_container(reply, c_int(ord("a")), types))
            return (*self._pairs(reply, types, second),)

    def command(self, unit: str) -> tuple[str, ...]:
        """The words of the unit's first ExecStart=."""
        reply = c_void_p()
        called = self._lib.sd_bus_get_property(
            *self._property(unit, "ExecStart", "Service", reply), b"a(sasbttttuii)"
        )
        lib, content = self._lib, b"sasbttttuii"
        with self._message(called, reply):
            self._done(
                lib.sd_bus_message_enter_container(reply, c_int(ord("a")), b"(%s)" % content)
            )
            if not self._done(lib.sd_bus_message_enter_container(reply, c_int(ord("r")), content)):
                return ()
            self._done(lib.sd_bus_message_skip(reply, b"s"))
            words = POINTER(c_void_p)()
            self._done(lib.sd_bus_message_read_strv(reply, byref(words)))
            return self._taken(words)

    def _pairs(self, reply: c_void_p, types: bytes, second: str) -> Iterator[tuple[str, str]]:
        while True:
            one = c_char_p()
            other: c_char_p | c_int = c_int() if second == "b" else c_char_p()
            read = self._lib.sd_bus_message_read
            if self._done(read(reply, types, byref(one), byref(other))) == 0:
                return
            yield _decoded(one), str(other.value) if isinstance(other, c_int) else _decoded(other)

    def _taken(self, found: Any) -> tuple[str, ...]:
        """A list of texts that libsystemd has made for us, which is freed. NULL is an empty one."""
        texts: list[str] = []
        if not found:
            return ()
        for place in itertools.takewhile(lambda place: found[place], itertools.count()):
            texts.append(ctypes.string_at(found[place]).decode("utf-8", "replace"))
            self._libc.free(found[place])
        self._libc.free(ctypes.cast(found, c_void_p))
        return tuple(texts)

    def _open_private(self) -> bool:
        lib, bus = self._lib, self._bus
        self._done(lib.sd_bus_new(byref(bus)))
        opened = bool(lib.sd_bus_set_address(bus, _PRIVATE) >= 0 <= lib.sd_bus_start(bus))
        if not opened:
            lib.sd_bus_unref(bus)
        return opened

    def _listed(self, reply: c_void_p) -> Iterator[Listed]:
        while True:
            found: list[Any] = [c_char_p() for _ in range(10)]
            found[7] = c_uint()  # the number of its job
            places = [byref(one) for one in found]
            read = self._lib.sd_bus_message_read(reply, _LISTED, *places)
            if self._done(read) == 0:
                return
            name, _, load, active = (_decoded(one) for one in found[:4])
            yield Listed(name, load, active)

    def _property(self, unit: str, key: str, kind: str, found: Any) -> tuple[object, ...]:
        interface = f"org.freedesktop.systemd1.{kind}".encode()
        return (self._bus, _NAME, path_of(unit), interface, key.encode(), None, byref(found))

    def _trivial(
        self, unit: str, key: str, kind: str, code: str, found: c_uint64 | c_int | c_uint
    ) -> int:
        interface = f"org.freedesktop.systemd1.{kind}".encode()
        where = (self._bus, _NAME, path_of(unit), interface, key.encode(), None)
        get = self._lib.sd_bus_get_property_trivial
        self._done(get(*where, c_int(ord(code)), byref(found)))
        return int(found.value)

    @contextlib.contextmanager
    def _message(self, called: int, reply: c_void_p) -> Iterator[None]:
        self._done(called)
        try:
            yield
        finally:
            self._lib.sd_bus_message_unref(reply)

    @staticmethod
    def _done(result: int) -> int:
        if result < 0:
            raise BusError(os.strerror(-result))
        return result


def _decoded(found: c_char_p) -> str:
    return (found.value or b"").decode("utf-8", "replace")


def path_of(unit: str) -> bytes:
    """The object of that unit, as sd_bus_path_encode(3) names it."""
    name = unit.encode()
    kept = (
        bytes([byte]) if byte in _KEPT and (place or not 48 <= byte <= 57) else b"_%02x" % byte
        for place, byte in enumerate(name)
    )
    return _MANAGER + b"/unit/" + b"".join(kept)
