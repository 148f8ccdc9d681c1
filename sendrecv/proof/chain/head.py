"""What the chain's directory holds, as its file `head` says: the only thing that is replaced.

    audits-DATE   the lines of a day, as the audits wrote them; only ever appended to
    days          the lines of days older than a month, merged; only ever appended to
    state-N       the state with which the next audit goes on
    head          how much of these files counts, the last hashes, the number of the last audit

An audit appends, syncs, and then puts a new `head` in place. What is there beyond the sizes that
`head` names, or is not named at all, is of an audit that did not come to its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sendrecv.proof.chain.lines import FIRST

FORMAT = 1
HEAD, DAYS = "head", "days"
_AUDITS = re.compile(r"audits-\d{4}-\d\d-\d\d")
_STATE = re.compile(r"state-\d{1,12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_CURSOR = re.compile(r"[0-9a-z=;]{0,400}")
_MACHINE = re.compile(r"[0-9a-f]{0,64}")


class HeadError(ValueError):
    """It is no head."""


@dataclass(frozen=True)
class Head:
    """number: of the last audit. at: when it was (wall clock, microseconds). last: the hash of the
    last line. begin: the one before the first line that is not merged. sizes: of the files of
    audits, the oldest first. days, last_day: size and last hash of the merged days. alarm: Apps
    with a violation that nobody has acknowledged.
    """

    machine: str
    number: int = 0
    at: int = 0
    cursor: str = ""
    last: str = FIRST
    begin: str = FIRST
    sizes: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    """Audits in each of these files."""
    days: int = 0
    last_day: str = FIRST
    state_hash: str = ""
    alarm: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person should know, and look at."""

    @property
    def state(self) -> str:
        """The name of the file of the state; "" before the first audit."""
        return f"state-{self.number}" if self.number else ""

    def encode(self) -> bytes:
        """As the file has it: for people too."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode() + b"\n"

    def files(self) -> dict[str, int]:
        """All files that count but this one, with their sizes; -1: all of it."""
        named = {DAYS: self.days} if self.days else {}
        return {**self.sizes, **named, **({self.state: -1} if self.state else {})}


def decode(data: bytes) -> Head:
    """Raises HeadError. Each value is checked: the file may have been edited."""
    try:
        values = json.loads(data)
        if values.pop("format") != FORMAT:
            raise HeadError("it is of another version of sendrecv")
        values["alarm"], values["notes"] = (tuple(values[name]) for name in ("alarm", "notes"))
        head = Head(**values)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise HeadError(str(error)) from None
    if not _is_sound(head):
        raise HeadError("it has a value that cannot be")
    return head


def is_ours(name: str) -> bool:
    """Whether a chain has files of such a name."""
    known = name in {DAYS, f"{HEAD}.new"}
    return known or bool(_AUDITS.fullmatch(name) or _STATE.fullmatch(name))


def _is_sound(head: Head) -> bool:
    sizes, counts = (_mapping(value) for value in (head.sizes, head.counts))
    return (
        all(_is_number(one) for one in (head.number, head.at, head.days))
        and all(_is_number(one) for one in (*sizes.values(), *counts.values()))
        and all(_AUDITS.fullmatch(name) for name in sizes)
        and sizes.keys() == counts.keys()
        and all(_matches(_HASH, one) for one in (head.last, head.begin, head.last_day))
        and _matches(_CURSOR, head.cursor)
        and _matches(_MACHINE, head.machine)
        and (
            head.state == "" or (_matches(_STATE, head.state) and _matches(_HASH, head.state_hash))
        )
        and all(isinstance(one, str) for one in (*head.alarm, *head.notes))
    )


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {"": None}


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
