"""An App's whole life: the chain of audits, and after it the journal.

The chain has what a judge remembers of all that was audited. With that the judge goes on, and needs
only what is new. What the journal still has of the audited time may be read as well, and compared:
each audit has kept the hash of its evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sendrecv.proof.audit.reading import machine_id, mark_of, user_of
from sendrecv.proof.chain import witness
from sendrecv.proof.chain.evidence import Hashes
from sendrecv.proof.chain.store import Chain, ChainError
from sendrecv.proof.evidence import text as text_of
from sendrecv.proof.judge.state import StateError
from sendrecv.proof.judge.verdict import Judge
from sendrecv.proof.read import after, holes
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.journal import Source
from sendrecv.proof.read.mark import Cursor, ReadMark, place
from sendrecv.proof.statements import Booted, Missing, Statement


@dataclass
class AuditedLife:
    """A chain that can be gone on from. judge: knows all that was audited, and nothing else."""

    chain: Chain
    mark: ReadMark
    judge: Judge
    known: frozenset[Missing] = frozenset()
    """What is missing of that time."""
    _booted: Booted | None = None
    _new: bool = False
    """Whether an entry of this boot was new: then all that follow are."""

    @classmethod
    def of(cls, chain: Chain, dots: int = 0) -> AuditedLife | None:
        """None if there was no audit yet. Raises ChainError."""
        mark, state = mark_of(chain), chain.state()
        if mark is None or state is None:
            return None
        try:
            return cls(chain, mark, Judge.resume(state, dots))
        except StateError as error:
            raise ChainError(f"{chain.directory}: {error}") from None

    def feed(self, entry: bytes, said: Statement) -> None:
        """An entry of the journal, in its order. The judge is given only what is new."""
        if type(said) is Booted:
            self._booted, self._new = said, False
        elif self._new or is_new(self.mark, text_of(entry, b"__CURSOR")):
            self._new = True
            if self._booted:
                self.judge.feed(self._booted)
                self._booted = None
            self.judge.feed(said)

    def limit(self, missing: Iterable[Missing], ends: Mapping[str, int]) -> None:
        """Say what is missing. What is missing of the time that was audited, the audits knew."""
        self.judge.limit([one for one in missing if one not in self.known], ends=ends)

    @property
    def note(self) -> str:
        """What was not read now, and on what that rests."""
        head = self.chain.head
        since = next((line["from"] for line in self.chain.lines() if line.get("from")), head.at)
        return (
            f"{_day(since)} to {_day(head.at)}: by the chain of {head.number:,}"
            f" audit{'' if head.number == 1 else 's'} in"
            f" {self.chain.directory}. That is worth as much as root of that machine is trusted,"
            " who could forge it"
        )


def _day(wall: int) -> str:
    return datetime.fromtimestamp(wall / 1e6).strftime("%Y-%m-%d %H:%M:%S")


def is_new(mark: ReadMark, cursor: str) -> bool:
    """Whether the entry came after the mark."""
    at, end = place(cursor), place(mark.cursor)
    if not at or not end:
        return True
    return _is_after(at, end) if at.boot == end.boot else at.boot not in mark.boots


def _is_after(one: Cursor, other: Cursor) -> bool:
    if one.numbering == other.numbering:
        return one.number > other.number
    return one.mono > other.mono if one.boot == other.boot else one.wall > other.wall


def of_this_machine(source: Source, directory: Path, dots: int) -> tuple[AuditedLife | None, str]:
    """The life that its chain has, if there is one that can be used, and what is wrong with it. The
    source must be held.
    """
    try:
        chain = Chain.read(directory, machine_id())
        user = user_of(directory)
        entry = source.journalctl.first("--reverse", "--lines=1", *witness.matches(user))
        if fault := witness.fault(chain, witness.witness_of(entry)):
            return None, _unusable(fault)
        return (AuditedLife.of(chain, dots) if chain else None), ""
    except FileNotFoundError:
        return None, ""
    except (ChainError, OSError) as error:
        return None, _unusable(str(error))


def _unusable(why: str) -> str:
    return f"the chain of audits is not used: {why}. The journal alone is judged"


def look_for_holes(
    source: Source, life: AuditedLife, found: list[Header], of_all: Iterable[Missing]
) -> None:
    """Add what is missing between what was audited and what is new. of_all: what is missing of all
    that is read.
    """
    between = list(holes.missing(source, after.news(life.mark, found)))
    between += after.lost(life.mark, found)
    life.known = frozenset(of_all).difference(between)
    source.missing += [one for one in between if one not in source.missing]


def go_on(source: Source, life: AuditedLife, found: list[Header]) -> None:
    """Read only what came after the chain."""
    source.after = life.mark
    source.held = after.relevant(source, life.mark, found)


# Whether the journal still is what the audits have read


@dataclass
class Comparison:
    """Fed with all that the journal has. An audit's period is compared if the journal has an entry
    from before it: then it has lost none since. Of the first one it is only known if it is whole.
    """

    chain: Chain
    same: int = 0
    differ: list[tuple[int, int]] = field(default_factory=list)
    """From when to when, by the wall clock."""
    _ends: list[tuple[Cursor, str]] = field(default_factory=list)
    _passed: int = 0
    _hashes: Hashes | None = field(default_factory=Hashes)
    _any: bool = False

    def __post_init__(self) -> None:
        self._ends = list(_ends(self.chain))

    def feed(self, entry: bytes, said: Statement) -> None:
        """One statement more, and its entry."""
        at = place(text_of(entry, b"__CURSOR"))
        if type(said) is Booted or not at:
            return
        while self._passed < len(self._ends) and _is_after(at, self._ends[self._passed][0]):
            self._pass()
        self._any = True
        if self._hashes:
            self._hashes.feed(said)

    def finish(self) -> None:
        """Nothing more will come."""
        while self._passed < len(self._ends):
            self._pass()

    def _pass(self) -> None:
        """The end of a period."""
        end, expected = self._ends[self._passed]
        if self._hashes:
            if self._hashes.machine == expected:
                self.same += 1
            elif self._passed:
                begin = self._ends[self._passed - 1][0]
                self.differ.append((begin.wall, end.wall))
        self._hashes = Hashes(expected) if self._any else None
        self._passed += 1

    @property
    def note(self) -> str:
        """What was compared."""
        rest = len(self._ends) - self.same - len(self.differ)
        return (
            f"periods of the chain that are as the journal has them: {self.same:,}, that differ:"
            f" {len(self.differ):,}, of which the journal has not all: {rest:,}"
        )

    @property
    def doubts(self) -> Iterator[Missing]:
        """For the judge."""
        for begin, end in self.differ:
            text = "the journal's entries are not those that were audited"
            yield Missing(f"{text} from {_day(begin)} to {_day(end)}", begin)


def _ends(chain: Chain) -> Iterator[tuple[Cursor, str]]:
    """The last entry of each audit, and the hash of the evidence until there."""
    last = None
    for line in chain.lines():
        at = place(str(line.get("until", "")))
        if at and at != last and "app" not in line:
            last = at
            yield at, str(line.get("evidence", ""))
