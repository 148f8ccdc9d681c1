"""What the commands have in common that change what an App does: who may, who did, and why."""

from __future__ import annotations

import argparse
import os
import pwd
import subprocess
from collections.abc import Mapping

from sendrecv import systemd
from sendrecv.admin import names
from sendrecv.core.errors import NOTICE, quoted
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import StoreUnusable, UsageError

MAX_REASON = 200
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
    """Raises UsageError for anybody else. command: what was typed, without the reason."""
    if os.geteuid():
        raise UsageError(
            "only root may do that", f"type: sudo {command}, or, with polkit: pkexec {command}"
        )


def person() -> str:
    """Who types this: the one who has logged in, whatever sudo or pkexec has made of that one."""
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            number = int(file.read(16))
    except (OSError, ValueError):
        number = _UNSET
    number = os.getuid() if number == _UNSET else number
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
