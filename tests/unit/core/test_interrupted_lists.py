"""Every list of a sender's commands is interrupted after each command; the next process resumes.

test_interrupted.py meets the short lists in each order of events. Here are all that the table has,
the longer ones too, once for each row, state and choice of commands in brackets. The next process
has what is durable, and a receiver that has got what was sent before, or has not.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator

import pytest

from sendrecv.core.record import Record
from sendrecv.core.sender import SenderMachine
from sendrecv.core.sender_events import (
    Accepted,
    Answered,
    Connect,
    Connected,
    Emit,
    Persist,
    Refused,
    Resume,
    Resumed,
    SenderCommand,
    SenderEvent,
    Started,
    TimePassed,
)
from sendrecv.core.values import Value
from sendrecv.core.wire import MAX_COUNT, MAX_EPOCH, Refusal, Status
from tests.unit.core.sender_table import (
    ROWS,
    choices,
    condition_of,
    names,
    names_in,
    steps_met,
    told,
)
from tests.unit.core.sender_walks import Step, step

ENOUGH = 20
"""Things that happen before the next count is accepted, if nothing goes wrong."""

RAISED = "stale, first trouble", "stale, more trouble"
TOLD = (
    *("nothing to send", "counts to send", "the receiver is ahead", "ahead, we have no count"),
    *("its ledger is old", "stopping"),
)
"""Conditions of the table: what the receiver has said is believed."""


class Receiver(Value):
    """What it has of the App, and which ledger that is in. accepted: counts, since the cut."""

    epoch: int
    last: int
    ledger: str
    accepted: int = 0

    def after(self, command: SenderCommand) -> tuple[Receiver, SenderEvent | None]:
        """What it makes of a command, and its answer."""
        match command:
            case Connect(number, claim) if claim.epoch > self.epoch:
                return self.replace(epoch=claim.epoch), Connected(number)
            case Connect(number, _):
                return self, Refused(number, Refusal.STALE, self.epoch)
            case Resume(number, last):
                raised = self.replace(last=max(last, self.last))
                return raised, Resumed(number, raised.last, self.ledger)
            case Emit(number, first, last):
                assert self.last in (-1, first - 1), f"{command} to {self}"
                accepted = self.replace(last=last, accepted=last - first + 1)
                return accepted, Answered(number, Status.ACCEPTED, last)
        return self, None


def cuts(taken: Step) -> Iterator[tuple[Record, Receiver]]:
    """What is durable after each command but the last one, and what the receiver may have then."""
    record, receiver = record_before(taken), receiver_before(taken)
    lasts = {receiver.last}
    if taken.before._flight is not None and not isinstance(taken.event, Answered):
        lasts.add(taken.before._flight)
    for command in taken.commands:
        for last in sorted(lasts):
            yield record, receiver.replace(last=last)
        record = carried_out(record, command)
        if isinstance(command, Emit | Resume):
            lasts.add(max(command.last, receiver.last))
    for last in sorted(lasts):
        yield record, receiver.replace(last=last)


def record_before(taken: Step) -> Record:
    """At a start, it still has the epoch of the process before."""
    record = taken.before.record()
    return record.replace(epoch=record.epoch - isinstance(taken.event, Started))


def receiver_before(taken: Step) -> Receiver:
    """As the event has it, if that is believed."""
    machine, event = taken.before, taken.event
    condition = condition_of(taken)
    raised = isinstance(event, Refused) and condition in RAISED
    return Receiver(
        event.epoch if isinstance(event, Refused) and raised else machine.epoch,
        told(taken)[1] if condition in TOLD else machine.acknowledged,
        event.ledger if isinstance(event, Resumed) else machine._ledger.name,
    )


def carried_out(record: Record, command: SenderCommand) -> Record:
    """What is durable then."""
    match command:
        case Persist(new):
            assert (new.epoch, new.count) >= (record.epoch, record.count), f"{new} after {record}"
            return new
        case Emit(_, _, last):
            assert last <= record.count, f"{command} is not durable"
        case Connect(_, claim):
            assert claim.epoch == record.epoch, f"{command} is not durable"
    return record


def goes_on(taken: Step, record: Record, receiver: Receiver) -> bool:
    """The next process counts on, right behind what the receiver has; False if it need not."""
    app = taken.before.app.replace(run="2" * 32, node_id="failover")
    machine, now = type(taken.before)(app, record, record.epoch + 1, taken.now), taken.now
    events: deque[SenderEvent] = deque([Started()])
    for _ in range(ENOUGH):
        now = now if events else max(now, machine.deadline() or now)
        for command in machine.handle(events.popleft() if events else TimePassed(), now):
            record = carried_out(record, command)
            receiver, answer = receiver.after(command)
            events += [answer] if answer else []
        if receiver.accepted:
            return True
    # What a person has accepted is not durable.
    is_lost = machine.belief.doubt != "" and taken.before.belief.accepted != Accepted()
    assert is_lost or MAX_COUNT in (receiver.last, machine.count), f"{receiver} after {taken}"
    return False


def interrupt(taken: Step) -> list[bool]:
    """For each cut whether the next process goes on."""
    found = [(record, receiver) for record, receiver in cuts(taken) if record.epoch < MAX_EPOCH]
    return [goes_on(taken, record, receiver) for record, receiver in found]


def test_every_list_of_the_table_is_interrupted_and_resumed() -> None:
    steps = steps_met().values()
    found = [went_on for taken in steps for went_on in interrupt(taken)]
    print(f"{len(found)} cuts, {found.count(True)} went on")
    assert found.count(True) > 5 * found.count(False) > 100
    of_table = {(row.event, *names_in(row, choice)) for row in ROWS for choice in choices(row)}
    assert {(type(it.event).__name__, *names(it.commands)) for it in steps} == of_table


# Planted faults.


class PersistsLast(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        return sorted(commands, key=lambda command: isinstance(command, Persist))


class NeverAdopts(SenderMachine):
    def _adopt(self, last: int, now: int) -> list[SenderCommand]:
        return super()._adopt(min(last, self.count), now)


class KeepsItsEpoch(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        if isinstance(event, Refused):
            event = event.replace(reason=Refusal.FULL)
        return super().handle(event, now)


@pytest.mark.parametrize("kind", [PersistsLast, NeverAdopts, KeepsItsEpoch])
def test_a_planted_fault_is_found(kind: type[SenderMachine]) -> None:
    steps = steps_met().values()
    with pytest.raises(AssertionError):
        for taken in steps:
            machine = copy.copy(taken.before)
            machine.__class__ = kind
            interrupt(step(machine, taken.event, taken.now))
