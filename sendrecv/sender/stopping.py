"""Asks systemd, by D-Bus, whether it stops a unit. Another host waits for the answer.

`systemctl list-jobs` says it too, and takes 20 to 55 ms as a host goes down, nearly all of it to
start a program. Here are two questions on one connection, with as much of D-Bus as they need:
https://dbus.freedesktop.org/doc/dbus-specification.html and org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import os
import socket
import struct

BUS = "/run/dbus/system_bus_socket"
TIMEOUT = 1.0
"""Seconds for each answer."""
MAX_MESSAGE = 65_536
_SYSTEMD = "org.freedesktop.systemd1"
_UNITS = "/org/freedesktop/systemd1/unit/"
_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _DESTINATION, _SIGNATURE = 1, 2, 3, 6, 8
_STRING = struct.Struct("=I")


class Question:
    """Whether systemd stops or restarts that unit: by hand, or as the host goes down."""

    def __init__(self, unit: str, bus: str = BUS) -> None:
        """Asks, and does not wait for the answer. Raises OSError."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._serial = 0
        try:
            self._socket.settimeout(TIMEOUT)
            self._socket.connect(bus)
            user = str(os.getuid()).encode().hex()
            self._socket.sendall(f"\0AUTH EXTERNAL {user}\r\nBEGIN\r\n".encode())
            self._call("org.freedesktop.DBus", "/org/freedesktop/DBus", "Hello")
            self._get(_UNITS + escaped(unit), "Unit", "Job")
        except OSError:
            self._socket.close()
            raise

    def answer(self) -> bool:
        """Waits for the answer, and closes the connection. Raises OSError."""
        with self._socket:
            self._read_line()
            self._returned()  # of Hello
            job = self._returned()
            number, length = struct.unpack_from("=II", job, 8)  # after the signature "(uo)"
            if not number:
                return False
            self._get(job[16 : 16 + length].decode(), "Job", "JobType")
            kind = self._returned()
            (length,) = _STRING.unpack_from(kind, 4)  # after the signature "s"
            return kind[8 : 8 + length] in {b"stop", b"restart"}

    def _get(self, path: str, interface: str, name: str) -> None:
        properties = "org.freedesktop.DBus.Properties"
        self._call(_SYSTEMD, path, "Get", f"{_SYSTEMD}.{interface}", name, interface=properties)

    def _call(self, to: str, path: str, member: str, *arguments: str, interface: str = "") -> None:
        self._serial += 1
        self._socket.sendall(message(self._serial, to, path, interface or to, member, arguments))

    def _read_line(self) -> None:
        """What the bus says to the user's name, up to the line's end."""
        line = b""
        while not line.endswith(b"\n") and len(line) < 200:
            line += self._read(1)
        if not line.startswith(b"OK "):
            raise OSError(0, "the bus refuses this user")

    def _returned(self) -> bytes:
        """The body of the next answer. Answers come in the order of the questions."""
        while True:
            head = self._read(16)
            kind, body_length, fields_length = head[1], *struct.unpack_from("=I4xI", head, 4)
            if body_length + fields_length > MAX_MESSAGE:
                raise OSError(0, "the bus says too much")
            self._read(fields_length + -fields_length % 8)
            body = self._read(body_length)
            if kind == _ERROR:
                raise OSError(0, body[4:100].decode("ascii", "replace").rstrip("\0"))
            if kind == _RETURN:
                return body

    def _read(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self._socket.recv(length - len(parts))
            if not part:
                raise OSError(0, "the bus has closed the connection")
            parts += part
        return bytes(parts)


def escaped(unit: str) -> str:
    """As a part of an object's path: letters and digits stay."""
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"_{byte:02x}"
        for byte in unit.encode()
    )


def message(
    serial: int, to: str, path: str, interface: str, member: str, arguments: tuple[str, ...]
) -> bytes:
    """A call, in this machine's byte order. All arguments are strings."""
    body = bytearray()
    for argument in arguments:
        _add(body, argument)
    fields = bytearray()
    for code, kind, value in (
        (_PATH, b"o", path),
        (_INTERFACE, b"s", interface),
        (_MEMBER, b"s", member),
        (_DESTINATION, b"s", to),
    ):
        fields += bytes(-len(fields) % 8)
        fields += bytes((code, 1)) + kind + b"\0"
        _add(fields, value)
    if arguments:
        fields += bytes(-len(fields) % 8)
        signature = b"s" * len(arguments)
        fields += bytes((_SIGNATURE, 1)) + b"g\0" + bytes((len(signature),)) + signature + b"\0"
    order = b"l" if struct.pack("=H", 1) == b"\1\0" else b"B"
    head = order + bytes((_CALL, 0, 1)) + struct.pack("=III", len(body), serial, len(fields))
    return head + fields + bytes(-len(fields) % 8) + body


def _add(to: bytearray, text: str) -> None:
    """A string: its length on a multiple of four, and a zero byte at its end."""
    data = text.encode()
    to += bytes(-len(to) % 4) + _STRING.pack(len(data)) + data + b"\0"
