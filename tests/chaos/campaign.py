"""Carries out a schedule batch by batch, and judges each: by all that the journal has ever had, and
by an observer outside the journal.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.chaos.arena import APPS, KEPT, Arena
from tests.chaos.faults import VACUUMS, Fault, schedule
from tests.chaos.memory import Memory
from tests.chaos.pressure import OVERLOADED, Pressure
from tests.chaos.silence import Silence, Span, Strike, Worst, silences, worst_by_kind
from tests.judges import checker, outside
from tests.lab.machine import HANG
from tests.lab.nspawn import NspawnError

BATCH = 60
PROBLEM = "PROBLEM:"
"""Begins each line that a run prints of what was wrong."""
RECOVERY_LIMIT = 5.0
"""Seconds after the last fault in which an App must count again, unless the host is overloaded: on
an idle machine of today. `make test` asks for less, since it has to pass on any."""


@dataclass(frozen=True)
class Options:
    """What to run."""

    suite: str
    faults: int
    seed: int
    keep: Path
    batch: int = BATCH
    recovery: float = RECOVERY_LIMIT


@dataclass
class Seen:
    """What the two witnesses have seen. unproven: what may have been violations, had journald not
    been down. told: counts of which a receiver said that it cannot tell. unknowable: violations
    where faults had taken each trace of what was violated, see memory.py. observed: lines that the
    observer outside the journal saw; unseen: counts in the journal that it did not see.
    """

    unproven: int = 0
    told: int = 0
    unknowable: list[str] = field(default_factory=list)
    observed: int = 0
    unseen: int = 0


@dataclass
class Result:
    """What came of it. problems: violations and Apps that did not count again, as text.

    overloaded: recoveries that were too slow while the host, not the machine, was short of CPU.
    pressure: the share of the time in which something waited for a CPU.
    """

    suite: str
    seed: int
    counts: int = 0
    runs: int = 0
    seconds: float = 0.0
    violations: dict[str, int] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    proof: str = ""
    pressure: float = 0.0
    overloaded: list[str] = field(default_factory=list)
    worst: dict[str, Worst] = field(default_factory=dict)
    triggers: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        """How many faults struck."""
        return sum(worst.injected for worst in self.worst.values())


class Campaign:
    """One machine, one seed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._strikes: list[Strike] = []
        self._result = Result(options.suite, options.seed)

    def run(self) -> Result:
        """Inject everything. Stops at the end of the first batch that has shown a problem."""
        begin = time.monotonic()
        options = self._options
        with Pressure() as self._pressure, Arena(options.suite) as arena:
            for number, batch in enumerate(
                schedule(options.seed, options.faults, [*APPS], options.batch)
            ):
                self._inject(arena, batch, copy=number % 2 == 0)
                self._judge(arena)
                print(f"batch {number}: {self._progress()}", flush=True)
                if self._result.problems:
                    break
            self._prove(arena)
            if self._result.problems or self._result.seen.unknowable:
                self._keep(arena)
        self._result.seconds = time.monotonic() - begin
        self._result.pressure = self._pressure.share(begin, time.monotonic())
        return self._result

    def _inject(self, arena: Arena, batch: Sequence[Fault], copy: bool) -> None:
        by_number = {fault.number: fault for fault in batch}
        last = batch[-1]
        save = max(0.1, last.at - 1 - 15 * last.chance) if last.kind == "journal-lost" else 0.0
        power: float | None = None
        with closing(arena.inject(batch, save, copy)) as reports:
            for report in reports:
                if "power" in report:
                    power = report["at"]
                    break
                self._note(report, by_number)
        if power:
            # Not before the injector has ended: a shutdown stops it, and nsenter with it, for good.
            self._lose_power(arena, batch, power)

    def _lose_power(self, arena: Arena, batch: Sequence[Fault], at: float) -> None:
        power = replace(self._power(arena, batch[-1], at), gone=arena.gone())
        begun = {strike.number for strike in self._strikes}
        lost = [fault for fault in batch[:-1] if fault.number not in begun]
        # What was still under way when the power went: when it struck is not known.
        self._strikes += [
            Strike(f.number, f.kind, f.app, power.begin - f.hold, power.begin) for f in lost
        ]
        self._strikes.append(power)
        for report in arena.inject([]):
            self._note(report, {})

    def _power(self, arena: Arena, fault: Fault, at: float) -> Strike:
        if fault.kind == "reboot":
            arena.make_room()
            self._reboot(arena)
            return Strike(fault.number, fault.kind, "", at, time.monotonic() - 1)
        arena.machine.power_cut()
        arena.make_room()
        error = ""
        if fault.kind == "journal-lost" and not arena.lose_journal():
            error = "no journal was kept"
        back = time.monotonic()
        arena.machine.boot()
        return Strike(fault.number, fault.kind, "", at, back, fault.trigger, error)

    def _reboot(self, arena: Arena) -> None:
        """Asks a second time: PID 1 forgets what it is asked while it re-executes."""
        look = ""
        for _ in range(2):
            try:
                return arena.machine.reboot(HANG / 2)
            except NspawnError:
                look = _look(arena)
        self._result.problems.append(f"it did not reboot:\n{look}")
        arena.machine.power_cut()
        return arena.machine.boot()

    def _note(self, report: Mapping[str, Any], faults: Mapping[int, Fault]) -> None:
        if "settled" in report:
            self._result.problems += [f"{app} did not count again" for app in report["silent"]]
            return
        fault, gone = faults[report["fault"]], report["gone"]
        self._strikes.append(
            Strike(
                fault.number,
                fault.kind,
                fault.app,
                report["begin"],
                report["end"],
                report["trigger"],
                report["error"],
                None if gone is None else tuple(Span(*span) for span in gone),
            )
        )

    def _judge(self, arena: Arena) -> None:
        self._entries = arena.journal()
        before, self._log = self._result.seen.observed, arena.observed()
        vacuums = [(s.begin, s.end) for s in self._strikes if s.kind in VACUUMS]
        verdict = checker.check(self._entries, taken=vacuums)
        result = self._result
        faults = self._faults(verdict)
        result.counts = sum(map(len, verdict.lines.values()))
        result.runs = sum(map(len, verdict.runs.values()))
        result.violations = {
            str(kind): sum(fault.kind is kind for fault in faults) for kind in checker.Kind
        }
        result.seen.unproven = len(verdict.unproven)
        result.triggers = {}
        for strike in self._strikes:
            result.triggers[strike.trigger] = result.triggers.get(strike.trigger, 0) + 1
        some = list(silences(verdict.lines, self._strikes))
        result.worst = worst_by_kind(some, self._strikes)
        result.problems += [_told(fault) for fault in faults]
        result.problems += [f"no line of {app}" for app in APPS if not verdict.lines.get(app)]
        # How many counts it has missed is a figure: it is away for a moment at each boot.
        if result.seen.observed == before:
            result.problems.append("the observer has seen nothing since the last batch")
        slow = [silence for silence in some if silence.recovery > self._options.recovery]
        hard = [s for s in slow if self._pressure.share(s.begin, s.end) > OVERLOADED]
        result.overloaded = [_describe(silence) for silence in hard]
        result.problems += [f"too long: {_describe(s)}" for s in slow if s not in hard]

    def _faults(self, verdict: checker.Verdict) -> list[checker.Fault]:
        """By both witnesses, but for what nobody could know."""
        observed = outside.read(self._log)
        # Its end is when the machine was down: it printed between the decision and that.
        cuts = [s.end for s in self._strikes if s.kind in {"power-cut", "journal-lost"}]
        faults = [*verdict.faults, *outside.judge(observed, verdict, cuts)]
        memory = Memory(self._strikes, verdict)
        known = [fault for fault in faults if not memory.could_not_know(fault)]
        result = self._result
        result.seen.unknowable = [_told(fault) for fault in faults if fault not in known]
        result.seen.observed = sum(map(len, observed.lines.values()))
        result.seen.unseen = outside.unseen(observed, verdict)
        ranges = {(app, one) for app, some in observed.told.items() for one in some}
        ranges |= {(app, one) for app, some in verdict.told.items() for one in some}
        result.seen.told = sum(last - first + 1 for _, (first, last) in ranges)
        return known

    def _prove(self, arena: Arena) -> None:
        """What the package's own proof says of the same journal: it must not contradict.

        Audits may have seen what faults took later: then a violation that no receiver could know of
        is one all the same, and the proof says so.
        """
        done = arena.machine.run("sendrecv proof", check=False)
        said = {0: "PROVEN", 1: "VIOLATED", 2: "INCONCLUSIVE"}
        result = self._result
        result.proof = said.get(done.returncode, f"exit {done.returncode}: {done.stderr}")
        is_violated, violations = result.proof == "VIOLATED", sum(result.violations.values())
        if is_violated and not violations and not result.seen.unknowable:
            result.problems.append(f"the proof says {_findings(done.stdout)}\n{done.stdout}")
        if violations and not is_violated:
            result.problems.append(f"the proof says {result.proof}:\n{done.stdout}")

    def _progress(self) -> str:
        result, seen = self._result, self._result.seen
        recovery = max((worst.recovery for worst in result.worst.values()), default=0)
        return (
            f"{result.injected} faults, {result.counts} counts, {result.runs} runs, "
            f"{seen.observed} lines observed, {seen.unseen} counts not, "
            f"{seen.told} said to be unproven, {len(seen.unknowable)} unknowable, "
            f"{sum(result.violations.values())} violations, worst recovery {recovery:.2f} s, "
            f"{len(result.overloaded)} too slow on an overloaded host, CPU pressure "
            f"{self._pressure.share(time.monotonic() - 30, time.monotonic()):.0%}"
        )

    def _keep(self, arena: Arena) -> None:
        """The journal, what was injected, and the part of both around each problem."""
        keep = self._options.keep
        keep.mkdir(parents=True, exist_ok=True)
        stem = f"{self._options.suite}-{self._options.seed}"
        command = f"journalctl '{KEPT}' -o export | gzip > /var/lib/chaos/export.gz"
        export = arena.machine.run(command, check=False)
        if not export.returncode:
            arena.machine.get("/var/lib/chaos/export.gz", keep / f"{stem}.journal.export.gz")
        with gzip.open(keep / f"{stem}.journal.json.gz", "wt", encoding="utf-8") as file:
            for entry in self._entries:
                file.write(f"{json.dumps(entry)}\n")
        with gzip.open(keep / f"{stem}.observed.gz", "wt", encoding="utf-8") as file:
            file.write(self._log)
        strikes = [asdict(strike) for strike in self._strikes]
        (keep / f"{stem}.faults.json").write_text(json.dumps(strikes), encoding="utf-8")
        (keep / f"{stem}.problems").write_text("\n".join(self._result.problems), encoding="utf-8")


def _findings(proof: str) -> str:
    """In one line, what is VIOLATED: the rest may be long."""
    lines = (line.strip() for line in proof.splitlines())
    return "; ".join(line for line in lines if line.startswith(("VIOLATED", "!")))


def _told(fault: checker.Fault) -> str:
    return f"{fault.kind}: {fault.app}: {fault.text}"


def _look(arena: Arena) -> str:
    """Why a machine does not go down."""
    command = "systemctl list-jobs --no-pager; ps axfo pid,stat,etime,wchan:20,args | tail -40"
    return arena.machine.run(command, check=False).stdout


def _describe(silence: Silence) -> str:
    faults = ", ".join(f"{s.kind} {s.app} {s.begin:.3f}-{s.end:.3f}" for s in silence.strikes)
    return (
        f"{silence.app} silent {silence.begin:.3f} to {silence.end:.3f} ({silence.seconds:.2f} s), "
        f"{silence.recovery:.2f} s after the last of: {faults or 'nothing'}"
    )
