"""The run of each count of one App: its sessions, and counts at a time when they should not come.

The payload names a node, not a run. A count belongs to the newest run that the receiver admitted,
by its "session" line, unless the count has another node. (Both are lines of one stream, so the
journal has them in the order of printing.) If there is no such line, PID 1's runs and the node
decide, and the verdict says so. In two cases a count may be printed after its run has ended:

- It was on its way. LATE is the limit: the watchdog kills a receiver that takes longer.
- The receiver was killed between recording and printing it, or the machine lost what journald had
  not synced. The next receiver prints exactly the missing lines, before it is ready. So this case
  ends when PID 1 says that the receiver is ready, and SKEW later, because entries of PID 1 and of
  the receiver reach journald by different routes.

In neither case may a newer run's count have come before.

Both cases are told by one clock: that of the host on which the receiver and the run were. A run on
another host is not compared with the receiver's lines by time, except for how long it lasted: see
hosts.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sendrecv.proof.judge.findings import EPOCHS, NEWER, OWN, WHOLE, Book, Exhibit
from sendrecv.proof.judge.kept import NOT_KEPT
from sendrecv.proof.judge.runs import EntryMark, Run
from sendrecv.proof.judge.sessions import Session, Sessions
from sendrecv.proof.judge.timeline import Timeline
from sendrecv.proof.statements import At, Claimed, Counted, Forgotten

LATE = 15_000_000
"""Microseconds. The receiver gives up a write after 10 s; its watchdog kills it 1.05 s later."""
SKEW = 2_000_000


@dataclass(slots=True)
class Owners:
    """Fed with the receiver's lines of one App, in their order."""

    app: str = field(metadata=NOT_KEPT)
    timeline: Timeline = field(metadata=NOT_KEPT)
    book: Book = field(metadata=NOT_KEPT)
    sessions: Sessions = field(default_factory=Sessions)
    instances: set[str] = field(default_factory=set)
    """Those whose runs were admitted for this App."""
    receivers: dict[str, Claimed | Counted] = field(default_factory=dict)
    """The hosts whose receivers admitted its runs or printed its counts, with their first lines."""
    latest: int = 0
    """Microseconds after its run's end of the latest count that was on its way."""
    _claimed: Claimed | None = None
    _highest: Claimed | None = None
    _roles: dict[str, str] = field(default_factory=dict)
    """Node to role, as learned from claims."""
    _first_claims: dict[str, Claimed] = field(default_factory=dict)
    """Of each run."""

    @property
    def needed(self) -> set[str]:
        """The runs to which what may come can refer."""
        return {session.run for session in self.sessions.referred}

    def forget(self) -> None:
        """The App is forgotten: epochs begin anew."""
        self._claimed = self._highest = None
        self.sessions.forget()

    def drop(self) -> None:
        """Keep only that to which what may come can refer."""
        if self.sessions.drop(self.timeline.runs):
            runs = {session.run for session in self.sessions}
            nodes = {session.node for session in self.sessions}
            self._first_claims = {
                run: claim for run, claim in self._first_claims.items() if run in runs
            }
            self._roles = {node: role for node, role in self._roles.items() if node in nodes}

    def claim(self, said: Claimed) -> None:
        """The receiver admitted a run."""
        self.receivers.setdefault(said.at.machine, said)
        before = self._claimed
        session = self.sessions.current
        if before and (before.run, before.epoch) == (said.run, said.epoch):
            if session and session.run == said.run:
                session.since = self.timeline.order + 1
            return  # the same run again, after the receiver was restarted
        earlier = self._highest
        if earlier and said.epoch <= earlier.epoch:
            text = f"epoch {said.epoch} was admitted after epoch {earlier.epoch}"
            self.book.violation(EPOCHS, text, exhibit(earlier), exhibit(said))
        self._disown(said)
        session = self.sessions.current
        if session is None or session.run != said.run:
            session = self.sessions.current = self.sessions.add(said.node, said.run)
        session.claim = self._claimed = said
        session.since = self.timeline.order + 1
        if earlier is None or said.epoch > earlier.epoch:
            self._highest = said
        self._judge_node(said)
        self._admitted(said)

    def _judge_node(self, said: Claimed) -> None:
        """A run is one process, and a process is one node."""
        first = self._first_claims.setdefault(said.run, said)
        if first.node != said.node:
            text = f"run {said.run[:8]} was admitted as {first.node} and as {said.node}"
            self.book.violation(OWN, text, exhibit(first), exhibit(said))

    def _disown(self, said: Claimed) -> None:
        """Take back counts that this receiver printed before it admitted the run."""
        session = self.sessions.current
        if session is None or session.run != said.run or session.last is None:
            return
        if session.claim is not None:
            return  # the same run, under another epoch
        if session.last.stream != said.stream:
            return  # it was an earlier receiver's, whose line about the run is missing
        before = self.sessions.before(session)
        if before and before.node == session.node and session is self.sessions.kept[-1]:
            self.sessions.take_back(before)
        else:
            session.run = ""

    def _admitted(self, said: Claimed) -> None:
        run = self.timeline.runs.get(said.run)
        if run is None:
            return
        if run.machine != said.at.machine:
            return
        self.instances.add(run.instance)
        self._roles[said.node] = run.role
        end = run.ended
        if run.boot.over or (end and elapsed(end.at, said.at) > LATE):
            exhibits = [_ended(run, end)] if end else []
            text = f"{run.unit} was admitted after it had ended"
            self.book.violation(OWN, text, *exhibits, exhibit(said))

    def session_of(self, said: Counted, since: int) -> Session:
        """The session of a count. `since`: as in EntryMark.order, after the last count."""
        self.receivers.setdefault(said.at.machine, said)
        session = self.sessions.current
        if session is None or session.node != said.node:
            return self._other_session(said, session, since)
        if not self._receiver_starts(said):
            session.latest = said
        run = self._run_here(session.run, said)
        if run is None or not run.over:
            session.since = self.timeline.order + 1
            return session
        if unclaimed := self._unclaimed(said, alive=True):
            return self._assume(said, unclaimed)
        if self._is_of_one_lost(said, session, run, session.since):
            return self._assume(said, None)
        self._judge_late(said, session, run)
        return session

    def _run_here(self, name: str, said: Counted) -> Run | None:
        """A run on the host of the receiver that printed this count."""
        run = self.timeline.runs.get(name)
        return run if run and run.machine == said.at.machine else None

    def _other_session(self, said: Counted, session: Session | None, since: int) -> Session:
        """There is no session, or it is of another node."""
        if unclaimed := self._unclaimed(said, alive=True):
            return self._assume(said, unclaimed)
        if session is None:
            return self._assume(said, None)
        older = next((s for s in reversed(self.sessions.newest) if s.node == said.node), None)
        run = self._run_here(older.run, said) if older else None
        if older is not None:
            since = max(older.since, session.since)
            if not self._is_of_one_lost(said, older, run, since):
                self._judge_older(said, older)
                return older
        if unclaimed := self._unclaimed(said, alive=False):
            return self._assume(said, unclaimed)
        self._judge_unknown(said, since)
        return self.sessions.add(said.node, "")  # an unknown process: the current session goes on

    def _is_of_one_lost(self, said: Counted, session: Session, run: Run | None, since: int) -> bool:
        """Whether it need not be of this session, and lines are missing since then: it may be of a
        run whose start and session line are among them. What a starting receiver prints again need
        not be, if lines are certainly missing.
        """
        late = run is not None and run.over and not self._is_on_its_way(said, run)
        if not (late or session.overtaken):
            return False
        only_certain = self._receiver_starts(said)
        return self.timeline.excuse(since, said.at.machine, certain=only_certain) is not None

    def _judge_older(self, said: Counted, older: Session) -> None:
        first = older.overtaken
        run = self._run_here(older.run, said)
        if first is not None:
            text = f"count {said.number} from {said.node} came after a newer run's first count"
            if self._receiver_starts(said) and self._lines_were_lost(said, run):
                # Printed again; a still newer run's session may have been lost with its count.
                text += ", or the session of its run was lost as the machine went down"
                self.book.doubt(NEWER, text, exhibit(first), exhibit(said))
            else:
                self.book.violation(NEWER, text, exhibit(first), exhibit(said))
        if run and run.over:
            self._judge_late(said, older, run)

    def _lines_were_lost(self, said: Counted, run: Run | None) -> bool:
        """Whether the receiver's host went down without a shutdown after this run was admitted. Of
        a run on another host, only the last boot of the receiver's host tells.
        """
        if run:
            return run.boot.over and not run.boot.clean
        boot = self.timeline.boots.of.get(said.at.place)
        return boot is not None and boot.unclean_before

    def _judge_unknown(self, said: Counted, since: int) -> None:
        """No run of its node is known; what was lost, or is printed again, may be why."""
        since = 0 if self._receiver_starts(said) else since
        excuse = self.timeline.excuse(since, said.at.machine)
        text = f"count {said.number} is from {said.node}, of which no run is known"
        if excuse:
            self.book.doubt(OWN, f"{text}: {excuse.text}", exhibit(said), *excuse.exhibits)
        else:
            self.book.violation(OWN, text, exhibit(said))

    def _judge_late(self, said: Counted, session: Session, run: Run) -> None:
        """The count's run has ended, at least with its boot."""
        end = run.ended
        if end and self._is_on_its_way(said, run):
            self.latest = max(self.latest, elapsed(end.at, said.at))
        elif self._receiver_starts(said):
            session.printed_late += 1
            if run.boot.over and not run.boot.clean:
                self._lost_with_the_power(said, run)
        else:
            exhibits = [_ended(run, end)] if end else []
            text = f"count {said.number} from {said.node} was printed after its run had ended"
            # If the receiver's start is not in the journal, it may just have started.
            known = self.timeline.receiver(said.at) is not None
            find = self.book.violation if known else self.book.doubt
            find(OWN, text, *exhibits, exhibit(said))

    @staticmethod
    def _is_on_its_way(said: Counted, run: Run) -> bool:
        end = run.ended
        return end is not None and not run.boot.over and elapsed(end.at, said.at) <= LATE

    def _receiver_starts(self, said: Counted) -> bool:
        """Whether the receiver may still be printing what an earlier one could not."""
        receiver = self.timeline.receiver(said.at)
        if receiver is None:
            return False
        return receiver.started is None or elapsed(receiver.started.at, said.at) <= SKEW

    def _lost_with_the_power(self, said: Counted, run: Run) -> None:
        text = (
            f"count {said.number} was lost as the machine went down, and printed again by the"
            " receiver; entries of PID 1 may be lost too"
        )
        last = Exhibit("the last entry before", run.boot.last, run.boot.last_ref)
        self.book.doubt(WHOLE, text, last, exhibit(said))

    def _assume(self, said: Counted, run: Run | None) -> Session:
        """Begin a session without its session line, which may still come."""
        session = self.sessions.current = self.sessions.add(said.node, run.run if run else "")
        return session

    def _unclaimed(self, said: Counted, *, alive: bool) -> Run | None:
        """The newest run that may have sent this count, and of which there is no session."""
        receiver = self.timeline.receiver(said.at)
        if receiver and receiver.started is None:
            return None  # the receiver admits nobody yet, and prints lines that were missing
        role = self._roles.get(said.node, said.node)
        session = self.sessions.current
        current = self.timeline.runs.get(session.run) if session else None
        claimed = {session.run for session in self.sessions}
        if current and current.machine != said.at.machine:
            return None
        for instance in self.instances or {self.app}:
            lineage = self.timeline.by_instance.get((said.at.machine, instance))
            for run in reversed(lineage.runs if lineage else []):
                if run.boot.over or (current and run.first.order <= current.first.order):
                    break
                if run.role == role and run.run not in claimed and _may_send(run, said, alive):
                    return run
        return None

    def judge_claim(self, session: Session, *, from_the_start: bool) -> None:
        """Its session line will not come any more. `from_the_start`: the journal begins with the
        first count.
        """
        run = self.timeline.runs.get(session.run)
        # The first session may be older than the journal, if its run is.
        older = session.number == 0 and not (from_the_start or (run and run.starting))
        if session.claim is None and not older:
            self._no_claim(session, run)

    def _no_claim(self, session: Session, run: Run | None) -> None:
        whose = f"{run.unit}, run {run.run[:8]}" if run else f"a run of {session.node}"
        first = [exhibit(session.first)] if session.first else []
        self.book.doubt(EPOCHS, f"{whose} counted, but its session line is missing", *first)
        if run is None:
            self.book.doubt(OWN, f"{whose} counted, but which is not known", *first)


def elapsed(earlier: At, later: At) -> int:
    """Microseconds, on one host; by the wall clock only between two boots."""
    if earlier.place == later.place:
        return later.mono - earlier.mono
    return later.wall - earlier.wall


def _may_send(run: Run, said: Counted, alive: bool) -> bool:
    if run.ended is None:
        return run.started is not None
    return not alive and elapsed(run.ended.at, said.at) <= LATE


def _ended(run: Run, end: EntryMark) -> Exhibit:
    return Exhibit(f"{run.unit} ended", end.at, end.ref)


def exhibit(said: Counted | Claimed | Forgotten) -> Exhibit:
    """A line of the receiver, as an exhibit."""
    if isinstance(said, Forgotten):
        return Exhibit("forgotten", said.at, said.ref)
    if isinstance(said, Counted):
        return Exhibit(f"count {said.number} from {said.node}", said.at, said.ref)
    what = f"session of {said.node}, epoch {said.epoch}, run {said.run[:8]}"
    return Exhibit(what, said.at, said.ref)
