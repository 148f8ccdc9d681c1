"""Why a process goes on with an App's counts: a code, and words. Only what is known for certain.

systemd tells each sender how the last run of the other half ended, and which run that was
(systemd.exec(5), "MONITOR_SERVICE_RESULT"). That is the reason if the record, too, is of that run.
If the record is of another run, systemd has told of something that was long ago.

    code                what is known
    (systemd's result)  the run that the record is of has ended like that: "signal", "watchdog" ...
    stopped             that run was told to end, and its orderly end started this half
    started             that run was told to end, and this half was started by something else
    masked              the unit of that run is masked
    boot                the record is of another boot of this machine
    guard               no half ran, and the guard started this one
    again               the record is of the same half
    lease-expired       another host has not renewed its lease
    released            another host has released the App, because the App is stopped there
    moved               a person has moved the App to this host, or to this half
    returned            a person has moved the App to a host that does not take it
    no-key              etcd has no key of the App, and this host has a record
    new                 there was no record
    unknown             nothing of all this
"""

from __future__ import annotations

from sendrecv.core.errors import quoted
from sendrecv.core.reach import App
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND, Value
from sendrecv.core.wire import is_name

TYPE_CHECKING = False  # see values.py
if TYPE_CHECKING:
    from sendrecv.core.lease import Taken

TAKEOVER = "88efa7a28d464d31a8f0eac96f99a8c4"
"""The MESSAGE_ID of a journal entry: another half, or another host, counts now."""
BEGUN = "afed2ea927244cbfbe2f578fe6ca0be7"
"""An App has begun, or goes on with the half that counted before."""
ENDED = "276095314c754d478068c5b2e8b69675"
"""A sender has ended, as it was told to."""
PAUSED = "fe1dd4cbfb2d42f4a490866a2b592646"
"""A person has paused an App."""
RESUMED = "21c069513e1c423a8e0877ed123cea27"
"""A person has ended that."""

_WORDS = {
    "signal": "was killed by {}",
    "core-dump": "crashed with {}",
    "exit-code": "ended with {}",
    "watchdog": "hung, and its watchdog killed it",
    "oom-kill": "was out of memory, and the kernel killed it",
    "timeout": "was killed, because its start or its stop took too long",
    "protocol": "ended before it was ready",
    "resources": "could not be started by systemd, which lacked a resource",
    "start-limit-hit": "was started too often in too short a time",
}
"""By systemd's result, "SERVICE_RESULT" in systemd.exec(5). {}: a signal, or an exit status."""


class End(Value):
    """How the last run of the other half ended, as systemd tells. run: its invocation ID, "" if it
    is not known. result: "success" or one of _WORDS. how: the signal or the exit status, in words.
    """

    run: str
    result: str
    how: str


class Moved(Value):
    """A person has moved the App to this half of the machine. by: that person. reason: "" if none
    was given.
    """

    by: str
    reason: str


class Scene(Value):
    """What a process knows of how it came to count.

    unit: of this half; other: of the other half. before: the record as it was found. taken: of an
    App on several hosts. end: None if systemd tells nothing. was_told: the run that the record is
    of has said that it was told to end. by_end: its orderly end has started this half. by_guard:
    the guard has. is_masked: the other half is. moved: from the run that the record is of.
    """

    app: App
    unit: str
    other: str
    before: Record | None
    taken: Taken | None
    end: End | None
    was_told: bool
    by_end: bool
    by_guard: bool
    is_masked: bool
    moved: Moved | None = None


class Why(Value):
    """code: see the module. words: a sentence for people, without a full stop. hint: what to do, or
    "". reason: a person's, or "".
    """

    code: str
    words: str
    hint: str = ""
    reason: str = ""


def why(scene: Scene) -> Why:
    """Why this process counts."""
    if scene.taken and scene.taken.code:
        return _of_other_host(scene.taken)
    if scene.moved:
        return _of_move(scene.moved)
    if scene.before is None:
        return Why("new", "this host had no record of the App: it is new, or the record was lost")
    if scene.before.boot != scene.app.boot:
        return Why("boot", "the machine was started again")
    if scene.end and scene.end.run == scene.before.run:
        is_orderly = scene.end.result == "success"
        return _told(scene, scene.before) if is_orderly else _failed(scene, scene.end, scene.before)
    return _told(scene, scene.before) if scene.was_told else _of_what_is_there(scene, scene.before)


def name_of(record: Record) -> str:
    """The record's node, as it may stand in a line: the record may come from another host."""
    return record.node_id if is_name(record.node_id) else quoted(record.node_id)


def is_takeover(scene: Scene) -> bool:
    """Whether another half, or another host, counted before."""
    if scene.taken and scene.taken.from_host not in ("", scene.taken.host):
        return True
    return scene.before is not None and scene.before.node_id != scene.app.node_id


def line(scene: Scene, reason: Why, first: int, count: int, silent: int | None) -> str:
    """For people. first, count: see Arrival in sender/loop.py. silent: see silence()."""
    to, host = scene.app.node_id, scene.taken.host if scene.taken else ""
    if not to.startswith(host):  # by default it does
        to = f"{to} on {host}"
    if scene.before is None and first == 0:
        return f"App {scene.app.app_id}: {to} begins with count 0"
    if first < 0 and count < 0:
        return f"App {scene.app.app_id}: {to} is ready, the first count waits for the receiver"
    after = ""
    if first < 0:
        after = ", of which the receiver has none yet"
    elif silent is not None:
        after = f", {silent / SECOND:.1f} s after the count before"
    number = first if first >= 0 else count
    hint = f"; {reason.hint}" if reason.hint else ""
    return f"App {scene.app.app_id}: {to} counts on from {number}{after}: {reason.words}{hint}"


def silence(scene: Scene, first: int, now: int, boot_now: int) -> int | None:
    """Nanoseconds from when the last count before `first` was due until now, when `first` is
    accepted; None if that cannot be known: in another boot, or without an interval.

    boot_now: now, of the clock of core/lease.py. A host that stood by has seen how the count of
    another one grew: there, the silence is at most an eighth of the lease too long.
    """
    before, interval, taken = scene.before, scene.app.interval, scene.taken
    if first <= 0 or before is None or not interval:
        return None
    if before.boot == scene.app.boot:
        since = before.due - interval
    elif taken and taken.counted >= 0:
        since = now - (boot_now - taken.counted)
    else:
        return None
    return max(now - since + (before.count + 1 - first) * interval, 0)


def _of_what_is_there(scene: Scene, before: Record) -> Why:
    """Nothing is known of how the run before has ended."""
    is_other = before.node_id != scene.app.node_id
    if scene.is_masked and is_other:
        return Why("masked", f"{scene.other} is masked")
    if scene.by_guard:
        return Why("guard", f"no half ran, and the guard started {scene.unit}")
    if not is_other:
        return Why("again", f"{scene.unit} was started again")
    # The end of a run after that one, of the same half: why it is not that half which counts.
    later = ""
    if scene.end and scene.end.result in _WORDS:
        later = f"; then {scene.other} {in_words(scene.end)}"
    return Why("unknown", f"how {name_of(before)} ended is not known{later}")


def _failed(scene: Scene, end: End, before: Record) -> Why:
    guard = f", and the guard started {scene.unit}" if scene.by_guard else ""
    code = end.result if end.result in _WORDS else "unknown"
    return Why(code, f"{name_of(before)} {in_words(end)}{guard}")


def in_words(end: End) -> str:
    """What that run did, as the rest of a sentence."""
    return _WORDS.get(end.result, f"ended: {quoted(end.result)}").format(end.how)


def _told(scene: Scene, before: Record) -> Why:
    name = name_of(before)
    if before.node_id == scene.app.node_id:
        return Why("again", f"{scene.unit} was started again")
    if scene.is_masked:
        return Why("masked", f"{scene.other} is masked, and was told to end")
    if not scene.by_end:
        start = "the guard started {}" if scene.by_guard else "{} was started"
        return Why("started", f"{name} was told to end, and {start.format(scene.unit)}")
    instance = scene.unit.partition("@")[2].removesuffix(".service")
    hint = f"to stop the App: systemctl stop sendrecv@{instance}.target"
    return Why("stopped", f"{name} was told to end (systemctl stop, or SIGTERM)", hint)


def _of_move(moved: Moved) -> Why:
    by = moved.by if is_name(moved.by) else quoted(moved.by)
    reason = moved.reason if moved.reason.isprintable() else quoted(moved.reason)
    return Why("moved", f"moved by {by}" + (f": {reason}" if reason else ""), "", reason)


def _of_other_host(taken: Taken) -> Why:
    given = f" ({quoted(taken.reason)})" if taken.reason else ""
    words = {
        "lease-expired": f"{taken.from_host} has not renewed its lease in time",
        "released": f"{taken.from_host} has released the App, which was stopped there",
        "moved": f"{taken.from_host} has handed the App over, as a person asked{given}",
        "returned": f"{taken.from_host} has handed the App over to a host that does not take it",
        "no-key": "etcd has no key of this App, and this host has a record",
    }
    return Why(taken.code, words[taken.code], "", taken.reason)
