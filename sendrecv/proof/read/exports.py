"""Reads export files: bundles, and what journalctl -o export wrote."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from sendrecv.proof.read.export import Stream
from sendrecv.proof.read.journalctl import checked
from sendrecv.proof.read.period import Period
from sendrecv.proof.statements import Missing

GZIP_MAGIC = b"\x1f\x8b"


def read(path: Path, period: Period, missing: list[Missing]) -> Iterator[bytes]:
    """Yield the entries of the period."""
    manifest = path.with_name(f"{path.name}.sha256")
    with contextlib.ExitStack() as held:
        file = held.enter_context(path.open("rb"))
        hashed = _Hashed(file)
        stream: Stream = hashed
        if file.peek(2)[:2] == GZIP_MAGIC:
            stream = held.enter_context(gzip.open(cast(BinaryIO, hashed)))
        yield from period.of(checked(stream, str(path), missing), missing)
        if not manifest.exists():
            return
        while hashed.read(1 << 20):
            pass
    _compare_with_manifest(path, manifest, hashed.digest(), missing)


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    read1 = read

    def digest(self) -> str:
        """In hexadecimal, of what was read."""
        return self._hash.hexdigest()


def _compare_with_manifest(path: Path, manifest: Path, digest: str, missing: list[Missing]) -> None:
    try:
        text = manifest.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        missing.append(Missing(f"{manifest}: {error.strerror}"))
        return
    if not re.search(rf"^{digest} [ *]{re.escape(path.name)}$", text, re.MULTILINE):
        missing.append(Missing(f"{path} is not what {manifest.name} says: it was altered"))
