"""The basis of each check: what it rests on, in words and in entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sendrecv.proof.judge import findings
from sendrecv.proof.judge.counts import Tally
from sendrecv.proof.judge.findings import Exhibit
from sendrecv.proof.judge.hosts import LEASE, RATES, Hosts
from sendrecv.proof.judge.processes import Takeover
from sendrecv.proof.judge.timeline import Run
from sendrecv.proof.statements import Counted

NO_COUNT = "no count of it is in the journal"
IN_PLACE = ("takeover", "restart")
"""The kinds of takeover of an App that goes on, see processes.Takeover."""
Shown = tuple[str, list[Exhibit]]


@dataclass(frozen=True)
class Basis:
    """What was read of one App."""

    runs: Sequence[Run]
    takeovers: Sequence[Takeover]
    tally: Tally
    hosts: Hosts

    def of(self, check: str) -> Shown:
        """What a check rests on: in words, and the entries."""
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
        if check == findings.ORDER and self._of_kind("host"):
            return LEASE
        return RATES if check == findings.OWN and self.hosts.elsewhere else ""

    def nothing(self, check: str) -> str:
        """Why there is nothing that a check could compare; "" if there is something."""
        sessions = self.tally.owners.sessions
        if check == findings.ORDER and not self.takeovers:
            return "no run was started after another"
        if check == findings.NEWER and sum(1 for one in sessions if one.counts) < 2:
            return "no more than one run counted"
        if check == findings.EPOCHS and sum(1 for one in sessions if one.claim) < 2:
            return "no more than one session"
        return ""

    def _processes(self) -> Shown:
        text = f"{number(len(self.runs), 'run')} of its senders"
        if self.hosts.several and self.hosts.machines:
            text += f" on {number(len(self.hosts.machines), 'host')}, on each one at a time"
        exhibits = [Exhibit(f"{run.unit}: first", run.first.at, run.first.ref) for run in self.runs]
        return text, exhibits

    def _takeovers(self) -> Shown:
        waits = [
            one.started.at.mono - one.exited.at.mono
            for one in self.takeovers
            if one.started and one.exited and one.kind in IN_PLACE
        ]
        text = number(self._of_kind("takeover"), "takeover")
        if restarts := self._of_kind("restart"):
            text += f", {number(restarts, 'restart')} of the same half"
        if waits:
            text += f", the next start {ms(min(waits))} to {ms(max(waits))} after the exit"
        if moves := self._of_kind("host"):
            text += f"; {moves} from host to host"
        if others := self._of_kind("start", "boot"):
            text += f"; {number(others, 'start')} after a boot, or after both had been stopped"
        return text, [mark for takeover in self.takeovers for mark in _ends(takeover)]

    def _of_kind(self, *kinds: str) -> int:
        return sum(1 for takeover in self.takeovers if takeover.kind in kinds)

    def _counts(self) -> Shown:
        tally = self.tally
        if not tally.first or not tally.last:
            return NO_COUNT, []
        text = f"{number(tally.counts, 'count')}, {tally.first.number} to {tally.last.number}"
        if tally.forgotten:
            text += f", in {len(tally.forgotten) + 1} incarnations: the App was forgotten"
        return text, [counted("first", tally.first), counted("last", tally.last)]

    def _owners(self) -> Shown:
        text = f"{number(sum(1 for s in self.tally.owners.sessions if s.counts), 'run')} counted"
        if late := sum(session.printed_late for session in self.tally.owners.sessions):
            text += f"; {late} printed by the next receiver"
        if self.tally.owners.latest:
            text += f"; one {ms(self.tally.owners.latest)} after its exit"
        return text, self._counts()[1]

    def _epochs(self) -> Shown:
        claims = [session.claim for session in self.tally.owners.sessions if session.claim]
        if not claims:
            return "no session line", []
        text = f"{number(len(claims), 'session')}, epoch {claims[0].epoch} to {claims[-1].epoch}"
        return text, [Exhibit(f"epoch {claim.epoch}", claim.at, claim.ref) for claim in claims]


def _ends(takeover: Takeover) -> Iterator[Exhibit]:
    """The exit of one process and the start of the next; between hosts, the first count there."""
    exited, start, first = takeover.exited, takeover.started, takeover.first_count
    if exited:
        yield Exhibit(f"{takeover.before.unit} exited", exited.at, exited.ref)
    if start:
        yield Exhibit(f"{takeover.after.unit} starts", start.at, start.ref)
    elif first:
        yield counted("the first there", first)


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
