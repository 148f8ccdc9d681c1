"""Walks of the sender's machine through all that may happen to it, likely or not."""

import copy
import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

from sendrecv.core.reach import EPOCHS, SPARE
from sendrecv.core.record import Record
from sendrecv.core.sender import SenderMachine, State
from sendrecv.core.sender_events import (
    Accepted,
    Answered,
    Closed,
    Connected,
    Exit,
    Refused,
    Resumed,
    SenderCommand,
    SenderEvent,
    Started,
    StopAsked,
    TimePassed,
)
from sendrecv.core.values import SECOND
from sendrecv.core.wire import MAX_COUNT, MAX_EPOCH, Refusal, Status
from tests.unit.core.senders import APP, NOW, record

LEDGER, OTHER = "1edce7" + "0" * 10, "0" * 16
APPS = (APP, APP.replace(interval=0))
FOUND: list[Record | None] = [
    None,
    record(-1, -1),
    record(-1, -1, due=NOW + 60 * SECOND),
    record(41, 41).replace(ledger=LEDGER),
    record(45, 41, due=NOW).replace(ledger=LEDGER),
    record(2000, 41).replace(ledger=OTHER),
    record(MAX_COUNT - 1, MAX_COUNT - 1),
    record(MAX_COUNT, MAX_COUNT - 1).replace(ledger=LEDGER),
]
"""What an earlier process may have left."""
CALM, DEPTH = 4, 2
"""Short walks have so many events, after each of the first ones of a calm walk."""
WALKS, LENGTH, SEED = 800, 100, 1
FAR = 10**9
"""No App has come so far in the time of a walk."""


class Step(NamedTuple):
    """What has happened to a machine, when; its commands; and the machine before and after."""

    before: SenderMachine
    event: SenderEvent
    now: int
    commands: list[SenderCommand]
    after: SenderMachine


def step(machine: SenderMachine, event: SenderEvent, now: int) -> Step:
    """What happens then."""
    after = copy.copy(machine)
    return Step(machine, event, now, after.handle(event, now), after)


def walks(kind: type[SenderMachine] = SenderMachine) -> Iterator[Step]:
    """Long walks at random, which are always the same, and then all short walks."""
    chance = random.Random(SEED)
    for _ in range(WALKS):
        app, found = chance.choice(APPS), chance.choice(FOUND)
        yield from random_walk(kind(app, found, 7, NOW), chance)
    for app, found in itertools.product(APPS, FOUND):
        yield from short_walks(kind(app, found, 7, NOW))


def short_walks(machine: SenderMachine) -> Iterator[Step]:
    """After each step of a calm walk, and of one whose first connection fails."""
    first = step(machine, Started(), NOW)
    for taken in (first, step(first.after, Closed(1, "gone"), NOW)):
        yield from along_a_calm_walk(taken)


def along_a_calm_walk(taken: Step) -> Iterator[Step]:
    for _ in range(CALM):
        yield taken
        yield from all_walks(taken.after, taken.now, DEPTH)
        taken = step(taken.after, *calm(taken.after, taken.now))


def all_walks(machine: SenderMachine, now: int, depth: int) -> Iterator[Step]:
    """From each state once."""
    found = {(*vars(machine).values(), now): (machine, now)}
    for _ in range(depth):
        before, found = found, {}
        for known, since in before.values():
            for event, at in itertools.product(events(known), times(known, since)[::2]):
                taken = step(known, event, at)
                yield taken
                if Exit() not in taken.commands:
                    found[*vars(taken.after).values(), at] = taken.after, at


def random_walk(machine: SenderMachine, chance: random.Random) -> Iterator[Step]:
    """Half of what happens is what would if nothing went wrong: chance alone seldom gets far."""
    taken = step(machine, Started(), NOW)
    yield taken
    for _ in range(LENGTH):
        machine, now = taken.after, taken.now
        event, at = calm(machine, now)
        if chance.random() < 0.5:
            event = chance.choice(chance.choice(kinds_of_events(machine)))
            at = chance.choice((*times(machine, now), now + 6 * SECOND))
        taken = step(machine, event, at)
        yield taken
        if Exit() in taken.commands:
            return


def calm(machine: SenderMachine, now: int) -> tuple[SenderEvent, int]:
    """What happens next, and when, if nothing goes wrong."""
    number = machine.connection
    if machine.state is State.OPENING:
        return Connected(number), now
    if machine.state is State.RESUMING:
        return Resumed(number, machine.acknowledged, LEDGER), now
    if machine._flight is not None:
        return Answered(number, Status.ACCEPTED, machine._flight), now
    return TimePassed(), times(machine, now)[-1]


def times(machine: SenderMachine, now: int) -> tuple[int, ...]:
    """When it may happen: at once, just before there is something to do, or then."""
    due = machine.deadline()
    return (now,) if due is None or due <= now else (now, due - 1, due)


def events(machine: SenderMachine) -> list[SenderEvent]:
    """What may happen to it."""
    return [*itertools.chain(*kinds_of_events(machine))]


def kinds_of_events(machine: SenderMachine) -> list[list[SenderEvent]]:
    """The same by their kind. Of those that the state of the connection does not wait for, few."""
    number = machine.connection
    expected = {State.OPENING: refused, State.RESUMING: resumed, State.UP: answered}
    return [
        [TimePassed()],
        [Closed(number, "gone"), Closed(number, "no route")],
        [StopAsked(), Accepted(FAR), Accepted(MAX_COUNT), Accepted(epoch=MAX_EPOCH - 1)],
        [Started(), *any_news(number), *any_news(number - 1)[::2], *any_news(number + 1)[1::2]],
        *([expected[machine.state](machine)] if machine.state in expected else ()),
    ]


def any_news(number: int) -> list[SenderEvent]:
    """Of a connection."""
    return [
        *(Connected(number), Closed(number, "gone"), Refused(number, Refusal.TOKEN, 0)),
        *(Resumed(number, 60), Answered(number, Status.ACCEPTED, 60)),
    ]


def refused(machine: SenderMachine) -> list[SenderEvent]:
    number, reasons = machine.connection, [it for it in Refusal if it is not Refusal.STALE]
    epochs = (*(machine.epoch + more for more in (-1, 0, 9, EPOCHS + 1)), MAX_EPOCH - 1, MAX_EPOCH)
    stale = (Refused(number, Refusal.STALE, epoch) for epoch in epochs if epoch <= MAX_EPOCH)
    return [*stale, *(Refused(number, reason, 0) for reason in reasons)]


def resumed(machine: SenderMachine) -> list[SenderEvent]:
    number = machine.connection
    return [Resumed(number, last, name) for last in lasts(machine) for name in (LEDGER, "")]


def answered(machine: SenderMachine) -> list[SenderEvent]:
    number = machine.connection
    others = Status.DUPLICATE, Status.UNAVAILABLE, Status.FENCED, Status.INVALID
    return [
        *(Answered(number, Status.ACCEPTED, last) for last in lasts(machine)),
        *(Answered(number, Status.GAP, last) for last in (-1, machine.acknowledged)),
        *(Answered(number, status, machine.count) for status in others),
    ]


def lasts(machine: SenderMachine) -> list[int]:
    """Last counts that a receiver may tell it."""
    count, least = machine.count, machine.acknowledged
    some = {-1, 12, least - 1, least, count, count + 1, count + SPARE + 1, FAR, MAX_COUNT}
    return sorted(last for last in some if -1 <= last <= MAX_COUNT)
