"""Judges a journal: was every count printed once, in order, by one sender at a time?

It reads entries as `journalctl -o json` prints them, and shares no code with what it judges. It
goes by fields that only journald sets (their names begin with "_"): nobody can plant a line.

- a payload is a line of receiver.service's standard output at priority 6;
- a run begins with PID 1's "Starting" and ends with the first entry in which PID 1 says that the
  process has ended: its exit, or the unit's success or failure (which come after it). It is one
  process: a sender's unit is never restarted in place;
- a session is the receiver's word that it has let a run in, with a new epoch.

While journald is down, PID 1 does not log to it; nor from the moment on at which it has begun to
stop it, which may take long before journald says so. Where journald was restarted between the start
of a run without an end and the next start, nothing is known of that end: this is unproven, and no
fault. Nor
is a gap between two lines between which journald was killed: what it had read and not written is
lost. Nor are counts that the receiver names in a line "unproven {...}", nor what a vacuum may have
taken whose time is told.

    journalctl -o json | python3 -m tests.judges.checker
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

Value = TypeVar("Value")
Entry = Mapping[str, Any]

# systemd.catalog's message IDs.
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
ENDED = {
    "98e322203f7a4ed290d09fe03c09fe15": "process exited",
    "7ad2d189f7e94e70a38c781354912448": "succeeded",
    "d9b373ed55a64feb8242e02dbe79a49c": "failed",
}
JOURNAL_STARTED = "f77379a8490b408bbe5f6940505a777b"
JOURNAL_STOPPED = "d93fb3c9c24d451a97cea615ce59c00b"
_SETTLES = 2.0
"""Seconds after journald's start in which PID 1 may not know of it yet, and logs elsewhere."""
_OUTAGE = 10.0
"""Seconds before a session in which journald may have missed the start of its run. Seconds, too,
that journald may take to stop."""
_SENDER = re.compile(r"(sender|sender-failover)@(.+)\.service")
_CURSOR = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+);.*")
_PAYLOAD = re.compile(r'\{"count": (0|[1-9]\d*), "appID": "([^"\\]+)", "nodeID": "([^"\\]+)"\}')


class Kind(StrEnum):
    """What can be wrong."""

    DUPLICATE = "duplicate"  # a count printed again
    CONFLICT = "conflict"  # ... with another nodeID
    GAP = "gap"  # a count left out
    DISORDER = "disorder"  # a count that was left out comes late
    OVERLAP = "overlap"  # a process started before the one before it had ended
    UNKNOWN = "unknown run"  # a process that PID 1 did not start was admitted
    EPOCH = "epoch"  # a session whose epoch is not above that of the one before


@dataclass(frozen=True)
class Where:
    """The place of an entry in the journal, and the process whose entry it is.

    sequence, number: journald numbers its entries, and each of the journal's files has one range of
    numbers of one sequence, so these tell which file has the entry. (A time does not: two entries
    may have the same.) All three are empty if the entry does not have them.
    """

    sequence: str = ""
    number: int = 0
    pid: str = ""


@dataclass(frozen=True)
class Line:
    """A payload as printed; `at` in seconds of the monotonic clock of boot `boot`."""

    app: str
    node: str
    count: int
    boot: str
    at: float
    where: Where = Where()


@dataclass(frozen=True)
class Run:
    """A sender's process, as PID 1 saw it; `ended` is None if the journal has no end of it."""

    unit: str
    invocation: str
    boot: str
    started: float
    ended: float | None
    how: str


@dataclass(frozen=True)
class Session:
    """A run that the receiver admitted."""

    app: str
    epoch: int
    run: str
    boot: str
    at: float
    where: Where = Where()


@dataclass(frozen=True)
class Doubt:
    """When the entry must have been written whose absence makes a fault."""

    boot: str
    since: float
    until: float
    line: bool = False
    """Whether it is a line of the receiver: those, only a journald that is killed loses."""


@dataclass(frozen=True)
class Fault:
    """One violation, shown by an entry of the time `at`.

    doubt: set if it is one only because an entry is missing. counts: the first and the last one
    that it is about, if it is about counts. since: the time of the entry that it contradicts, or of
    the last one before what is missing.
    """

    kind: Kind
    app: str
    text: str
    at: float
    doubt: Doubt | None = None
    counts: tuple[int, int] = (0, -1)
    since: float = 0.0


@dataclass(frozen=True)
class Silence:
    """A time between two lines of an App in one boot."""

    seconds: float
    before: Line
    after: Line


@dataclass(frozen=True)
class Verdict:
    """What the journal shows. The Apps of `lines` are appIDs, those of `runs` instances.

    unproven: as faults, what may have been one, had journald not been down. sessions: in order.
    told: of each App, the counts that a receiver could not tell of, as first and last ones.
    killed: when journald was started after it had been killed.
    """

    lines: Mapping[str, tuple[Line, ...]]
    runs: Mapping[str, tuple[Run, ...]]
    faults: tuple[Fault, ...]
    unproven: tuple[Fault, ...] = ()
    sessions: tuple[Session, ...] = ()
    told: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    killed: tuple[float, ...] = ()

    def of(self, kind: Kind) -> tuple[Fault, ...]:
        """The faults of one kind."""
        return tuple(fault for fault in self.faults if fault.kind is kind)

    def silences(self, app: str) -> list[Silence]:
        """The times between the App's lines, the longest first."""
        lines = self.lines.get(app, ())
        pairs = zip(lines, lines[1:], strict=False)
        times = [Silence(b.at - a.at, a, b) for a, b in pairs if a.boot == b.boot]
        return sorted(times, key=lambda silence: -silence.seconds)

    def __str__(self) -> str:
        lines = sum(map(len, self.lines.values()))
        runs = sum(map(len, self.runs.values()))
        kinds = ", ".join(f"{kind}: {len(self.of(kind))}" for kind in Kind)
        first = "".join(f"\n  {fault.app}: {fault.text}" for fault in self.faults[:10])
        unproven = f", unproven: {len(self.unproven)}" if self.unproven else ""
        return f"{len(self.lines)} Apps, {lines} lines, {runs} runs; {kinds}{unproven}{first}"


def check(
    entries: Iterable[Entry],
    *,
    first: int | None = 0,
    taken: Iterable[tuple[float, float]] = (),
    elsewhere: bool = False,
) -> Verdict:
    """Judges the entries, given in the journal's order.

    `first`: what each App's counts begin with, None if they may begin with any. `taken`: times, in
    seconds of one clock of all boots, of which a vacuum may have taken entries. `elsewhere`: the
    senders are on other hosts, so this journal has none of their runs: only lines and sessions are
    judged. Without a single line or run this finds no fault: whoever asks must also look whether
    there was anything to see.
    """
    seen = _Seen(taken)
    for entry in entries:
        seen.take(entry)
    found = [fault for app in seen.lines for fault in _judge_counts(app, seen.lines[app], first)]
    found += [fault for app in seen.runs for fault in _judge_runs(app, seen.runs[app])]
    found += _judge_sessions(seen.sessions, None if elsewhere else seen.known)
    unproven = [fault for fault in found if seen.journal_was_down(fault) or seen.is_told(fault)]
    faults = [fault for fault in found if fault not in unproven]
    return Verdict(
        _frozen(seen.lines),
        _frozen(seen.runs),
        tuple(faults),
        tuple(unproven),
        tuple(seen.sessions),
        _frozen(seen.told),
        seen.killed,
    )


class _Seen:
    """What the entries say, sorted by what it is about."""

    def __init__(self, taken: Iterable[tuple[float, float]]) -> None:
        self._taken = list(taken)
        self.told: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.lines: dict[str, list[Line]] = defaultdict(list)
        self.runs: dict[str, list[Run]] = defaultdict(list)
        self.sessions: list[Session] = []
        self.known: set[str] = set()  # the invocations of senders that PID 1 has ever named
        self._said: dict[str, float] = {}  # when PID 1's last entry was sent, in each boot
        self._journal_started: list[tuple[str, float, float]] = []  # with that time
        self._journal_killed: list[tuple[str, float]] = []  # when it was started again
        self._journal_runs: set[str] = set()  # in these boots, as far as was read

    def take(self, entry: Entry) -> None:
        """One entry, in the journal's order."""
        if line := _payload(entry):
            self.lines[line.app].append(line)
        elif session := _session(entry):
            self.sessions.append(session)
        elif said := _remark(entry, "unproven "):
            self.told[said["appID"]].append((said["first"], said["last"]))
        elif entry.get("_PID") == "1":
            self._pid_1(entry)
        elif entry.get("_TRANSPORT") == "driver":
            self._journald(str(entry.get("MESSAGE_ID")), *_when(entry))

    def _pid_1(self, entry: Entry) -> None:
        boot, at = _when(entry)
        self._said[boot] = at - _lag(entry)
        if _SENDER.fullmatch(str(entry.get("UNIT", ""))):
            self.known.add(str(entry.get("INVOCATION_ID", "")))
            if event := _sender_event(entry):
                _note(self.runs[event[0]], *event[1:])

    def _journald(self, message: str, boot: str, at: float) -> None:
        if message == JOURNAL_STOPPED:
            self._journal_runs.discard(boot)
        elif message == JOURNAL_STARTED:
            self._journal_started.append((boot, self._said.get(boot, 0.0), at))
            if boot in self._journal_runs:
                self._journal_killed.append((boot, at))
            self._journal_runs.add(boot)

    def journal_was_down(self, fault: Fault) -> bool:
        """Whether the evidence against it may be missing only because journald was not there."""
        doubt = fault.doubt
        if doubt is None:
            return False
        if any(doubt.since < end and begin <= doubt.until for begin, end in self._taken):
            return True
        if doubt.line:
            return any(
                boot == doubt.boot and doubt.since < at <= doubt.until
                for boot, at in self._journal_killed
            )
        return any(
            boot == doubt.boot
            and doubt.since - _SETTLES < started < doubt.until + _OUTAGE
            and said < doubt.until
            for boot, said, started in self._journal_started
        )

    def is_told(self, fault: Fault) -> bool:
        """Whether each count that it misses is one that a receiver could not tell of."""
        first, last = fault.counts
        return fault.kind is Kind.GAP and are_told(self.told.get(fault.app, ()), first, last)

    @property
    def killed(self) -> tuple[float, ...]:
        """See Verdict."""
        return tuple(at for _, at in self._journal_killed)


def are_told(told: Iterable[tuple[int, int]], first: int, last: int) -> bool:
    """Whether each of the counts `first` to `last` is in one of those ranges."""
    for begin, end in sorted(told):
        if begin <= first <= end:
            first = end + 1
    return first > last


def _frozen(lists: Mapping[str, list[Value]]) -> Mapping[str, tuple[Value, ...]]:
    return {app: tuple(values) for app, values in lists.items()}


def _payload(entry: Entry) -> Line | None:
    trusted = (entry.get("_SYSTEMD_UNIT"), entry.get("_TRANSPORT"), entry.get("PRIORITY"))
    message = entry.get("MESSAGE")
    if trusted != ("receiver.service", "stdout", "6") or not isinstance(message, str):
        return None
    if not (found := _PAYLOAD.fullmatch(message)):
        return None
    count, app, node = found.groups()
    return Line(app, node, int(count), *_when(entry), where(entry))


def _remark(entry: Entry, kind: str) -> Mapping[str, Any]:
    """What the receiver says that is no payload, if it is of that kind."""
    trusted = (entry.get("_SYSTEMD_UNIT"), entry.get("_TRANSPORT"), entry.get("PRIORITY"))
    message = entry.get("MESSAGE")
    if trusted != ("receiver.service", "stdout", "5") or not isinstance(message, str):
        return {}
    said = json.loads(message.removeprefix(kind)) if message.startswith(f"{kind}{{") else {}
    return dict(said)


def _session(entry: Entry) -> Session | None:
    said = _remark(entry, "session ")
    if not said:
        return None
    return Session(said["appID"], said["epoch"], said["run"], *_when(entry), where(entry))


def _when(entry: Entry) -> tuple[str, float]:
    return str(entry.get("_BOOT_ID")), int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6


def _lag(entry: Entry) -> float:
    """Seconds that an entry has waited for journald, in a flood. At most _OUTAGE: somebody may
    have set the wall clock.
    """
    sent, taken = entry.get("_SOURCE_REALTIME_TIMESTAMP"), entry.get("__REALTIME_TIMESTAMP")
    return min(max((int(taken) - int(sent)) / 1e6, 0.0), _OUTAGE) if sent and taken else 0.0


def where(entry: Entry) -> Where:
    """Of an entry as journalctl prints it."""
    found = _CURSOR.fullmatch(str(entry.get("__CURSOR", "")))
    pid = str(entry.get("_PID", ""))
    return Where(found[1], int(found[2], 16), pid) if found else Where(pid=pid)


def _sender_event(entry: Entry) -> tuple[str, Run] | None:
    """The App, and the run as this entry shows it: just started, or (`ended` set) ended."""
    message, unit = entry.get("MESSAGE_ID"), _SENDER.fullmatch(str(entry.get("UNIT", "")))
    if entry.get("_PID") != "1" or not unit or not (message == STARTING or message in ENDED):
        return None
    boot, at = _when(entry)
    how = ENDED.get(str(message), "")
    invocation = str(entry.get("INVOCATION_ID", ""))
    return unit[2], Run(unit[0], invocation, boot, at, at if how else None, how)


def _note(runs: list[Run], seen: Run) -> None:
    """Adds a start, or puts an end to the run it belongs to, if that has none yet."""
    if seen.ended is None:
        runs.append(seen)
        return
    for index in range(len(runs) - 1, -1, -1):
        run = runs[index]
        if (run.unit, run.invocation, run.boot) == (seen.unit, seen.invocation, seen.boot):
            if run.ended is None:
                runs[index] = Run(
                    run.unit, run.invocation, run.boot, run.started, seen.ended, seen.how
                )
            return


def _judge_counts(app: str, lines: Iterable[Line], first: int | None) -> Iterator[Fault]:
    printed: dict[int, Line] = {}
    highest = None if first is None else first - 1
    last: Line | None = None
    for line in lines:
        text = f"count {line.count} of {line.node} at {line.at:.3f}"
        if before := printed.get(line.count):
            kind = Kind.DUPLICATE if before.node == line.node else Kind.CONFLICT
            text += f", after {before.node} at {before.at:.3f}"
            yield Fault(kind, app, text, line.at, None, (line.count, line.count), before.at)
        elif highest is not None and line.count <= highest:
            since = min((b.at for b in printed.values() if b.count > line.count), default=0.0)
            text += f", after {highest}"
            yield Fault(Kind.DISORDER, app, text, line.at, None, (line.count, line.count), since)
        elif highest is not None and line.count > highest + 1:
            since = last.at if last else 0.0
            doubt = Doubt(line.boot, since, line.at, line=True)
            missing = (highest + 1, line.count - 1)
            text += f", {highest + 1} expected"
            yield Fault(Kind.GAP, app, text, line.at, doubt, missing, since)
        printed.setdefault(line.count, line)
        last = line
        highest = line.count if highest is None else max(highest, line.count)


def _judge_runs(app: str, runs: Iterable[Run]) -> Iterator[Fault]:
    """A run of an earlier boot has ended with it."""
    before: list[Run] = []
    for run in runs:
        before = [r for r in before if r.boot == run.boot and not _ended_by(r, run.started)]
        for other in before:
            end = "has no end" if other.ended is None else f"ended at {other.ended:.6f}"
            text = f"{run.unit} started at {run.started:.6f}, {other.unit} before it {end}"
            doubt = Doubt(run.boot, other.started, run.started) if other.ended is None else None
            yield Fault(Kind.OVERLAP, app, text, run.started, doubt)
        before.append(run)


def _judge_sessions(sessions: Iterable[Session], known: Container[str] | None) -> Iterator[Fault]:
    """A new ledger lets the run of before in again, with the epoch of before. `known`: None if
    nothing is known of runs."""
    before: dict[str, Session] = {}
    for session in sessions:
        app, text = session.app, f"epoch {session.epoch} of run {session.run} at {session.at:.3f}"
        if known is not None and session.run not in known:
            doubt = Doubt(session.boot, session.at - _OUTAGE, session.at)
            yield Fault(Kind.UNKNOWN, app, f"{text}, which is no run of a unit", session.at, doubt)
        last = before.get(app, session)
        if session.epoch < last.epoch or (session.epoch == last.epoch and session.run != last.run):
            text += f", after epoch {last.epoch}"
            yield Fault(Kind.EPOCH, app, text, session.at, since=last.at)
        before[app] = session


def _ended_by(run: Run, time: float) -> bool:
    return run.ended is not None and run.ended <= time


def main() -> int:
    """Judges standard input."""
    verdict = check(map(json.loads, sys.stdin), first=None)
    print(verdict)
    return 1 if verdict.faults or not verdict.lines else 0


if __name__ == "__main__":
    sys.exit(main())
