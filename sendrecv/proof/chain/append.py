"""Adds to the chain: a power cut at any moment leaves the old chain or the new one, whole.

Files are only appended to, beyond what their chain's `head` counts. What is written is on the disk
before the new `head` takes the place of the old one, and only after that is removed what the new
one does not name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from sendrecv.proof.chain.head import DAYS, HEAD, Head, is_ours
from sendrecv.proof.chain.lines import digest, linked, parsed
from sendrecv.proof.chain.merge import merged
from sendrecv.proof.chain.store import Chain

DETAILED = 31
"""Days after which the lines of a day are merged."""
AUDITS = DETAILED * 24
"""Audits whose lines are kept as they are. If they are more frequent than one an hour, that is less
than a month.
"""
MODE = 0o644
NEW = f"{HEAD}.new"


@dataclass(frozen=True)
class Addition:
    """What one audit adds. at: wall clock in microseconds. judge, audit: the state of the one and
    the other. The last line is given the hash of the state, and that of the merged days if there
    are more of them. alarm, notes: see Head.
    """

    lines: Sequence[Mapping[str, Any]]
    at: int
    cursor: str
    judge: Mapping[str, Any] | None
    audit: Mapping[str, Any]
    alarm: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def append(chain: Chain, news: Addition) -> Chain:
    """The chain with one audit more. Raises OSError; then the chain on disk is as it was. Only one
    process may do this at a time: see locked().
    """
    plan = _planned(chain, news)
    _carry_out(chain.directory, chain.head, plan)
    return Chain(chain.directory, plan.head, plan.files)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Until the end, no other audit appends."""
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class _Plan:
    """head: the new one. files: what it will count. added: what is to be added to which file."""

    head: Head
    files: Mapping[str, bytes]
    added: Mapping[str, bytes]


def _planned(chain: Chain, news: Addition) -> _Plan:
    old = chain.head
    name = max([_file_of(news.at), *old.sizes])
    days = _merged(chain, _due(old, name))
    state = json.dumps({"judge": news.judge, "audit": news.audit}, separators=(",", ":")).encode()
    hashes = {"state": digest(state), **({"days": days.last} if days.data else {})}
    data, last = linked([*news.lines[:-1], {**news.lines[-1], **hashes}], old.last)
    head = replace(
        old,
        number=old.number + 1,
        at=news.at,
        cursor=news.cursor,
        last=last,
        begin=days.begin,
        sizes={**_without(old.sizes, days.of), name: old.sizes.get(name, 0) + len(data)},
        counts={**_without(old.counts, days.of), name: old.counts.get(name, 0) + 1},
        days=old.days + len(days.data),
        last_day=days.last,
        state_hash=digest(state),
        alarm=news.alarm,
        notes=news.notes,
    )
    added = {name: data, **({DAYS: days.data} if days.data else {}), head.state: state}
    files = {one: chain.files.get(one, b"") + added.get(one, b"") for one in head.files()}
    return _Plan(head, files, added)


def _without(numbers: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if name not in names}


@dataclass(frozen=True)
class _Days:
    """Lines that are merged now. of: the files whose lines they were. begin: the hash of the last
    of those. last: the hash of the last merged line.
    """

    of: Sequence[str]
    data: bytes
    begin: str
    last: str


def _merged(chain: Chain, names: Sequence[str]) -> _Days:
    data, begin, last = b"", chain.head.begin, chain.head.last_day
    for name in names:
        begin = digest(chain.files[name].splitlines(keepends=True)[-1])
        of_day = merged(parsed(chain.files[name]))
        of_day[-1]["last_line"] = begin
        more, last = linked(of_day, last)
        data += more
    return _Days(names, data, begin, last)


def _file_of(at: int) -> str:
    return f"audits-{datetime.fromtimestamp(at / 1e6, timezone.utc):%Y-%m-%d}"


def _due(head: Head, newest: str) -> list[str]:
    """The files whose lines are to be merged, the oldest first."""
    day = datetime.strptime(newest, "audits-%Y-%m-%d") - timedelta(days=DETAILED)
    due, audits = [], head.counts.get(newest, 0)
    for name in sorted(head.sizes, reverse=True):
        if name == newest:
            continue
        if name < f"audits-{day:%Y-%m-%d}" or audits >= AUDITS:
            due.append(name)
        audits += head.counts[name]
    return due[::-1]


def _carry_out(directory: Path, old: Head, plan: _Plan) -> None:
    for name, data in plan.added.items():
        committed = 0 if name == plan.head.state else old.files().get(name, 0)
        _extend(directory / name, committed, data)
    _extend(directory / NEW, 0, plan.head.encode())
    _sync(directory)
    os.replace(directory / NEW, directory / HEAD)
    _sync(directory)
    for name in os.listdir(directory):
        if is_ours(name) and name not in (HEAD, *plan.head.files()):
            os.unlink(directory / name)


def _extend(path: Path, size: int, data: bytes) -> None:
    """Write `data` behind the first `size` bytes, in place of what is there, and sync."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, MODE)
    try:
        os.fchmod(descriptor, MODE)  # whatever the umask is: everybody may read it
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
