"""The boots of each host, in their order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.statements import At, Booted

MOST_BOOTS = 8
"""Boots that are remembered of a machine that is judged alone."""
# Of a cursor: which numbering (journald's "seqnum ID"), and the number.
_NUMBER = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+);")


@dataclass(slots=True, eq=False)
class Boot:
    """One boot of one host. `machine`: the ID of the host; `host`: its name."""

    boot: str
    machine: str
    host: str
    number: int
    first: At
    last: At
    first_ref: str
    last_ref: str
    shut_down: bool = False
    """Whether PID 1 reached a target of shutting down."""
    journal_stopped: bool = False
    journal_started: bool = False
    over: bool = False
    """Whether a later boot of the same host was seen."""
    unclean_before: bool = False
    """Whether the boot before, if there was one, ended without a shutdown."""

    @property
    def clean(self) -> bool:
        """Whether the journal was written to the end: if not, the last entries may be lost."""
        return self.shut_down or self.journal_stopped

    @property
    def offset(self) -> int:
        """Microseconds to add to its monotonic clock, for a time for people."""
        return self.first.wall - self.first.mono


@dataclass(slots=True)
class Boots:
    """`of`: by At.place. `names`: of the hosts, by their machine IDs."""

    of: dict[tuple[str, str], Boot] = field(default_factory=dict)
    seen: list[Boot] = field(default_factory=list, metadata=NOT_KEPT)
    """All of them, for those who look at them."""
    number: int = 0
    """Of the next one."""
    names: dict[str, str] = field(default_factory=dict)
    by_clock_only: set[str] = field(default_factory=set)
    """The hosts of which only the wall clock tells the order of two boots."""
    _current: dict[str, Boot] = field(default_factory=dict)

    def begin(self, said: Booted) -> Boot:
        """The next one of its host."""
        at = said.at
        boot = Boot(at.boot, at.machine, said.host, self.number, at, at, said.ref, said.ref)
        self.number += 1
        self.names[at.machine] = said.host or at.machine[:8]
        before = self._current.get(at.machine)
        if before is not None:
            before.over = True
            boot.unclean_before = not before.clean
            if not _numbered_on(before.last_ref, said.ref):
                self.by_clock_only.add(at.machine)
        self.of[at.place] = self._current[at.machine] = boot
        self.seen.append(boot)
        return boot

    def forget(self) -> list[Boot]:
        """Forget all but the last ones. An entry of a boot that was forgotten would be taken for
        one of a new boot, and so make the one that goes on be in the midst of another: that is a
        doubt as well.
        """
        return [self.of.pop(place) for place in list(self.of)[:-MOST_BOOTS]]


def _numbered_on(before: str, after: str) -> bool:
    """Whether the two cursors are of one numbering, and in this order."""
    one, other = _NUMBER.match(before), _NUMBER.match(after)
    if not one or not other or one[1] != other[1]:
        return False
    return int(one[2], 16) < int(other[2], 16)
