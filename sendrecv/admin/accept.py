"""`sendrecv accept`: a person says that the receiver is right about what a sender doubts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from sendrecv.admin import acts
from sendrecv.admin.files import RECORDS
from sendrecv.commandline import Parser
from sendrecv.core.errors import quoted
from sendrecv.core.wire import MAX_COUNT, MAX_EPOCH, NAME_RULE, is_name
from sendrecv.errors import DONE, StoreUnusable, UsageError


def main(argv: Sequence[str]) -> int:
    """Leave the number beside the App's record, where its sender finds it within seconds."""
    options = _parse(argv)
    what, number, most = ("count", options.count, MAX_COUNT)
    if number is None:
        what, number, most = ("epoch", options.epoch, MAX_EPOCH)
    if not is_name(options.app):
        raise UsageError(f"{quoted(options.app)} is no appID", f"must be {NAME_RULE}")
    if not 0 <= number <= most:
        raise UsageError(f"--{what} {number}", f"must be from 0 to {most}")
    record = RECORDS / f"{options.app}.record"
    try:
        record.lstat()
        _write(RECORDS / f"{record.name}.accepted", f"{what} {number}\n")
    except FileNotFoundError:
        raise UsageError(f"no App is called {options.app}", f"there is no {record}") from None
    except OSError as error:
        if isinstance(error, PermissionError):
            typed = ["sendrecv", "accept", options.app, f"--{what}", str(number)]
            acts.assert_root(" ".join(typed))
        raise StoreUnusable(f"{error.filename}: {error.strerror}", "run this as root") from None
    print(f"The next connection of App {options.app} adopts the receiver's last {what}, if that is")
    print(f"{number}, or between the App's own and {number}. See journalctl -t sendrecv")
    return DONE


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv accept",
        description="Let an App go on from a number of the receiver that its sender did not believe"
        " (as root). First find out whether the receiver is the right one.",
    )
    parser.add_argument("app", metavar="APPID")
    number = parser.add_mutually_exclusive_group(required=True)
    number.add_argument("--count", type=int, metavar="N", help="the receiver's last count")
    number.add_argument("--epoch", type=int, metavar="N", help="the receiver's epoch")
    return parser.parse_args(argv)


def _write(path: Path, text: str) -> None:
    """As a whole. The directory belongs to the senders' user, so no link in it is followed."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, 0o644)  # whatever the umask is: the sender reads it
        file.write(text)
    os.replace(new, path)
