"""`sendrecv check`: everything that keeps a promise from being kept, before it is needed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from sendrecv.admin import facts as reading
from sendrecv.admin import files, names
from sendrecv.admin.checks import hosts, journald, places, settings, units
from sendrecv.admin.checks.settings import AppSettings
from sendrecv.admin.checks.unseen import ROOT_OR_ADM, Unseen
from sendrecv.admin.facts import STOPPED, App, Facts
from sendrecv.admin.problems import Problem, problems
from sendrecv.admin.schema import checked
from sendrecv.admin.screen import RED, YELLOW, Screen, plain
from sendrecv.admin.units import half_of
from sendrecv.commandline import Parser
from sendrecv.errors import DONE, ERRORS, NO_TOKEN, UNKNOWN, WARNINGS, ExitStatus

LOOKED_AT = "settings, units, files, disks, journal"


def main(argv: Sequence[str]) -> int:
    """Print what is wrong. The exit status says how bad the worst of it is."""
    options = _parse(argv)
    facts = reading.gather()
    asked = [names.instance_of(name) for name in options.instance]
    apps = [*_with_settings_alone(facts)]
    shown = [app for app in apps if not asked or {app.instance, app.app_id} & {*asked}]
    known = {name for app in apps for name in (app.instance, app.app_id)}
    unknown = [name for name in dict.fromkeys(asked) if name not in known]
    found, unseen = _sorted_out(_all(facts, shown))
    status = _exit_status(found, unknown)
    if options.json:
        print(json.dumps(checked(facts, shown, found, unseen, unknown, status), indent=2))
    elif shown or not unknown:
        _show(found, unseen, [app.instance for app in shown])
    sys.stdout.flush()  # before what is on standard error
    for name in unknown:
        print(f"sendrecv: {names.unknown(name, known)}", file=sys.stderr)
    return status


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv check",
        description="Look at settings, units, files, disks, the journal, the clock and etcd: what"
        " is wrong, what that leads to, and what to type. Root sees everything.",
        epilog="Exit status: 0 nothing is wrong, 1 there are warnings, 2 there are errors, 4 there"
        " is no such App. See sendrecv-check(1).",
    )
    parser.add_argument(
        "instance",
        nargs="*",
        help="Apps to look at (default: all); the names of their units are accepted too",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, see sendrecv-check(1)")
    return parser.parse_args(argv)


def _with_settings_alone(facts: Facts) -> Iterator[App]:
    """All Apps; and those that have settings here, and were never started."""
    yield from facts.apps
    there = {app.instance for app in facts.apps}
    for instance in sorted(files.with_settings() - there - {"receiver"}):
        halves = (half_of(instance, "main"), half_of(instance, "failover"))
        app_id = files.app_ids().get(instance, instance)
        yield App(instance, app_id, STOPPED, False, False, halves)


def _all(facts: Facts, apps: Sequence[App]) -> Iterator[Problem | Unseen]:
    """Whatever concerns all first, and what status finds before what only this looks at."""
    instances = {app.instance for app in apps}
    yield from (it for it in problems(facts) if not it.app or it.app in instances)
    if facts.receiver.error and facts.receiver.exit_status == NO_TOKEN:
        yield Unseen("whether the counts of each App arrive", ROOT_OR_ADM)
    if not facts.sees_records:
        yield Unseen("the records")
    yield from places.problems(facts, instances)
    known: list[AppSettings] = []
    yield from settings.problems(facts, apps, known)
    yield from journald.problems(facts, _rate(known))
    yield from units.problems(facts, apps)
    yield from hosts.clock(known, hosts.is_synchronised())
    if any(one.config.store for one in known):
        from sendrecv.admin.checks import etcd  # the senders' client: long imports

        yield from etcd.problems(known)


def _rate(known: Iterable[AppSettings]) -> float:
    """Counts a second that the Apps take which are meant to run, by their settings."""
    intervals = (one.config.interval for one in known if one.app.meant)
    return sum(1 / interval for interval in intervals if interval)


def _sorted_out(found: Iterable[Problem | Unseen]) -> tuple[list[Problem], list[Unseen]]:
    """Errors before warnings, each once."""
    wrong: list[Problem] = []
    unseen: list[Unseen] = []
    for one in found:
        if isinstance(one, Unseen):
            unseen += [one] * (one not in unseen)
        else:
            wrong += [one] * (one not in wrong)
    return sorted(wrong, key=lambda it: not it.is_error), unseen


def _exit_status(found: Iterable[Problem], unknown: Sequence[str]) -> ExitStatus:
    if unknown:
        return UNKNOWN
    kinds = {problem.is_error for problem in found}
    return ERRORS if True in kinds else WARNINGS if kinds else DONE


def _show(found: Sequence[Problem], unseen: Sequence[Unseen], instances: Sequence[str]) -> None:
    screen = Screen()
    for problem in found:
        mark, colour = ("!", RED) if problem.is_error else ("-", YELLOW)
        for line in screen.wrapped(plain(problem.text), f"{mark} ", "  "):
            print(screen.paint(line, colour))
        if problem.cost:
            for line in screen.wrapped(f"So {plain(problem.cost)}.", "  ", "  "):
                print(line)
        for command in problem.commands:
            print(f"    {command}")
        print()
    for line in _of_unseen(screen, unseen):
        print(line)
    for line in screen.wrapped(_summary(found, instances), "", ""):
        print(line)


def _of_unseen(screen: Screen, unseen: Iterable[Unseen]) -> Iterator[str]:
    """By who may see it; an empty line behind."""
    whose: dict[str, list[str]] = {}
    for one in unseen:
        whose.setdefault(one.who, []).append(one.what)
    for who, what in whose.items():
        yield from screen.wrapped(
            f"Not seen: {plain(', '.join(what))}. Who may: {who}.", "? ", "  "
        )
        yield ""


def _summary(found: Sequence[Problem], instances: Sequence[str]) -> str:
    errors = sum(problem.is_error for problem in found)
    warnings = len(found) - errors
    whose = f"{len(instances)} App{'s' * (len(instances) != 1)}"
    if not found:
        return f"Nothing is wrong: {LOOKED_AT}; {whose}."
    parts = [
        f"{number} {what}{'s' * (number != 1)}"
        for number, what in ((errors, "error"), (warnings, "warning"))
        if number
    ]
    return f"{' and '.join(parts)}; {whose}."
