"""The record as bytes: whatever a crash leaves, it is the newest whole record or an older one."""

import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendrecv.core.errors import UnknownFormat
from sendrecv.core.record import (
    FILE_SIZE,
    FORMAT,
    SLOT_OFFSETS,
    SLOT_SIZE,
    Found,
    Record,
    decode,
    encode,
    slot_offset,
)
from sendrecv.core.wire import MAX_COUNT, MAX_EPOCH

OLD = Record("app", 3, 41, 40, 123_456_789, "b" * 32, "main", "1" * 32)
NEW = OLD.replace(epoch=4, count=42, acknowledged=41, node_id="failover", run="2" * 32)
LONGEST = Record(
    *("a" * 64, MAX_EPOCH, MAX_COUNT, MAX_COUNT, 2**63 - 1, "b" * 32, "n" * 64, "2" * 32),
    heard=2**36,
    fastest=86_400 * 10**9,
    ledger="f" * 16,
)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}", fullmatch=True)
hexadecimal = st.text("0123456789abcdef", min_size=32, max_size=32)


def file_of(*records: Record) -> bytes:
    """The file after these were written, in turn."""
    data = bytes(FILE_SIZE)
    for serial, record in enumerate(records, 1):
        data = patched(data, slot_offset(serial), encode(record, serial))
    return data


def patched(data: bytes, offset: int, piece: bytes) -> bytes:
    """`data` with `piece` at `offset`."""
    return data[:offset] + piece + data[offset + len(piece) :]


def slot_of(values: object) -> bytes:
    """A slot whose checksum is right, whatever it holds."""
    body = json.dumps(values).encode()
    return (body + b" crc32=%08x" % zlib.crc32(body)).ljust(SLOT_SIZE - 1) + b"\n"


@st.composite
def records(draw: st.DrawFn) -> Record:
    count = draw(st.integers(-1, MAX_COUNT))
    return Record(
        app_id=draw(names),
        epoch=draw(st.integers(1, MAX_EPOCH)),
        count=count,
        acknowledged=draw(st.integers(-1, count)),
        due=draw(st.integers(-(2**63), 2**63 - 1)),
        boot=draw(hexadecimal),
        node_id=draw(names),
        run=draw(hexadecimal),
        heard=draw(st.integers(0, 2**36)),
        fastest=draw(st.integers(-1, 86_400 * 10**9)),
        ledger=draw(st.sampled_from(["", "0123456789abcdef"])),
    )


@given(records(), st.integers(1, 10**12))
def test_round_trip(record: Record, serial: int) -> None:
    slot = encode(record, serial)
    assert len(slot) == SLOT_SIZE
    assert decode(patched(bytes(FILE_SIZE), slot_offset(serial), slot)) == Found(
        record, serial, False
    )


def test_a_record_of_an_older_version_is_read() -> None:
    values = {"format": 1, "serial": 9, **OLD.as_dict()}
    del values["heard"], values["fastest"], values["ledger"]
    found = decode(patched(bytes(FILE_SIZE), slot_offset(9), slot_of(values)))
    assert found == Found(OLD.replace(heard=0, fastest=-1, ledger=""), 9, False)


def test_the_longest_record_fits_and_is_one_readable_line() -> None:
    slot = encode(LONGEST, 2**63)
    assert len(slot) == SLOT_SIZE and slot.endswith(b"\n") and slot.count(b"\n") == 1
    assert slot.decode("ascii")[:-1].isprintable()


def test_writes_alternate_and_share_no_sector() -> None:
    assert [slot_offset(serial) for serial in (1, 2, 3)] == [4096, 0, 4096]
    assert abs(SLOT_OFFSETS[0] - SLOT_OFFSETS[1]) >= 4096


@pytest.mark.parametrize(
    ("data", "damaged"),
    [(b"", False), (bytes(FILE_SIZE), False), (b"\n", False), (b"x", True), (b"{}" * 3000, True)],
)
def test_files_without_a_record(data: bytes, damaged: bool) -> None:
    assert decode(data) == Found(None, 0, damaged)


def test_the_newest_counts() -> None:
    assert decode(file_of(OLD, NEW)) == Found(NEW, 2, False)
    assert decode(file_of(OLD, NEW, OLD)) == Found(OLD, 3, False)


# Damage.


@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF, 0x20])
def test_a_damaged_byte_anywhere(change: int) -> None:
    whole = file_of(OLD, NEW)
    for place, byte in enumerate(whole):
        found = decode(patched(whole, place, bytes([byte ^ change])))
        in_newest = slot_offset(2) <= place < slot_offset(2) + SLOT_SIZE
        assert found.record in ((OLD, NEW) if in_newest else (NEW,)), place
        assert found.damaged or found.record == NEW, place


@pytest.mark.parametrize("fill", [b"\0", b" ", b"\n", b"}", b"9", b"\xff"])
def test_any_byte_of_a_lone_record(fill: bytes) -> None:
    whole = file_of(NEW)
    for place in range(len(whole)):
        found = decode(patched(whole, place, fill))
        assert found.record == NEW or (found.record is None and found.damaged), place


@pytest.mark.parametrize("before", [(), (OLD,), (OLD, NEW), (OLD, NEW, LONGEST)])
def test_a_write_torn_at_every_length(before: tuple[Record, ...]) -> None:
    """The first bytes of the write, or the last ones, are all that got there."""
    old, new = file_of(*before), NEW.replace(count=43, acknowledged=42)
    serial = len(before) + 1
    slot, offset = encode(new, serial), slot_offset(serial)
    allowed = (before[-1] if before else None, new)
    for length in range(SLOT_SIZE + 1):
        head = patched(old, offset, slot[:length])
        tail = patched(old, offset + length, slot[length:])
        assert decode(head).record in allowed, length
        assert decode(tail).record in allowed, length
    assert decode(patched(old, offset, slot)).record == new


def test_a_file_cut_short_anywhere() -> None:
    whole = file_of(OLD, NEW)
    for length in range(len(whole)):
        assert decode(whole[:length]).record in (OLD, NEW, None)


@given(st.binary(max_size=2 * FILE_SIZE))
def test_noise_is_no_record(data: bytes) -> None:
    assert decode(data).record is None


def test_noise_over_a_slot_leaves_the_other() -> None:
    chance = random.Random(1)
    for _ in range(200):
        noise = chance.randbytes(chance.randrange(1, SLOT_SIZE))
        assert decode(patched(file_of(OLD, NEW), slot_offset(2), noise)) == Found(OLD, 1, True)


# Whole slots that are not what this version writes.


def test_a_record_from_the_future() -> None:
    future = slot_of({"format": FORMAT + 1, "whatever": []})
    for data in (future, patched(file_of(OLD, NEW), slot_offset(3), future)):
        with pytest.raises(UnknownFormat, match=f"format {FORMAT + 1}.* up to {FORMAT}$"):
            decode(data)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"format": "2"},
        {"serial": "1"},
        {"serial": None},
        {"app_id": "../x"},
        {"app_id": 1},
        {"epoch": 0},
        {"epoch": MAX_EPOCH + 1},
        {"epoch": True},
        {"count": -2, "acknowledged": -2},
        {"count": 1.0},
        {"count": MAX_COUNT + 1},
        {"acknowledged": 43},
        {"acknowledged": -2},
        {"due": None},
        {"run": 1},
    ],
)
def test_values_that_cannot_be_are_damage(change: dict[str, object]) -> None:
    values: dict[str, object] = {"format": FORMAT, "serial": 1, **NEW.as_dict()}
    assert decode(slot_of(values)).record == NEW
    assert decode(slot_of({**values, **change})) == Found(None, 0, True)


@pytest.mark.parametrize("values", [None, [], 1, "x", {}, {"format": FORMAT, "serial": 1}])
def test_other_json_is_damage(values: object) -> None:
    assert decode(slot_of(values)) == Found(None, 0, True)


def test_bodies_that_are_no_json_are_damage() -> None:
    for body in (b"{", b"\xff\xfe", b"", b"[" * 400):
        slot = body + b" crc32=%08x" % zlib.crc32(body)
        assert decode(slot).record is None
