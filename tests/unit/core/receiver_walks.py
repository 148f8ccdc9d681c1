"""Walks of the receiver's machine through all that may happen to it, likely or not."""

import copy
import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    ConnectionClosed,
    CountsSent,
    ReceiverCommand,
    ReceiverEvent,
    ResumeAsked,
    Row,
)
from sendrecv.core.wire import MAX_COUNT, MAX_EPOCH, MAX_EPOCH_STEP, MAX_FIRST, MAX_LOST, Claim

RUN, OTHER = "1" * 32, "2" * 32
ROW = Row("a", 5, RUN, "main", 41)
ROWS = [
    (),
    (ROW,),
    (ROW.replace(last=None),),
    (ROW.replace(epoch=MAX_FIRST),),
    (ROW, ROW.replace(app_id="b", last=7)),
]
"""What the ledger has when the receiver starts."""
OLDER = "older"
"""A connection that is no App's any more."""
DEPTH = 2
WALKS, LENGTH, SEED = 300, 60, 1


class Step(NamedTuple):
    """What has happened to a machine; its commands; and the machine before and after."""

    before: ReceiverMachine
    event: ReceiverEvent
    commands: list[ReceiverCommand]
    after: ReceiverMachine


def copied(machine: ReceiverMachine) -> ReceiverMachine:
    """Another one that knows the same."""
    machine = copy.copy(machine)
    machine.apps, machine._before = dict(machine.apps), dict(machine._before)
    return machine


def step(machine: ReceiverMachine, event: ReceiverEvent) -> Step:
    """What happens then."""
    after = copied(machine)
    return Step(machine, event, after.handle(event), after)


def walks(kind: type[ReceiverMachine] = ReceiverMachine) -> Iterator[Step]:
    """Long walks at random, which are always the same, and then all short walks."""
    chance = random.Random(SEED)
    for _ in range(WALKS):
        yield from random_walk(kind(chance.choice(ROWS), 2), chance)
    for rows in ROWS:
        for room in range(len(rows), 3):
            yield from short_walks(kind(rows, room))


def random_walk(machine: ReceiverMachine, chance: random.Random) -> Iterator[Step]:
    """Some events are a group; now and then it cannot be made durable."""
    for number in range(LENGTH):
        app_id = chance.choice("abc")
        event = chance.choice(chance.choice(kinds_of_events(machine, app_id, f"{number}")))
        taken = step(machine, event)
        yield taken
        machine = copied(taken.after)
        if chance.random() < 0.5:
            chance.choice((machine.committed, machine.committed, machine.rolled_back))()


def short_walks(machine: ReceiverMachine) -> Iterator[Step]:
    """From each state once."""
    found = [machine]
    for depth in range(DEPTH):
        before, found, seen = found, [], set()
        for known, app_id in itertools.product(before, "ab"):
            for event in itertools.chain(*kinds_of_events(known, app_id, f"new {depth}")):
                taken = step(known, event)
                yield taken
                key = (*taken.after.apps.items(), *taken.after._before)
                if key not in seen:
                    seen.add(key)
                    committed = copied(taken.after)
                    committed.committed()
                    found += [taken.after, committed]


def kinds_of_events(
    machine: ReceiverMachine, app_id: str, connection: str
) -> list[list[ReceiverEvent]]:
    """What may happen to an App, by its kind. connection: a new one."""
    app = machine.apps.get(app_id)
    last = -1 if app is None or app.row.last is None else app.row.last
    by = [app.connection, OLDER] if app and app.connection else [OLDER]
    return [
        admissions(machine, app_id, connection),
        [ResumeAsked(it, app_id, count) for it in by for count in resumed_from(last)],
        [CountsSent(it, app_id, *counts) for it in by for counts in sent_after(last)],
        [ConnectionClosed(it, app_id) for it in by],
    ]


def admissions(machine: ReceiverMachine, app_id: str, connection: str) -> list[ReceiverEvent]:
    app = machine.apps.get(app_id)
    epoch = app.row.epoch if app else ROW.epoch
    near = {epoch + more for more in (-1, 0, 1, MAX_EPOCH_STEP, MAX_EPOCH_STEP + 1)}
    claims = [
        Claim(app_id, node, it, run)
        for it in sorted({*near, MAX_FIRST, MAX_FIRST + 1, MAX_EPOCH})
        for run, node in ((RUN, "main"), (OTHER, "main"), (RUN, "failover"))
    ]
    asked: list[ReceiverEvent] = [AdmissionAsked(connection, claim) for claim in claims]
    if app is None:
        known = ROW.replace(app_id=app_id)
        asked += [AdmissionAsked(connection, claim, known) for claim in claims]
        asked += [AdmissionAsked(connection, claim, room=False) for claim in claims[-3:]]
    return asked


def resumed_from(last: int) -> list[int]:
    """Last counts that a sender may say the ledger had."""
    return sorted({-1, 0, last, last + 1, last + MAX_LOST, last + MAX_LOST + 1, MAX_COUNT})


def sent_after(last: int) -> list[tuple[int, int]]:
    """The first and last of the counts that a sender may send."""
    some = {last - 1, last, last + 1, last + 2, MAX_FIRST, MAX_FIRST + 1, MAX_COUNT}
    firsts = [count for count in some if count >= 0]
    return sorted((first, min(first + more, MAX_COUNT)) for first in firsts for more in (0, 3))
