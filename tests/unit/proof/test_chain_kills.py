"""The chain of audits, killed at each step of an audit, and with what a power cut takes."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sendrecv.proof.chain import append as appending
from sendrecv.proof.chain.append import DETAILED, Addition, append
from sendrecv.proof.chain.store import Chain, ChainError
from tests.unit.proof.chains import BEGIN, DAY, MACHINE, chain_of, news, quickly, read


class Cut(BaseException):
    """Here the process is killed, or the power goes."""


STEPS = ("open", "write", "fsync", "ftruncate", "fchmod", "lseek", "replace", "unlink", "close")


class Disk:
    """Counts system calls and ends at one of them, before or after it. Knows what is synced: the
    contents of files, and the names in the directory.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, die: int) -> None:
        self.steps, self._die, self._directory = 0, die, directory
        self.contents: dict[int, bytes] = {}  # by inode
        self.names: dict[str, int] = {}
        for path in directory.iterdir():
            self.contents[path.stat().st_ino] = path.read_bytes()
            self.names[path.name] = path.stat().st_ino
        for name in STEPS:
            monkeypatch.setattr(appending.os, name, self._of(name, getattr(os, name)))

    def _of(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._step()
            if name == "write":
                done = real(arguments[0], arguments[1][: max(1, len(arguments[1]) // 2)])
            else:
                done = real(*arguments, **named)
            if name == "fsync":
                self._synced(arguments[0])
            self._step()
            return done

        return call

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._die:
            raise Cut

    def _synced(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path == self._directory:
            self.names = {one.name: one.stat().st_ino for one in path.iterdir()}
        else:
            self.contents[path.stat().st_ino] = path.read_bytes()

    def after_a_power_cut(self, directory: Path) -> None:
        """What is left, in another directory."""
        directory.mkdir()
        for name, inode in self.names.items():
            (directory / name).write_bytes(self.contents.get(inode, b""))


def _cut_at_each_step(
    tmp_path: Path, begun: Path, added: Addition
) -> Iterator[tuple[Path, bool, bool]]:
    """Directories after a kill and after a power cut at each step; whether it was one of power, and
    whether append() had returned.
    """
    for die in range(1, 1000):
        directory = tmp_path / f"{die}"
        shutil.copytree(begun, directory)
        chain = Chain.read(directory, MACHINE) or Chain.begun(directory, MACHINE)
        done = False
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = Disk(monkeypatch, directory, die)
            try:
                append(chain, added)
                done = True
            except Cut:
                pass
        yield directory, False, done
        disk.after_a_power_cut(tmp_path / f"{die}-power")
        yield tmp_path / f"{die}-power", True, done
        if done:
            return


@pytest.mark.parametrize("audits", [0, 1, DETAILED + 3])
def test_killed_at_each_step_it_is_the_old_or_the_new(tmp_path: Path, audits: int) -> None:
    """One audit a day: the last one merges the lines of a day."""
    begun = tmp_path / "begun"
    begun.mkdir()
    chain = Chain.begun(begun, MACHINE)
    coming = [news(number, at=BEGIN + number * DAY) for number in range(audits + 2)]
    with quickly():
        for one in coming[:audits]:
            chain = append(chain, one)
    number = 0
    for number, (directory, _, done) in enumerate(
        _cut_at_each_step(tmp_path, begun, coming[audits])
    ):
        found = Chain.read(directory, MACHINE)
        there = found.head.number if found else 0
        assert there in (audits, audits + 1) and (there == audits + 1 or not done)
        with quickly():
            for one in coming[there:]:
                chain = Chain.read(directory, MACHINE) or Chain.begun(directory, MACHINE)
                append(chain, one)
        numbers = [one["n"] for one in read(directory).lines() if "audits" not in one]
        assert numbers[-2:] == [audits + 1] * 2
        names = {path.name for path in directory.iterdir()}
        assert names == {"head", *read(directory).head.files()}, "something is left over"
    assert number > 40


def test_a_planted_order_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sync before the new head is in place, a power cut leaves neither old nor new."""
    begun = tmp_path / "begun"
    begun.mkdir()
    chain_of(begun, 2)
    monkeypatch.setattr(appending, "_extend", _extended_without_sync)
    with pytest.raises((ChainError, AssertionError)):
        for directory, _, _ in _cut_at_each_step(tmp_path, begun, news(2)):
            assert Chain.read(directory, MACHINE)


def _extended_without_sync(path: Path, size: int, data: bytes) -> None:
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(data)


def test_a_full_disk_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = chain_of(tmp_path, 2)
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b'"format"' in data:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(appending.os, "write", full)
        with pytest.raises(OSError):
            append(chain, news(2))
    assert read(tmp_path).head.number == 2
    assert append(read(tmp_path), news(2)).head.number == 3
