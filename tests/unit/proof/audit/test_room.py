"""Whether the journal has room for what is not audited yet."""

from pathlib import Path

import pytest

from sendrecv.proof.audit.room import PERIOD, Room, rotated, small
from sendrecv.proof.read.mark import ReadMark
from tests.unit.proof.read.test_mark import OTHER, SERIES, cursor

SECOND = 1_000_000


def test_a_rotation_is_a_reason_once_a_quarter_is_not_audited(tmp_path: Path) -> None:
    for number in range(1, 9):
        name = f"system@{SERIES}-{number * 100:016x}-{number:016x}.journal"
        (tmp_path / name).write_bytes(b"x" * 1000)
    assert rotated([tmp_path], None)
    assert rotated([tmp_path], ReadMark(cursor(650), frozenset(), {SERIES: 650}))
    assert not rotated([tmp_path], ReadMark(cursor(750), frozenset(), {SERIES: 750}))
    assert rotated([tmp_path], ReadMark(cursor(750), frozenset(), {OTHER: 750}))


@pytest.mark.parametrize(
    ("room", "is_small"),
    [
        (Room(8 << 20, 8 << 20, 0, 30 * 60 * SECOND, False), True),
        (Room(8 << 20, 80 << 20, 0, 30 * 60 * SECOND, True), False),
        (Room(8 << 20, 9 << 20, 0, 30 * 60 * SECOND, True), True),
        (Room(8 << 20, 0, 0, 30 * 60 * SECOND, True), False),  # it may be large: nobody knows
        (Room(8 << 20, 0, 0, 30 * 60 * SECOND, False), True),
        (Room(8 << 20, 8 << 20, 0, 3 * PERIOD * SECOND, False), False),
        (Room(), False),
    ],
)
def test_a_journal_that_is_too_small(room: Room, is_small: bool) -> None:
    text = small(room)
    assert bool(text) == is_small
    assert not text or "set SystemMaxUse=" in text
