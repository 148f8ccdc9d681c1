"""The mark, by the table in its header."""

import errno
from pathlib import Path

import pytest

from sendrecv.receiver.files import UNKNOWN, Stamp
from sendrecv.receiver.mark import Mark, Progress, Standing

BOOT, LEDGER, OTHER = "b" * 32, "1" * 32, "2" * 32
FILE, CHANGED = Stamp(1, 2, 3), Stamp(1, 2, 4)


def written(path: Path, serial: int = 7) -> Mark:
    mark = Mark(path, BOOT)
    mark.open(LEDGER, FILE)
    mark.group(serial, 0)
    return mark


@pytest.mark.parametrize(
    ("identity", "serial", "standing", "progress"),
    [
        (LEDGER, 7, Standing.CONTINUES, Progress(7, 9, 4)),
        (LEDGER, 8, Standing.CONTINUES, Progress(8, 0, 0)),
        (LEDGER, 6, Standing.OLD, Progress(6, 0, 0)),
        (LEDGER, 9, Standing.UNKNOWN, Progress(9, 0, 0)),
        (OTHER, 7, Standing.OLD, Progress(7, 0, 0)),
    ],
)
def test_what_a_mark_says_of_a_ledger(
    tmp_path: Path, identity: str, serial: int, standing: Standing, progress: Progress
) -> None:
    mark = written(tmp_path / "mark")
    mark.intend(4)
    mark.done()
    mark.intend(9)
    assert Mark(tmp_path / "mark", BOOT).compare(identity, serial, FILE) == (standing, progress)


def test_without_a_mark_nothing_is_known(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    unknown = (Standing.UNKNOWN, Progress(7, 0, 0))
    assert Mark(path, BOOT).compare(LEDGER, 7, FILE) == unknown
    path.write_bytes(b"short")
    assert Mark(path, BOOT).compare(LEDGER, 7, FILE) == unknown
    written(path)
    assert Mark(path, "c" * 32).compare(LEDGER, 7, FILE) == unknown  # another boot's


def test_a_mark_that_cannot_be_written_is_removed(tmp_path: Path) -> None:
    """An old one would say that nothing of the last group is printed."""
    path = tmp_path / "mark"
    path.symlink_to("/dev/full")
    mark = written(path)
    assert not path.is_symlink()
    mark.group(8, 0)  # and it goes on without


def test_a_mark_that_cannot_be_opened_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The groups to come would not be in it."""
    path = tmp_path / "mark"
    written(path)
    mark = Mark(path, BOOT)
    monkeypatch.setattr("os.open", _fails)
    assert isinstance(mark.open(LEDGER, FILE), OSError)
    assert not path.exists()
    mark.group(8, 0)  # and it goes on without


def test_an_old_mark_that_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    path.mkdir()
    with pytest.raises(OSError):
        Mark(path, BOOT).open(LEDGER, FILE)


def _fails(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_what_is_written_stays_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    mark = written(path)
    size = path.stat().st_size
    for serial in range(8, 20):
        mark.group(serial, 3)
        mark.intend(2**40)
        mark.done()
    assert path.stat().st_size == size < 128


def test_a_database_that_somebody_has_written_to_is_old(tmp_path: Path) -> None:
    written(tmp_path / "mark")
    later = Mark(tmp_path / "mark", BOOT)
    assert later.compare(LEDGER, 7, CHANGED)[0] is Standing.OLD
    later.written(CHANGED, UNKNOWN)  # by this receiver, which found it changed
    later.written(UNKNOWN, Stamp(1, 2, 5))
    assert later.compare(LEDGER, 7, Stamp(1, 2, 5))[0] is Standing.OLD


def test_a_receiver_that_writes_to_the_database_itself_says_so(tmp_path: Path) -> None:
    mark = written(tmp_path / "mark")
    mark.written(FILE, UNKNOWN)
    for found in (FILE, CHANGED):  # it was killed then
        assert Mark(tmp_path / "mark", BOOT).compare(LEDGER, 7, found)[0] is Standing.CONTINUES
    mark.written(UNKNOWN, CHANGED)
    for _ in range(2):
        assert Mark(tmp_path / "mark", BOOT).compare(LEDGER, 7, CHANGED)[0] is Standing.CONTINUES
        assert Mark(tmp_path / "mark", BOOT).compare(LEDGER, 7, FILE)[0] is Standing.OLD
        mark.group(7, 1)


def test_a_mark_of_an_earlier_version_knows_no_database(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    written(path)
    path.write_bytes(path.read_bytes()[:56])
    assert Mark(path, BOOT).compare(LEDGER, 7, CHANGED)[0] is Standing.CONTINUES
    written(path)
    assert Mark(path, BOOT).compare(LEDGER, 7, CHANGED)[0] is Standing.OLD
