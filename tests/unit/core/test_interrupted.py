"""Every list of commands is interrupted after each command, and resumed from what is durable.

Both machines are joined here by plain values: what is durable (a record, a row, an outbox), what is
printed, and what is on its way in each connection. From each state everything that can come next is
tried, breadth-first: each event of either machine, with its list of commands cut after each command
by the death of the process, or its transaction rolled back; and what a network can do. A process
that starts again has nothing but what is durable. At each state the promises hold, and from each
state counting goes on if nothing else happens.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest

from sendrecv.core.lines import line_of
from sendrecv.core.receiver import ReceiverMachine
from sendrecv.core.receiver_events import (
    AdmissionAsked,
    Admit,
    Answer,
    ConnectionClosed,
    CountsSent,
    CutOff,
    Print,
    ReceiverCommand,
    ReceiverEvent,
    Refuse,
    ResumeAsked,
    Row,
    StoreRow,
)
from sendrecv.core.record import Record
from sendrecv.core.recovery import Bounds, JournalReading, Known, Span, unprinted
from sendrecv.core.reach import App
from sendrecv.core.sender import SenderMachine
from sendrecv.core.values import SECOND
from sendrecv.core.sender_events import (
    Answered,
    Closed,
    Connect,
    Connected,
    Disconnect,
    Emit,
    Exit,
    Persist,
    Refused,
    Resume,
    Resumed,
    SenderCommand,
    SenderEvent,
    Started,
    StopAsked,
    TimePassed,
)
from sendrecv.core.values import Value
from sendrecv.core.wire import Claim, Refusal, Status

NOW = 1000 * SECOND
"""It is always now: when time passes, what is due comes nearer."""
BOOT = "b" * 32
MAX_APPS = 10
BEGINNINGS = 11
"""States to begin from: all up to the third count's emission, if nothing goes wrong."""
DEPTH = 5
"""So many things happen after each of them."""
ENOUGH = 60
"""Things that happen before the next count is printed, if nothing goes wrong."""


class Link(Value):
    """A connection, and what is on its way in it, as the events that it will be.

    accepted, admitted, unwanted, closed: by the receiver, one after the other. gone: the sender has
    closed it, or is dead.
    """

    name: str
    number: int
    claim: Claim
    to_receiver: tuple[ReceiverEvent, ...]
    to_sender: tuple[SenderEvent, ...] = ()
    accepted: bool = False
    admitted: bool = False
    unwanted: bool = False
    closed: bool = False
    gone: bool = False

    def left(self) -> Link:
        """The sender closes it, or is dead; what it has sent still arrives."""
        end = ConnectionClosed(self.name, "a")
        return self.replace(gone=True, to_receiver=(*self.to_receiver, end), to_sender=())

    def hung_up(self) -> Link:
        """The receiver closes it, or is dead; what it has sent still arrives."""
        told = self.told(Closed(self.number, "gone"))
        return told.replace(closed=True, admitted=False, unwanted=False, to_receiver=())

    def asked(self, event: ReceiverEvent) -> Link:
        """The sender says something."""
        return self if self.closed else self.replace(to_receiver=(*self.to_receiver, event))

    def told(self, event: SenderEvent) -> Link:
        """The receiver says something."""
        return self if self.gone else self.replace(to_sender=(*self.to_sender, event))


class World(Value):
    """What there is at one moment. sender: None if it is dead. record, row, outbox: durable."""

    sender: SenderMachine | None
    receiver: ReceiverMachine
    record: Record | None = None
    row: Row | None = None
    outbox: tuple[Print, ...] = ()
    printed: tuple[int, ...] = ()
    links: tuple[Link, ...] = ()
    runs: int = 0

    def key(self) -> object:
        """Worlds with equal keys go on in the same ways. (What was reported changes nothing.)"""
        state = {**vars(self.sender), "_trouble": ""} if self.sender else {}
        apps = tuple(self.receiver.apps.values())
        return (tuple(state.values()), apps, *list(vars(self).values())[2:])

    def current(self) -> Link | None:
        """The connection of the sender that is alive."""
        return next((link for link in self.links if not link.gone), None)

    def named(self, name: str) -> Link | None:
        """The connection called so, unless it is over."""
        return next((link for link in self.links if link.name == name), None)

    def changed(self, link: Link) -> World:
        """The same, but for this connection."""
        links = [link if it.name == link.name else it for it in self.links]
        return self.replace(links=tuple(it for it in links if not (it.closed and it.gone)))

    def without_link(self) -> World:
        """The sender has no connection any more."""
        current = self.current()
        return self.changed(current.left()) if current else self

    def without_sender(self) -> World:
        """The sender is dead."""
        return self.without_link().replace(sender=None)


class Machines(NamedTuple):
    """What is tested. A planted fault replaces one of them."""

    sender: type[SenderMachine] = SenderMachine
    receiver: type[ReceiverMachine] = ReceiverMachine


class Explorer:
    """What can come next. Without `cuts` nothing is interrupted: each method yields one world."""

    def __init__(self, machines: Machines, cuts: bool) -> None:
        self._machines = machines
        self._cuts = cuts

    def beginning(self) -> World:
        """Nothing has ever been."""
        return World(None, self._machines.receiver([], MAX_APPS))

    def following(self, world: World) -> Iterator[World]:
        """Each world that can come next."""
        if world.sender is None:
            yield from self._start(world)
            yield world.replace(record=None)  # somebody deletes it
        else:
            yield from self._happens_to_sender(world, world.sender)
        for link in world.links:
            if link.to_receiver:
                yield from self._receive(world, link)
            if link.unwanted:
                yield self._hang_up(world, link)
        yield self._restart_receiver(world)

    def undisturbed(self, world: World) -> World:
        """The world that comes next if nothing goes wrong."""
        for link in world.links:
            if link.unwanted:
                return self._hang_up(world, link)
            if link.to_receiver:
                return next(self._receive(world, link))
        if world.sender is None:
            return next(self._start(world))
        if (current := world.current()) and current.to_sender:
            return next(self._hear(world, world.sender, current))
        return next(self._pass_time(world, world.sender, world.sender.deadline()))

    # The sender.

    def _start(self, world: World) -> Iterator[World]:
        runs, record = world.runs + 1, world.record
        app = App("a", ("main", "failover")[runs % 2], f"{runs:032x}", BOOT, SECOND)
        machine = self._machines.sender(app, record, record.epoch + 1 if record else 1, NOW)
        yield from self._handle(world.replace(runs=runs), machine, Started())

    def _happens_to_sender(self, world: World, machine: SenderMachine) -> Iterator[World]:
        """A deadline; SIGTERM; a message; its connection breaks, what it sent arriving or not."""
        yield from self._pass_time(world, machine, machine.deadline())
        if machine._deadline != machine.deadline():  # a beat was missed
            yield from self._pass_time(world, machine, machine._deadline)
        yield from self._handle(world, machine, StopAsked())
        if current := world.current():
            if current.to_sender:
                yield from self._hear(world, machine, current)
            broken = current.replace(to_sender=(Closed(current.number, "gone"),))
            yield world.changed(broken)
            end = ConnectionClosed(current.name, "a")
            yield world.changed(broken.replace(to_receiver=(end,)))

    def _hear(self, world: World, machine: SenderMachine, link: Link) -> Iterator[World]:
        event, *later = link.to_sender
        heard = world.changed(link.replace(to_sender=tuple(later)))
        yield from self._handle(heard, machine, event)

    def _pass_time(
        self, world: World, machine: SenderMachine, until: int | None
    ) -> Iterator[World]:
        if until is None:
            return
        passed = max(until - NOW, 0)
        machine = copy.copy(machine)
        machine._due = nearer_beat(machine._due, passed)
        machine._deadline = nearer(machine._deadline, passed)
        machine._stop_deadline = nearer(machine._stop_deadline, passed)
        record = world.record and world.record.replace(due=nearer_beat(world.record.due, passed))
        yield from self._handle(world.replace(record=record), machine, TimePassed())

    def _handle(self, world: World, machine: SenderMachine, event: SenderEvent) -> Iterator[World]:
        """After so many of its commands; in all but the last world the process is dead."""
        machine = copy.copy(machine)
        for command in machine.handle(event, NOW):
            if self._cuts:
                yield world.without_sender()
            if isinstance(command, Exit):
                yield world.without_sender()
                return
            world = carried_out(world, command)
        yield world.replace(sender=machine)

    # The receiver.

    def _receive(self, world: World, link: Link) -> Iterator[World]:
        """After so many of its commands; in all but the last world the process was killed, or the
        transaction rolled back.
        """
        event, *later = link.to_receiver
        link = link.replace(to_receiver=tuple(later), accepted=True)
        world = world.changed(link)
        if not link.admitted and not isinstance(event, AdmissionAsked):
            yield self._hang_up(world, link) if isinstance(event, ConnectionClosed) else world
            return
        machine = copied(world.receiver)
        commands = machine.handle(event)
        if self._cuts:
            yield self._restart_receiver(world)
            yield from rolled_back(world, link, event, commands)
        for command in line_by_line(commands):
            world = done(world, link.name, event, command, commands)
            if self._cuts:
                yield self._restart_receiver(world)
        machine.committed()
        world = world.replace(receiver=machine)
        yield self._hang_up(world, link) if isinstance(event, ConnectionClosed) else world

    def _hang_up(self, world: World, link: Link) -> World:
        """The receiver closes a connection."""
        machine = copied(world.receiver)
        if link.admitted:
            machine.handle(ConnectionClosed(link.name, "a"))
            machine.committed()
        return world.changed(link.hung_up()).replace(receiver=machine)

    def _restart_receiver(self, world: World) -> World:
        """The receiver is killed; another one prints what is left."""
        for link in world.links:
            if link.accepted and not link.closed:
                world = world.changed(link.hung_up())
        lines = [line_of("a", "main", count) for count in world.printed]
        for order in _not_printed(world.outbox, lines):
            world = printed(world, order, world.row.epoch if world.row else 0)
        rows = [world.row] if world.row else []
        return world.replace(receiver=self._machines.receiver(rows, MAX_APPS), outbox=())


# The commands, and what must hold before each of them.


def carried_out(world: World, command: SenderCommand) -> World:
    """One command of the sender."""
    record, current = world.record, world.current()
    match command:
        case Persist(new):
            falls = record and (new.count < record.count or new.epoch < record.epoch)
            assert not falls, f"{new} after {record}"
            return world.replace(record=new)
        case Connect(number, claim):
            assert record and record.epoch >= claim.epoch, f"{claim} is not durable"
            name = f"{claim.run}/{number}"
            link = Link(name, number, claim, (AdmissionAsked(name, claim),))
            world = world.without_link()
            return world.replace(links=(*world.links, link))
        case Emit(_, first, last) if current:
            assert record and record.count >= last, f"{command} is not durable"
            return world.changed(current.asked(CountsSent(current.name, "a", first, last)))
        case Resume(_, last) if current:
            return world.changed(current.asked(ResumeAsked(current.name, "a", last)))
        case Disconnect():
            return world.without_link()
    return world


def done(
    world: World,
    name: str,
    event: ReceiverEvent,
    command: ReceiverCommand,
    group: Iterable[ReceiverCommand],
) -> World:
    """One command of the receiver, of all those to an event of the connection `name`."""
    link = world.named(name)
    assert link
    match command:
        case StoreRow(row):
            return stored(world, row, tuple(it for it in group if isinstance(it, Print)))
        case Print():
            return printed(world, command, link.claim.epoch)
        case Admit():
            return world.changed(link.told(Connected(link.number)).replace(admitted=True))
        case Refuse(reason, epoch):
            return world.changed(link.told(Refused(link.number, reason, epoch or 0)).hung_up())
        case Answer(status, last):
            return answered(world, link, event, status, last)
        case CutOff(other) if (unwanted := world.named(other)) and not unwanted.closed:
            return world.changed(unwanted.replace(unwanted=True))
    return world


def stored(world: World, row: Row, orders: tuple[Print, ...]) -> World:
    """A transaction: what the receiver knows only grows."""
    before = world.row
    falls = before and (row.epoch, -1 if row.last is None else row.last) < (
        before.epoch,
        -1 if before.last is None else before.last,
    )
    assert not falls, f"{row} after {before}"
    return world.replace(row=row, outbox=orders)


def printed(world: World, order: Print, epoch: int) -> World:
    """Lines of a run with that epoch: the next ones, durable, of the newest run admitted."""
    row = world.row
    assert row and row.last is not None and row.last >= order.last, f"{order}, {row}"
    assert row.epoch == epoch, f"{order} of epoch {epoch}, {row}"
    for count in range(order.first, order.last + 1):
        assert count == len(world.printed), f"{count} is printed after {world.printed}"
        world = world.replace(printed=(*world.printed, count))
    return world


def answered(
    world: World, link: Link, event: ReceiverEvent, status: Status, last: int | None
) -> World:
    """The receiver says what it has: that is durable, and printed."""
    if last is not None:
        assert world.row and world.row.last == last, f"the answer says {last}, the row {world.row}"
        assert len(world.printed) > last, f"{last} is not printed"
    known = -1 if last is None else last
    if isinstance(event, CountsSent):
        return world.changed(link.told(Answered(link.number, status, known)))
    if status is Status.ACCEPTED:
        return world.changed(link.told(Resumed(link.number, known)))
    return world.changed(link.told(Closed(link.number, status.value)))


def rolled_back(
    world: World, link: Link, event: ReceiverEvent, commands: Iterable[ReceiverCommand]
) -> Iterator[World]:
    """The transaction fails, if there is one: it has not happened, nor has anything after it."""
    kinds = [type(command) for command in commands]
    if StoreRow not in kinds:
        return
    machine = copied(world.receiver)
    machine.handle(event)
    machine.rolled_back()
    for command in list(commands)[: kinds.index(StoreRow)]:
        world = done(world, link.name, event, command, commands)
    if isinstance(event, AdmissionAsked):
        link = link.told(Refused(link.number, Refusal.UNAVAILABLE, 0)).hung_up()
    else:
        link = link.told(Answered(link.number, Status.UNAVAILABLE, -1))
    yield world.changed(link).replace(receiver=machine)


def line_by_line(commands: Iterable[ReceiverCommand]) -> Iterator[ReceiverCommand]:
    """The same commands; a process can be killed after each line."""
    for command in commands:
        if isinstance(command, Print):
            for count in range(command.first, command.last + 1):
                yield command.replace(first=count, last=count)
        else:
            yield command


def copied(machine: ReceiverMachine) -> ReceiverMachine:
    """Another one that knows the same."""
    machine = copy.copy(machine)
    machine.apps, machine._before = dict(machine.apps), {}
    return machine


def nearer(due: int | None, passed: int) -> int | None:
    """A time when time has passed."""
    return None if due is None else due - passed


def nearer_beat(due: int, passed: int) -> int:
    """The same of the next beat, which is due, or else a whole second away: or there would be
    no end of states that differ in nothing else.
    """
    return due - passed if due - passed <= NOW else NOW + SECOND


# The search.


class Search:
    """Visits each state once; `numbers` has all that were met."""

    def __init__(self, machines: Machines) -> None:
        self._every = Explorer(machines, cuts=True)
        self._calm = Explorer(machines, cuts=False)
        self._numbers: dict[object, int] = {}
        self._going: set[int] = set()

    def explore(self) -> int:
        """The number of states. Raises AssertionError if a promise is broken in one of them."""
        worlds = [self._every.beginning()]
        for _ in range(BEGINNINGS - 1):
            worlds.append(self._calm.undisturbed(worlds[-1]))
        seen = {self._number(world) for world in worlds}
        for _ in range(DEPTH):
            reached = []
            for following in (it for world in worlds for it in self._every.following(world)):
                if (number := self._number(following)) not in seen:
                    seen.add(number)
                    reached.append(following)
                    self._check_that_it_goes_on(following, number)
            worlds = reached
        return len(seen)

    def _check_that_it_goes_on(self, world: World, number: int) -> None:
        """If nothing goes wrong the next count is printed."""
        path: list[int] = []
        before = world.printed
        while world.printed == before and number not in self._going:
            path.append(number)
            assert len(path) < ENOUGH, f"nothing is printed any more: {world}"
            world = self._calm.undisturbed(world)
            number = self._number(world)
        self._going.update(path)

    def _number(self, world: World) -> int:
        return self._numbers.setdefault(world.key(), len(self._numbers))


def test_interrupted_anywhere_it_keeps_its_promises_and_goes_on() -> None:
    states = Search(Machines()).explore()
    print(f"{states} states")
    assert states > 20_000


# Planted faults.


class EmitsBeforePersist(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        return sorted(commands, key=lambda command: not isinstance(command, Emit))


class ConnectsBeforePersist(SenderMachine):
    def handle(self, event: SenderEvent, now: int) -> list[SenderCommand]:
        commands = super().handle(event, now)
        return sorted(commands, key=lambda command: not isinstance(command, Connect))


class DoesNotAdopt(SenderMachine):
    def _adopt(self, last: int, now: int) -> list[SenderCommand]:
        return super()._adopt(last if last <= self.count else -1, now)


class TakesACountAgain(SenderMachine):
    def __init__(self, app: App, record: Record | None, epoch: int, now: int) -> None:
        super().__init__(app, record, epoch, now)
        self.count = max(self.count - 1, self.acknowledged)


class StoresAfterAnswer(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        return sorted(commands, key=lambda command: not isinstance(command, Answer))


class PrintsBeforeStore(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        return sorted(commands, key=lambda command: not isinstance(command, Print))


class AnswersBeforePrint(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        commands = super().handle(event)
        return sorted(commands, key=lambda command: isinstance(command, Print))


class DoesNotRollBack(ReceiverMachine):
    def rolled_back(self) -> None:
        self.committed()


class DoesNotFence(ReceiverMachine):
    def handle(self, event: ReceiverEvent) -> list[ReceiverCommand]:
        if isinstance(event, CountsSent):
            event = event.replace(connection=self.apps[event.app_id].connection or event.connection)
        return super().handle(event)


@pytest.mark.parametrize(
    "machines",
    [
        Machines(sender=EmitsBeforePersist),
        Machines(sender=ConnectsBeforePersist),
        Machines(sender=DoesNotAdopt),
        Machines(sender=TakesACountAgain),
        Machines(receiver=StoresAfterAnswer),
        Machines(receiver=PrintsBeforeStore),
        Machines(receiver=AnswersBeforePrint),
        Machines(receiver=DoesNotRollBack),
        Machines(receiver=DoesNotFence),
    ],
    ids=lambda machines: "-".join(part.__name__ for part in machines),
)
def test_a_planted_fault_is_found(machines: Machines) -> None:
    with pytest.raises(AssertionError):
        Search(machines).explore()


def _not_printed(outbox: Iterable[Print], lines: Iterable[str]) -> list[Print]:
    """By a journal that is whole."""
    known = Known()
    for line in reversed([*lines]):
        known.add("b", 1.0, line)
    known.boots["b"] = 1.0
    reading = JournalReading(known, {"b": 0.0}, {"b": Bounds(0.0, 9e9)})
    return unprinted([Span(order, "b", 0.0, 0.0) for order in outbox], reading, Known()).orders
