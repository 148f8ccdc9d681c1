"""make chaos HOSTS=3 FAULTS=N SEED=S SUITE=trixie|bookworm: faults at random on several hosts.

python3 -m tests.chaos.hosts --suite trixie --faults 300 --seed 1

Three hosts with etcd and several Apps, the receiver on a fourth: see hosts_faults.py. The verdict
is from the receiver's journal alone. All faults of a round are repaired, then each App must count
again by itself, soon.

There are two more witnesses. What was written to the Apps' keys shows whether whoever took an App
compared, and went on from the count that was reached: see tests/judges/history.py. What senders
have sent shows two at once where the receiver refuses one of them: see tests/judges/sent.py. That
is known, and no fault, of an App that counts on without etcd, because a person has chosen that; and
of a process that was stopped in the instant between a look at its deadline and the sending, by a
fault or for want of a CPU, and goes on later.
"""

from __future__ import annotations

import argparse
import gzip
import json
import secrets
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.chaos.hosts_actions import strike
from tests.chaos.hosts_arena import Arena, Skipped
from tests.chaos.hosts_faults import BY_NAME, Fault, schedule
from tests.chaos.pressure import OVERLOADED, Pressure
from tests.chaos.silence import (
    NOTHING,
    SEVERAL,
    Silence,
    Strike,
    Worst,
    silences,
    worst_by_kind,
)
from tests.judges import checker, history
from tests.judges.sent import Late, late
from tests.lab import roots
from tests.lab.machine import HANG
from tests.lab.paths import BUILD

RECOVERY_LIMIT = 5.0
"""Seconds after the last repair in which an App must count again, unless this machine, on which all
hosts run, is overloaded. `make test` asks for less, since it has to pass on any."""
SLACK = 1.5
"""Seconds before a line in which a fault may have been repaired whose effect comes after that line:
etcd elects a leader then, and a receiver that comes back has first the counts that waited for it.
"""
SILENT = HANG
"""Seconds after which an App will not count again."""
STOPPED = {"pause", "hang", "unit-frozen", "host-frozen"}
"""Faults after which a process goes on with what was under way."""
GOES_ON = 0.5
"""Seconds after such a fault in which the rest of what was under way is sent."""
SETTLES = 2.0
"""Seconds after that in which an App may still move: a person has asked for it, or a process hangs
and is not killed yet."""
QUIET = 1.0
"""Seconds without a fault then, before the next round: no App may move."""


@dataclass(frozen=True)
class Options:
    """What to run."""

    suite: str
    faults: int
    seed: int
    keep: Path
    recovery: float = RECOVERY_LIMIT


@dataclass(frozen=True)
class HostStrike(Strike):
    """A fault as it happened, and on which host."""

    host: str = ""


@dataclass
class Result:
    """What came of it. problems: violations and Apps that did not count again, as text.

    overloaded: recoveries that were too slow, and Apps that moved, while this machine was short of
    CPU. skipped: faults
    that found nothing to strike. worst: of each kind of fault.
    """

    suite: str
    seed: int
    counts: int = 0
    sessions: int = 0
    seconds: float = 0.0
    pressure: float = 0.0
    skipped: int = 0
    sent: int = 0
    written: int = 0
    late: list[str] = field(default_factory=list)
    violations: dict[str, int] = field(default_factory=dict)
    overloaded: list[str] = field(default_factory=list)
    worst: dict[str, Worst] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        """How many faults struck."""
        return sum(worst.injected for worst in self.worst.values())


class Campaign:
    """Four hosts, one seed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._strikes: list[HostStrike] = []
        self._quiet: list[tuple[float, float]] = []
        self._result = Result(options.suite, options.seed)

    def run(self) -> Result:
        """Inject everything. Stops at the end of the first round that has shown a problem."""
        options, result = self._options, self._result
        begin = time.monotonic()
        with Pressure() as self._pressure, Arena(options.suite) as arena:
            rounds = schedule(options.seed, options.faults, [*arena.apps])
            self._settle(arena)
            for number, faults in enumerate(rounds):
                self._inject(arena, faults)
                self._settle(arena)
                self._judge(arena)
                print(f"round {number}: {self._progress()}", flush=True)
                if result.problems:
                    break
            self._keep(arena)
        result.seconds = time.monotonic() - begin
        result.pressure = self._pressure.share(begin, time.monotonic())
        return result

    def _inject(self, arena: Arena, faults: Sequence[Fault]) -> None:
        """Each fault in a thread of its own; returns when all are repaired."""
        begin = time.monotonic()
        threads = [
            threading.Thread(target=self._strike, args=(arena, fault, begin + fault.at))
            for fault in faults
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _strike(self, arena: Arena, fault: Fault, at: float) -> None:
        time.sleep(max(0.0, at - time.monotonic()))
        begin, host, error = time.monotonic(), "", ""
        try:
            host = strike(arena, fault)
        except Skipped as skipped:
            error = str(skipped)
        # pylint: disable-next=broad-exception-caught  # in a thread, nobody else would know of it
        except Exception as broken:
            error = f"{type(broken).__name__}: {broken}"
            self._result.problems.append(f"{fault} could not be injected or repaired: {error}")
        self._strikes.append(
            HostStrike(
                fault.number,
                fault.kind,
                fault.concerns,
                begin,
                time.monotonic(),
                error=error,
                host=host,
            )
        )

    def _settle(self, arena: Arena) -> None:
        silent = arena.wait_counting(time.monotonic(), SILENT)
        self._result.problems += [f"{app} did not count again" for app in silent]
        time.sleep(SETTLES)
        begin = time.monotonic()
        time.sleep(QUIET)
        self._quiet.append((begin, time.monotonic()))

    def _judge(self, arena: Arena) -> None:
        self._entries = arena.journal()
        verdict = checker.check(self._entries, elsewhere=True)
        result = self._result
        result.counts = sum(map(len, verdict.lines.values()))
        result.sessions = len(verdict.sessions)
        result.skipped = sum(bool(strike.error) for strike in self._strikes)
        result.violations = {
            str(kind): len(verdict.of(kind)) for kind in checker.Kind if kind not in _OF_PID_1
        }
        result.problems += [f"{f.kind}: {f.app}: {f.text}" for f in verdict.faults]
        result.problems += [f"unproven: {f.app}: {f.text}" for f in verdict.unproven]
        result.problems += [f"no line of {app}" for app in arena.apps if app not in verdict.lines]
        self._judge_moves(verdict.sessions)
        some = list(silences(verdict.lines, self._strikes, slack=SLACK))
        self._judge_sent(arena)
        self._judge_written(arena)
        result.worst = worst_by_kind(some, self._strikes)
        slow = [silence for silence in some if silence.recovery > self._options.recovery]
        hard = [s for s in slow if self._pressure.share(s.begin, s.end) > OVERLOADED]
        result.overloaded += [_describe(silence) for silence in hard]
        result.problems += [f"too long: {_describe(s)}" for s in slow if s not in hard]

    def _judge_moves(self, sessions: Iterable[checker.Session]) -> None:
        """A host that gets no CPU for most of a lease loses it."""
        hard = [span for span in self._quiet if self._pressure.share(*span) > OVERLOADED]
        calm = [span for span in self._quiet if span not in hard]
        self._result.problems += wandering(sessions, calm)
        self._result.overloaded = wandering(sessions, hard)

    def _judge_sent(self, arena: Arena) -> None:
        self._sent = arena.sent()
        found = late(self._sent)
        self._result.sent = len(self._sent)
        known = [one for one in found if self._is_known(arena, one)]
        self._result.late = [str(one) for one in known]
        self._result.problems += [f"late: {one}" for one in found if one not in known]
        senders = {one.app for one in self._sent}
        self._result.problems += [f"nothing sent by {a}" for a in arena.apps if a not in senders]

    def _judge_written(self, arena: Arena) -> None:
        written = arena.written()
        self._result.written = len(written)
        self._result.problems += [f"key: {text}" for text in history.wrong(written)]
        apps = {one.app for one in written}
        self._result.problems += [f"no key of {app}" for app in arena.apps if app not in apps]

    def _is_known(self, arena: Arena, found: Late) -> bool:
        """Whether it is one of the cases that are no fault."""
        at, host = found.sent.at, found.sent.host
        return (
            "SENDRECV_ETCD_OUTAGE=continue" in arena.apps[found.sent.app]
            or self._pressure.share(at - 1, at) > OVERLOADED
            or any(
                strike.kind in STOPPED
                and strike.host == host
                and strike.begin < at < strike.end + GOES_ON
                for strike in self._strikes
            )
        )

    def _progress(self) -> str:
        result = self._result
        recovery = max((worst.recovery for worst in result.worst.values()), default=0)
        return (
            f"{result.injected} faults, {result.skipped} skipped, {result.counts} counts, "
            f"{result.sessions} sessions, {result.sent} batches sent, {len(result.late)} late, "
            f"{result.written} writes, "
            f"{sum(result.violations.values())} violations, "
            f"worst recovery {recovery:.2f} s, {len(result.overloaded)} too slow while overloaded, "
            f"CPU pressure {self._pressure.share(time.monotonic() - 20, time.monotonic()):.0%}"
        )

    def _keep(self, arena: Arena) -> None:
        """The receiver's journal as it was judged, what was injected, and all hosts' journals."""
        keep = self._options.keep / f"hosts-{self._options.suite}-{self._options.seed}"
        keep.mkdir(parents=True, exist_ok=True)
        with gzip.open(keep / "judged.json.gz", "wt", encoding="utf-8") as file:
            for entry in self._entries:
                file.write(f"{json.dumps(entry)}\n")
        sent = "".join(f"{one}\n" for one in self._sent)
        (keep / "sent").write_text(sent, encoding="utf-8")
        for name, host in arena.cluster.hosts.items():
            told = host.run("journalctl -q --no-pager -o short-monotonic", check=False).stdout
            (keep / f"{name}.journal").write_text(told, encoding="utf-8")
        strikes = sorted(self._strikes, key=lambda strike: strike.begin)
        lines = [json.dumps(asdict(strike)) for strike in strikes]
        (keep / "faults").write_text("\n".join(lines), encoding="utf-8")
        (keep / "problems").write_text("\n".join(self._result.problems), encoding="utf-8")


_OF_PID_1 = {checker.Kind.OVERLAP, checker.Kind.UNKNOWN}
"""Of what a receiver's host alone can know nothing, when the senders are elsewhere."""


def wandering(
    sessions: Iterable[checker.Session], quiet: Sequence[tuple[float, float]]
) -> list[str]:
    """Sessions that begin in a time in which nothing happens, in words."""
    return [
        f"{one.app} wanders: epoch {one.epoch} at {one.at:.3f}, and nothing had happened"
        for one in sessions
        if any(begin < one.at < end for begin, end in quiet)
    ]


def _describe(silence: Silence) -> str:
    faults = ", ".join(
        f"{s.kind} {s.app} {getattr(s, 'host', '')} {s.begin:.3f}-{s.end:.3f}"
        for s in silence.strikes
    )
    return (
        f"{silence.app} silent {silence.begin:.3f} to {silence.end:.3f} ({silence.seconds:.2f} s), "
        f"{silence.recovery:.2f} s after the last of: {faults or 'nothing'}"
    )


def table(result: Result) -> str:
    """The result in Markdown."""
    violations = ", ".join(f"{kind}: {count}" for kind, count in result.violations.items())
    rows = [
        f"**{result.suite}**, seed {result.seed}: {result.injected} faults, {result.counts} counts,"
        f" {result.sessions} sessions in {result.seconds / 60:.0f} minutes, CPU pressure"
        f" {result.pressure:.0%}.",
        f"{violations}; slower than the limit on an overloaded machine: {len(result.overloaded)};"
        f" faults that found nothing to strike: {result.skipped}.",
        f"Keys were written {result.written} times, and {result.sent} batches of counts sent; sent"
        " after another host had, by a process that had been stopped, or that counted on without"
        f" etcd: {len(result.late)}.",
        "",
        "| fault | what | injected | alone | worst silence alone (s) | worst recovery (s) |",
        "|---|---|--:|--:|--:|--:|",
    ]
    names = [*BY_NAME, SEVERAL, NOTHING]
    rows += [_row(name, result.worst[name]) for name in names if name in result.worst]
    return "\n".join(rows)


def _row(name: str, worst: Worst) -> str:
    what = BY_NAME[name].what if name in BY_NAME else ""
    silence = f"{worst.silence:.2f}" if worst.alone else "-"
    injected = str(worst.injected) if name in BY_NAME else "-"
    return f"| {name} | {what} | {injected} | {worst.alone} | {silence} | {worst.recovery:.2f} |"


def main() -> int:
    """Run it; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos.hosts", description=__doc__)
    parser.add_argument("--hosts", type=int, choices=[3], default=3, help="with etcd and Apps")
    parser.add_argument("--suite", choices=roots.RELEASES, default="trixie")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="default: at random, and printed")
    parser.add_argument("--recovery", type=float, default=RECOVERY_LIMIT, help="at most, seconds")
    parser.add_argument("--keep", type=Path, default=BUILD / "chaos")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    print(f"{arguments.suite}, several hosts, {arguments.faults} faults, seed {seed}", flush=True)
    options = Options(arguments.suite, arguments.faults, seed, arguments.keep, arguments.recovery)
    result = Campaign(options).run()
    print(table(result))
    for slow in result.overloaded:
        print(f"too long, overloaded: {slow}")
    for problem in result.problems[:40]:
        print(problem)
    if result.problems:
        print(f"FAILED with seed {seed}; the journals are in {options.keep}")
    return 1 if result.problems or not result.counts else 0


if __name__ == "__main__":
    sys.exit(main())
