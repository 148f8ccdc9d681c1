"""`sendrecv history`: who has counted, since when, and why that changed."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from sendrecv.admin.takeovers import Takeover, events
from sendrecv.commandline import Parser
from sendrecv.core.errors import quoted
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import DONE, UsageError

VERSION = 1
"""Of the JSON. New keys do not change it."""
HEADER = ("WHEN", "APP", "FROM", "TO", "COUNT", "SILENCE", "EPOCH")
LEAST = 30
"""Columns for the reason; if there are fewer, it has lines of its own."""
INDENT = 4
_UNIT = re.compile(r"(?:sender|sender-failover)@(.+)\.service|sendrecv@(.+)\.target")


def main(argv: Sequence[str]) -> int:
    """Print what the journal has. Raises SendrecvError."""
    options = _parse(argv)
    instances = [instance_of(name) for name in options.instance]
    found = events(instances, options.since)
    for instance in instances:
        if all(event.instance != instance for event in found):
            _assert_known(instance)
    if options.json:
        print(json.dumps({"version": VERSION, "events": list(map(_as_json, found))}))
    elif found:
        print("\n".join(lines(found, shutil.get_terminal_size().columns)))
    else:
        print(
            "The journal has no takeovers and no starts" + (" of that time" * bool(options.since))
        )
    return DONE


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv history",
        description="Show the takeovers and starts of Apps, the newest last: who counted, who"
        " counts, since which count, and why.",
    )
    parser.add_argument(
        "instance", nargs="*", help="Apps to show (default: all), as in sender@INSTANCE"
    )
    parser.add_argument(
        "--since", metavar="TIME", default="", help="as for journalctl: '-1h', 'today', '12:00'"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(list(_joined(argv)))


def _joined(argv: Sequence[str]) -> Iterator[str]:
    """argparse would take "-1h" for an option."""
    words = iter(argv)
    for word in words:
        value = next(words, None) if word == "--since" else None
        yield word if value is None else f"{word}={value}"


def instance_of(name: str) -> str:
    """The instance that a person means: its name, or one of its units. Raises UsageError."""
    unit = _UNIT.fullmatch(name)
    if unit:
        name = unit[1] or unit[2]
    elif name.startswith(("sender@", "sender-failover@", "sendrecv@")):
        name = name.partition("@")[2]
    if not is_name(name):
        raise UsageError(f"{quoted(name)} is no instance", f"must be {NAME_RULE}")
    return name


def _assert_known(instance: str) -> None:
    """Raises UsageError for an App of which there is no trace."""
    known = {event.instance for event in events()}
    if instance in known or os.path.exists(f"/etc/sendrecv/{instance}.env") or _is_loaded(instance):
        return
    names = ", ".join(sorted(known)[:10]) or "none"
    raise UsageError(f"no App is called {instance}", f"the journal knows: {names}")


def _is_loaded(instance: str) -> bool:
    units = [f"sender@{instance}.service", f"sendrecv@{instance}.target"]
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", *units]
    done = subprocess.run(command, capture_output=True, check=False)
    return bool(done.stdout.strip())


def lines(found: Sequence[Takeover], width: int) -> Iterator[str]:
    """A table of that width. The reason is the last column; below its row if that is too narrow."""
    rows = [HEADER, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = sum(widths) + 2 * len(widths)
    is_beside = width - left >= LEAST
    for number, row in enumerate(rows):
        cells = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True))
        why = found[number - 1].why if number else "WHY"
        if is_beside:
            first, *more = textwrap.wrap(why, width - left) or [""]
            yield f"{cells}  {first}".rstrip()
            yield from (" " * left + line for line in more)
            continue
        yield cells.rstrip()
        indent = " " * INDENT
        yield from textwrap.wrap(why, width, initial_indent=indent, subsequent_indent=indent)


def _as_json(event: Takeover) -> dict[str, object]:
    return {"event": "start" if event.is_start else "takeover", **asdict(event)}


def _row(event: Takeover) -> tuple[str, ...]:
    return (
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.when)),
        event.instance,
        _node(event.from_node, event.from_host) or "-",
        _node(event.to_node, event.to_host),
        "-" if event.count is None else str(event.count),
        "-" if event.silence is None else f"{event.silence:.1f} s",
        str(event.epoch),
    )


def _node(node: str, host: str) -> str:
    """With the host, unless the node is named after it."""
    return f"{node} ({host})" if host and not node.startswith(host) else node
