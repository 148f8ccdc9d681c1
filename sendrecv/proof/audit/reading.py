"""What has come since the last audit, read from the journal and judged."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sendrecv.errors import CredentialError, StoreUnusable
from sendrecv.proof.audit.periods import AuditPeriod
from sendrecv.proof.audit.room import LIMIT_ID, Room
from sendrecv.proof.chain import witness
from sendrecv.proof.chain.evidence import Hashes
from sendrecv.proof.chain.store import Chain, ChainError
from sendrecv.proof.chain.witness import Witness
from sendrecv.proof.evidence import field as field_of
from sendrecv.proof.evidence import statements, time_of
from sendrecv.proof.judge.state import StateError
from sendrecv.proof.judge.verdict import VIOLATED, Judge, Verdict
from sendrecv.proof.read import after, holes
from sendrecv.proof.read.files import Vanished
from sendrecv.proof.read.holes import Header
from sendrecv.proof.read.journal import Source, read
from sendrecv.proof.read.mark import ReadMark
from sendrecv.proof.statements import Booted, Missing

READINGS = 5
"""See prove.py."""
SPACE, SPACE_PER_FILE = 128 << 20, 10 << 20
"""Bytes that journalctl may map, as in prove.py."""


@dataclass
class Outcome:
    """Of one reading. state: of the judge, to go on from. mark: how far the journal was read.
    newest: the newest witness of a chain that the journal has.
    """

    verdict: Verdict
    state: dict[str, Any]
    period: AuditPeriod
    hashes: Hashes
    mark: ReadMark | None
    newest: Witness | None
    room: Room


class _Damaged(Exception):
    """journalctl may have left out entries, and the verdict may come from that."""

    def __init__(self, missing: list[Missing]) -> None:
        super().__init__()
        self.missing = missing


def audited(chain: Chain, user: int, journal: Path | None = None) -> Outcome:
    """Read and judge what is new. user: who logs the witnesses of the chain. journal: a directory,
    in place of this machine's journal. Raises SendrecvError if the journal
    cannot be read now, and ChainError.
    """
    damages: list[Missing] = []
    for _ in range(READINGS):
        try:
            return _AuditAttempt(chain, user, journal, damages).outcome()
        except Vanished:
            continue
        except _Damaged as error:
            damages = error.missing
    raise StoreUnusable(f"files of the journal were removed while it was read, {READINGS} times")


def mark_of(chain: Chain) -> ReadMark | None:
    """How far the last audit has read. Raises ChainError."""
    said = chain.memory().get("mark")
    try:
        return ReadMark.decode(said) if said else None
    except ValueError:
        raise ChainError(f"{chain.directory}: the state has no mark") from None


def judge_of(chain: Chain) -> Judge:
    """The judge that goes on from there. Raises ChainError."""
    state = chain.state()
    try:
        return Judge(alone=True) if state is None else Judge.resume(state)
    except StateError as error:
        raise ChainError(f"{chain.directory}: {error}") from None


def hashes_of(chain: Chain) -> Hashes:
    """The hashes that go on from there."""
    memory = chain.memory().get("evidence", {})
    return Hashes(memory.get("machine", ""), memory.get("apps", {}))


@dataclass
class _AuditAttempt:
    """One attempt."""

    chain: Chain
    user: int
    journal: Path | None
    damages: list[Missing]
    found: list[Header] = field(default_factory=list)

    def outcome(self) -> Outcome:
        """Of this attempt. Raises Vanished, _Damaged, and what audited() raises."""
        before = mark_of(self.chain)
        source = Source(self.journal, after=before)
        source.hold()
        with closing(source.held) as everything:
            if everything.unreadable:
                name = everything.unreadable[0]
                raise CredentialError(f"{name}: permission denied", "see sendrecv-audit.service(8)")
            self.found = holes.headers(source)
            entry = source.journalctl.first("--reverse", "--lines=1", f"MESSAGE_ID={LIMIT_ID}")
            room = Room.of(everything, self.found, field_of(entry or b"\n", b"LIMIT"))
            newest = self._witness(source)
            boots = after.boots(source)
            self._look_for_holes(source, before)
            source.held = after.relevant(source, before, self.found)
            source.address_space = SPACE + SPACE_PER_FILE * len(source.held.descriptors)
            there = after.mark_of(source, boots, self.found)
            outcome = self._judged(source, before, there)
        outcome.newest, outcome.room = newest, room
        return outcome

    def _witness(self, source: Source) -> Witness | None:
        matches = witness.matches(self.user)
        return witness.witness_of(source.journalctl.first("--reverse", "--lines=1", *matches))

    def _look_for_holes(self, source: Source, before: ReadMark | None) -> None:
        if before is None:
            source.missing += holes.missing(source, self.found)
        else:
            source.missing += holes.missing(source, after.news(before, self.found))
            source.missing += after.lost(before, self.found)
        source.missing += self.damages

    def _judged(self, source: Source, before: ReadMark | None, there: ReadMark | None) -> Outcome:
        judge, hashes = judge_of(self.chain), hashes_of(self.chain)
        begun = time.time_ns() // 1000
        judge.limit(source.missing)
        known = len(source.missing)
        period = AuditPeriod(before.boots if before else frozenset())
        last = _fed(judge, source, hashes, period)
        ends = {time_of(last).machine: begun} if last else {}
        judge.limit(source.missing[known:], ends=ends)
        mark = after.moved(there, last) if there else before
        # Before the verdict, which is of an App that ends here.
        state = judge.state()
        verdict = judge.verdict()
        if verdict.status == VIOLATED and not self.damages and (found := holes.damaged(source)):
            raise _Damaged(found)
        return Outcome(verdict, state, period, hashes, mark, None, Room())


def _fed(judge: Judge, source: Source, hashes: Hashes, period: AuditPeriod) -> bytes:
    """All that is new; returns the last entry that is evidence, b"" if there is none."""
    last = b""
    for entry, statement in statements(read(source)):
        judge.feed(statement)
        hashes.feed(statement)
        period.feed(statement)
        if type(statement) is not Booted:
            last = entry
    return last


def machine_id() -> str:
    """Of this machine."""
    with open("/etc/machine-id", encoding="ascii") as file:
        return file.read().strip()


def user_of(directory: str | os.PathLike[str]) -> int:
    """To whom the chain belongs: who audits."""
    return os.stat(directory).st_uid
