"""Results of chaos as a table, in Markdown.

python3 -m tests.chaos.table .build/chaos/*.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.campaign import Result, Seen
from tests.chaos.faults import BY_NAME
from tests.chaos.silence import NOTHING, SEVERAL, Worst


def table(results: Sequence[Result]) -> str:
    """The sums of all results, and the worst."""
    worst: dict[str, Worst] = {}
    for result in results:
        for kind, one in result.worst.items():
            worst[kind] = _merge(worst.get(kind, Worst()), one)
    rows = [_row(kind, worst[kind]) for kind in [*BY_NAME, SEVERAL, NOTHING] if kind in worst]
    header = (
        "| fault | what | injected | alone | worst silence alone (s) | worst recovery (s) |\n"
        "|---|---|--:|--:|--:|--:|"
    )
    suites = sorted({result.suite for result in results})
    sums = [_summary([result for result in results if result.suite == suite]) for suite in suites]
    return "\n".join([*sums, _triggers(results), "", header, *rows])


def _summary(results: Sequence[Result]) -> str:
    """Of one release."""
    violations: dict[str, int] = {}
    for result in results:
        _add(violations, result.violations)
    minutes = sum(result.seconds for result in results) / 60
    pressures = [result.pressure for result in results]
    slow = sum(len(result.overloaded) for result in results)
    return "\n".join(
        [
            f"**{results[0].suite}**, seeds {', '.join(str(r.seed) for r in results)}: "
            f"{sum(r.injected for r in results)} faults, {sum(r.counts for r in results)} counts, "
            f"{sum(r.runs for r in results)} runs in {minutes:.0f} minutes, "
            f"CPU pressure {min(pressures):.0%} to {max(pressures):.0%}.",
            f"{', '.join(f'{kind}: {count}' for kind, count in violations.items())}; "
            f"unproven: {sum(r.seen.unproven for r in results)}, "
            f"slower than 5 s on an overloaded host: {slow}; "
            f"sendrecv proof: {', '.join(sorted({r.proof for r in results}))}.",
            f"Outside the journal {sum(r.seen.observed for r in results)} lines were observed, "
            f"{sum(r.seen.unseen for r in results)} counts were not; "
            f"counts of which a receiver could not tell: {sum(r.seen.told for r in results)}; "
            "violations where nothing was left that could know: "
            f"{sum(len(r.seen.unknowable) for r in results)}.",
            "",
        ]
    )


def _triggers(results: Sequence[Result]) -> str:
    triggers: dict[str, int] = {}
    for result in results:
        _add(triggers, result.triggers)
    named = {name or "power cut first": count for name, count in triggers.items()}
    return "Triggers: " + ", ".join(f"{name}: {n}" for name, n in sorted(named.items())) + "."


def _add(sums: dict[str, int], more: dict[str, int]) -> None:
    for key, value in more.items():
        sums[key] = sums.get(key, 0) + value


def _merge(one: Worst, other: Worst) -> Worst:
    return Worst(
        one.injected + other.injected,
        one.alone + other.alone,
        max(one.silence, other.silence),
        max(one.recovery, other.recovery),
    )


def _row(kind: str, worst: Worst) -> str:
    what = BY_NAME[kind].what if kind in BY_NAME else ""
    silence = f"{worst.silence:.2f}" if worst.alone else "-"
    injected = str(worst.injected) if kind in BY_NAME else "-"
    return f"| {kind} | {what} | {injected} | {worst.alone} | {silence} | {worst.recovery:.2f} |"


def read(files: Iterable[str]) -> list[Result]:
    """Results as __main__ keeps them."""
    results = []
    for name in files:
        values = json.loads(Path(name).read_text(encoding="utf-8"))
        worst = {kind: Worst(**one) for kind, one in values.pop("worst").items()}
        seen = Seen(**values.pop("seen"))
        results.append(Result(**values, worst=worst, seen=seen))
    return results


if __name__ == "__main__":
    print(table(read(sys.argv[1:])))
