"""Senders' machines, as the tests of the sender use them."""

from sendrecv.core.reach import App
from sendrecv.core.record import Record
from sendrecv.core.sender import (
    SenderMachine,
    State,
)
from sendrecv.core.values import SECOND
from sendrecv.core.sender_events import (
    Connected,
    Resumed,
    SenderCommand,
    Started,
)
from sendrecv.core.wire import Claim


BOOT, RUN, NOW = "b" * 32, "1" * 32, 1000 * SECOND
APP = App("a", "main", RUN, BOOT, SECOND)
CLAIM = Claim("a", "main", 7, RUN)


def record(count: int, acknowledged: int, due: int = NOW + SECOND, boot: str = BOOT) -> Record:
    """What an earlier process has left."""
    return Record("a", 6, count, acknowledged, due, boot, "failover", "0" * 32)


def begun(app: App = APP, found: Record | None = None) -> SenderMachine:
    """A machine that has started, and is OPENING connection 1."""
    machine = SenderMachine(app, found, 7, NOW)
    machine.handle(Started(), NOW)
    return machine


def connected(last: int = 41, app: App = APP, found: Record | None = None) -> SenderMachine:
    """A machine that is UP, at the count 41 of 41 unless told otherwise."""
    machine = begun(app, found or record(41, 41))
    machine.handle(Connected(1), NOW)
    machine.handle(Resumed(1, last), NOW)
    assert machine.state is State.UP
    return machine


def kinds(commands: list[SenderCommand]) -> list[str]:
    return [type(command).__name__ for command in commands]
