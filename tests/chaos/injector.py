"""Injects faults; runs inside the machine, as root. Standard library only, and actions.py.

Reads a plan, one JSON object, on standard input: {"apps": {APP: interval}, "faults": [...]}, where
faults are those of faults.py. Writes what it did on standard output, one JSON object a line, times
in seconds of the monotonic clock:

    {"fault": NUMBER, "begin": T, "end": T, "trigger": "record", "error": "", "gone": null}
                                                                       a fault is over, or undone
    {"power": NUMBER, "at": T}                                         the host must act now
    {"settled": {APP: seconds}, "silent": [APP, ...]}                  all faults are over

Of a vacuum, "gone" is what the journal no longer has, see erasure.py.
"""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from .actions import ACTIONS, LEDGER, STATE, Fault
from .erasure import ERASURES, ROTATION, VACUUMS, copy_state, gone, journal_files, keep, outlasted

SAVED = Path("/var/lib/chaos/journal")
OUTLASTED = Path("/var/lib/chaos/outlasted")  # what was kept of vacuumed files by then
SYNCED = Path("/run/systemd/journal/synced")  # written by journald when all is on disk
TRIGGER_WAIT = 1.5
SETTLE = 180.0
"""Seconds after which an App will not count again: HANG of tests/lab/machine.py."""


def report(**fields: Any) -> None:
    """One line for the host."""
    sys.stdout.write(f"{json.dumps(fields)}\n")
    sys.stdout.flush()


class Watch:
    """What happens in the machine, as triggers: lines in the journal, writes to the files."""

    def __init__(self, apps: dict[str, float]) -> None:
        self.apps = apps
        self.lines: dict[str, float] = {}  # when the App's last line was printed
        self._seen: dict[str, int] = {}
        self._changed = threading.Condition()
        for target in (self._follow_journal, self._follow_files):
            threading.Thread(target=target, daemon=True).start()

    def wait(self, what: str, limit: float) -> bool:
        """Wait for the next `what`: "line APP", "record APP" or "ledger"."""
        with self._changed:
            before = self._seen.get(what, 0)
            return self._changed.wait_for(lambda: self._seen.get(what, 0) > before, limit)

    def beat(self, app: str) -> float:
        """When the App's next line is expected, if all goes well."""
        last, interval = self.lines.get(app, 0.0), self.apps[app]
        now = time.monotonic() + 0.03
        return last + max(1, -(-(now - last) // interval)) * interval

    def _note(self, what: str) -> None:
        with self._changed:
            self._seen[what] = self._seen.get(what, 0) + 1
            self._changed.notify_all()

    def _follow_journal(self) -> None:
        command = "journalctl -qf -n 0 -o json --output-fields=MESSAGE"
        command += " _SYSTEMD_UNIT=receiver.service"
        command += " _TRANSPORT=stdout PRIORITY=6"
        with subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True) as journal:
            assert journal.stdout
            for text in journal.stdout:
                entry = json.loads(text)
                try:
                    app = json.loads(entry["MESSAGE"])["appID"]
                except (ValueError, KeyError, TypeError):
                    continue
                self.lines[app] = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
                self._note(f"line {app}")

    def _follow_files(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        queue = libc.inotify_init1(os.O_CLOEXEC)
        modified = 0x2
        watched = {
            libc.inotify_add_watch(queue, bytes(path), modified): path for path in (STATE, LEDGER)
        }
        while data := os.read(queue, 65536):
            while data:
                watch, _, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0").decode()
                data = data[16 + length :]
                if watched.get(watch) == STATE:
                    self._note(f"record {name.removesuffix('.record')}")
                elif name == "ledger.db-wal":
                    self._note("ledger")


class Injector:
    """Carries out one plan."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._faults: list[Fault] = plan["faults"]
        self._watch = Watch(plan["apps"])
        self._last = time.monotonic()

    def run(self) -> None:
        """Inject everything, then wait until every App counts again."""
        for app in self._watch.apps:
            self._watch.wait(f"line {app}", 5)
        begin = time.monotonic()
        threads = []
        for fault in self._faults:
            time.sleep(max(0.0, begin + fault["at"] - time.monotonic()))
            threads.append(threading.Thread(target=self._inject, args=(fault,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        self._settle()

    def _inject(self, fault: Fault) -> None:
        trigger = fault["trigger"] if self._trigger(fault) else "none"
        if fault["kind"] in {"power-cut", "journal-lost", "reboot"}:
            report(power=fault["number"], at=time.monotonic())
            time.sleep(60)
            return
        at = time.monotonic()
        error = ""
        try:
            (ACTIONS | ERASURES)[fault["kind"]](fault)
        except OSError as problem:
            error = str(problem)
        end = time.monotonic()
        self._last = max(self._last, end)
        taken = gone() if fault["kind"] in VACUUMS else None
        report(fault=fault["number"], begin=at, end=end, trigger=trigger, error=error, gone=taken)

    def _trigger(self, fault: Fault) -> bool:
        """Wait for the fault's trigger and offset; whether it came."""
        what, app = fault["trigger"], fault["watch"]
        if what == "beat":
            at = self._watch.beat(app) + fault["offset"]
            time.sleep(min(TRIGGER_WAIT, max(0.0, at - time.monotonic())))
            return True
        if what == "any":
            return True
        came = self._watch.wait(what if what == "ledger" else f"{what} {app}", TRIGGER_WAIT)
        time.sleep(fault["offset"])
        return came

    def _settle(self) -> None:
        """Every App's time from the last fault to its first line after it."""
        took: dict[str, float] = {}
        until = time.monotonic() + SETTLE
        while len(took) < len(self._watch.apps) and time.monotonic() < until:
            for app, at in list(self._watch.lines.items()):
                if at > self._last and app not in took:
                    took[app] = round(at - self._last, 3)
            time.sleep(0.02)
        report(settled=took, silent=[app for app in self._watch.apps if app not in took])


def main() -> None:
    """Read the plan, carry it out."""
    plan = json.loads(sys.stdin.readline())
    shutil.rmtree(SAVED, ignore_errors=True)
    if plan.get("copy"):
        copy_state()
    if save := plan.get("save"):  # for a power cut that takes the journal's end along
        threading.Thread(target=keep_journal, args=(save,), daemon=True).start()
    Injector(plan).run()


def synced() -> int:
    try:
        return SYNCED.stat().st_mtime_ns
    except OSError:
        return 0


def keep_journal(wait: float) -> None:
    """After `wait` seconds keep the journal as it is on disk, and anew each time it is synced.

    What a sync has put on disk no power cut takes away, and the receiver relies on that.
    """
    time.sleep(wait)
    subprocess.run(["journalctl", "--sync"], check=False)
    before = -1
    while True:
        if (now := synced()) != before:
            before = now
            with ROTATION:
                keep()
                copy_journal()
        time.sleep(0.01)


def copy_journal() -> None:
    """To SAVED. A journald that is killed renames its files, too: then once more."""
    new = Path(f"{SAVED}.new")
    complete = False
    while not complete:
        shutil.rmtree(new, ignore_errors=True)
        files = set(journal_files())
        command = ["cp", "-a", "/var/log/journal", str(new)]
        done = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
        complete = not done.returncode and files == set(journal_files())
    shutil.rmtree(SAVED, ignore_errors=True)
    OUTLASTED.write_text("\n".join(outlasted()), encoding="ascii")
    os.rename(new, SAVED)


if __name__ == "__main__":
    main()
