"""One audit: what is new is read and judged, and the chain gets its lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sendrecv.proof.audit import entries, periods
from sendrecv.proof.audit.periods import Memory
from sendrecv.proof.audit.reading import Outcome, audited, machine_id, user_of
from sendrecv.proof.audit.room import small
from sendrecv.proof.chain import witness
from sendrecv.proof.chain.append import Addition, append, locked
from sendrecv.proof.chain.head import HEAD, is_ours
from sendrecv.proof.chain.lines import Line
from sendrecv.proof.chain.store import Chain

STATE = Path("/var/lib/sendrecv-audit")
NOTES = 5
"""Notes that are kept until a person acknowledges them."""


@dataclass(frozen=True)
class Done:
    """An audit that is on the disk. lines: of each App with news."""

    chain: Chain
    lines: Mapping[str, Line]

    @property
    def alarm(self) -> tuple[str, ...]:
        """The Apps with a violation that nobody has acknowledged."""
        return self.chain.head.alarm


def audit(directory: Path = STATE, journal: Path | None = None) -> Done:
    """Audit what is new. journal: a directory, in place of this machine's journal. Raises
    SendrecvError, ChainError, OSError; then the chain is as it was, and the next audit reads what
    this one should have read.
    """
    with locked(directory):
        machine = machine_id()
        there = Chain.read(directory, machine)
        chain = there or Chain.begun(directory, machine)
        outcome = audited(chain, user_of(directory), journal)
        fault = witness.fault(there, outcome.newest)
        at = time.time_ns() // 1000
        done = appended(chain, outcome, [fault] if fault else [], at, entries.tell_findings)
    if fault:
        entries.log(entries.CRIT, entries.CHAIN_ID, fault)
    _tell_room(chain, done.chain)
    entries.tell_audited(done.chain.head, done.lines)
    return done


def appended(
    chain: Chain,
    outcome: Outcome,
    notes: list[str],
    at: int,
    tell: Callable[[Mapping[str, Line]], None] = lambda _lines: None,
) -> Done:
    """The chain with this audit, on the disk. at: when it is (wall clock, microseconds). tell: it
    is called with the line of each App first.
    """
    cursor = outcome.mark.cursor if outcome.mark else ""
    before = chain.memory()
    lines, memory = _news(before, outcome)
    new = [note for note in outcome.verdict.notes if note not in before.get("notes", ())]
    every = {"at": at, "n": chain.head.number + 1}
    of_machine = {
        **every,
        "machine": chain.head.machine,
        **periods.machine_line(lines, outcome.period, [*new, *notes]),
        "until": cursor,
        "evidence": outcome.hashes.machine,
    }
    news = Addition(
        [*({**every, **line} for line in lines.values()), of_machine],
        at,
        cursor,
        outcome.state,
        memory,
        _alarm(memory),
        tuple([*chain.head.notes, *notes][-NOTES:]),
    )
    # Before the chain has it: after a power cut in between, the next audit finds and says it again.
    tell(lines)
    return Done(append(chain, news), lines)


def _news(before: Memory, outcome: Outcome) -> tuple[dict[str, Line], Memory]:
    """The line of each App that has news, and what is to be remembered."""
    lines: dict[str, Line] = {}
    apps: Memory = {}
    digests = outcome.hashes.of_app
    for app in outcome.verdict.apps:
        line, apps[app.app] = periods.line_of(app, outcome.period, _of(before, app.app))
        if periods.is_news(line):
            lines[app.app] = {**line, "evidence": digests.get(app.app, "")}
    return lines, {
        "apps": apps,
        "acknowledged": before.get("acknowledged", {}),
        "evidence": {"machine": outcome.hashes.machine, "apps": digests},
        "mark": outcome.mark.as_json() if outcome.mark else None,
        "notes": list(outcome.verdict.notes),
        "room": small(outcome.room),
    }


def _of(memory: Memory, app: str) -> Memory:
    found = memory.get("apps", {}).get(app, {})
    return found if isinstance(found, dict) else {}


def _alarm(memory: Memory) -> tuple[str, ...]:
    known = memory["acknowledged"]
    found = {app: of_app["violations"] for app, of_app in memory["apps"].items()}
    return tuple(sorted(app for app, number in found.items() if number > known.get(app, 0)))


def _tell_room(before: Chain, chain: Chain) -> None:
    """Once, until it is better."""
    text = chain.memory()["room"]
    if text and not before.memory().get("room"):
        entries.log(entries.WARNING, entries.SMALL_ID, text)


def acknowledge(reason: str, who: str, directory: Path = STATE) -> tuple[str, ...]:
    """A person has looked at what is violated. The reason is kept in the chain. Returns the Apps;
    none if there was nothing to acknowledge. Raises ChainError, OSError.
    """
    with locked(directory):
        chain = Chain.read(directory, machine_id())
        if chain is None or not (chain.head.alarm or chain.head.notes):
            return ()
        memory = chain.memory()
        found = {app: of_app["violations"] for app, of_app in memory["apps"].items()}
        memory = {
            **memory,
            "acknowledged": {app: number for app, number in found.items() if number},
        }
        at, head = time.time_ns() // 1000, chain.head
        line = {"at": at, "n": head.number + 1, "acknowledged": reason, "by": who}
        line |= {"apps": list(head.alarm), "notes": list(head.notes)}
        done = append(chain, Addition([line], at, head.cursor, chain.state(), memory))
    apps = ", ".join(head.alarm) or "the chain"
    text = f"{apps}: acknowledged by {who}: {reason}"
    entries.log(entries.WARNING, entries.ACKNOWLEDGED_ID, text)
    entries.tell_audited(done.head, {})
    return head.alarm or ("the chain",)


def begin_anew(reason: str, who: str, directory: Path = STATE) -> Path:
    """Put the chain aside, and begin one that has the reason. Returns where the old one is. Raises
    OSError; then it can be repeated.
    """
    with locked(directory):
        at = time.time_ns() // 1000
        aside = directory / f"aside-{at // 1_000_000}"
        aside.mkdir(mode=0o755)
        names = [one.name for one in directory.iterdir() if is_ours(one.name)]
        # The head last: without it there is no chain, whatever else is still there.
        for name in [*names, HEAD]:
            if (directory / name).exists():
                (directory / name).rename(aside / name)
        line = {"at": at, "n": 1, "anew": reason, "by": who, "aside": aside.name}
        done = append(Chain.begun(directory, machine_id()), Addition([line], at, "", None, {}))
    text = f"the chain of audits is put aside in {aside} by {who}: {reason}"
    entries.log(entries.WARNING, entries.ACKNOWLEDGED_ID, text)
    entries.tell_audited(done.head, {})
    return aside
