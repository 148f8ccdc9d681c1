"""Reads the evidence: this machine's journal, other machines' journal files, and export files.

journalctl reads the journal files, and hands over the export format. Measured on a day of 864,000
lines: journalctl's export 5.7 s, beside which the other core parses it in 5.7 s; python3-systemd's
Reader 8.4 s in one process, its private methods 2.1 s; journalctl's JSON 19 s before any parsing.
So there is one parser for all sources, no private interface, and a command that anyone can repeat.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import heapq
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from sendrecv.errors import UsageError
from sendrecv.proof.evidence import Missing
from sendrecv.proof.evidence import field as field_of
from sendrecv.proof.evidence import time_of
from sendrecv.proof.read.export import ExportError, Stream, entries

JOURNAL_MAGIC = b"LPKSHHRH"
GZIP_MAGIC = b"\x1f\x8b"
LIVE = (Path("/var/log/journal"), Path("/run/log/journal"))
PIPE = 1 << 20
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

# What evidence.py looks at. Of the senders' units only that they have processes.
_MATCHES = (
    ("_SYSTEMD_UNIT=receiver.service", "_TRANSPORT=stdout"),
    ("_PID=1", "_UID=0", "_TRANSPORT=journal"),
    ("_TRANSPORT=driver",),
)
_CURSOR = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+);")


@dataclass
class Source:
    """What to read: `files` or `directory`, else this machine's journal. Times in microseconds.

    Reading adds to `missing` what turns out not to be there.
    """

    directory: Path | None = None
    files: tuple[Path, ...] = ()
    since: int | None = None
    until: int | None = None
    boot: str | None = None
    missing: list[Missing] = field(default_factory=list)
    address_space: int = 0
    """journalctl's limit in bytes, 0 for none. It maps as much of the files as it may."""

    def __post_init__(self) -> None:
        kinds = [(path, _is_journal(path)) for path in self.files]
        self.journal_files = [path for path, is_journal in kinds if is_journal]
        self.exports = [path for path, is_journal in kinds if not is_journal]

    @property
    def has_journal(self) -> bool:
        """Whether journalctl is to be asked."""
        return bool(self.journal_files) or not self.files

    @property
    def live(self) -> bool:
        """Whether it is this machine's journal."""
        return not self.files and not self.directory

    @property
    def scoped(self) -> bool:
        """Whether only a part of the journal is asked for."""
        return self.since is not None or self.boot is not None

    def options(self) -> list[str]:
        """journalctl's options that say where the journal is."""
        if self.directory:
            return [f"--directory={self.directory}"]
        return [f"--file={path}" for path in self.journal_files]


def _is_journal(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8) == JOURNAL_MAGIC
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def timestamp(text: str) -> int:
    """Microseconds since 1970 of a time as systemd.time(7) writes it."""
    command = ["systemd-analyze", "timestamp", "--", text]
    zone = {name: os.environ[name] for name in ("TZ",) if name in os.environ}
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "TZ"} | zone
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    seconds = re.search(r"UNIX seconds: @(\d+)(?:\.(\d+))?", done.stdout)
    if done.returncode or not seconds:
        raise UsageError(f"{text!r} is not a time", "see systemd.time(7), such as '-1h' or '12:00'")
    return int(seconds[1]) * 1_000_000 + int((seconds[2] or "0").ljust(6, "0")[:6])


def read(source: Source) -> Iterator[bytes]:
    """Yield the entries that may be evidence, oldest first, as export.entries() does."""
    if source.live and os.geteuid() == 0:
        # What was said a moment ago; if it fails, that is not read.
        subprocess.run(["journalctl", "--sync"], capture_output=True, env=ENVIRONMENT, check=False)
    streams = [_of_export(path, source) for path in source.exports]
    if source.has_journal:
        streams[:0] = _of_journalctl(source)
    if len(streams) == 1:
        return streams[0]
    return iter(heapq.merge(*streams, key=_Order()))


class _Order:
    """Entries of one boot by its monotonic clock, boots by the wall clock of their first entry."""

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}

    def __call__(self, entry: bytes) -> int:
        at = time_of(entry)
        return at.mono + self._offsets.setdefault(at.boot, at.wall - at.mono)


# journalctl


@dataclass(frozen=True)
class Boot:
    """A boot by its first entry: its place in the journal's numbering, and its wall clock."""

    boot: str
    machine: str
    numbering: str
    number: int
    wall: int


def _of_journalctl(source: Source) -> list[Iterator[bytes]]:
    """A stream for each machine, boot after boot.

    journalctl merges boots by the wall clock where journald's numbering does not span them (before
    systemd 254 a power cut ends it), and mixes them up if that clock was set back.
    """
    senders = _sender_units(source)
    boots = [] if source.boot is not None else _boots(source)
    if len(boots) < 2:
        return [_of_boot(source, senders)]
    machines: dict[str, list[str]] = {}
    for boot in in_order(boots):
        machines.setdefault(boot.machine, []).append(boot.boot)
    return [_of_boots(source, senders, its_boots) for its_boots in machines.values()]


def in_order(boots: list[Boot]) -> list[Boot]:
    """As they came: by journald's numbering, and where that began anew, by the wall clock."""
    begins: dict[str, int] = {}
    for boot in boots:
        begins[boot.numbering] = min(boot.wall, begins.get(boot.numbering, boot.wall))
    return sorted(boots, key=lambda boot: (begins[boot.numbering], boot.numbering, boot.number))


def _boots(source: Source) -> list[Boot]:
    names = _values_of("_BOOT_ID", source)
    # One alone needs no order.
    found = [_first_of(name, source) for name in names] if len(names) > 1 else []
    return [boot for boot in found if boot]


def _first_of(name: str, source: Source) -> Boot | None:
    command = [*_journalctl(source), "--output-fields=_MACHINE_ID", f"_BOOT_ID={name}"]
    with _popen(command, subprocess.DEVNULL) as process:
        entry = next(_entries(cast(Stream, process.stdout), "journalctl", []), None)
        process.kill()
    cursor = _CURSOR.match(field_of(entry, b"__CURSOR").decode()) if entry else None
    if not entry or not cursor:
        return None
    machine = field_of(entry, b"_MACHINE_ID").decode()
    return Boot(name, machine, cursor[1], int(cursor[2], 16), time_of(entry).wall)


def _of_boots(source: Source, senders: list[str], boots: list[str]) -> Iterator[bytes]:
    for boot in boots:
        yield from _of_boot(source, senders, boot)


def _journalctl(source: Source) -> list[str]:
    limit = ["prlimit", f"--as={source.address_space}"] if source.address_space else []
    command = ["journalctl", "--quiet", "--no-pager", "--output=export"]
    return [*limit, *command, *source.options()]


def _of_boot(source: Source, senders: list[str], boot: str = "") -> Iterator[bytes]:
    """What may be evidence, of one boot if there is more than one."""
    command = _journalctl(source)
    if source.since is not None:
        command.append(f"--since={_seconds(source.since)}")
    if source.until is not None:
        command.append(f"--until={_seconds(source.until)}")
    if source.boot is not None:
        command.append(f"--boot={source.boot}")
    of_senders = [(f"_SYSTEMD_UNIT={unit}", "_TRANSPORT=stdout") for unit in senders]
    for match in (*_MATCHES, *of_senders):
        command += [*match, *([f"_BOOT_ID={boot}"] if boot else []), "+"]
    command.pop()
    with tempfile.TemporaryFile() as errors:
        with _popen(command, errors) as process:
            try:
                pipe = _widen(cast(IO[bytes], process.stdout))
                yield from _entries(cast(Stream, pipe), "journalctl", source.missing)
            finally:
                process.kill()
        # It ends with 0 though it could not read a file.
        errors.seek(0)
        _complain(errors.read(), source.missing)


def _popen(command: list[str], errors: IO[bytes] | int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=errors)
    except FileNotFoundError:
        raise UsageError("journalctl is not installed") from None


def _widen(pipe: IO[bytes]) -> IO[bytes]:
    """With the usual 64 KiB between them, one of the two would always wait for the other."""
    with contextlib.suppress(OSError):  # a hardened kernel may allow less
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
    return pipe


def _complain(errors: bytes, missing: list[Missing]) -> None:
    lines = errors.decode("utf-8", "replace").split("\n")
    found = [Missing(f"journalctl: {line}") for line in lines if line.strip()]
    missing += [one for one in found if one not in missing]  # each boot's journalctl says it


def _seconds(microseconds: int) -> str:
    return f"@{microseconds // 1_000_000}.{microseconds % 1_000_000:06}"


def _sender_units(source: Source) -> list[str]:
    """The senders' units that ever printed something: for their PIDs."""
    sender = re.compile(r"sender(?:-failover)?@.+\.service")
    return [unit for unit in _values_of("_SYSTEMD_UNIT", source) if sender.fullmatch(unit)]


def _values_of(name: str, source: Source) -> list[str]:
    """All values that a field has in the journal."""
    command = ["journalctl", "--quiet", *source.options(), f"--field={name}"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    return done.stdout.splitlines()


# Export files


def _of_export(path: Path, source: Source) -> Iterator[bytes]:
    with contextlib.ExitStack() as held:
        file = held.enter_context(path.open("rb"))
        hashed = _Hashed(file)
        stream: Stream = hashed
        if file.peek(2)[:2] == GZIP_MAGIC:
            stream = held.enter_context(gzip.open(cast(BinaryIO, hashed)))
        for entry in _entries(stream, str(path), source.missing):
            if _in_scope(entry, source):
                yield entry
        while hashed.read(1 << 20):
            pass
    _compare_with_manifest(path, hashed.digest(), source.missing)


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


def _compare_with_manifest(path: Path, digest: str, missing: list[Missing]) -> None:
    manifest = path.with_name(f"{path.name}.sha256")
    try:
        text = manifest.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        missing.append(Missing(f"{manifest}: {error.strerror}"))
        return
    if not re.search(rf"^{digest} [ *]{re.escape(path.name)}$", text, re.MULTILINE):
        missing.append(Missing(f"{path} is not what {manifest.name} says: it was altered"))


def _in_scope(entry: bytes, source: Source) -> bool:
    if source.since is None and source.until is None and source.boot is None:
        return True
    at = time_of(entry)
    return (
        (source.since is None or at.wall >= source.since)
        and (source.until is None or at.wall <= source.until)
        and (source.boot is None or at.boot == source.boot)
    )


def _entries(stream: Stream, name: str, missing: list[Missing]) -> Iterator[bytes]:
    try:
        yield from entries(stream)
    except (ExportError, EOFError, gzip.BadGzipFile) as error:
        missing.append(Missing(f"{name}: not read to its end: {error}"))


def boots_of(source: Source) -> list[str]:
    """The boots in the export files, in the order in which they begin."""
    plain = Source(files=tuple(source.exports))
    boots = dict.fromkeys(field_of(entry, b"_BOOT_ID").decode() for entry in read(plain))
    return [boot for boot in boots if boot]
