"""`sendrecv status`: who counts, and what is wrong, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn

from sendrecv.admin import facts as reading
from sendrecv.admin import names
from sendrecv.admin.facts import SHOULD_RUN, STANDING_BY, STARTING, STOPPED, UNDELIVERED, App, Facts
from sendrecv.admin.problems import Problem, problems
from sendrecv.admin.receiver import Receiver
from sendrecv.admin.schema import document
from sendrecv.admin.screen import DIM, RED, YELLOW, Column, Screen, duration, moment, plain
from sendrecv.commandline import Parser
from sendrecv.config import STATUS_URL, certain, problem_of
from sendrecv.core.errors import quoted
from sendrecv.errors import (
    DONE,
    EXIT_STATUSES,
    NOT_DELIVERED,
    NOT_RUNNING,
    UNKNOWN,
    ExitStatus,
    UsageError,
)

FEW = 4
"""Problems of one kind that are shown."""
_COLOURS = {UNDELIVERED: RED, SHOULD_RUN: RED, STARTING: YELLOW, STOPPED: DIM}


def main(argv: Sequence[str]) -> int:
    """Print the facts. The exit status says whether each App that is shown counts."""
    options = _parse(argv)
    asked = [names.instance_of(name) for name in options.instance]
    if options.follow:
        _follow(options, asked)
    facts = reading.gather(options.url, options.ca)
    answer = _Answer(facts, asked)
    if options.json:
        print(json.dumps(answer.document(), indent=2))
    else:
        _show(facts, answer.shown, answer.wrong, bool(asked))
    sys.stdout.flush()  # before what is on standard error
    _complain(facts, answer.unknown, answer.known)
    return answer.status


class _Answer:
    """What is said of the Apps that were asked for, or of all if none was."""

    def __init__(self, facts: Facts, asked: Sequence[str]) -> None:
        self.facts = facts
        self.shown = [
            app for app in facts.apps if not asked or {app.instance, app.app_id} & {*asked}
        ]
        self.known = {name for app in facts.apps for name in (app.instance, app.app_id)}
        self.unknown = [name for name in dict.fromkeys(asked) if name not in self.known]
        of_shown = {"", *(app.instance for app in self.shown)}
        self.wrong = [problem for problem in problems(facts) if problem.app in of_shown]
        self.status = _exit_status(facts, self.shown, self.unknown, bool(asked))

    def document(self) -> dict[str, object]:
        """As JSON has it, see schema.py."""
        return document(self.facts, self.shown, self.wrong, self.unknown, self.status)


def _follow(options: argparse.Namespace, asked: Sequence[str]) -> NoReturn:
    """A document on each line, until whoever reads them has gone."""
    from sendrecv.admin import follow

    news = follow.News()
    for facts in follow.looks(options.url, options.ca):
        if news.is_news(facts):
            print(json.dumps(_Answer(facts, asked).document(), separators=(",", ":")), flush=True)
    raise AssertionError("looks() has no end")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv status",
        description="Show for each App who counts, since when, and what is wrong. Root and the"
        " group adm see counts and connections, root sees the most.",
        epilog="Exit status: 0 all well, 3 an App does not run, 4 there is no such App, 150 an App"
        " runs and nothing is delivered, 69 or 77 the receiver cannot be asked. See"
        " sendrecv-status(1).",
    )
    parser.add_argument(
        "instance",
        nargs="*",
        help="Apps to show (default: all); the names of their units are accepted too",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, see sendrecv-status(1)")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="with --json: go on, with a line of JSON for each change, once a second at most for"
        " changes of numbers alone",
    )
    parser.add_argument("--url", default=STATUS_URL, help="the receiver (default: this machine's)")
    parser.add_argument(
        "--ca",
        metavar="FILE",
        default="",
        help="the CAs that may have signed the receiver's certificate (default: the machine's)",
    )
    options = parser.parse_args(argv)
    if options.follow and not options.json:
        raise UsageError("--follow prints lines of JSON", "add --json")
    if problem := problem_of(options.url, "--url=", "--ca="):
        raise UsageError(f"--url={quoted(options.url)}", f"must be {problem}")
    options.url = certain(options.url)
    if options.ca:
        from sendrecv.admin import ask_port  # its imports take long

        ask_port.look_at_ca(options.ca)
    return options


def _exit_status(
    facts: Facts, shown: Iterable[App], unknown: Sequence[str], asked: bool
) -> ExitStatus:
    """What is worst. An App that is stopped is wrong only if it was asked for."""
    states = {app.state for app in shown if app.state != STARTING or not app.half}
    cannot_ask = next(one for one in EXIT_STATUSES if one == facts.receiver.exit_status)
    if unknown and cannot_ask == DONE:  # or the receiver might know it
        return UNKNOWN
    if states & {SHOULD_RUN, STARTING} or (asked and STOPPED in states):
        return NOT_RUNNING
    if cannot_ask != DONE:
        return cannot_ask
    if facts.units.error:
        return UNKNOWN
    return NOT_DELIVERED if UNDELIVERED in states else DONE


def _complain(facts: Facts, unknown: Iterable[str], known: Iterable[str]) -> None:
    for name in unknown:
        more = "" if not facts.receiver.error else ", as far as this user may see"
        print(f"sendrecv: {names.unknown(name, known)}{more}", file=sys.stderr)
    if facts.receiver.error:
        print(f"sendrecv: {facts.receiver.error}", file=sys.stderr)


# For people.


def _show(facts: Facts, apps: Sequence[App], wrong: Iterable[Problem], asked: bool) -> None:
    screen = Screen()
    for line in of_receiver(facts.receiver, facts.when):
        print(line)
    if apps:
        print(screen.table(columns_of(apps, facts.when)))
    elif not asked and not facts.units.error:
        whom = "" if facts.sees_records else " that this user may see"
        print(f"No App yet{whom}. To start one, as root: systemctl start sender@main")
    for line in last_takeovers(screen, apps, facts.when):
        print(line)
    for problem in few(wrong):
        mark, colour = ("!", RED) if problem.is_error else ("-", YELLOW)
        print()
        for line in screen.wrapped(plain(problem.text), f"{mark} ", "  "):
            print(screen.paint(line, colour))
        for command in problem.commands:
            print(f"    {command}")


def last_takeovers(screen: Screen, apps: Iterable[App], now: float) -> Iterator[str]:
    """The newest ones, FEW of them; `sendrecv history` has all. An empty line before them."""
    found = [app.takeover for app in apps if app.takeover]
    newest = sorted(found, key=lambda event: event.when, reverse=True)[:FEW]
    if newest:
        yield ""
        yield "Last takeovers:"
    for event in newest:
        silence = "" if event.silence is None else f", {duration(event.silence)} without a count"
        text = f"{event.instance} by {event.to_node}{silence}: {event.why}"
        yield from screen.wrapped(plain(text), f"  {moment(event.when, now)}  ", " " * 12)


def few(wrong: Iterable[Problem]) -> Iterator[Problem]:
    """Of each kind, FEW; then how many more there are. JSON has them all."""
    kinds: dict[str, list[Problem]] = {}
    for problem in wrong:
        kinds.setdefault(problem.code, []).append(problem)
    for code, found in kinds.items():
        yield from found[:FEW]
        if more := found[FEW:]:
            whom = f"{len(more)} more Apps: {', '.join(problem.app for problem in more[:FEW])} ..."
            yield Problem("", code, f"the same of {whom}", (), more[0].is_error)


def of_receiver(receiver: Receiver, now: float) -> list[str]:
    """Two lines at most, and an empty one; none if nothing is known."""
    if receiver.since is None or receiver.connections is None:
        return []
    lines = [
        f"Receiver: up since {moment(receiver.since, now)}, {receiver.connections} connected,"
        f" {_rate(receiver.rate or 0)} counts/s"
    ]
    if refusal := receiver.refusal:
        whom = f" (App {refusal.app_id})" if refusal.app_id else ""
        lines.append(f"          last refusal {moment(refusal.when, now)}: {refusal.reason}{whom}")
    return [*lines, ""]


def columns_of(apps: Sequence[App], now: float) -> list[Column]:
    """The table. The greatest number is dropped first where the terminal is narrow."""

    def column(header: str, of: Callable[[App], str], drop: int = 0, right: bool = False) -> Column:
        return Column(header, tuple(of(app) for app in apps), drop, right)

    states = column("STATE", lambda app: f"{app.state}, paused" if app.paused else app.state)
    has_backlog = any((app.backlog or 0) > 1 for app in apps)
    return [
        column("APP", lambda app: app.instance),
        states.replace(colours=tuple(_colour(app) for app in apps)),
        column("BY", _who),
        column("SINCE", lambda app: moment(app.since, now), 3),
        column("COUNT", lambda app: _number(app.count), 1, True),
        *([column("KEPT", lambda app: _number(app.backlog), 0, True)] if has_backlog else []),
        column("BEAT", _beat, 4, True),
        column("EPOCH", lambda app: _number(app.epoch), 5, True),
        column("BOOT", lambda app: "yes" if app.at_boot else "no", 2),
    ]


def _colour(app: App) -> str:
    return _COLOURS.get(app.state, YELLOW if app.paused else "")


def _rate(rate: float) -> str:
    return f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _who(app: App) -> str:
    """The node; with the half that it is, if it is not called so, and with its host."""
    node = app.node
    if app.host and node in {app.host, f"{app.host}-failover"}:  # the defaults, see config.py
        return f"{'main' if node == app.host else 'failover'} on {app.host}"
    if node and app.half and app.state != STANDING_BY and node != app.half:
        node += f" ({app.half})"
    return f"{node} on {app.host}" if app.host else node


def _beat(app: App) -> str:
    if app.late is not None and app.late > max(1.0, (app.beat or 0) / 2):
        return f"late {duration(app.late)}"
    if app.beat is None:
        return ""
    if app.beat < 0.01:
        return f"{1 / app.beat:.0f}/s" if app.beat else ""
    return f"{app.beat:.2f} s" if app.beat < 10 else duration(app.beat)
