"""What the chain of audits knows of an App's past, for the picture.

The chain is a file. What is not as an audit writes it, is left out: a picture is no verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sendrecv.proof.judge.boots import Boot
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, VIOLATED, AppVerdict
from sendrecv.proof.show.history import History, Remark, Stretch, history_of

ChainLine = Mapping[str, Any]
_WALL = re.compile(r";t=([0-9a-f]{1,16});")
_STATUS = (PROVEN, INCONCLUSIVE, VIOLATED)


def whole(app: AppVerdict, boots: Iterable[Boot], lines: Sequence[ChainLine]) -> History:
    """The App's whole life. lines: of the chain, the oldest first. The verdict has what came since,
    and of what was before only what was still open then.
    """
    end = _end(lines)
    news = history_of(app, boots)
    past = [line for line in lines if line.get("app") == app.app]
    machine = [line for line in lines if "machine" in line]
    stretches = [*map(_stretch, past), *map(_booted, machine)]
    stretches += [
        one._replace(first=max(one.first, end)) for one in news.stretches if one.last > end
    ]
    remarks = [remark for line in past for remark in _remarks(line)]
    remarks += [one for one in news.remarks if one.last > end or not one.last]
    return news._replace(stretches=tuple(stretches), remarks=tuple(remarks))


def _end(lines: Sequence[ChainLine]) -> int:
    """The wall clock of the last entry that was audited; 0 if there is none."""
    cursors = (str(line.get("until", "")) for line in reversed(lines) if "machine" in line)
    found = _WALL.search(next(cursors, ""))
    return int(found[1], 16) if found else 0


def _stretch(line: ChainLine) -> Stretch:
    last = _number(line.get("at"))
    return Stretch(
        min(_number(line.get("from")), last),
        last,
        _status(line.get("verdict")),
        _number(line.get("counts")),
        _by_hour(line.get("hours")),
        (),
        _number(line.get("silence")),
    )


def _booted(line: ChainLine) -> Stretch:
    at = _number(line.get("at"))
    return Stretch(at, at, boots=_by_hour(line.get("boots")))


def _remarks(line: ChainLine) -> Iterator[Remark]:
    at = _number(line.get("at"))
    for name, violation in (("witnesses", True), ("doubts", False)):
        found = line.get(name)
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict):
                last = _number(one.get("to")) or at
                first = last if violation else min(_number(one.get("from")) or last, last)
                yield Remark(violation, first, last, str(one.get("text", "")))


def _status(value: Any) -> str:
    return value if value in _STATUS else INCONCLUSIVE


def _by_hour(value: Any) -> tuple[tuple[int, int], ...]:
    pairs = value.items() if isinstance(value, dict) else ()
    return tuple((int(hour), _number(n)) for hour, n in pairs if re.fullmatch(r"\d{1,8}", hour))


def _number(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 1 << 52 else 0
