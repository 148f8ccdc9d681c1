"""The lives of an App's runs in their order, and the takeovers from one to the next.

The receiver's order counts: that in which it admitted runs, on whichever host they were. A run that
was never admitted stands before the next one of its host that was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sendrecv.proof.judge.findings import Ends, Exhibit
from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.judge.processes import Takeover, kind_of_takeover
from sendrecv.proof.judge.runs import Run
from sendrecv.proof.judge.sessions import Session
from sendrecv.proof.judge.timeline import Timeline
from sendrecv.proof.statements import Counted

IN_PLACE = ("takeover", "restart")
"""The kinds of takeover of an App that goes on on its host, see processes.Takeover."""


@dataclass(frozen=True)
class Life:
    """A run, and what it counted at one stretch. Either may be unknown, not both.

    On several hosts one run may count, stand by, and count again. node: as the receiver printed it.
    A run that was never admitted printed none, and has that of other runs of its unit on its host;
    if there are none: on one machine its unit's role, on several "?".
    """

    run: Run | None
    session: Session | None
    node: str = "?"


def with_nodes(lives: Sequence[Life], *, several: bool) -> tuple[Life, ...]:
    """The lives, each with its node. several: the App is on several hosts."""
    nodes = {
        (life.run.machine, life.run.unit): life.session.node
        for life in lives
        if life.run and life.session
    }
    return tuple(replace(life, node=_node(life, nodes, several)) for life in lives)


def _node(life: Life, nodes: Mapping[tuple[str, str], str], several: bool) -> str:
    if life.session:
        return life.session.node
    if life.run is None:
        return "?"
    return nodes.get((life.run.machine, life.run.unit), "?" if several else life.run.role)


def lives_of(app: str, sessions: Sequence[Session], runs: Sequence[Run]) -> Iterator[Life]:
    """Those that are not settled. `sessions`: in the receiver's order. `runs`: those of each host
    in the order of PID 1.
    """
    admitted = {session.run for session in sessions}
    known = {run.run: run for run in runs}
    left = {run.run: run for run in runs if app not in run.settled_for}
    for session in sessions:
        if session.settled:
            left.pop(session.run, None)
            continue
        run = known.get(session.run)
        if run is not None:
            for before in [one for one in left.values() if _is_before(one, run)]:
                if before.run not in admitted:
                    yield Life(left.pop(before.run), None)
        left.pop(session.run, None)
        yield Life(run, session)
    for run in left.values():
        yield Life(run, None)


def _is_before(one: Run, other: Run) -> bool:
    return one.machine == other.machine and one.first.order < other.first.order


@dataclass(slots=True)
class Takeovers:
    """From each life to the next, in figures.

    `several`: the App is on several hosts. Then a run that was never admitted stood by, and does
    not count. Whether it is, may turn out late: so both are counted, see course.Past.
    """

    several: bool = field(metadata=NOT_KEPT)
    kinds: dict[str, int] = field(default_factory=dict)
    """How many there are of each kind, see processes.Takeover."""
    waits: tuple[int, int] | None = None
    """Microseconds from the exit to the next start, of those after which an App that is not stopped
    goes on on the same host: the least and the most.
    """
    silence: int | None = None
    """The longest of those after which an App that is not stopped goes on, in microseconds."""
    ends: Ends = field(default_factory=Ends)
    shown: list[Takeover] = field(default_factory=list, metadata=NOT_KEPT)
    """For those who look at them."""
    _before: Run | None = None
    _last: Counted | None = None

    def add(self, life: Life, timeline: Timeline) -> None:
        """The next one."""
        after = life.run
        if after is None or not self._took_part(life, after):
            return
        first = life.session.first if life.session else None
        if self._before and self._before is not after:
            kind = kind_of_takeover(timeline, self._before, after)
            self._add(Takeover(kind, self._before, after, self._last, first))
        self._before = after
        if life.session and life.session.last:
            self._last = life.session.last

    def _took_part(self, life: Life, run: Run) -> bool:
        return life.session is not None or not (self.several or run.only_waited)

    def _add(self, takeover: Takeover) -> None:
        self.shown.append(takeover)
        self.kinds[takeover.kind] = self.kinds.get(takeover.kind, 0) + 1
        for end in _ends(takeover):
            self.ends.add(end)
        if takeover.kind in IN_PLACE and takeover.started and takeover.exited:
            wait = takeover.started.at.mono - takeover.exited.at.mono
            least, most = self.waits or (wait, wait)
            self.waits = min(least, wait), max(most, wait)
        if takeover.kind in (*IN_PLACE, "host") and takeover.silence is not None:
            self.silence = max(self.silence or 0, takeover.silence)

    def of_kind(self, *kinds: str) -> int:
        """How many there are of these kinds."""
        return sum(self.kinds.get(kind, 0) for kind in kinds)


def _ends(takeover: Takeover) -> Iterator[Exhibit]:
    """The exit of one process and the start of the next; between hosts, the first count there."""
    exited, start, first = takeover.exited, takeover.started, takeover.first_count
    if exited:
        yield Exhibit(f"{takeover.before.unit} exited", exited.at, exited.ref)
    if start:
        yield Exhibit(f"{takeover.after.unit} starts", start.at, start.ref)
    elif first:
        yield Exhibit(
            f"the first there: count {first.number} from {first.node}", first.at, first.ref
        )
