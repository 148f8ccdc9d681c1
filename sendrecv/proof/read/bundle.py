"""A bundle: the entries that a verdict rests on, to be judged elsewhere.

It is a file in the journal export format, so systemd-journal-remote reads it too. It is gzipped if
its name ends in .gz. Beside it is a manifest for sha256sum -c. An export file cannot say which part
of a journal it is, and what was missing there. Entries of our own say that. They have no
_TRANSPORT, which journald gives to each entry, so nobody can log such an entry.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, cast

from sendrecv.errors import UsageError
from sendrecv.proof.evidence import field as field_of
from sendrecv.proof.statements import Missing


@dataclass
class Scope:
    """What a verdict was about."""

    names: tuple[str, ...] = ()
    scoped: bool = False
    missing: list[Missing] = field(default_factory=list)
    unreached: dict[str, str] = field(default_factory=dict)
    """What the journal of each machine does not have of what was asked for, see period.py."""
    ends: dict[str, int] = field(default_factory=dict)
    """The wall clock up to which the journal of each machine was read, in microseconds."""

    def merge(self, said: Scope) -> None:
        """Add what another scope says."""
        self.names = self.names or said.names
        self.scoped = self.scoped or said.scoped
        self.missing += said.missing
        self.unreached = {**said.unreached, **self.unreached}
        for machine, wall in said.ends.items():
            self.ends[machine] = max(wall, self.ends.get(machine, 0))

    def entry(self, like: bytes) -> bytes:
        """As an entry of the same time and boot as `like`."""
        said = json.dumps(
            {
                "names": self.names,
                "scoped": self.scoped,
                "missing": self.missing,
                "unreached": self.unreached,
                "ends": self.ends,
            }
        )
        text = b"MESSAGE=What this bundle of sendrecv proof is about"
        return _own_entry(like, text, b"SENDRECV_PROOF=" + said.encode())


def _own_entry(like: bytes, *fields: bytes) -> bytes:
    """Of the same time and boot as another one."""
    names = (b"__REALTIME_TIMESTAMP", b"__MONOTONIC_TIMESTAMP", b"_BOOT_ID", b"_MACHINE_ID")
    times = [name + b"=" + field_of(like, name) for name in names]
    return b"\n".join([b"", *times, *fields, b""])


def chain_entry(like: bytes, chain: str) -> bytes:
    """An entry of our own that has a chain of audits."""
    text = b"MESSAGE=The chain of audits of the machine"
    return _own_entry(like, text, b"SENDRECV_CHAIN=" + chain.encode())


def chain_of(entry: bytes) -> str:
    """The chain of audits that a bundle's own entry has; "" for any other entry."""
    if b"\nSENDRECV_CHAIN=" not in entry or b"\n_TRANSPORT=" in entry:
        return ""
    return field_of(entry, b"SENDRECV_CHAIN").decode("utf-8", "replace")


def scope_of(entry: bytes) -> Scope | None:
    """What a bundle's own entry says; None for any other entry."""
    if b"\nSENDRECV_PROOF=" not in entry or b"\n_TRANSPORT=" in entry:
        return None
    said = field_of(entry, b"SENDRECV_PROOF")
    try:
        data = cast(dict[str, Any], json.loads(said))
        missing = [_missing(*one) for one in data["missing"]]
        names = tuple(map(str, data["names"]))
        ends = {str(machine): int(wall) for machine, wall in dict(data.get("ends", {})).items()}
        return Scope(names, bool(data["scoped"]), missing, _unreached(data["unreached"]), ends)
    except (ValueError, LookupError, TypeError, RecursionError):
        return Scope(missing=[Missing("the bundle's own entry is damaged")])


def _missing(text: object, until: Any, somewhere: object, machine: object = "") -> Missing:
    """Older bundles do not say of which machine."""
    return Missing(str(text), int(until), bool(somewhere), str(machine))


def _unreached(said: Any) -> dict[str, str]:
    """Older bundles have one text, or none, for all machines."""
    if isinstance(said, str):
        return {"": said} if said else {}
    return {str(machine): str(text) for machine, text in dict(said).items()}


class BundleWriter:
    """Writes a bundle; it is in place once finish() was called, and not before.

    Raises UsageError where it cannot write. A bundle takes the place of a file or of nothing,
    never of a device, a pipe or a link.
    """

    def __init__(self, path: Path) -> None:
        _refuse_all_but_files(path)
        self._path = path
        self._manifest = path.with_name(f"{path.name}.sha256")
        _refuse_all_but_files(self._manifest)
        self._held = ExitStack()
        self._partial: dict[Path, Path] = {}
        self._entries = 0
        self._output: IO[bytes]

    def __enter__(self) -> Self:
        with _writing(self._path):
            file = self._held.enter_context(self._new(self._path))
        self._output = file
        if self._path.suffix == ".gz":
            zipped = gzip.GzipFile("", "wb", 6, file, mtime=0)
            self._output = cast(IO[bytes], self._held.enter_context(zipped))
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it is thrown away, and the first error is already reported
            self._held.close()
        for partial in self._partial.values():
            partial.unlink(missing_ok=True)

    def _new(self, path: Path) -> IO[bytes]:
        """A new file beside `path`. Its name is random, so nobody can have put a link there."""
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        file = partial.open("xb")
        self._partial[path] = partial
        return file

    def add(self, entry: bytes) -> None:
        """An entry as export.entries() yields it."""
        with _writing(self._path):
            self._output.write(entry[1:] + b"\n")
        self._entries += 1

    def finish(self, about: Sequence[str]) -> str:
        """Put the bundle and its manifest in place; returns the bundle's SHA-256."""
        with _writing(self._path):
            self._held.close()
            digest = _digest(self._partial[self._path])
        lines = [f"# {line}" for line in (*about, f"{self._entries} entries")]
        text = "\n".join([*lines, f"{digest}  {self._path.name}", ""])
        with _writing(self._manifest), self._new(self._manifest) as file:
            file.write(os.fsencode(text))
        for path in (self._manifest, self._path):
            with _writing(path):
                os.replace(self._partial[path], path)
        return digest


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _refuse_all_but_files(path: Path) -> None:
    with _writing(path), suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError(f"{path} is not a file", "a bundle would take its place")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
