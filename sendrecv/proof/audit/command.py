"""`sendrecv audit`: proves what has come since the last audit, and keeps the chain of audits."""

from __future__ import annotations

import argparse
import os
import pwd
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from sendrecv.commandline import Parser
from sendrecv.errors import DONE, VIOLATED, StoreUnusable, UsageError
from sendrecv.proof.audit import entries
from sendrecv.proof.audit.audit import STATE, Done, acknowledge, audit, begin_anew
from sendrecv.proof.audit.reading import mark_of
from sendrecv.proof.audit.room import PERIOD, rotated
from sendrecv.proof.chain.store import Chain, ChainError
from sendrecv.proof.read.files import LIVE
from sendrecv.proof.read.journalctl import sync

USER, GROUP = "sendrecv-audit", "systemd-journal"
UNIT = "sendrecv-audit.service"
PROGRAM = "/usr/bin/sendrecv"
BY_ROTATION = "sendrecv-audit.path"
DUE = 0.9 * PERIOD
"""Seconds after the last audit."""
AGAIN = 5
"""Audits that one start makes at most, beside the first. While the service runs, systemd does not
see that journald rotates: systemd.path(5)."""

DESCRIPTION = """\
Proves from the journal what has come since the last audit, of all Apps, and adds a line for each
to the chain of audits in /var/lib/sendrecv-audit. sendrecv-audit.timer does this each hour.
"""
EPILOG = """\
exit status: 0 nothing is violated that nobody has acknowledged, 1 something is; 64 and above: there
was no audit.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="sendrecv audit",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--acknowledge", metavar="REASON", help="end the alarm; the reason is kept in the chain"
    )
    only.add_argument(
        "--anew", metavar="REASON", help="put aside a chain that cannot be used, and begin another"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run with these arguments; returns the exit status. Raises SendrecvError."""
    options = _parser().parse_args(argv)
    for reason in (options.acknowledge, options.anew):
        if reason is not None and not reason.strip():
            raise UsageError(
                "the reason is empty", "it is kept in the chain, for those who ask later"
            )
    if os.geteuid() == 0:
        return _as_its_user(argv, options)
    return _run(options)


def _as_its_user(argv: Sequence[str], options: argparse.Namespace) -> int:
    """Root hands over to the user whose chain it is: what is written there is that user's."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        raise UsageError(f"there is no user {USER}", "install the package again") from None
    sync()
    command = [PROGRAM, "audit", *argv]
    status = subprocess.run(
        command, user=USER, group=USER, extra_groups=[GROUP], check=False
    ).returncode
    if options.acknowledge is not None and status == DONE:
        subprocess.run(["systemctl", "reset-failed", UNIT], capture_output=True, check=False)
    return status


def _run(options: argparse.Namespace) -> int:
    if not os.access(STATE, os.W_OK):
        raise UsageError(f"{STATE} is not yours to write", "run it as root")
    try:
        return _done(options)
    except ChainError as error:
        entries.log(entries.CRIT, entries.CHAIN_ID, f"the chain of audits cannot be used: {error}")
        hint = "see CHAIN in sendrecv-audit(1), then: sendrecv audit --anew REASON"
        raise StoreUnusable(str(error), hint) from None
    except OSError as error:
        raise StoreUnusable(f"{error.filename}: {error.strerror}") from None


def _done(options: argparse.Namespace) -> int:
    if options.acknowledge is not None:
        return _acknowledge(options.acknowledge)
    if options.anew is not None:
        return _begin_anew(options.anew)
    if os.environ.get("TRIGGER_UNIT") == BY_ROTATION and not _is_time():
        return DONE
    status = _say(audit())
    for _ in range(AGAIN):
        if not _is_time():
            break
        status = _say(audit())
    return status


def _is_time() -> bool:
    """Whether a rotation of the journal is reason enough for an audit. One that is due is made in
    any case: the timer starts nothing while this one runs.
    """
    try:
        chain = Chain.read(STATE)
        if chain and time.time() > chain.head.at / 1e6 + DUE:
            return True
        mark = mark_of(chain) if chain else None
    except ChainError:
        return True  # which will say what is wrong
    machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    return rotated((top / machine for top in LIVE), mark)


def _say(done: Done) -> int:
    head = done.chain.head
    apps = len(done.lines)
    print(f"audit {head.number}: {apps} App{' has' if apps == 1 else 's have'} news")
    for app, line in done.lines.items():
        print(f"  {app}: {line['verdict']}, {line['counts']} counts")
        for found in (*line.get("witnesses", ()), *line.get("doubts", ())):
            print(f"    {found['check']}: {found['text']}")
    for app in done.alarm:
        print(f"{app}: VIOLATED, not acknowledged: sendrecv audit --acknowledge REASON")
    return VIOLATED if done.alarm else DONE


def _acknowledge(reason: str) -> int:
    apps = acknowledge(reason, _who())
    print(f"acknowledged: {', '.join(apps)}" if apps else "there is nothing to acknowledge")
    return DONE


def _begin_anew(reason: str) -> int:
    aside = begin_anew(reason, _who())
    print(f"the old chain is in {aside}, and a new one begins with the next audit")
    return DONE


def _who() -> str:
    """Who has logged in, whoever that is now."""
    try:
        login = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
        return pwd.getpwuid(login).pw_name
    except (OSError, ValueError, KeyError):
        return "root"
