"""What is missing from journal files, and what their seals say. From journalctl's own output.

journald numbers its entries (the "i=" of a cursor), over reboots too; the numbers of a machine's
files follow one another. So a file that was rotated away or removed from the middle shows.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sendrecv.proof.evidence import Missing
from sendrecv.proof.read.journal import ENVIRONMENT, LIVE, Source


@dataclass(frozen=True)
class Header:
    """Of a journal file: the numbers and times (wall clock, microseconds) of its entries."""

    path: str
    series: str
    head: int
    tail: int
    head_time: int
    tail_time: int


@dataclass(frozen=True)
class Seal:
    """What `journalctl --verify` says of a file. `until`: 0 if it is not sealed."""

    path: str
    fault: str
    until: int


_PATTERNS = {
    "series": r"^Sequential number ID: (\w+)",
    "head": r"^Head sequential number: (\d+)",
    "tail": r"^Tail sequential number: (\d+)",
    "head_time": r"^Head realtime timestamp: .*\(([0-9a-f]+)\)",
    "tail_time": r"^Tail realtime timestamp: .*\(([0-9a-f]+)\)",
}


def headers(source: Source) -> list[Header]:
    """Of the journal files that can be read and have entries."""
    command = ["journalctl", "--quiet", *source.options(), "--header"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    found = (_header(part) for part in re.split(r"^File path: ", done.stdout, flags=re.M)[1:])
    return [header for header in found if header]


def _header(text: str) -> Header | None:
    values = {name: re.search(pattern, text, re.M) for name, pattern in _PATTERNS.items()}
    series, head, tail, head_time, tail_time = values.values()
    if not (series and head and tail and head_time and tail_time) or head[1] == "0":
        return None
    times = (int(head_time[1], 16), int(tail_time[1], 16))
    return Header(text.split("\n", 1)[0], series[1], int(head[1]), int(tail[1]), *times)


def missing(source: Source, found: Iterable[Header]) -> Iterator[Missing]:
    """What is not there, of what is asked for."""
    if (count := len(unreadable(source))) > 0:
        text = f"{count} journal files cannot be read by this user"
        yield Missing(f"{text}: run it as root, or as a member of the group systemd-journal")
    series = defaultdict(list)
    for header in found:
        series[header.series].append(header)
    for files in series.values():
        yield from _holes(source, sorted(files, key=lambda header: header.head))


def _holes(source: Source, files: list[Header]) -> Iterator[Missing]:
    last, last_time = files[0].tail, files[0].tail_time
    for header in files[1:]:
        if header.head > last + 1 and _asked_for(source, last_time, header.head_time):
            text = f"the journal's entries {last + 1} to {header.head - 1} are missing"
            yield Missing(text, header.head_time)
        if header.tail > last:
            last, last_time = header.tail, header.tail_time


def _asked_for(source: Source, since: int, until: int) -> bool:
    return (source.since is None or until >= source.since) and (
        source.until is None or since <= source.until
    )


def unreadable(source: Source) -> list[Path]:
    """The journal files that this user cannot read."""
    if source.files:
        return [path for path in source.journal_files if not os.access(path, os.R_OK)]
    directories = [source.directory] if source.directory else list(_live_directories())
    files = [path for top in directories for path in (top, *top.glob("**/*.journal*"))]
    return [path for path in files if path.exists() and not os.access(path, os.R_OK)]


def _live_directories() -> Iterator[Path]:
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        return
    for top in LIVE:
        if top.is_dir():
            directory = top / machine
            yield directory if os.access(top, os.X_OK) else top


def is_volatile(source: Source, found: Iterable[Header]) -> bool:
    """Whether this machine keeps its journal in memory only."""
    paths = [header.path for header in found]
    return source.live and bool(paths) and all(path.startswith("/run/") for path in paths)


# Seals


def verify(source: Source, key: str) -> list[Seal]:
    """Check all files' seals with the key that `journalctl --setup-keys` printed."""
    command = ["journalctl", *source.options(), "--verify", f"--verify-key={key}"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    seals = list(_seals(done.stdout + done.stderr))
    if not seals:
        last = (done.stderr.strip() or "journalctl --verify says nothing").split("\n")[-1]
        return [Seal("", last, 0)]
    return seals


def _seals(output: str) -> Iterator[Seal]:
    pattern = r"^(PASS|FAIL): (.*)\n(?:=> Validated from .* to (.*), .*\n)?"
    for verdict, path, until in re.findall(pattern, output, re.M):
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
