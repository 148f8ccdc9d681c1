"""The lock and the record, on real files, with real processes as the other holders."""

import contextlib
import fcntl
import os
import re
import resource
import select
import stat
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sendrecv.core import record as slots
from sendrecv.core.record import Record
from sendrecv.errors import LockLost, RecordFromFuture, StoreUnusable
from sendrecv.sender.store_file import StateFile

RECORD = Record("app", 1, 41, 40, 5, "b" * 32, "main", "1" * 32)
HANG = 120.0
"""Seconds after which what has not happened never will."""
# Says the epoch and count that it starts from, counts once, and stays until told to end.
HOLDER = """
import sys
from sendrecv.core.record import Record
from sendrecv.sender.store_file import StateFile

store = StateFile(sys.argv[1])
record, epoch = store.acquire()
count = record.count if record else -1
store.commit(Record("app", epoch, count + 1, count, 0, "b" * 32, "main", "2" * 32))
print(epoch, count, flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="path")
def fixture_path(tmp_path: Path) -> Path:
    return tmp_path / "app.record"


@contextlib.contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that takes the lock; killed at the end."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def says(process: subprocess.Popen[str]) -> str:
    """Its next line."""
    assert process.stdout
    assert select.select([process.stdout], [], [], HANG)[0]
    return process.stdout.readline().strip()


def await_waiting(process: subprocess.Popen[str]) -> None:
    """Returns when it waits for a lock that another holds, as the kernel's list says by "->"."""
    waits = re.compile(rf"-> FLOCK +ADVISORY +WRITE {process.pid} ")
    until = time.monotonic() + HANG
    while not waits.search(Path("/proc/locks").read_text(encoding="ascii")):
        assert process.stdout and not select.select([process.stdout], [], [], 0.005)[0]
        assert time.monotonic() < until


@contextlib.contextmanager
def acquired(path: Path) -> Iterator[StateFile]:
    store = StateFile(path)
    store.acquire()
    try:
        yield store
    finally:
        store.release()


def read(path: Path) -> tuple[Record | None, int, list[str]]:
    """What the next holder finds."""
    store = StateFile(path)
    record, epoch = store.acquire()
    store.release()
    return record, epoch, store.notices


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


# The record.


def test_a_new_file_has_all_its_space_and_no_other_reader(path: Path) -> None:
    assert read(path) == (None, 1, [])
    status = path.stat()
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (slots.FILE_SIZE, 0o600)
    assert status.st_blocks * 512 >= slots.FILE_SIZE


def test_what_is_committed_is_found_with_an_epoch_above(path: Path) -> None:
    with acquired(path) as store:
        for count in range(41, 50):
            record = RECORD.replace(count=count, epoch=7)
            store.commit(record)
            assert slots.decode(path.read_bytes()).record == record
    assert read(path) == (RECORD.replace(count=49, epoch=7), 8, [])


def test_a_write_that_fails_midway_leaves_the_record_before_it(path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with acquired(path) as store:
        for count in (41, 42):
            store.commit(RECORD.replace(count=count))
        resource.setrlimit(resource.RLIMIT_FSIZE, (slots.SLOT_OFFSETS[1] + 100, limit[1]))
        try:
            for _ in range(2):
                with pytest.raises(OSError, match="No space left"):
                    store.commit(RECORD.replace(count=43))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        torn = slots.decode(path.read_bytes())
        assert torn == slots.Found(RECORD.replace(count=42), 2, True)
        store.commit(RECORD.replace(count=43))
    assert read(path) == (RECORD.replace(count=43), 2, [])


# The lock.


def test_the_lock_is_held_until_it_is_released(path: Path) -> None:
    with acquired(path) as store:
        assert is_locked(path)
        store.release()
        assert not is_locked(path)
        store.release()


def test_a_second_process_waits_until_the_first_is_killed(path: Path) -> None:
    with holder(path) as first:
        assert says(first) == "1 -1"
        with holder(path) as second:
            await_waiting(second)
            first.kill()
            assert says(second) == "2 0"


def test_who_waits_for_a_file_that_is_removed_takes_the_new_one(path: Path) -> None:
    with holder(path) as first:
        assert says(first) == "1 -1"
        with holder(path) as second:
            await_waiting(second)
            path.unlink()
            first.kill()
            assert says(second) == "1 -1"
            assert is_locked(path)


def remove(path: Path) -> None:
    path.unlink()


def replace_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def remove_the_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("lose", [remove, replace_by_a_copy, remove_the_directory])
def test_a_file_that_is_no_longer_at_its_path_is_a_lock_that_is_lost(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    path = tmp_path / "state" / "app.record"
    path.parent.mkdir()
    with acquired(path) as store:
        store.commit(RECORD)
        store.verify()
        lose(path)
        there = path.read_bytes() if path.exists() else None
        for use in (store.verify, lambda: store.commit(RECORD.replace(count=99))):
            with pytest.raises(LockLost, match=f"^{path}: .* while locked$"):
                use()
        assert (path.read_bytes() if path.exists() else None) == there


# Files that are not as they should be.


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (slots.slot_offset(2) + 20, (RECORD, 2)),
        (slots.slot_offset(1) + 20, (RECORD.replace(count=42, epoch=5), 6)),
    ],
)
def test_a_damaged_slot_is_kept_aside(path: Path, place: int, expected: tuple[Record, int]) -> None:
    with acquired(path) as store:
        store.commit(RECORD)
        store.commit(RECORD.replace(count=42, epoch=5))
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1
    path.write_bytes(damaged)
    record, epoch, notices = read(path)
    assert (record, epoch) == expected
    assert path.with_name("app.record.damaged").read_bytes() == damaged
    assert len(notices) == 1 and "its older slot, ignoring" in notices[0]


@pytest.mark.parametrize("noise", [b"x", b"\xff" * 10_000, b'{"format": 1}\n'])
def test_a_file_of_noise_is_kept_aside_and_begun_anew(path: Path, noise: bytes) -> None:
    path.write_bytes(noise)
    record, epoch, notices = read(path)
    assert (record, epoch, len(notices)) == (None, 1, 1)
    assert notices[0].endswith("from the receiver's last count, ignoring")
    assert path.with_name("app.record.damaged").read_bytes() == noise
    assert read(path) == (None, 1, [])


def test_what_cannot_be_kept_aside_is_survived(path: Path) -> None:
    path.write_bytes(b"noise")
    path.with_name("app.record.damaged").mkdir()
    record, _, notices = read(path)
    assert record is None and "could not be kept aside (Is a directory)" in notices[0]


def test_a_record_from_the_future_is_left_alone_and_not_locked(path: Path) -> None:
    slot = slots.encode(RECORD, 1).split(b" crc32=")[0].replace(b'"format": 1', b'"format": 2')
    future = slot + b" crc32=%08x" % zlib.crc32(slot)
    path.write_bytes(future)
    with pytest.raises(RecordFromFuture, match=f"^{path}: record has format 2.*install that"):
        StateFile(path).acquire()
    assert path.read_bytes() == future and not is_locked(path)


def make_nothing(path: Path) -> None:
    path.parent.rmdir()


def make_a_directory(path: Path) -> None:
    path.mkdir()


def make_a_link(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [make_nothing, make_a_directory, make_a_link])
def test_a_path_that_cannot_be_a_record(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "state" / "app.record"
    path.parent.mkdir()
    make(path)
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(StoreUnusable, match=f"^{path}: "):
        StateFile(path).acquire()
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
