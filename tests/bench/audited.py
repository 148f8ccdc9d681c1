"""One audit, as `sendrecv audit` makes it, of entries that are given; and the truth compared."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sendrecv.proof.chain.append import News, append
from sendrecv.proof.chain.evidence import Hashes
from sendrecv.proof.chain.store import Chain
from sendrecv.proof.evidence import statements, text, time_of
from sendrecv.proof.judge.findings import NO_GAP, Finding
from sendrecv.proof.judge.verdict import INCONCLUSIVE, PROVEN, AppVerdict, Judge, Verdict
from sendrecv.proof.read.mark import Mark, place
from sendrecv.proof.show.history import HOUR, moment
from tests.bench.year import Truth


def audit(directory: Path, machine: str, entries: Sequence[bytes]) -> Verdict:
    """Reads the chain, and adds to it."""
    chain = Chain.read(directory, machine) or Chain.begun(directory, machine)
    judge, memory = _judge(chain), chain.memory()
    hashes = Hashes(**memory.get("hashes", {}))
    for _, said in statements(entries):
        judge.feed(said)
        hashes.feed(said)
    state = judge.state()
    verdict = judge.verdict()
    at, cursor = time_of(entries[-1]).wall, text(entries[-1], b"__CURSOR")
    number = chain.head.number + 1
    lines = [_line(app, at, number, hashes) for app in verdict.apps]
    lines.append({"at": at, "machine": machine, "n": number, "verdict": verdict.status})
    news = {
        "hashes": {"machine": hashes.machine, "of_app": hashes.of_app},
        "mark": _mark(cursor).as_json(),
    }
    append(chain, News(lines, at, cursor, state, news))
    return verdict


def _judge(chain: Chain) -> Judge:
    state = chain.state()
    return Judge.resume(state) if state else Judge(alone=True)


def joined(directory: Path, entries: Iterable[bytes]) -> Verdict:
    """As `sendrecv proof`: the chain, and what came since."""
    chain = Chain.read(directory)
    if chain is None:
        raise ValueError(f"{directory} has no chain")
    judge = _judge(chain)
    for _, said in statements(entries):
        judge.feed(said)
    return judge.verdict()


def _line(app: AppVerdict, at: int, number: int, hashes: Hashes) -> dict[str, Any]:
    hours = Counter(str(moment(one) // HOUR) for one in app.takeovers)
    evidence = hashes.of_app[app.app]
    figures = {"counts": app.tally.counts, "hours": hours, "evidence": evidence}
    return {"at": at, "app": app.app, "n": number, "verdict": app.status, **figures}


def _mark(cursor: str) -> Mark:
    found = place(cursor)
    if not found:
        raise ValueError(f"{cursor!r} is no cursor")
    return Mark(cursor, frozenset([found.boot]), {found.numbering: found.number})


def differences(verdict: Verdict, truth: Truth) -> list[str]:
    """Where the verdict does not say what happened."""
    app = verdict.apps[0]
    gaps = [one for check in app.checks if check.name == NO_GAP for one in check.findings]
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
