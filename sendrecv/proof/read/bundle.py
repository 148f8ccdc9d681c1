"""A bundle: the entries that a verdict rests on, to be judged elsewhere.

It is a file in the journal export format, so systemd-journal-remote reads it too; gzip makes it
smaller if its name ends in .gz. Beside it stands a manifest for sha256sum -c. What an export file
cannot say, which part of a journal it is and what was missing there, is said by entries of our own,
recognised by having no _TRANSPORT, which journald gives to each entry: nobody can log one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, cast

from sendrecv.proof.evidence import Missing
from sendrecv.proof.evidence import field as field_of


@dataclass
class Scope:
    """What a verdict was about."""

    names: tuple[str, ...] = ()
    scoped: bool = False
    missing: list[Missing] = field(default_factory=list)
    unreached: str = ""
    """What is not there of what was asked for, see period.py."""

    def merge(self, said: Scope) -> None:
        """Add what another scope says."""
        self.names = self.names or said.names
        self.scoped = self.scoped or said.scoped
        self.missing += said.missing
        self.unreached = self.unreached or said.unreached

    def entry(self, like: bytes) -> bytes:
        """As an entry of the same time and boot as `like`."""
        names = (b"__REALTIME_TIMESTAMP", b"__MONOTONIC_TIMESTAMP", b"_BOOT_ID", b"_MACHINE_ID")
        fields = [name + b"=" + field_of(like, name) for name in names]
        said = json.dumps(
            {
                "names": self.names,
                "scoped": self.scoped,
                "missing": self.missing,
                "unreached": self.unreached,
            }
        )
        text = b"MESSAGE=What this bundle of sendrecv proof is about"
        return b"\n".join([b"", *fields, text, b"SENDRECV_PROOF=" + said.encode(), b""])


def scope_of(entry: bytes) -> Scope | None:
    """What a bundle's own entry says; None for any other entry."""
    if b"\nSENDRECV_PROOF=" not in entry or b"\n_TRANSPORT=" in entry:
        return None
    said = field_of(entry, b"SENDRECV_PROOF")
    try:
        data = cast(dict[str, Any], json.loads(said))
        missing = [Missing(str(one[0]), int(one[1]), bool(one[2])) for one in data["missing"]]
        names = tuple(map(str, data["names"]))
        return Scope(names, bool(data["scoped"]), missing, str(data["unreached"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return Scope(missing=[Missing("the bundle's own entry is damaged")])


class Writer:
    """Writes a bundle; it is in place once finish() was called, and not before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial")
        self._held = ExitStack()
        self._entries = 0
        self._output: IO[bytes]

    def __enter__(self) -> Self:
        file = self._held.enter_context(self._partial.open("wb"))
        self._output = file
        if self._path.suffix == ".gz":
            zipped = gzip.GzipFile("", "wb", 6, file, mtime=0)
            self._output = cast(IO[bytes], self._held.enter_context(zipped))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._partial.unlink(missing_ok=True)

    def add(self, entry: bytes) -> None:
        """An entry as export.entries() yields it."""
        self._output.write(entry[1:] + b"\n")
        self._entries += 1

    def finish(self, about: Sequence[str]) -> str:
        """Put the bundle and its manifest in place; returns the bundle's SHA-256."""
        self._held.close()
        digest = _digest(self._partial)
        lines = [f"# {line}" for line in (*about, f"{self._entries} entries")]
        manifest = self._path.with_name(f"{self._path.name}.sha256")
        text = "\n".join([*lines, f"{digest}  {self._path.name}", ""])
        manifest.write_text(text, encoding="utf-8")
        os.replace(self._partial, self._path)
        return digest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
