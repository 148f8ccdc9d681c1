"""`sendrecv history`: who has counted, since when, and why that changed."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sendrecv.admin import names, schema
from sendrecv.admin.takeovers import Takeover, events
from sendrecv.commandline import Parser
from sendrecv.core.wire import is_name
from sendrecv.errors import DONE, UNKNOWN

HEADER = ("WHEN", "APP", "FROM", "TO", "COUNT", "SILENCE", "EPOCH")
LEAST = 30
"""Columns for the reason; if there are fewer, it has lines of its own."""
INDENT = 4


def main(argv: Sequence[str]) -> int:
    """Print what the journal has. Raises SendrecvError."""
    options = _parse(argv)
    instances = [names.instance_of(name) for name in options.instance]
    found = events(instances, options.since)
    unknown = _unknown(instances, found)
    if options.json:
        print(json.dumps(schema.history(found), indent=2))
    elif found:
        print("\n".join(lines(found, shutil.get_terminal_size().columns)))
    elif not unknown:
        print(
            "The journal has no takeovers and no starts" + (" of that time" * bool(options.since))
        )
    sys.stdout.flush()  # before what is on standard error
    for line in unknown:
        print(f"sendrecv: {line}", file=sys.stderr)
    return UNKNOWN if unknown else DONE


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


def _unknown(instances: Sequence[str], found: Sequence[Takeover]) -> list[str]:
    """What to say of each name that no App has."""
    missing = {*instances} - {event.instance for event in found}
    known = _known(events()) if missing else set()
    return [
        names.unknown(name, known)
        for name in dict.fromkeys(instances)
        if name in missing - known and not (is_name(name) and _is_loaded(name))
    ]


def _known(found: Sequence[Takeover]) -> set[str]:
    """Instances of which there is any trace."""
    files = {path.stem for path in Path("/etc/sendrecv").glob("*.env")} - {"receiver"}
    return {event.instance for event in found} | files


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
