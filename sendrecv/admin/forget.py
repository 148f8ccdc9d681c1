"""`sendrecv forget`: Apps begin anew, with count 0 and epoch 1, as if there had never been any.

It is for an App whose name was a mistake, or whose counts or epochs are used up. The App must not
run: this command holds the lock of its record meanwhile. The receiver forgets first, at a start of
its own (see receiver/requests.py), and says so in the journal, so that `sendrecv proof` does not
take what was printed before for what is printed after. Then the record is removed. If anything
goes wrong in between, the App goes on where it was, or from 0, and the command can be repeated.
However many Apps are named, there is one question and one start of the receiver.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sendrecv.admin import acts, ask
from sendrecv.admin.files import RECORDS
from sendrecv.commandline import Parser
from sendrecv.core import record as slots
from sendrecv.core.errors import UnknownFormat, quoted
from sendrecv.core.record import Record
from sendrecv.core.wire import NAME_RULE, is_name
from sendrecv.errors import DONE, ReceiverUnavailable, StoreUnusable, UsageError

KEPT = """\
The numbers are lost, and counting begins with 0. What was printed stays in the journal, and
`sendrecv proof` judges it as before. The receiver is restarted: the counts of other Apps wait
for about a second."""
REQUESTS = Path("/run/sendrecv-receiver")


def main(argv: Sequence[str]) -> int:
    """Ask, and forget. Raises SendrecvError; then the Apps that it names are as they were."""
    parser = Parser(
        prog="sendrecv forget",
        description="Forget the count and the epoch of Apps that are stopped: they begin anew.",
    )
    parser.add_argument("apps", metavar="APP", nargs="+", help="its appID")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(argv)
    apps = list(dict.fromkeys(options.apps))
    for app_id in apps:
        if not is_name(app_id):
            raise UsageError(f"{quoted(app_id)} is not an appID", NAME_RULE)
    acts.assert_root(f"sendrecv forget {' '.join(apps)}")
    with contextlib.ExitStack() as locks:
        records = {app_id: locks.enter_context(_locked_record(app_id)) for app_id in apps}
        known = ask.apps()
        for app_id, record in records.items():
            _assert_stopped(app_id, record, known)
        print(
            *(told(app_id, records[app_id], known.get(app_id)) for app_id in apps), KEPT, sep="\n"
        )
        if not options.yes and not _is_confirmed(apps):
            raise UsageError("not confirmed: nothing is changed", "answer y, or use --yes")
        left = _ask_the_receiver(apps)
        for app_id in apps:
            if app_id not in left:
                _remove_record(app_id)
    if left:
        why = "see journalctl -u receiver"
        raise ReceiverUnavailable(f"App {', '.join(left)} is not forgotten", why)
    return DONE


def _remove_record(app_id: str) -> None:
    """With what a person has accepted for it, which would hold for the new incarnation."""
    for name in (f"{app_id}.record.accepted", f"{app_id}.record"):
        (RECORDS / name).unlink(missing_ok=True)
    print(f"App {app_id} is forgotten. When it is started, it counts from 0.")


def told(app_id: str, record: Record | None, row: Mapping[str, object] | None) -> str:
    """What is lost."""
    lines = [f"App {app_id}"]
    if record:
        lines.append(f"  its record:   count {record.count}, epoch {record.epoch}")
    if row:
        lines.append(f"  the receiver: count {row.get('count')}, epoch {row.get('epoch')}")
    if record and record.count > record.acknowledged:
        unsent = record.count - record.acknowledged
        lines.append(f"  LOST: {unsent} counts that the receiver may not have, the last ones")
    return "\n".join(lines)


def _is_confirmed(apps: Sequence[str]) -> bool:
    which = f"App {apps[0]}" if len(apps) == 1 else f"these {len(apps)} Apps"
    try:
        return input(f"Forget {which}? [y/N] ").strip().lower() in {"y", "yes"}
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


def _ask_the_receiver(apps: Sequence[str]) -> Sequence[str]:
    """Those that it has not forgotten."""
    try:
        directory = os.open(REQUESTS, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StoreUnusable(f"{REQUESTS}: {error.strerror}") from None
    requests = {}  # see receiver/requests.py
    try:
        for app_id in apps:
            os.close(_made(f"forget-{app_id}", directory))
            requests[app_id] = f"forget-{app_id}"
        # It handles requests before it is ready, and systemctl waits for that.
        command = ["systemctl", "restart", "receiver.service"]
        is_done = not subprocess.run(command, check=False).returncode
    finally:
        # Also after Ctrl-C: no later start is to forget an App that has gone on.
        left = [app_id for app_id, name in requests.items() if _withdrawn(name, directory)]
        os.close(directory)
    return left if is_done else apps


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
