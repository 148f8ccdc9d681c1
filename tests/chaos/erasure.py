"""Faults that make the journal or the state forget, or leave no room; see injector.py.

What a vacuum takes is kept here, by links to the journal's files: the verdict rests on all that the
journal has ever had. The programs under test cannot see it.

    python3 -m chaos.erasure             links the files that the journal has now, prints gone()
"""

import json
import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .actions import LEDGER, STATE, Fault, processes, send, stop_processes, systemctl, take_space

JOURNAL = Path("/var/log/journal")
KEPT = Path("/var/lib/chaos/kept")
COPY = Path("/var/lib/chaos/copy")
MARK = Path("/run/sendrecv-receiver/mark")
RUN = Path("/run")
FLOOD = "/usr/local/lib/chaos/flood.py"
DEBUG = "7"  # above what the observer is told, which could not keep up
ROTATION = threading.Lock()
"""Held while the journal's files are renamed by a fault here, and while they are copied."""

Span = tuple[str, int, int]
"""Entries that follow one another: the ID of journald's sequence, the first and the last number."""
HEADER = struct.Struct("<72x 16s 72x QQ")
"""Of a journal file: the ID of the sequence, the number of its last entry, and of its first one
(https://systemd.io/JOURNAL_FILE_FORMAT).
"""

RESIZED = threading.Lock()
"""Held while /run is not of its own size."""


def journal_files() -> Iterator[Path]:
    """Those that the journal has now."""
    yield from JOURNAL.glob("*/system*.journal*")


def keep() -> None:
    """Link the journal's files, so that they outlast a vacuum. The name is the inode."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for path in journal_files():
        try:
            os.link(path, KEPT / f"{path.stat().st_ino}.journal")
        except FileExistsError:
            pass  # it is linked already, and the link has what was added since
        except FileNotFoundError:
            keep()  # it was renamed just now, and has another name
            return


def outlasted() -> list[str]:
    """The names of the kept files that the journal no longer has: theirs is the only link.

    A list of the journal's files could lack one that a journald that starts renames just then.
    """
    return [path.name for path in KEPT.glob("*") if path.stat().st_nlink == 1]


def gone() -> list[Span]:
    """All that the journal once had, and has no longer."""
    spans = (span(KEPT / name) for name in outlasted())
    return joined(one for one in spans if one[2])


def span(path: Path) -> Span:
    """The entries of a journal file. The last number is 0 if it has none."""
    with path.open("rb") as file:
        sequence, last, first = HEADER.unpack(file.read(HEADER.size))
    return sequence.hex(), first, last


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same entries, in as few spans as can be."""
    found: list[Span] = []
    for sequence, first, last in sorted(spans):
        if found and found[-1][0] == sequence and found[-1][2] == first - 1:
            first = found.pop()[1]
        found.append((sequence, first, last))
    return found


def copy_state() -> None:
    """What a later fault puts back: the state of receiver and senders, as it is now."""
    script = 'rm -rf "$1"; mkdir -p "$1"; cp -a "$2" "$1/ledger"; cp -a "$3" "$1/state"'
    command = ["sh", "-c", script, "sh", str(COPY), str(LEDGER), str(STATE)]
    subprocess.run(command, stderr=subprocess.DEVNULL, check=False)  # files come and go meanwhile


def put_back(name: str, directory: Path, *, over: bool = False) -> None:
    """That part of the copy, in place of what is there; half of it, if there is no room for more.
    over: into the files that are there, which stay the same, and beside those that the copy lacks.

    A cp that fails leaves root's files, which nobody but a person could make usable again.
    """
    script = 'test "$3" || rm -rf "$2"/*; cp -a "$1"/. "$2"/; failed=$?; '
    script += 'chown -R --reference="$1" "$2"; exit $failed'
    command = ["sh", "-c", script, "sh", str(COPY / name), str(directory), "over" if over else ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


def kill_receiver() -> None:
    send(processes("receiver.service"), signal.SIGKILL)


def journald() -> list[int]:
    pids = processes("systemd-journald.service", "system.slice")
    if not pids:
        raise OSError("journald does not run")
    return pids


def rotate(fault: Fault) -> None:
    """Once, or several times."""
    with ROTATION:
        for _ in range(1 + int(10 * max(0.0, 2 * fault["chance"] - 1))):
            send(journald(), signal.SIGUSR2)
            time.sleep(0.03)


def rotate_start(fault: Fault) -> None:
    """While a receiver starts, which has to ask the journal, if its mark is gone."""
    pids = journald()
    with ROTATION:
        if fault["chance"] < 0.6:
            MARK.unlink(missing_ok=True)
        kill_receiver()
        time.sleep(0.2 * fault["chance"])
        for _ in range(15):
            send(pids, signal.SIGUSR2)
            time.sleep(0.01 + 0.05 * fault["chance"])


def vacuum(limit: str) -> Callable[[Fault], None]:
    """What is archived, to that limit; half the time, the receiver is killed then.

    The files are linked in between, when all that the vacuum may remove is archived.
    """

    def action(fault: Fault) -> None:
        with ROTATION:
            journalctl("--rotate")
            keep()
            journalctl(limit)
        if fault["chance"] < 0.5:
            kill_receiver()

    return action


def journalctl(option: str) -> None:
    done = subprocess.run(["journalctl", option], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


def stopped(*units: str) -> Callable[[list[str]], None]:
    """Stops those units; what is returned starts others."""
    subprocess.run(["systemctl", "stop", *units], stderr=subprocess.DEVNULL, check=False)

    def start(wanted: list[str]) -> None:
        until = time.monotonic() + 60  # PID 1 does not answer while it re-executes
        while not systemctl("start", *wanted) and time.monotonic() < until:
            time.sleep(0.05)

    return start


def restore(fault: Fault) -> None:
    """The receiver's state, while it runs, or while it is stopped, with its mark or without."""
    if not (COPY / "ledger").is_dir():
        raise OSError("there is no copy")
    if fault["chance"] < 0.4:
        put_back("ledger", LEDGER, over=fault["chance"] < 0.2)
        return
    start = stopped("receiver.socket", "receiver.service")
    try:
        if fault["chance"] > 0.8:
            MARK.unlink(missing_ok=True)
        put_back("ledger", LEDGER)
    finally:
        start(["receiver.socket"])


def restore_all(fault: Fault) -> None:
    """The same, with the senders' records."""
    if not (COPY / "ledger").is_dir():
        raise OSError("there is no copy")
    apps = sorted(path.stem for path in Path("/etc/sendrecv").glob("*.env"))
    targets = [f"sendrecv@{app}.target" for app in apps]
    start = stopped(*targets, "receiver.socket", "receiver.service")
    try:
        if fault["chance"] > 0.7:
            MARK.unlink(missing_ok=True)
        put_back("ledger", LEDGER)
        put_back("state", STATE)
    finally:
        start(["receiver.socket", *(f"sender@{app}.service" for app in apps)])


def log_removed(fault: Fault) -> None:
    """The database's write-ahead log, while the receiver runs, or between two of its starts; or all
    that is in it.
    """
    pids = processes("receiver.service")
    between = fault["chance"] > 0.3
    if between:
        stop_processes(pids)
    try:
        if int(100 * fault["chance"]) % 2:
            os.truncate(LEDGER / "ledger.db-wal", 0)
        else:
            (LEDGER / "ledger.db-wal").unlink()
    finally:
        if between:
            send(pids, signal.SIGKILL)


def flood(fault: Fault) -> None:
    """Three processes of user nobody keep journald busy, and the receiver is killed meanwhile."""
    units = [f"flood-{fault['number']}-{number}" for number in range(3)]
    for unit in units:
        command = ["systemd-run", "-q", "--collect", "--no-block", "--uid=nobody"]
        command += [f"--unit={unit}", "python3", FLOOD, DEBUG]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())
    time.sleep(fault["hold"] / 2)
    kill_receiver()
    time.sleep(fault["hold"] / 2)
    flooding = [pid for unit in units for pid in processes(f"{unit}.service", "system.slice")]
    send(flooding, signal.SIGKILL)
    systemctl("stop", *units)
    if not flooding:
        raise OSError("nothing flooded")


def run_full(fault: Fault) -> None:
    """A /run without a free block; half the time, the receiver is killed then."""
    filler = RUN / "chaos-filler"
    with RESIZED:
        there = os.statvfs(RUN)
        size = there.f_blocks * there.f_frsize
        used = size - there.f_bfree * there.f_frsize
        try:
            resize(used + (256 << 10))
            fill(filler, fault)
        finally:
            filler.unlink(missing_ok=True)
            resize(size)


def fill(filler: Path, fault: Fault) -> None:
    with filler.open("ab") as file:
        take_space(file.fileno())
        if fault["chance"] < 0.5:
            kill_receiver()
        until = time.monotonic() + fault["hold"]
        while time.monotonic() < until:
            time.sleep(0.02)
            take_space(file.fileno())


def resize(size: int) -> None:
    command = ["mount", "-o", f"remount,size={size}", str(RUN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


VACUUMS: dict[str, Callable[[Fault], None]] = {
    "vacuum": vacuum("--vacuum-size=1"),
    "vacuum-files": vacuum("--vacuum-files=2"),
}
ERASURES: dict[str, Callable[[Fault], None]] = {
    **VACUUMS,
    "rotate": rotate,
    "rotate-start": rotate_start,
    "restore": restore,
    "restore-all": restore_all,
    "log-removed": log_removed,
    "flood": flood,
    "run-full": run_full,
}


if __name__ == "__main__":
    keep()
    print(json.dumps(gone()))
