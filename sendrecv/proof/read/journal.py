"""Reads the evidence: this machine's journal, other machines' journal files, and export files."""

from __future__ import annotations

import heapq
import os
import re
import stat
import subprocess
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sendrecv.errors import UsageError
from sendrecv.proof.evidence import field as field_of
from sendrecv.proof.evidence import text as text_of
from sendrecv.proof.evidence import time_of
from sendrecv.proof.read import exports, files
from sendrecv.proof.read.files import Held
from sendrecv.proof.read.journalctl import ENVIRONMENT, Journalctl
from sendrecv.proof.read.mark import ReadMark, place
from sendrecv.proof.read.period import Period
from sendrecv.proof.statements import Missing

JOURNAL_MAGIC = b"LPKSHHRH"
APART = 4096
"""Entries that may stand between the two copies of one."""

# The entries that evidence.py looks at; of senders, see _sender_units().
_MATCHES = (
    ("_SYSTEMD_UNIT=receiver.service", "_TRANSPORT=stdout"),
    ("_PID=1", "_UID=0", "_TRANSPORT=journal"),
    ("_TRANSPORT=driver",),
)
_CURSOR = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+);")


@dataclass
class Source:
    """What to read: `files` or `directory`, else this machine's journal. Times in microseconds.

    During the reading, what turns out to be missing is added to `missing`.
    """

    directory: Path | None = None
    files: tuple[Path, ...] = ()
    since: int | None = None
    until: int | None = None
    boot: str | None = None
    after: ReadMark | None = None
    """Only what came after that."""
    missing: list[Missing] = field(default_factory=list)
    held: Held = field(default_factory=Held)
    address_space: int = 0
    """See Journalctl."""

    def __post_init__(self) -> None:
        kinds = [(path, _is_journal(path)) for path in self.files]
        self.journal_files = [path for path, is_journal in kinds if is_journal]
        self.exports = [path for path, is_journal in kinds if not is_journal]
        self.period = Period(self.since, self.until, self.boot)

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

    @property
    def journalctl(self) -> Journalctl:
        """For the files that are held."""
        return Journalctl(self.held, self.missing, self.address_space)

    def hold(self) -> None:
        """Open the journal's files."""
        if self.journal_files:
            self.held = files.hold_files(self.journal_files)
        elif self.has_journal:
            self.held = files.hold_directories(self.directory)
        if not self.held.steady:
            text = f"the journal was rotated while it was read, {files.TRIES} times"
            self.missing.append(Missing(text, somewhere=True))


def _is_journal(path: Path) -> bool:
    """Raises UsageError for a pipe, which cannot be read twice, or a device, which has no end."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            hint = "for a directory, use --directory" if stat.S_ISDIR(kind) else ""
            raise UsageError(f"--file: {path} is not a file", hint)
        with path.open("rb") as file:
            return file.read(8) == JOURNAL_MAGIC
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def timestamp(text: str) -> int:
    """Microseconds since 1970 of a time as systemd.time(7) writes it."""
    command = ["systemd-analyze", "timestamp", "--", text]
    zone = {name: os.environ[name] for name in ("TZ",) if name in os.environ}
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "TZ"} | zone
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    except FileNotFoundError:
        raise UsageError("systemd-analyze is not installed", "it is asked what a time is") from None
    seconds = re.search(r"UNIX seconds: @(\d+)(?:\.(\d+))?", done.stdout)
    if done.returncode or not seconds:
        raise UsageError(f"{text!r} is not a time", "see systemd.time(7), such as '-1h' or '12:00'")
    return int(seconds[1]) * 1_000_000 + int((seconds[2] or "0").ljust(6, "0")[:6])


def read(source: Source) -> Iterator[bytes]:
    """Yield the entries that may be evidence, oldest first, as export.entries() does."""
    streams = [exports.read(path, source.period, source.missing) for path in source.exports]
    if source.held.descriptors:
        streams[:0] = _of_journalctl(source)
    if len(streams) == 1:
        return streams[0]
    return _once(heapq.merge(*streams, key=_Order()))


def _once(entries: Iterable[bytes]) -> Iterator[bytes]:
    """Each entry once, though it is in two files, as of two bundles whose times overlap. In the
    merged order such a pair is close together.
    """
    recent: OrderedDict[bytes, None] = OrderedDict()
    for entry in entries:
        cursor = field_of(entry, b"__CURSOR")
        if cursor in recent:
            continue
        if cursor:
            recent[cursor] = None
            if len(recent) > APART:
                recent.popitem(last=False)
        yield entry


class _Order:
    """Entries of one boot by its monotonic clock, boots by the wall clock of their first entry.

    That is an order for the files of one host. In which order two hosts are read does not matter.
    """

    def __init__(self) -> None:
        self._offsets: dict[tuple[str, str], int] = {}

    def __call__(self, entry: bytes) -> int:
        at = time_of(entry)
        return at.mono + self._offsets.setdefault(at.place, at.wall - at.mono)


# Boots


@dataclass(frozen=True)
class BootStart:
    """A boot by its first entry: its place in the journal's numbering, and its wall clock."""

    boot: str
    machine: str
    numbering: str
    number: int
    wall: int


def choose_boot(source: Source) -> None:
    """Turn what --boot names into the boot's ID, as journalctl has it.

    0 is the last boot, -1 the boot before, 1 the first boot. If no boot can be read, source.boot
    stays as it is, and the verdict says what is missing.
    """
    name = source.boot
    if name is None:
        return
    if re.fullmatch(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", name):
        source.boot = name.replace("-", "").lower()
    elif not re.fullmatch(r"[+-]?\d{1,9}", name):
        raise UsageError(f"--boot: {name!r} is not a boot", "0, -1, or an ID of 32 hex digits")
    elif boots := _boots_of(source):
        place = int(name) - 1
        if not -len(boots) <= place < len(boots):
            raise UsageError(f"--boot: there are {len(boots)} boots, and no {name}")
        source.boot = boots[place]
    source.period = Period(source.since, source.until, source.boot)


def _boots_of(source: Source) -> list[str]:
    """Those in the files, in the order in which they came."""
    of_journal = [boot.boot for boot in in_order(_boots(source))]
    if not source.exports:
        return of_journal
    plain = Source(files=tuple(source.exports))
    seen = dict.fromkeys(text_of(entry, b"_BOOT_ID") for entry in read(plain))
    return list(dict.fromkeys([*of_journal, *(boot for boot in seen if boot)]))


def in_order(boots: list[BootStart]) -> list[BootStart]:
    """The boots in order: by journald's numbering, or by the wall clock where that began again."""
    begins: dict[str, int] = {}
    for boot in boots:
        begins[boot.numbering] = min(boot.wall, begins.get(boot.numbering, boot.wall))
    return sorted(boots, key=lambda boot: (begins[boot.numbering], boot.numbering, boot.number))


def boots_in_order(source: Source) -> list[str]:
    """The IDs of the boots in the journal."""
    return [boot.boot for boot in in_order(_boots(source))]


def _boots(source: Source) -> list[BootStart]:
    found = [first_of(name, source) for name in values_of("_BOOT_ID", source)]
    return [boot for boot in found if boot]


def first_of(name: str, source: Source) -> BootStart | None:
    """A boot, by its ID; None if no entry of it is there."""
    entry = source.journalctl.first("--output-fields=_MACHINE_ID", f"_BOOT_ID={name}")
    cursor = _CURSOR.match(text_of(entry, b"__CURSOR")) if entry else None
    if not entry or not cursor:
        return None
    machine = text_of(entry, b"_MACHINE_ID")
    return BootStart(name, machine, cursor[1], int(cursor[2], 16), time_of(entry).wall)


# journalctl


def _of_journalctl(source: Source) -> list[Iterator[bytes]]:
    """A stream for each machine, boot after boot.

    If one numbering of journald does not cover two boots (before systemd 254 a power cut ends it),
    journalctl merges these boots by the wall clock. It mixes them up if that clock was set back.
    """
    senders = _sender_units(source)
    if source.boot is not None:
        return [_of_boot(source, senders, source.boot)]
    if source.after:
        return [_after(source, senders, source.after)]
    # A single boot needs no order.
    boots = _boots(source) if len(values_of("_BOOT_ID", source)) > 1 else []
    if len(boots) < 2:
        return [_of_boot(source, senders)]
    machines: dict[str, list[str]] = {}
    for boot in in_order(boots):
        machines.setdefault(boot.machine, []).append(boot.boot)
    return [_of_boots(source, senders, its_boots) for its_boots in machines.values()]


def _of_boots(source: Source, senders: list[str], boots: list[str]) -> Iterator[bytes]:
    for boot in boots:
        yield from _of_boot(source, senders, boot)


def _after(source: Source, senders: list[str], mark: ReadMark) -> Iterator[bytes]:
    """The rest of the boot of the mark, and then all boots that are new."""
    at = place(mark.cursor)
    boots = boots_in_order(source)
    if at and at.boot in boots:
        # Not --after-cursor: with matches, systemd 252 leaves out the entry after the cursor's too,
        # if that one does not match.
        rest = _of_boot(source, senders, at.boot, (f"--cursor={mark.cursor}",))
        yield from (entry for entry in rest if field_of(entry, b"__CURSOR") != mark.cursor.encode())
    yield from _of_boots(source, senders, [boot for boot in boots if boot not in mark.boots])


def _of_boot(
    source: Source, senders: list[str], boot: str = "", more: tuple[str, ...] = ()
) -> Iterator[bytes]:
    """The entries that may be evidence, of one boot if there is more than one."""
    options = [*more]
    if source.since is not None:
        options.append(f"--since={seconds(source.since)}")
    if source.until is not None:
        options.append(f"--until={seconds(source.until)}")
    of_senders = [(f"_SYSTEMD_UNIT={unit}",) for unit in senders]
    for match in (*_MATCHES, *of_senders):
        options += [*match, *([f"_BOOT_ID={boot}"] if boot else []), "+"]
    return source.journalctl.entries(*options[:-1])


def seconds(microseconds: int) -> str:
    """A time as journalctl takes it."""
    return f"@{microseconds // 1_000_000}.{microseconds % 1_000_000:06}"


def _sender_units(source: Source) -> list[str]:
    """The senders' units that ever wrote something. Their entries have PIDs, and name the Apps."""
    sender = re.compile(r"sender(?:-failover)?@.+\.service")
    return [unit for unit in values_of("_SYSTEMD_UNIT", source) if sender.fullmatch(unit)]


def values_of(name: str, source: Source) -> list[str]:
    """All values that a field has in the journal."""
    return source.journalctl.text(f"--field={name}").splitlines()
