"""The journal's files are opened as a set that journald wrote, whatever is renamed meanwhile."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sendrecv.proof.read import files

MACHINE = "0123456789abcdef" * 2
ROUNDS = 300


@contextlib.contextmanager
def rotated_all_the_time(directory: Path, keep: int) -> Iterator[None]:
    """As journald rotates: it renames its file and begins another. Each file has its number.

    Of the archived ones the newest are kept.
    """
    stop = threading.Event()
    active = directory / "system.journal"

    def rotate() -> None:
        number = 0
        while not stop.is_set():
            os.rename(active, directory / f"system@{number:09}.journal")
            number += 1
            partial = directory / "new"
            partial.write_text(str(number))
            os.rename(partial, active)  # here, a file that is there has its content
            if number >= keep:
                (directory / f"system@{number - keep:09}.journal").unlink()

    active.write_text("0")
    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def numbers(held: files.Held) -> list[int]:
    return sorted(int(os.pread(number, 99, 0)) for number in held.descriptors.values())


def naively(directory: Path) -> list[int]:
    """As journalctl does it: what is gone by the time it is opened is skipped."""
    found = []
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            found.append(int((directory / name).read_text() or -1))
    return sorted(found)


def is_hole(found: list[int]) -> bool:
    return found != list(range(found[0], found[0] + len(found)))


def test_a_set_without_a_hole_is_held_while_the_journal_is_rotated(tmp_path: Path) -> None:
    with rotated_all_the_time(tmp_path, keep=40):
        plainly = [found for _ in range(ROUNDS) if (found := naively(tmp_path))]
        for _ in range(ROUNDS):
            held = files.hold_directories(tmp_path)
            found = numbers(held)
            assert not held.steady or (found and not is_hole(found)), found
            held.close()
    assert any(map(is_hole, plainly)), "the rotation is too slow to show anything"


def test_a_rotation_that_never_rests_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TRIES", 1)
    with rotated_all_the_time(tmp_path, keep=400):
        steady = []
        for _ in range(ROUNDS):
            held = files.hold_directories(tmp_path)
            steady.append(held.steady)
            held.close()
    assert not all(steady)


def test_the_files_are_those_that_journalctl_would_read(tmp_path: Path) -> None:
    for name in ("a.journal", "b.journal~", f"{MACHINE}/c.journal", f"{MACHINE}.ns/d.journal"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("e.txt", ".journal", "remote/f.journal", f"{MACHINE}/deep/g.journal"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    held = files.hold_directories(tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in held.descriptors}
    assert names == {"a.journal", "b.journal~", f"{MACHINE}/c.journal", f"{MACHINE}.ns/d.journal"}
    assert held.steady and not held.vanished()
    (tmp_path / "a.journal").rename(tmp_path / "z.journal")
    assert not held.vanished(), "a renamed file is still read"
    (tmp_path / "z.journal").unlink()
    assert held.vanished()
    one = held.descriptors[tmp_path / "a.journal"]
    assert held.named(f"PASS: /proc/self/fd/{one}") == f"PASS: {tmp_path / 'a.journal'}"
    held.close()
