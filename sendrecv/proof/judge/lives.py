"""The lives of an App's runs in their order, and the takeovers from one to the next.

The receiver's order counts: that in which it admitted runs, on whichever host they were. A run that
was never admitted stands before the next one of its host that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sendrecv.proof.judge.owners import Session
from sendrecv.proof.judge.processes import Takeover, kind_of_takeover
from sendrecv.proof.judge.timeline import Run, Timeline
from sendrecv.proof.statements import Counted


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


def lives_of(
    sessions: Sequence[Session], runs: Sequence[Run], *, several: bool = False
) -> tuple[Life, ...]:
    """`sessions`: in the receiver's order. `runs`: those of each host in the order of PID 1.
    several: the App is on several hosts.
    """
    lives = list(_lives(sessions, runs))
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


def _lives(sessions: Sequence[Session], runs: Sequence[Run]) -> Iterator[Life]:
    admitted = {session.run for session in sessions}
    left = {run.run: run for run in runs}
    known = dict(left)
    for session in sessions:
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


def takeovers_of(
    timeline: Timeline, lives: Iterable[Life], *, several: bool
) -> tuple[Takeover, ...]:
    """`several`: the App is on several hosts. Then a run that was never admitted stood by."""
    return tuple(_takeovers(timeline, lives, several))


def _takeovers(timeline: Timeline, lives: Iterable[Life], several: bool) -> Iterator[Takeover]:
    last: Counted | None = None
    for before, after in pairwise(life for life in lives if _took_part(life, several)):
        if before.session and before.session.last:
            last = before.session.last
        first = after.session.first if after.session else None
        if before.run and after.run and before.run is not after.run:
            kind = kind_of_takeover(timeline, before.run, after.run)
            yield Takeover(kind, before.run, after.run, last, first)


def _took_part(life: Life, several: bool) -> bool:
    if life.run is None:
        return False
    return life.session is not None or not (several or life.run.only_waited)
