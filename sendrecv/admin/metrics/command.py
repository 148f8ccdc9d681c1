"""`sendrecv metrics`: what there is to know, for Prometheus. Once, or for whoever connects."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sendrecv.admin.metrics import reading, tally
from sendrecv.commandline import Parser
from sendrecv.errors import DONE, UsageError


def main(argv: Sequence[str]) -> int:
    """Print the metrics, write them to a file, or serve them. Raises SendrecvError."""
    options = _parse(argv)
    if options.serve:
        from sendrecv.admin.metrics import scrapes  # asyncio takes long to import

        scrapes.serve(reading.text)
    elif options.output:
        # To the journal it would be the same each time; sendrecv_source_up says it.
        _write(Path(options.output), reading.text())
    else:
        print(reading.text(_complain), end="")
    return DONE


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv metrics",
        description="Print metrics of all Apps as text for Prometheus. sendrecv-metrics(1) lists"
        " them, and says how Prometheus gets them.",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--output",
        metavar="FILE",
        default="",
        help="replace this file as a whole, for node_exporter's textfile collector",
    )
    how.add_argument(
        "--serve",
        action="store_true",
        help="answer GET /metrics on the socket that systemd hands over (sendrecv-metrics.socket)",
    )
    return parser.parse_args(argv)


def _complain(line: str) -> None:
    print(f"sendrecv: {line}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    try:
        tally.replace(path, text, 0o644)
    except OSError as error:
        raise UsageError(f"--output={path}: {error.strerror}") from None
