"""`sendrecv forget`: an App begins anew, with count 0 and epoch 1, as if there had never been one.

It is for an App whose name was a mistake, or whose counts or epochs are used up. The App must not
run: this command holds the lock of its record meanwhile. The receiver forgets first, at a start of
its own (see receiver/requests.py), and says so in the journal, so that `sendrecv proof` does not
take what was printed before for what is printed after. Then the record is removed. If anything
goes wrong in between, the App goes on where it was, or from 0, and the command can be repeated.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sendrecv.admin import acts, ask
from sendrecv.commandline import Parser
from sendrecv.core import record as slots
from sendrecv.core.errors import UnknownFormat, quoted
from sendrecv.core.record import Record
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import DONE, ReceiverUnavailable, StoreUnusable, UsageError

RECORDS = Path("/var/lib/sendrecv")
REQUESTS = Path("/run/sendrecv-receiver")


def main(argv: Sequence[str]) -> int:
    """Ask, and forget. Raises SendrecvError; then the App is as it was."""
    parser = Parser(
        prog="sendrecv forget",
        description="Forget the count and the epoch of an App that is stopped: it begins anew.",
    )
    parser.add_argument("app", metavar="APP", help="its appID")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(argv)
    app_id = options.app
    if not is_name(app_id):
        raise UsageError(f"{quoted(app_id)} is not an appID", NAME_RULE)
    acts.assert_root(f"sendrecv forget {app_id}")
    with _locked_record(app_id) as record:
        known = ask.apps()
        _assert_stopped(app_id, record, known)
        print(told(app_id, record, known.get(app_id)))
        if not options.yes and not _is_confirmed(app_id):
            raise UsageError("not confirmed: nothing is changed", "answer y, or use --yes")
        _ask_the_receiver(app_id)
        # With what a person has accepted for it, which would hold for the new incarnation.
        for name in (f"{app_id}.record.accepted", f"{app_id}.record"):
            (RECORDS / name).unlink(missing_ok=True)
    print(f"App {app_id} is forgotten. When it is started, it counts from 0.")
    return DONE


def told(app_id: str, record: Record | None, row: Mapping[str, object] | None) -> str:
    """What is lost, and what is not."""
    lines = [f"App {app_id}"]
    if record:
        lines.append(f"  its record:   count {record.count}, epoch {record.epoch}")
    if row:
        lines.append(f"  the receiver: count {row.get('count')}, epoch {row.get('epoch')}")
    if record and record.count > record.acknowledged:
        unsent = record.count - record.acknowledged
        lines.append(f"  LOST: {unsent} counts that the receiver may not have, the last ones")
    lines += [
        "Both numbers are lost: the App will count from 0. What was printed stays in the journal,",
        "and `sendrecv proof` judges it as before. The receiver is restarted: the counts of other",
        "Apps wait for about a second.",
    ]
    return "\n".join(lines)


def _is_confirmed(app_id: str) -> bool:
    try:
        return input(f"Forget App {app_id}? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False


def _assert_stopped(
    app_id: str, record: Record | None, known: Mapping[str, Mapping[str, object]]
) -> None:
    row = known.get(app_id)
    if record is None and row is None:
        names = ", ".join(sorted(known)[:10]) or "none"
        raise UsageError(f"no App is called {app_id}", f"the receiver knows: {names}")
    if row and row.get("connectedSince") is not None:
        raise UsageError(f"App {app_id} is connected to the receiver", _stop(app_id))


def _stop(app_id: str) -> str:
    return f"stop it first, as with: systemctl stop sendrecv@{app_id}.target"


@contextlib.contextmanager
def _locked_record(app_id: str) -> Iterator[Record | None]:
    """The App's record, None if there is none. Until the end no sender of this machine can run."""
    path = RECORDS / f"{app_id}.record"
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}") from None
    try:
        yield _record(file, app_id)
    finally:
        os.close(file)


def _record(file: int, app_id: str) -> Record | None:
    """What is in that file, which is locked from now on."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"App {app_id} runs", _stop(app_id)) from None
    try:
        return slots.decode(os.pread(file, 65536, 0)).record
    except UnknownFormat:  # of a newer version: that is no reason to keep it
        return None


def _ask_the_receiver(app_id: str) -> None:
    """Returns when it has forgotten the App."""
    request = f"forget-{app_id}"  # see receiver/requests.py
    try:
        directory = os.open(REQUESTS, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StoreUnusable(f"{REQUESTS}: {error.strerror}") from None
    try:
        os.close(_made(request, directory))
        try:
            # It handles requests before it is ready, and systemctl waits for that.
            command = ["systemctl", "restart", "receiver.service"]
            is_done = not subprocess.run(command, check=False).returncode
        finally:
            # Also after Ctrl-C: no later start is to forget an App that has gone on.
            is_left = _withdrawn(request, directory)
    finally:
        os.close(directory)
    if is_left or not is_done:
        raise ReceiverUnavailable(f"App {app_id} is not forgotten", "see journalctl -u receiver")


def _withdrawn(name: str, directory: int) -> bool:
    """Whether the request was still there."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def _made(name: str, directory: int) -> int:
    """A file of that name, which is there already if an earlier command was interrupted."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, 0o600, dir_fd=directory)
    except OSError as error:
        raise StoreUnusable(f"{REQUESTS}/{name}: {error.strerror}") from None
