"""What entries of a journal say, as typed statements. evidence.py tells which are believed."""

from __future__ import annotations

from typing import NamedTuple

RECEIVER = "receiver.service"
LEFT_BEHIND = "left behind"
"""A process was still there when PID 1 gave up its unit."""


class At(NamedTuple):
    """Microseconds of the boot's monotonic clock, of the wall clock (for people), and the host."""

    boot: str
    mono: int
    wall: int
    machine: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Host and boot: what has one clock. Containers of one kernel may share a boot ID."""
        return self.machine, self.boot


class Missing(NamedTuple):
    """What the reader found missing. `until`: the wall clock, in microseconds, after the hole.

    `somewhere`: the place is not known, so any line that is not seen may be in the hole.
    `machine`: the ID of the host whose journal it is; "" if that is not known.
    """

    text: str
    until: int = 0
    somewhere: bool = False
    machine: str = ""


class Booted(NamedTuple):
    """From here on the entries are those of `at.place`, until the next Booted. `host`: its name."""

    at: At
    ref: str
    host: str


class UnitSaid(NamedTuple):
    """PID 1's statement about a unit; `run` is the invocation. `what` is one of PID1's values."""

    at: At
    ref: str
    unit: str
    run: str
    what: str
    detail: str


class Claimed(NamedTuple):
    """The receiver admitted a run as the one that counts for an App. `stream`: which receiver."""

    at: At
    ref: str
    stream: str
    app: str
    node: str
    epoch: int
    run: str
    last: int | None


class Unproven(NamedTuple):
    """The receiver cannot tell whether these counts were printed, and does not print them again."""

    at: At
    ref: str
    stream: str
    app: str
    node: str
    first: int
    last: int


class Forgotten(NamedTuple):
    """The receiver was told to forget an App. Its counts and epochs begin anew after this."""

    at: At
    ref: str
    stream: str
    app: str
    incarnation: int


class Counted(NamedTuple):
    """The receiver printed a payload."""

    at: At
    ref: str
    stream: str
    app: str
    node: str
    number: int


class Stray(NamedTuple):
    """The receiver printed something else where it prints payloads only."""

    at: At
    ref: str


class Spoke(NamedTuple):
    """A process of a sender's unit printed something. The text is no evidence. app: the App for
    which the process says that it counts, in an entry of its own; "" if it does not say.
    """

    at: At
    ref: str
    unit: str
    run: str
    pid: int
    app: str = ""


class Lost(NamedTuple):
    """journald dropped what `unit` said."""

    at: At
    ref: str
    unit: str
    entries: int


class Journald(NamedTuple):
    """journald started or stopped."""

    at: At
    ref: str
    started: bool


Statement = (
    Booted | UnitSaid | Claimed | Unproven | Forgotten | Counted | Stray | Spoke | Lost | Journald
)
