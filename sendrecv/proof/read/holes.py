"""What is missing from journal files, and what their seals say. From journalctl's own output.

journald numbers its entries (the "i=" of a cursor), also over reboots. The numbers in one file of a
machine follow those in the file before. So a file that is missing in the middle leaves a hole in
the numbers. Users' files share the numbering with the system's. A user's file may have few entries
over a long time, so it fills a hole only with the entries that it really has.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from sendrecv.proof.evidence import field
from sendrecv.proof.read.files import LIVE
from sendrecv.proof.read.journal import Source, first_of, seconds
from sendrecv.proof.read.period import BASIC_TARGET, ClockSteps
from sendrecv.proof.statements import Missing


@dataclass(frozen=True)
class Header:
    """Of a journal file: the numbers and times (wall clock, microseconds) of its entries."""

    path: str
    machine: str
    series: str
    head: int
    tail: int
    head_time: int
    tail_time: int
    closed: bool = True
    """Whether journald has closed it: not a file that it writes, or was killed while writing."""

    @property
    def of_user(self) -> bool:
        """Whether it is a user's file. All evidence is in the system's files."""
        return _is_user(Path(self.path))


def _is_user(path: Path) -> bool:
    return path.name.startswith("user-")


@dataclass(frozen=True)
class Seal:
    """What `journalctl --verify` says of a file. `until`: 0 if it is not sealed."""

    path: str
    fault: str
    until: int


_PATTERNS = {
    "machine": r"^Machine ID: (\w+)",
    "series": r"^Sequential number ID: (\w+)",
    "head": r"^Head sequential number: (\d+)",
    "tail": r"^Tail sequential number: (\d+)",
    "head_time": r"^Head realtime timestamp: .*\(([0-9a-f]+)\)",
    "tail_time": r"^Tail realtime timestamp: .*\(([0-9a-f]+)\)",
}


def headers(source: Source) -> list[Header]:
    """The headers of the journal files that can be read and have entries."""
    output = source.journalctl.text("--header")
    found = (_header(part) for part in re.split(r"^File path: ", output, flags=re.M)[1:])
    return [header for header in found if header]


def _header(text: str) -> Header | None:
    values = {name: re.search(pattern, text, re.M) for name, pattern in _PATTERNS.items()}
    machine, series, head, tail, head_time, tail_time = values.values()
    closed = "\nState: ONLINE\n" not in text
    if not (machine and series and head and tail and head_time and tail_time) or head[1] == "0":
        return None
    times = (int(head_time[1], 16), int(tail_time[1], 16))
    path = text.split("\n", 1)[0]
    return Header(path, machine[1], series[1], int(head[1]), int(tail[1]), *times, closed)


def missing(source: Source, found: Iterable[Header]) -> Iterator[Missing]:
    """What the files do not have of what was asked for."""
    if (count := len(source.held.unreadable)) > 0:
        text = f"{count} journal files cannot be read by this user"
        yield Missing(f"{text}: run it as root, or as a member of the group systemd-journal")
    machines = defaultdict(list)
    for header in found:
        if not header.of_user:
            machines[header.machine].append(header)
    for machine, files in machines.items():
        for one in _of_machine(source, machine, files):
            yield one._replace(machine=machine)


def _of_machine(source: Source, machine: str, files: list[Header]) -> Iterator[Missing]:
    series = defaultdict(list)
    for header in sorted(files, key=lambda header: header.head):
        series[header.series].append(header)
    numberings = sorted(series.values(), key=lambda its: min(one.head_time for one in its))
    tails = {header.tail for header in files}
    clock = ClockSteps(source.period, machine)
    for place, its in enumerate(numberings):
        head = its[0].head
        # journald puts a damaged file aside, and continues its numbers under a new numbering.
        if place and head > 1 and head - 1 not in tails:
            text = f"the journal's entries before {head}, of another numbering, are missing"
            yield Missing(text, its[0].head_time)
        yield from _holes(source, its)
        for header in its:
            yield from clock.missing(header.head_time, header.tail_time)


def _holes(source: Source, files: list[Header]) -> Iterator[Missing]:
    last, last_time = files[0].tail, files[0].tail_time
    for header in files[1:]:
        if header.head > last + 1 and _asked_for(source, last_time, header.head_time):
            if not _are_of_users(source, range(last + 1, header.head), last_time, header.head_time):
                text = f"the journal's entries {last + 1} to {header.head - 1} are missing"
                yield Missing(text, header.head_time)
        if header.tail > last:
            last, last_time = header.tail, header.tail_time


def _are_of_users(source: Source, numbers: range, since: int, until: int) -> bool:
    """Whether these entries, between two of the system's files, are all in files of users."""
    users = source.held.of(path for path in source.held.descriptors if _is_user(path))
    if not users.descriptors:
        return False
    times = (f"--since={seconds(since)}", f"--until={seconds(until)}")
    entries = replace(source.journalctl, held=users).entries("--output-fields=_BOOT_ID", *times)
    found = {number_of(entry) for entry in entries}
    return found.issuperset(numbers)


def number_of(entry: bytes) -> int:
    """journald's number of an entry."""
    number = re.match(rb"s=[0-9a-f]+;i=([0-9a-f]+);", field(entry, b"__CURSOR"))
    return int(number[1], 16) if number else 0


def reach(source: Source, found: Iterable[Header]) -> None:
    """Tell the period where each machine's journal begins, and whether that is early enough."""
    files = [header for header in found if not header.of_user]
    if not source.scoped or not files:
        return
    if source.boot is not None:
        _reach_boot(source, source.boot, files)
        return
    for header in files:
        source.period.begin(header.machine, header.head_time)


def _reach_boot(source: Source, boot: str, files: list[Header]) -> None:
    first = first_of(boot, source)
    if first is None:
        source.missing.append(Missing(f"boot {boot} is not in this journal"))
        return
    earlier = (one.series == first.numbering and one.head < first.number for one in files)
    reached = any(earlier) or (first.number == 1 and _has_mark(source, boot))
    for header in files:
        if header.machine == first.machine:
            since = source.since
            reached = reached or (since is not None and header.head_time <= since)
            source.period.begin(header.machine, header.head_time, reached=reached)


def _has_mark(source: Source, boot: str) -> bool:
    return source.journalctl.first(*BASIC_TARGET, f"_BOOT_ID={boot}") is not None


def _asked_for(source: Source, since: int, until: int) -> bool:
    return (source.since is None or until >= source.since) and (
        source.until is None or since <= source.until
    )


def is_volatile(source: Source, found: Iterable[Header]) -> bool:
    """Whether this machine keeps its journal in memory only."""
    paths = [header.path for header in found]
    return source.live and bool(paths) and all(Path(path).is_relative_to(LIVE[1]) for path in paths)


def damaged(source: Source) -> list[Missing]:
    """Damaged files. journalctl may have left out entries of them, without a message.

    journald closes the file that it writes too, for a moment, when it is told to sync. What is
    written while it is verified seems to be damaged, so only files that stay as they are count.
    """
    before = [header for header in headers(source) if header.closed]
    closed = source.held.of([Path(header.path) for header in before])
    output = replace(source.journalctl, held=closed).verify()
    failed = {path for verdict, path, _ in _SEAL.findall(output) if verdict == "FAIL"}
    still = headers(source) if failed else []
    return [
        Missing(f"{header.path} is damaged (journalctl --verify)", somewhere=True)
        for header in before
        if header.path in failed and header in still
    ]


# Seals


_SEAL = re.compile(
    r"^(PASS|FAIL): (.*?)(?: \([^()\n]*\))?\n(?:=> Validated from .* to (.*), .*\n)?", re.M
)


def verify(source: Source, key: str) -> list[Seal]:
    """Check all files' seals with the key that `journalctl --setup-keys` printed."""
    output = source.journalctl.verify(key)
    seals = list(_seals(output))
    if not seals:
        last = (output.strip() or "journalctl --verify says nothing").split("\n")[-1]
        return [Seal("", last, 0)]
    return seals


def _seals(output: str) -> Iterator[Seal]:
    for verdict, path, until in _SEAL.findall(output):
        if verdict == "FAIL":
            yield Seal(path, f"{path}: its seal is broken or cannot be checked", 0)
        else:
            yield Seal(path, "", _utc(until) if until else 0)


def _utc(text: str) -> int:
    moment = datetime.strptime(text.split(" ", 1)[1], "%Y-%m-%d %H:%M:%S %Z")
    return int(moment.replace(tzinfo=timezone.utc).timestamp()) * 1_000_000


def rest_on_seals(source: Source, seals: Iterable[Seal], found: Iterable[Header]) -> None:
    """Leave out of `source` what is not sealed yet; note what is not sealed at all."""
    sealed = {seal.path: seal for seal in seals}
    source.missing += [Missing(seal.fault) for seal in sealed.values() if seal.fault]
    files = sorted(found, key=lambda header: header.tail_time)
    newest = files[-1].path if files else ""
    for header in files:
        seal = sealed.get(header.path)
        until = seal.until if seal else 0
        if until and header.path == newest:
            source.until = min(until, source.until or until)
        elif header.tail_time >= until and _asked_for(source, header.head_time, header.tail_time):
            if not (seal and seal.fault) and not _sealed_whole(header, until):
                source.missing.append(Missing(f"{header.path} is not sealed to its end"))


def _sealed_whole(header: Header, until: int) -> bool:
    """The time of a seal is told in whole seconds."""
    return bool(until) and header.tail_time - until < 1_000_000
