"""The question to systemd, with a bus that answers as the real one does, or does not.

Real ones are asked by tests/system/test_hosts.py: a host that goes down hands its App over.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv.sender import stopping
from sendrecv.sender.stopping import Question, escaped, message

UNIT = "sendrecv@x.target"
JOB = "/org/freedesktop/systemd1/job/7"
HELLO = b"\x05\0\0\0:1.42\0"


def string(text: str) -> bytes:
    return struct.pack("=I", len(text)) + text.encode() + b"\0"


def answer(kind: int, body: bytes, fields: bytes = b"\x05\x01u\0\x01\0\0\0") -> bytes:
    head = b"l" + bytes((kind, 1, 1)) + struct.pack("=III", len(body), 9, len(fields))
    return head + fields + bytes(-len(fields) % 8) + body


def job(number: int) -> bytes:
    return answer(2, b"\x04(uo)\0" + bytes(2) + struct.pack("=I", number) + string(JOB))


def kind(name: str) -> bytes:
    return answer(2, b"\x01s\0\0" + string(name))


OK = b"OK 0123456789abcdef\r\n"
SIGNAL = answer(4, HELLO, b"\x06\x01s\0\x05\0\0\0:1.42\0")
GREETED = OK + answer(2, HELLO) + SIGNAL


@contextlib.contextmanager
def bus(path: Path, says: bytes) -> Iterator[bytearray]:
    """Says that at once, and hears what it is told until the other side has enough."""
    heard = bytearray()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(says)
                with contextlib.suppress(ConnectionResetError):  # not all was read
                    while data := connection.recv(4096):
                        heard.extend(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join()


@pytest.mark.parametrize(
    ("says", "stops"),
    [
        (GREETED + job(0), False),
        (GREETED + job(7) + kind("stop"), True),
        (GREETED + job(7) + SIGNAL + kind("restart"), True),
        (GREETED + job(7) + kind("start"), False),
        (GREETED + job(7) + kind("nop"), False),
    ],
)
def test_whether_systemd_stops_a_unit(tmp_path: Path, says: bytes, stops: bool) -> None:
    with bus(tmp_path / "bus", says) as heard:
        assert Question(UNIT, str(tmp_path / "bus")).answer() is stops
    assert heard.startswith(b"\0AUTH EXTERNAL ")
    assert b"/org/freedesktop/systemd1/unit/sendrecv_40x_2etarget\0" in heard
    assert (JOB.encode() in heard) == (b"(uo)\0\0\0\x07" in says)


@pytest.mark.parametrize(
    "says",
    [
        b"REJECTED EXTERNAL\r\n",
        b"x" * 1000,
        GREETED + answer(3, string("Unit not loaded")),
        GREETED + job(7),
        GREETED,
        OK + answer(2, HELLO)[:10],
        OK + b"l\2\1\1" + struct.pack("=III", 1 << 30, 1, 8),
    ],
)
def test_a_bus_that_does_not_say(
    tmp_path: Path, says: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "TIMEOUT", 0.1)
    with bus(tmp_path / "bus", says), pytest.raises(OSError):
        Question(UNIT, str(tmp_path / "bus")).answer()


def test_without_a_bus(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Question(UNIT, str(tmp_path / "none"))


def test_a_message_is_aligned_as_the_specification_has_it() -> None:
    """Written by hand from "Message Format", for a machine that is little-endian as most are."""
    fields = (
        b"\1\1o\0\2\0\0\0/p\0" + bytes(5),
        b"\2\1s\0\3\0\0\0i.f\0" + bytes(4),
        b"\3\1s\0\1\0\0\0M\0" + bytes(6),
        b"\6\1s\0\3\0\0\0a.b\0" + bytes(4),
        b"\10\1g\0\1s\0",
    )
    head = b"l\1\0\1" + b"\10\0\0\0" + b"\3\0\0\0" + b"\107\0\0\0"
    body = b"\3\0\0\0one\0"
    assert message(3, "a.b", "/p", "i.f", "M", ("one",)) == head + b"".join(fields) + b"\0" + body


@pytest.mark.parametrize(
    ("unit", "part"),
    [("a.target", "a_2etarget"), ("sendrecv@b-c.target", "sendrecv_40b_2dc_2etarget")],
)
def test_escaped(unit: str, part: str) -> None:
    assert escaped(unit) == part
