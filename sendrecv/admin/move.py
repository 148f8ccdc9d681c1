"""`sendrecv move`: a person moves an App of several hosts to another host."""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from sendrecv.commandline import Parser
from sendrecv.core.errors import quoted
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import DONE, ReceiverUnavailable, StoreUnusable, UsageError

RUNTIME = Path("/run/sendrecv")
PATIENCE = 5.0
"""Seconds until the other host must have taken the App."""
MAX_REASON = 200
_ALONE = {"not connected", "connecting", "resuming", "connected"}
"""How the status of a sender begins whose App is of this machine alone."""


def main(argv: Sequence[str]) -> int:
    """Tell this host's sender, which tells the one that counts; wait until the App has moved."""
    options = _parse(argv)
    for what, name in (("instance", options.instance), ("host", options.host)):
        if not is_name(name):
            raise UsageError(f"{quoted(name)} is no {what}", f"must be {NAME_RULE}")
    if not options.reason.isprintable() or len(options.reason) > MAX_REASON:
        raise UsageError("the reason must be one line", f"of at most {MAX_REASON} characters")
    unit, before = _sender(options.instance)
    if _counts_on(before) == options.host:
        print(f"App {options.instance} counts on {options.host} already")
        return DONE
    _ask(options.instance, options.host, options.reason, unit)
    return _wait(options.instance, options.host)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv move",
        description="Move an App of several hosts to another host, on which it stands by (as root,"
        " on any host on which it runs).",
    )
    parser.add_argument("instance", metavar="INSTANCE", help="as in sender@INSTANCE")
    parser.add_argument("host", metavar="HOST", help="its name, as it is in the App's status")
    parser.add_argument("--reason", metavar="TEXT", default="", help="for the journal")
    return parser.parse_args(argv)


def _sender(instance: str) -> tuple[str, str]:
    """The unit that is active, and its status. Raises UsageError if no half stands by or counts."""
    units = [f"{half}@{instance}.service" for half in ("sender", "sender-failover")]
    said = _systemctl("show", "--property=ActiveState,StatusText", *units)
    for unit, block in zip(units, said.split("\n\n"), strict=False):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        status = values.get("StatusText", "")
        if values.get("ActiveState") != "active":
            continue
        if status.partition(",")[0] in _ALONE:
            raise UsageError(
                f"App {instance} is an App of this machine alone",
                "its settings have no SENDRECV_STORE, see sendrecv.env(5)",
            )
        return unit, status
    raise UsageError(
        f"no sender of App {instance} runs on this host", f"systemctl start sender@{instance}"
    )


def _counts_on(status: str) -> str:
    """The host, as that status of a sender says; "" if it does not."""
    if status.startswith("counting here since "):
        return os.uname().nodename.partition(".")[0]
    words = status.split()
    is_known = words[:2] == ["standing", "by,"] and words[4:5] == ["counts"]
    return words[2] if is_known else ""


def _ask(instance: str, host: str, reason: str, unit: str) -> None:
    path = RUNTIME / f"{instance}.move"
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        # The directory belongs to the senders' user: no link in it is followed.
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o644)
            file.write(f"{host}\n{reason}\n")
        os.replace(new, path)
    except OSError as error:
        raise StoreUnusable(f"{error.filename}: {error.strerror}", "run this as root") from None
    _systemctl("kill", "--kill-whom=main", "--signal=USR1", unit)


def _wait(instance: str, host: str) -> int:
    ends = time.monotonic() + PATIENCE
    now = ""
    while time.monotonic() < ends:
        time.sleep(0.1)
        now = _counts_on(_sender(instance)[1])
        if now == host:
            print(f"App {instance} counts on {host} now")
            return DONE
    raise ReceiverUnavailable(
        f"{host} has not taken App {instance} within {PATIENCE:g} s",
        f"it counts on {now or 'no host'}; is sender@{instance} active on {host}?",
    )


def _systemctl(*words: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", "--no-pager", *words], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreUnusable(f"systemctl: {error}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").splitlines()
        raise UsageError(f"systemctl: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout.decode("utf-8", "replace")
