"""What the commands have in common that change what an App does: who may, who did, and why."""

from __future__ import annotations

import argparse
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sendrecv import systemd
from sendrecv.admin import names
from sendrecv.core.errors import NOTICE, quoted
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import StoreUnusable, UsageError

MAX_REASON = 200
NOTES = Path("/run/sendrecv-takeover")
"""Only root can write there, and senders read it."""
PROGRAM, PKEXEC = "/usr/bin/sendrecv", "/usr/bin/pkexec"
LOGIN = "/proc/self/loginuid"
_UNSET = 2**32 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """INSTANCE, and --reason."""
    parser.add_argument("instance", metavar="INSTANCE", help="as in sender@INSTANCE")
    parser.add_argument("--reason", metavar="TEXT", default="", help="for the journal")


def instance_of(options: argparse.Namespace) -> str:
    """The instance that is meant. Raises UsageError if it is none, or the reason is no line."""
    instance = names.instance_of(options.instance)
    if not is_name(instance):
        raise UsageError(f"{quoted(instance)} is no instance", f"must be {NAME_RULE}")
    if not options.reason.isprintable() or len(options.reason) > MAX_REASON:
        raise UsageError("the reason must be one line", f"of at most {MAX_REASON} characters")
    return instance


def assert_root(command: str) -> None:
    """At a terminal, and with polkit, anybody else has to authenticate, and what was typed is run
    again, as root. Otherwise raises UsageError. command: what was typed, without the reason.
    """
    if not os.geteuid():
        return
    if sys.argv[0] == PROGRAM and os.isatty(0) and os.access(PKEXEC, os.X_OK):
        os.execv(PKEXEC, [PKEXEC, PROGRAM, *sys.argv[1:]])
    raise UsageError(
        "only root may do that", f"type: sudo {command}, or, with polkit: pkexec {command}"
    )


def person() -> str:
    """Who types this: the one who has logged in, whatever sudo or pkexec has made of that one."""
    try:
        with open(LOGIN, encoding="ascii") as file:
            number = int(file.read(16))
    except (OSError, ValueError):
        number = _UNSET
    if number == _UNSET:  # of who has not logged in, pkexec tells
        by = os.environ.get("PKEXEC_UID", "")
        number = int(by) if by.isdigit() and not os.getuid() else os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user:{number}"
    return name if is_name(name) else f"user:{number}"


def tell(text: str, instance: str, fields: Mapping[str, str]) -> None:
    """The journal, with those fields. Without journald, what was typed is done all the same."""
    known = {"SENDRECV_INSTANCE": instance}
    given = {name: value for name, value in (known | dict(fields)).items() if value}
    systemd.send_entry(NOTICE, text, given)


def with_reason(by: str, reason: str) -> str:
    """For people."""
    return f"by {by}: {reason}" if reason else f"by {by}"


def systemctl(*words: str) -> bool:
    """Whether that has worked. What systemctl says to a person is shown."""
    try:
        done = subprocess.run(["systemctl", "--no-pager", *words], timeout=90, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise StoreUnusable(f"systemctl: {error}") from None
    return done.returncode == 0
