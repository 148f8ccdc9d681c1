"""Both machines, joined by plain values: what there is at one moment, and all that can come next.

A world has what is durable (a record, a row, an outbox), what is printed, and what is on its way in
each connection. What can come next: each event of either machine, with its list of commands cut
after each command by the death of the process, or its transaction rolled back; what a network can
do; and that a record is deleted, or an old copy of the ledger put back. A process that starts again
has nothing but what is durable.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import NamedTuple

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
    Unproven,
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
from tests.unit.core.receiver_table import in_words
from tests.unit.core.sender_table import names

NOW = 1000 * SECOND
"""It is always now: when time passes, what is due comes nearer."""
BOOT = "b" * 32
LEDGER = "1edce7" + "0" * 10
MAX_APPS = 10


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
    """What there is at one moment. sender: None if it is dead. record, row, outbox: durable. copy:
    of the ledger, made when it had the first count. printed: with what is said to be unproven.
    """

    sender: SenderMachine | None
    receiver: ReceiverMachine
    record: Record | None = None
    row: Row | None = None
    outbox: tuple[Print, ...] = ()
    copy: Row | None = None
    printed: tuple[int, ...] = ()
    links: tuple[Link, ...] = ()
    runs: int = 0

    def key(self) -> object:
        """Worlds with equal keys go on in the same ways. Of the sender's trouble it matters whether
        it has begun, and whether it was reported: the clock stands still.
        """
        state = dict(vars(self.sender)) if self.sender else {}
        if self.sender:
            trouble = self.sender._trouble
            state["_trouble"] = trouble.since is not None, trouble.told != ""
        apps = tuple(self.receiver.apps.values())
        return (tuple(state.values()), apps, *list(vars(self).values())[2:])

    def knows_better(self) -> bool:
        """The record has a greater count than the copy of the ledger. Otherwise nobody could tell
        that the copy is an old one, once the sender is dead.
        """
        if self.copy is None or self.copy.last is None or self.record is None:
            return False
        return self.copy.last < self.record.acknowledged

    def is_old(self) -> bool:
        """The ledger is an old copy, and does not know it yet."""
        return self.row is not None and (self.row.last or 0) < len(self.printed) - 1

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
    """What can come next. Without `cuts` nothing is interrupted: each method yields one world.
    lists: of commands that were carried out, behind the name of the event that they belong to.
    """

    def __init__(self, machines: Machines, cuts: bool) -> None:
        self._machines = machines
        self._cuts = cuts
        self.lists: set[tuple[str, ...]] = set()

    def beginning(self) -> World:
        """Nothing has ever been."""
        return World(None, self._machines.receiver([], MAX_APPS))

    def following(self, world: World) -> Iterator[World]:
        """Each world that can come next."""
        if world.sender is None:
            yield from self._start(world)
            if not world.is_old():  # the record may be lost, or the ledger be old, but not both
                yield world.replace(record=None)
        else:
            yield from self._happens_to_sender(world, world.sender)
        for link in world.links:
            if link.to_receiver:
                yield from self._receive(world, link)
            if link.unwanted:
                yield self._hang_up(world, link)
        yield self._restart_receiver(world)
        if world.knows_better():
            yield self.put_back(world)

    def put_back(self, world: World) -> World:
        """The copy of the ledger, between two receivers."""
        return self._restart_receiver(world.replace(row=world.copy, outbox=()))

    def path(self, world: World, length: int) -> list[World]:
        """So many worlds, one after the other, if nothing goes wrong."""
        worlds = [world]
        while len(worlds) < length:
            worlds.append(self.undisturbed(worlds[-1]))
        return worlds

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
        commands = machine.handle(event, NOW)
        self.lists.add((type(event).__name__, *names(commands)))
        for command in commands:
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
        self.lists.add((type(event).__name__, *map(in_words, commands)))
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
        for order in not_printed(world.outbox, lines):
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
        case Unproven(order):
            return said_to_be_unproven(world, order)
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
    copy = world.copy or (row if row.last is not None else None)
    return world.replace(row=row, outbox=orders, copy=copy)


def said_to_be_unproven(world: World, order: Print) -> World:
    """All that was printed and is not in the ledger, and nothing that it has."""
    row = world.row
    assert row and row.last is not None and order.first == row.last + 1, f"{order}, {row}"
    assert order.last >= len(world.printed) - 1, f"{order} after {world.printed}"
    return world.replace(printed=tuple(range(order.last + 1)))


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
        return world.changed(link.told(Resumed(link.number, known, LEDGER)))
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


def not_printed(outbox: Iterable[Print], lines: Iterable[str]) -> list[Print]:
    """By a journal that is whole."""
    known = Known()
    for line in reversed([*lines]):
        known.add("b", 1.0, line)
    known.boots["b"] = 1.0
    reading = JournalReading(known, {"b": 0.0}, {"b": Bounds(0.0, 9e9)})
    return unprinted([Span(order, "b", 0.0, 0.0) for order in outbox], reading, Known()).orders
