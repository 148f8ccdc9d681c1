"""One audit, as `sendrecv audit` makes it, of entries that are given; and the truth compared."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from sendrecv.proof.audit import audit as real
from sendrecv.proof.audit.periods import AuditPeriod
from sendrecv.proof.audit.reading import Outcome, hashes_of, judge_of, mark_of
from sendrecv.proof.audit.room import Room
from sendrecv.proof.chain.store import Chain
from sendrecv.proof.evidence import statements, text, time_of
from sendrecv.proof.judge.findings import NO_GAP, Finding
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, Judge, Verdict
from sendrecv.proof.read.mark import ReadMark, place
from tests.bench.year import Truth


def audit(directory: Path, machine: str, entries: Sequence[bytes]) -> Verdict:
    """Reads the chain, and adds to it. It is the time of the last entry."""
    chain = Chain.read(directory, machine) or Chain.begun(directory, machine)
    mark = mark_of(chain)
    judge, hashes, period = (
        judge_of(chain),
        hashes_of(chain),
        AuditPeriod(mark.boots if mark else frozenset()),
    )
    for _, said in statements(entries):
        judge.feed(said)
        hashes.feed(said)
        period.feed(said)
    state = judge.state()
    verdict = judge.verdict()
    mark = _moved(mark, text(entries[-1], b"__CURSOR"))
    outcome = Outcome(verdict, state, period, hashes, mark, None, Room())
    real.appended(chain, outcome, [], time_of(entries[-1]).wall)
    return verdict


def _moved(mark: ReadMark | None, cursor: str) -> ReadMark:
    found = place(cursor)
    if not found:
        raise ValueError(f"{cursor!r} is no cursor")
    boots = mark.boots if mark else frozenset()
    return ReadMark(cursor, boots | {found.boot}, {found.numbering: found.number})


def joined(directory: Path, entries: Iterable[bytes]) -> Verdict:
    """As `sendrecv proof`: the chain, and what came since."""
    chain = Chain.read(directory)
    if chain is None:
        raise ValueError(f"{directory} has no chain")
    judge: Judge = judge_of(chain)
    for _, said in statements(entries):
        judge.feed(said)
    return judge.verdict()


def differences(verdict: Verdict, truth: Truth) -> list[str]:
    """Where the verdict does not say what happened."""
    app = verdict.apps[0]
    gaps = [one for check, one in app.doubts if check == NO_GAP]
    pairs = {
        "counts": (app.tally.counts, truth.counts),
        "takeovers": (app.number_of_takeovers, truth.takeovers),
        "runs": (app.sums.runs, truth.runs),
        "epochs": (app.sums.epochs, (1, truth.runs)),
        "longest silence": (app.figures.silence, truth.silence),
        "unproven counts": (sorted(map(_unproven, gaps)), truth.unproven),
        "other doubts": (sum(1 for _ in app.doubts) - len(gaps), 0),
        "verdict": (verdict.status, INCONCLUSIVE if truth.unproven else PROVEN),
    }
    return [f"{name}: {one}, not {other}" for name, (one, other) in pairs.items() if one != other]


def _unproven(gap: Finding) -> tuple[int, int, int]:
    first, last = (int(word) for word in gap.text.split() if word.isdigit())
    return first, last, gap.exhibits[-1].at.wall
