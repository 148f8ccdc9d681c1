"""Judges what senders have sent, as noted beside each of them (tests/chaos/sent.c): one at a time.

Once a run has sent a count, no run of a lower epoch sends one any more. The receiver would refuse
it, so the receiver's journal cannot show it. Times are of one clock, that of all hosts.

It shares no code with what it judges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_NOTE = re.compile(r"(\d+\.\d+) (\d+) 4([02])\d*(.*)")
_COUNTS = re.compile(r'\["count",\s*\{"count":\s*(\d+),\s*"appID":\s*"([^"\\]+)"')


@dataclass(frozen=True)
class Sent:
    """A batch of counts, the first of which is `count`. at: seconds."""

    at: float
    host: str
    app: str
    epoch: int
    run: str
    count: int


@dataclass(frozen=True)
class Late:
    """A batch that was sent after one of a higher epoch, `newer`, had been."""

    sent: Sent
    newer: Sent

    def __str__(self) -> str:
        one, other = self.sent, self.newer
        return (
            f"{one.app}: {one.host} sent count {one.count} under epoch {one.epoch} at {one.at:.3f},"
            f" after {other.host} had sent {other.count} under {other.epoch} at {other.at:.3f}"
        )


def read(notes: Mapping[str, str]) -> list[Sent]:
    """All that was sent, in the order of time. `notes`: of each host."""
    return sorted(
        (sent for host, text in notes.items() for sent in _of_host(host, text)),
        key=lambda sent: sent.at,
    )


def late(sent: Iterable[Sent]) -> list[Late]:
    """What was sent too late, of what is given in the order of time."""
    newest: dict[str, Sent] = {}
    found = []
    for one in sent:
        newer = newest.setdefault(one.app, one)
        if one.epoch < newer.epoch:
            found.append(Late(one, newer))
        elif one.epoch > newer.epoch:
            newest[one.app] = one
    return found


def _of_host(host: str, notes: str) -> Iterator[Sent]:
    """A process claims before it sends. Each line is complete: it is one write of few bytes."""
    claims: dict[str, Mapping[str, object]] = {}
    for line in notes.splitlines():
        if not (found := _NOTE.fullmatch(line)):
            continue
        at, process, kind, text = found.groups()
        if kind == "0":
            claims[process] = json.loads(text)
        elif counts := _COUNTS.match(text):
            epoch, run = claims[process]["epoch"], claims[process]["run"]
            assert isinstance(epoch, int) and isinstance(run, str)
            yield Sent(float(at), host, counts[2], epoch, run, int(counts[1]))
