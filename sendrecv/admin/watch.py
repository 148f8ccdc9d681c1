"""`sendrecv watch`: what `sendrecv status` shows, live, until q is typed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from sendrecv.admin import names
from sendrecv.admin.facts import App, Facts
from sendrecv.admin.follow import Follower
from sendrecv.admin.problems import problems
from sendrecv.admin.screen import DIM, RED, YELLOW, Column, Screen, duration, moment, plain
from sendrecv.admin.status import columns_of, few, of_receiver
from sendrecv.admin.takeovers import Takeover
from sendrecv.admin.terminal import Terminal
from sendrecv.commandline import Parser
from sendrecv.core.values import Value
from sendrecv.errors import DONE, UNKNOWN

EACH = 1.0
"""Seconds between two looks."""
STRIP = 20
"""Seconds of an App's beat that are shown."""
EVENTS = 5
"""Lines for takeovers and starts."""
PROBLEMS = 6
"""Lines for what is wrong, if there is room."""


def main(argv: Sequence[str]) -> int:
    """Until somebody types q or Ctrl-C. Raises UsageError where that cannot be shown."""
    options = _parse(argv)
    asked = [names.instance_of(name) for name in options.instance]
    terminal = Terminal()  # raises if there is none
    follower, strips = Follower(), Strips()
    facts = follower.read()
    strips.add(facts.apps)
    known = {name for app in facts.apps for name in (app.instance, app.app_id)}
    if unknown := [name for name in asked if name not in known]:
        print(f"sendrecv: {names.unknown(unknown[0], known)}", file=sys.stderr)
        return UNKNOWN
    with terminal:
        _watch(terminal, follower, strips, facts, {*asked})
    terminal.end_as_told()
    return DONE


class Strips:
    """Attribute of_apps: of each instance, what its last seconds were like, the newest last: how
    many counts came in each, -1 where that is not known.
    """

    def __init__(self) -> None:
        self.of_apps: Mapping[str, Sequence[int]] = {}
        self._counts: dict[str, int | None] = {}

    def add(self, apps: Sequence[App]) -> None:
        """One more second."""
        new = {}
        for app in apps:
            before, now = self._counts.get(app.instance), app.count
            came = -1 if before is None or now is None else max(now - before, 0)
            new[app.instance] = [*self.of_apps.get(app.instance, ()), came][-STRIP:]
        self.of_apps = new
        self._counts = {app.instance: app.count for app in apps}


def _watch(
    terminal: Terminal, follower: Follower, strips: Strips, facts: Facts, asked: set[str]
) -> None:
    first, due = 0, time.monotonic() + EACH
    while True:
        apps = [app for app in facts.apps if not asked or {app.instance, app.app_id} & asked]
        first = max(min(first, len(apps) - 1), 0)
        view = View(facts, tuple(apps), strips.of_apps, follower.events, first)
        terminal.show(lines_of(view, *terminal.size()))
        key = terminal.wait(max(due - time.monotonic(), 0))
        if key in {"q", "end"}:
            return
        first += {"down": 1, "up": -1, "page down": 10, "page up": -10}.get(key, 0)
        if time.monotonic() >= due:
            facts, due = follower.read(), time.monotonic() + EACH
            strips.add(facts.apps)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv watch",
        description="Show live who counts, each App's beat, what is wrong, and the last takeovers."
        " Arrows scroll, q quits.",
    )
    parser.add_argument(
        "instance",
        nargs="*",
        help="Apps to show (default: all); the names of their units are accepted too",
    )
    return parser.parse_args(argv)


class View(Value):
    """What is to be drawn. apps: those that were asked for. strips: see Strips. events: takeovers
    and starts, the newest last. first: the first row that is shown.
    """

    facts: Facts
    apps: tuple[App, ...]
    strips: Mapping[str, Sequence[int]]
    events: Sequence[Takeover]
    first: int


def lines_of(view: View, width: int, height: int) -> list[str]:
    """The screen, line by line."""
    screen, facts = Screen(width), view.facts
    top = of_receiver(facts.receiver, facts.when)
    if facts.receiver.error:
        top = [*screen.wrapped(plain(facts.receiver.error), "", "  "), ""]
    wrong = [*_of_problems(screen, view)]
    events = [*_of_events(screen, view)]
    keys = screen.paint("q quits", DIM)
    # At least the header and three rows; then what is wrong, then events.
    left = height - len(top) - 1
    wrong = wrong[: max(min(PROBLEMS, left - 4), 0)]
    events = events[: max(left - 4 - len(wrong), 0)]
    room = left - len(wrong) - len(events)
    rows = view.apps[view.first : view.first + max(room - 1, 1)]
    table = screen.table(_columns(view, rows)).split("\n")[:room]
    if hidden := len(view.apps) - len(rows):
        keys = screen.paint(f"q quits, arrows scroll: {hidden} more Apps", DIM)
    filler = [""] * (room - len(table))
    return [*top, *table, *wrong, *events, *filler, keys][:height]


def _columns(view: View, rows: Sequence[App]) -> list[Column]:
    """Those of status, without BOOT; and a mark for each of the last seconds."""
    if not rows:
        return [Column("No App yet. To start one, as root: systemctl start sender@main", ("",))]
    columns = [it for it in columns_of(rows, view.facts.when) if it.header != "BOOT"]
    marks = _marks()
    cells = (
        "".join(marks[min(came, 1)] for came in view.strips.get(app.instance, ())) for app in rows
    )
    strip = Column(f"LAST {STRIP} S", tuple(cell.rjust(STRIP) for cell in cells), 4)
    return [*columns, strip]


def _marks() -> dict[int, str]:
    """For a second with a count, for one without, and for one of which nothing is known."""
    try:
        "\u2022\u00b7".encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return {1: "|", 0: ".", -1: " "}
    return {1: "\u2022", 0: "\u00b7", -1: " "}


def _of_problems(screen: Screen, view: View) -> Iterator[str]:
    """Of the Apps that are shown, and of all. An empty line before them."""
    shown = {app.instance for app in view.apps}
    found = [it for it in problems(view.facts) if not it.app or it.app in shown]
    for problem in few(sorted(found, key=lambda it: not it.is_error)):
        yield ""
        mark, colour = ("!", RED) if problem.is_error else ("-", YELLOW)
        for line in screen.wrapped(plain(problem.text), f"{mark} ", "  "):
            yield screen.paint(line, colour)
        yield from (f"    {command}" for command in problem.commands[:1])


def _of_events(screen: Screen, view: View) -> Iterator[str]:
    """The newest first. An empty line before them."""
    shown = {app.instance for app in view.apps}
    newest = [event for event in reversed(view.events) if event.instance in shown][:EVENTS]
    for number, event in enumerate(newest):
        if not number:
            yield ""
        silence = "" if event.silence is None else f", {duration(event.silence)} without a count"
        text = plain(f"{event.instance} by {event.to_node}{silence}: {event.why}")
        line = f"{moment(event.when, view.facts.when)}  {text}"
        yield line if len(line) <= screen.width else f"{line[: screen.width - 3]}..."
