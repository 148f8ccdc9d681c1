"""Judges what was written to the keys of Apps in etcd: one host after the other, and never back.

- The epoch never falls, and two runs never have the same one: so whoever took the App compared.
- The count never falls: so whoever took the App goes on from the count that was reached, whatever
  the receiver has. But a process that went on without etcd, where the App was, knows only what was
  sent there: a last write of the process before it may have been carried out and not heard, and
  then its count was not sent.

What etcd had forgotten before it was asked is missing. The rules hold across such a gap. It shares
no code with what it judges.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_KEY = re.compile(r"/sendrecv/([^/]+)/record")


@dataclass(frozen=True)
class Write:
    """One write of a key: its revision in etcd, and what the record says. host: the holder's. why:
    it has the App.
    """

    app: str
    revision: int
    host: str
    run: str
    epoch: int
    count: int
    why: str = ""

    def knew_less_than(self, before: Write) -> bool:
        """Whether it has gone on from this host's own file, after that."""
        is_alone = "etcd does not answer" in self.why
        return is_alone and self.host == before.host and self.epoch > before.epoch


def read(watched: str) -> list[Write]:
    """What `etcdctl watch --prefix /sendrecv/ -w json` has printed. A last line may be cut off."""
    writes: list[Write] = []
    for line in watched.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        writes += _in_events(answer.get("Events") or [])
    return writes


def wrong(writes: Iterable[Write]) -> list[str]:
    """What contradicts the rules, in words, of what is given in the order of revisions."""
    found = []
    last: dict[str, Write] = {}
    for write in writes:
        before = last.get(write.app, write)
        if write.epoch < before.epoch or (write.epoch == before.epoch and write.run != before.run):
            found.append(f"{_told(write)}, after epoch {before.epoch} of {before.host}")
        if write.count < before.count and not write.knew_less_than(before):
            found.append(f"{_told(write)}, after count {before.count} of {before.host}")
        last[write.app] = write
    return found


def _told(write: Write) -> str:
    return (
        f"{write.app}: {write.host} wrote count {write.count} under epoch {write.epoch}"
        f" (revision {write.revision})"
    )


def _in_events(events: Iterable[dict[str, dict[str, str]]]) -> Iterator[Write]:
    for event in events:
        pair = event["kv"]
        key = _KEY.fullmatch(base64.b64decode(pair["key"]).decode())
        if key and pair.get("value"):
            value = json.loads(base64.b64decode(pair["value"]))
            record = value["record"]
            yield Write(
                key[1],
                int(pair["mod_revision"]),
                value["host"],
                record["run"],
                record["epoch"],
                record["count"],
                value.get("why", ""),
            )
