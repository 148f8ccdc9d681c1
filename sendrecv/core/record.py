"""The record of an App as bytes: two slots, written in turn, each with its own checksum.

A slot is one line of JSON, readable with cat(1), at a fixed place in the file; the rest of its
4096 bytes is a hole. Writes alternate between the slots, so whatever a crash or a power cut does
to the one being written, the other still holds the record before it whole. The slots are 4096 bytes
apart, so they never share a disk sector. (By default ext4(5) and XFS do not journal data, so a
write can be torn.)
"""

from __future__ import annotations

import json
import zlib

from sendrecv.core.errors import UnknownFormat
from sendrecv.core.values import MILLISECOND, Value
from sendrecv.core.wire import MAX_COUNT, MAX_EPOCH, is_ledger, is_name

SLOT_OFFSETS = (0, 4096)
SLOT_SIZE = 512
"""Bytes of a slot that are written: at most one sector of the oldest disks, so mostly atomic."""
FILE_SIZE = SLOT_OFFSETS[1] + SLOT_SIZE
FORMAT = 1


GRID_STEP = 50 * MILLISECOND
"""Counts of all Apps of a machine are due at multiples of this on its clock. Those that are due at
the same time share wake-ups, and a transaction of the receiver."""


class Record(Value):
    """What an App must not forget: one for each appID, kept by the store.

    count: the last count taken, -1 before the first. acknowledged: the last count that the
    receiver is known to have, -1 for none; never above count. due: when the next count is due, in
    nanoseconds of the monotonic clock of the boot `boot` (random(4) boot_id, 32 hex digits).
    node_id and run are there for the person who reads the file. heard and fastest: see reach.py.
    ledger: the name of the ledger that has the acknowledged count, see wire.py. Records of older
    versions do not have these three: they are 0, -1 and "" then.
    """

    app_id: str
    epoch: int
    count: int
    acknowledged: int
    due: int
    boot: str
    node_id: str
    run: str
    heard: int = 0
    fastest: int = -1
    ledger: str = ""


def next_due(record: Record | None, boot: str, interval: int, now: int) -> int:
    """When the next count is due, in that boot, with that interval, after that record. A new grid
    begins without one, in another boot, which has another clock, and after a longer interval. Its
    first count is due now, or so shortly before that all of the grid is at multiples of GRID_STEP.
    """
    if record and record.boot == boot and record.due <= now + interval:
        return record.due
    return now if interval % GRID_STEP else now - now % GRID_STEP


_FIELDS = tuple((name, kind == "int") for name, kind in Record.__annotations__.items())
_ADDED = {"heard": Record.heard, "fastest": Record.fastest, "ledger": Record.ledger}


class Found(Value):
    """What a file holds. serial: of the newest whole slot, 0 if none; it chooses the next slot.

    damaged: something is there that is neither empty nor whole.
    """

    record: Record | None
    serial: int
    damaged: bool


def slot_offset(serial: int) -> int:
    """Where in the file the write number `serial` goes."""
    return SLOT_OFFSETS[serial % 2]


def encode(record: Record, serial: int) -> bytes:
    """The slot for write number `serial`: exactly SLOT_SIZE bytes that end in a newline."""
    body = json.dumps({"format": FORMAT, "serial": serial, **record.as_dict()})
    line = f"{body} crc32={zlib.crc32(body.encode()):08x}"
    return line.ljust(SLOT_SIZE - 1).encode("ascii") + b"\n"


def decode(data: bytes) -> Found:
    """The newest whole record in the bytes of a file.

    Raises UnknownFormat if a whole slot has a format that is not known here.
    """
    slots = [data[offset : offset + SLOT_SIZE] for offset in SLOT_OFFSETS]
    whole = [slot for slot in map(_decode_slot, slots) if slot is not None]
    damaged = any(slot.strip(b"\0 \n") and _decode_slot(slot) is None for slot in slots)
    if not whole:
        return Found(None, 0, damaged or bool(data.strip(b"\0 \n")))
    serial, record = max(whole, key=lambda slot: slot[0])
    return Found(record, serial, damaged)


def _decode_slot(slot: bytes) -> tuple[int, Record] | None:
    body, mark, checksum = slot.rstrip(b"\0 \n").rpartition(b" crc32=")
    if not mark or checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        values = json.loads(body)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    return _read_values(values)


def _read_values(values: dict[str, object]) -> tuple[int, Record] | None:
    number, serial = values.get("format"), values.get("serial")
    if type(number) is int and number > FORMAT:
        raise UnknownFormat(f"record has format {number}, this version knows up to {FORMAT}")
    if type(serial) is not int or number != FORMAT:
        return None
    record = read_values(values)
    return (serial, record) if record else None


def read_values(values: dict[str, object]) -> Record | None:
    """The record that has these fields, whatever else is among them; None if they are not sound."""
    values = {**_ADDED, **values}
    for name, is_int in _FIELDS:
        if type(values.get(name)) is not (int if is_int else str):
            return None
    # Of the types that were just checked, which mypy cannot see.
    record = Record(**{name: values[name] for name, _ in _FIELDS})  # type: ignore[arg-type]
    return record if _is_sound(record) else None


def _is_sound(record: Record) -> bool:
    return (
        is_name(record.app_id)
        and 0 < record.epoch <= MAX_EPOCH
        and -1 <= record.acknowledged <= record.count <= MAX_COUNT
        and record.heard >= 0
        and record.fastest >= -1
        and is_ledger(record.ledger)
    )
