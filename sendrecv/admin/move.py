"""`sendrecv move`: a person moves an App to its other half (move_half.py), or to another host."""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from sendrecv.admin import acts
from sendrecv.admin.told import told
from sendrecv.commandline import Parser
from sendrecv.core.errors import quoted
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import DONE, ReceiverUnavailable, StoreUnusable, UsageError

RUNTIME = Path("/run/sendrecv")
PATIENCE = 5.0
"""Seconds until the other host must have taken the App."""
_HALVES = ("main", "failover")
_ALONE = {"not connected", "connecting", "resuming", "connected"}
"""How the status of a sender begins whose App is of this machine alone."""


def main(argv: Sequence[str]) -> int:
    """Wait until the App has moved. To another host: tell this host's sender, which tells the one
    that counts.
    """
    options = _parse(argv)
    instance, to = acts.instance_of(options), options.to
    if not is_name(to or "main"):
        raise UsageError(f"{quoted(to)} is no half and no host", f"must be {NAME_RULE}")
    unit, before = _sender(instance)
    is_alone = before.partition(",")[0] in _ALONE
    if to in _HALVES or (is_alone and not to):
        from sendrecv.admin import move_half  # a move to another host does not wait for its imports

        _assert_counts_here(instance, before, is_alone)
        acts.assert_root(f"sendrecv move {instance} {to}".rstrip())
        return move_half.move(instance, to, options.reason)
    if is_alone:
        raise UsageError(
            f"App {instance} is an App of this machine alone, with the halves main and failover",
            "for several hosts, its settings need SENDRECV_STORE, see sendrecv.env(5)",
        )
    if not to:
        raise UsageError(f"App {instance} is one of several hosts", "name the one it is to go to")
    if _counts_on(before) == to:
        print(f"App {instance} counts on {to} already")
        return DONE
    _ask(instance, to, options.reason, unit)
    return _wait(instance, to)


def _assert_counts_here(instance: str, status: str, is_alone: bool) -> None:
    """Of a host that stands by, either half would stand by. Raises UsageError."""
    if not is_alone and (host := _counts_on(status)) != os.uname().nodename.partition(".")[0]:
        where = f"counts on {host}" if host else "does not count here"
        raise UsageError(f"App {instance} {where}", "name a host, or type this on that one")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sendrecv move",
        description="Let the other half of an App count; or, of an App of several hosts, another"
        " host on which it stands by. For root.",
    )
    acts.add_arguments(parser)
    parser.add_argument(
        "to",
        nargs="?",
        metavar="HALF|HOST",
        default="",
        help="main or failover (default: the half that does not count), or the name of a host, as"
        " it is in the App's status",
    )
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
        if isinstance(error, PermissionError):
            acts.assert_root(f"sendrecv move {instance} {host}")
        raise StoreUnusable(f"{error.filename}: {error.strerror}", "run this as root") from None
    _systemctl("kill", "--kill-whom=main", "--signal=USR1", unit)


def _wait(instance: str, host: str) -> int:
    ends = time.monotonic() + PATIENCE
    now = status = ""
    while time.monotonic() < ends:
        time.sleep(0.1)
        status = _sender(instance)[1]
        now = _counts_on(status)
        if now == host:
            print(f"App {instance} counts on {host} now")
            return DONE
    hint = f"it counts on {now or 'no host'}; is sender@{instance} active on {host}?"
    if told(status).held:  # who counts hands it over, and nobody does
        hint = f"it is paused, and nothing counts: sendrecv resume {instance}"
    raise ReceiverUnavailable(f"{host} has not taken App {instance} within {PATIENCE:g} s", hint)


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
