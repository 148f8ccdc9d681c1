"""The chain of audits on disk, read and checked. append.py adds to it.

Who checks it learns that nothing in it was altered, cut or left out since it was written, and that
it is this machine's. A copy from a backup is such a chain too: what is newer than the copy, such as
the journal, must say so (witness.py). And root can forge all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from sendrecv.proof.chain import lines as link
from sendrecv.proof.chain.head import DAYS, HEAD, Head, HeadError, decode
from sendrecv.proof.chain.lines import FIRST, Line, LineError

TRIES = 5
"""An audit that ends meanwhile may remove a file which is about to be read."""
LARGEST = 1 << 30
"""Bytes of a file, at most."""

_DAYS = re.compile(rb',"days":"([0-9a-f]{64})","before":"[0-9a-f]{64}"\}\n')


class ChainError(ValueError):
    """The chain cannot be used, and why."""


class Chain:
    """A chain that was checked. head: what counts of its files. files: their contents, by name."""

    def __init__(self, directory: Path, head: Head, files: Mapping[str, bytes]) -> None:
        self.directory, self.head, self.files = directory, head, files

    @classmethod
    def read(cls, directory: Path, machine: str = "") -> Self | None:
        """The chain that is there, checked; None if there is none. machine: the ID of the machine
        whose chain it must be; "": any. Raises ChainError, and OSError.
        """
        missing = ""
        for _ in range(TRIES):
            try:
                head = decode(_read(directory / HEAD, LARGEST))
            except FileNotFoundError:
                return None
            except HeadError as error:
                raise ChainError(f"{directory / HEAD} was altered: {error}") from None
            try:
                files = {name: _part(directory / name, size) for name, size in head.files().items()}
            except FileNotFoundError as error:
                missing = str(error.filename)
                continue
            chain = cls(directory, head, files)
            chain.check(machine)
            return chain
        raise ChainError(f"{missing} is missing: it was removed")

    @classmethod
    def begun(cls, directory: Path, machine: str) -> Self:
        """One without lines."""
        return cls(directory, Head(machine), {})

    def check(self, machine: str = "") -> None:
        """Raises ChainError. machine: see read()."""
        head = self.head
        if machine and head.machine != machine:
            raise ChainError(f"{self.directory} has the chain of another machine, {head.machine}")
        if self._checked(DAYS, FIRST) != head.last_day:
            raise ChainError(f"{self.directory / DAYS}: lines were cut off, or replaced")
        last = head.begin
        for name in head.sizes:
            last = self._checked(name, last)
        if last != head.last:
            raise ChainError(f"{self.directory}: the last lines were cut off, or replaced")
        newest = self._last_of(*list(head.sizes)[-1:])
        begin = self._last_of(DAYS).get("last_line", FIRST)
        if begin != head.begin or self._merged_by_lines() != head.last_day:
            raise ChainError(f"{self.directory / DAYS} does not go with the other lines")
        state = link.digest(self.files.get(head.state, b""))
        if not state == head.state_hash == newest.get("state"):
            raise ChainError(f"{self.directory / head.state} does not go with the last line")

    def _checked(self, name: str, before: str) -> str:
        try:
            return link.follow(self.files.get(name, b""), before)
        except LineError as error:
            raise ChainError(f"{self.directory / name}: {error}") from None

    def _merged_by_lines(self) -> str:
        """The hash of the merged days, as the audit says that has merged the last one of them."""
        for name in sorted(self.head.sizes, reverse=True):
            if found := _DAYS.findall(self.files[name]):
                return bytes(found[-1]).decode()
        return FIRST

    def _last_of(self, name: str = "") -> Line:
        data = self.files.get(name, b"")
        return next(self._parsed(name, data[data.rfind(b"\n", 0, -1) + 1 :]), {})

    def _parsed(self, name: str, data: bytes) -> Iterator[Line]:
        try:
            yield from link.parsed(data)
        except LineError as error:
            raise ChainError(f"{self.directory / name}: {error}") from None

    def lines(self, app: str = "") -> Iterator[Line]:
        """All lines, the oldest first: merged days, and then single audits. app: only its own."""
        wanted = f'"app":{json.dumps(app)},'.encode()
        for name in (DAYS, *self.head.sizes):
            data = self.files.get(name, b"")
            if app:
                data = b"".join(part for part in data.splitlines(True) if wanted in part)
            for line in self._parsed(name, data):
                if not app or line.get("app") == app:
                    yield line

    def state(self) -> dict[str, Any] | None:
        """For Judge.resume(); None if there was no audit yet."""
        return self._of_state("judge")

    def memory(self) -> dict[str, Any]:
        """What the audit keeps for itself."""
        return self._of_state("audit") or {}

    def _of_state(self, name: str) -> dict[str, Any] | None:
        if not self.head.state:
            return None
        try:
            value = json.loads(self.files[self.head.state])[name]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise ChainError(f"{self.directory / self.head.state} is no state") from None
        return value if isinstance(value, dict) else None

    def cursor(self) -> str | None:
        """After which entry the journal is to be read on."""
        return self.head.cursor or None

    def hashes(self) -> set[str]:
        """Of all lines that are not merged."""
        data = (self.files.get(name, b"") for name in self.head.sizes)
        return {link.digest(part) for one in data for part in one.splitlines(keepends=True)}


def _part(path: Path, size: int) -> bytes:
    """What counts of it. Raises ChainError if there is less."""
    data = _read(path, LARGEST if size < 0 else size)
    if len(data) < size:
        raise ChainError(f"{path} was cut: {len(data)} of {size} bytes are there")
    return data


def _read(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)
