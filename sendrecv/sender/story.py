"""What a sender tells the journal of its App: who counts now, since which count, and why.

One entry for each process that counts, with fields that programs can read; sendrecv-history(1) has
them all. It is written once the receiver has accepted the first count. Not before: a takeover would
wait for the import of this module, which is imported when there is something to tell.

core/takeover.py has the reasons. Here is what the machine knows of them.
"""

from __future__ import annotations

import os
import time

from sendrecv import systemd
from sendrecv.core import takeover
from sendrecv.core.errors import NOTICE
from sendrecv.core.record import Record
from sendrecv.core.takeover import End, Moved, Scene
from sendrecv.core.values import SECOND, Value
from sendrecv.sender.loop import Arrival, Departure

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from sendrecv.core.lease import Taken
    from sendrecv.core.reach import App

STARTED_BY_END = "/run/sendrecv-takeover"
"""systemd/takeover writes there which run has ended in order, for each unit that it starts."""
GUARD = "/run/sendrecv-guard"
"""The guard writes there when it tries to start a unit."""
_PREFIXES = {"main": "sender", "failover": "sender-failover"}


class Half(Value):
    """One half of an App. role: "main" or "failover"."""

    instance: str
    role: str

    @property
    def unit(self) -> str:
        """The unit of this half."""
        return f"{_PREFIXES[self.role]}@{self.instance}.service"

    @property
    def other(self) -> str:
        """The unit of the other half."""
        role = {"main": "failover", "failover": "main"}[self.role]
        return f"{_PREFIXES[role]}@{self.instance}.service"

    @property
    def seen(self) -> str:
        """The file that names the run of the other half after whose end this half was started last,
        see paused.py.
        """
        return os.path.join(_runtime(), f"{self.unit}.seen")


def tell(half: Half, app: App, news: Arrival | Departure) -> None:
    """One entry of the journal."""
    known = {"SENDRECV_APP": app.app_id, "SENDRECV_INSTANCE": half.instance}
    if isinstance(news, Arrival):
        text, fields = _arrival(half, app, news)
    else:
        text = f"App {app.app_id}: {app.node_id} ends, as it was told to, after count {news.count}"
        fields = {"MESSAGE_ID": takeover.ENDED, "SENDRECV_FROM": app.node_id}
        fields["SENDRECV_COUNT"] = str(news.count)
        write_word(_told(half), app.run)
    fields = {name: value for name, value in (known | fields).items() if value}
    systemd.log_entry(NOTICE, text, fields)


def _arrival(half: Half, app: App, arrival: Arrival) -> tuple[str, dict[str, str]]:
    """Words, and fields; those that are empty are not known."""
    before = arrival.before
    taken = None if before is None or isinstance(before, Record) else before
    scene = _scene(half, app, taken, arrival)
    why = takeover.why(scene)
    silence = takeover.silence(scene, arrival.first, arrival.at, boot_time())
    count = arrival.first if arrival.first >= 0 else arrival.count
    is_takeover = takeover.is_takeover(scene)
    fields = {
        "MESSAGE_ID": takeover.TAKEOVER if is_takeover else takeover.BEGUN,
        "SENDRECV_FROM": takeover.name_of(scene.before) if scene.before else "",
        "SENDRECV_TO": app.node_id,
        "SENDRECV_FROM_HOST": taken.from_host if taken else "",
        "SENDRECV_TO_HOST": taken.host if taken else "",
        "SENDRECV_WHY": why.code,
        "SENDRECV_WHY_TEXT": why.words,
        "SENDRECV_REASON": why.reason,
        "SENDRECV_SILENCE_USEC": "" if silence is None else str(silence // 1000),
        "SENDRECV_COUNT": str(count) if count >= 0 else "",
        "SENDRECV_EPOCH": str(arrival.epoch),
    }
    return takeover.line(scene, why, arrival.first, arrival.count, silence), fields


def _scene(half: Half, app: App, taken: Taken | None, arrival: Arrival) -> Scene:
    before = arrival.before if isinstance(arrival.before, Record) else None
    before = taken.record if taken else before
    end = systemd.last_end()
    if end:
        write_word(half.seen, end[0])
    run = before.run if before else ""
    return Scene(
        app=app,
        unit=half.unit,
        other=half.other,
        before=before,
        taken=taken,
        end=End(*end) if end else None,
        was_told=read_word(_told(half)) == run,
        by_end=read_word(os.path.join(STARTED_BY_END, half.unit)) == run,
        by_guard=before is not None and _is_from_guard(half, app, before, arrival.at),
        is_masked=systemd.is_masked(half.other),
        moved=moved(half, run),
    )


def moved(half: Half, run: str) -> Moved | None:
    """Who has moved the App from that run to this half, see admin/move_half.py."""
    try:
        with open(os.path.join(STARTED_BY_END, f"{half.unit}.moved"), encoding="utf-8") as file:
            from_run, by, reason = file.read(1000).split("\n")[:3]
    except (OSError, ValueError):
        return None
    return Moved(by, reason) if from_run == run else None


def _is_from_guard(half: Half, app: App, before: Record, now: int) -> bool:
    """Whether the guard has tried to start this half since the last count of before."""
    try:
        tried = os.stat(os.path.join(GUARD, half.unit)).st_mtime
    except OSError:
        return False
    elapsed = now - (before.due - app.interval)
    return before.boot == app.boot and time.time() - tried < elapsed / SECOND


def boot_time() -> int:
    """Nanoseconds of the clock of core/lease.py."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _told(half: Half) -> str:
    """The file that names the run that has ended last, as it was told to."""
    return os.path.join(_runtime(), half.instance + ".told")


def _runtime() -> str:
    return os.environ.get("RUNTIME_DIRECTORY", "/nonexistent")


def read_word(path: str) -> str:
    """What a file says, "-" if it says nothing: that is no run."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read(64).strip() or "-"
    except (OSError, UnicodeDecodeError):
        return "-"


def write_word(path: str, text: str) -> None:
    """Have a file say that. If it cannot, a successor knows less."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        pass
