"""The basis of each check: what it rests on, in words and in entries."""

from __future__ import annotations

from dataclasses import dataclass

from sendrecv.proof.judge import findings
from sendrecv.proof.judge.counts import PrintedCounts
from sendrecv.proof.judge.course import Course
from sendrecv.proof.judge.findings import Exhibit
from sendrecv.proof.judge.hosts import LEASE, RATES, Hosts
from sendrecv.proof.judge.lives import Takeovers
from sendrecv.proof.statements import Counted

NO_COUNT = "no count of it is in the journal"
NO_SESSION = "no session line of the receiver is in the journal"
Shown = tuple[str, list[Exhibit]]


@dataclass(frozen=True)
class Basis:
    """What was read of one App, in figures."""

    course: Course
    hosts: Hosts

    @property
    def takeovers(self) -> Takeovers:
        """From run to run."""
        return self.course.moving if self.hosts.several else self.course.alone

    @property
    def tally(self) -> PrintedCounts:
        """Its counts."""
        return self.course.tally

    def of(self, check: str) -> Shown:
        """What a check rests on: in words, and the first and the last entry."""
        match check:
            case findings.ONE:
                return self._processes()
            case findings.ORDER:
                return self._takeovers()
            case findings.OWN | findings.NEWER:
                return self._owners()
            case findings.EPOCHS:
                return self._epochs()
            case findings.WHOLE:
                here = " of the hosts that are here" if self.hosts.missing else ""
                return f"nothing is known to be missing{here}", []
            case _:
                return self._counts()

    def rests_on(self, check: str) -> str:
        """What a check takes for granted, as no journal shows it; "" for nothing."""
        if check == findings.ONE and self.hosts.several:
            return LEASE
        if check == findings.ORDER and self.takeovers.of_kind("host"):
            return LEASE
        return RATES if check == findings.OWN and self.hosts.elsewhere else ""

    def nothing(self, check: str) -> str:
        """Why there is nothing that a check could compare; "" if there is something."""
        sums = self.course.sums
        if check == findings.ORDER and not self.takeovers.kinds:
            return "no run was started after another"
        if check == findings.NEWER and sums.counted < 2:
            return "no more than one run counted"
        if check == findings.EPOCHS and sums.claims < 2:
            return "no more than one session"
        return ""

    def _processes(self) -> Shown:
        sums = self.course.sums
        text = f"{number(sums.runs, 'run')} of its senders"
        if self.hosts.several and self.hosts.machines:
            text += f" on {number(len(self.hosts.machines), 'host')}, on each one at a time"
        ends = [sums.first_run, sums.last_run] if sums.runs > 1 else [sums.first_run]
        return text, [place[2] for place in ends if place]

    def _takeovers(self) -> Shown:
        takeovers = self.takeovers
        text = number(takeovers.of_kind("takeover"), "takeover")
        if restarts := takeovers.of_kind("restart"):
            text += f", {number(restarts, 'restart')} of the same half"
        if takeovers.waits:
            least, most = map(ms, takeovers.waits)
            text += f", the next start {least} to {most} after the exit"
        if moves := takeovers.of_kind("host"):
            text += f"; {moves} from host to host"
        if others := takeovers.of_kind("start", "boot"):
            text += f"; {number(others, 'start')} after a boot, or after both had been stopped"
        return text, takeovers.ends.both

    def _counts(self) -> Shown:
        tally = self.tally
        if not tally.first or not tally.last:
            return NO_COUNT, []
        text = f"{number(tally.counts, 'count')}, {tally.first.number} to {tally.last.number}"
        if tally.incarnations > 1:
            text += f", in {tally.incarnations} incarnations: the App was forgotten"
        return text, [counted("first", tally.first), counted("last", tally.last)]

    def _owners(self) -> Shown:
        sums = self.course.sums
        text = f"{number(sums.counted, 'run')} counted"
        if sums.printed_late:
            text += f"; {sums.printed_late} printed by the next receiver"
        if self.tally.owners.latest:
            text += f"; one {ms(self.tally.owners.latest)} after its exit"
        return text, self._counts()[1]

    def _epochs(self) -> Shown:
        sums = self.course.sums
        if sums.epochs is None:
            return "no session line", []
        first, last = sums.epochs
        text = f"{number(sums.claims, 'session')}, epoch {first} to {last}"
        return text, sums.sessions.both


def number(count: int, what: str) -> str:
    """So many of these."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def ms(microseconds: int) -> str:
    """A duration for people."""
    if microseconds < 10_000_000:
        return f"{microseconds / 1000:,.0f} ms"
    return f"{microseconds / 1_000_000:,.0f} s"


def counted(what: str, said: Counted) -> Exhibit:
    """A count, as an exhibit."""
    return Exhibit(f"{what}: count {said.number} from {said.node}", said.at, said.ref)
