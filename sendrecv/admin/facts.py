"""What an administrator may want to know, read once, as frozen values: the one reader of facts.

`gather()` asks systemd, the receiver and files, each once, and joins what they say. Views such as
`sendrecv status` ask nobody themselves. What is not known, or this user may not see, is None or ""
here. Times that name a moment are in seconds of the wall clock, durations are in seconds. schema.py
has the same as JSON, problems.py says what is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from sendrecv import systemd
from sendrecv.admin import audits, files, receiver, takeovers, units
from sendrecv.admin.audits import Audits
from sendrecv.admin.paused import Pause, paused
from sendrecv.admin.receiver import Receiver, Row
from sendrecv.admin.takeovers import Takeover
from sendrecv.admin.told import Told, told
from sendrecv.admin.units import ACTIVE, HALVES, Half, Units, half_of
from sendrecv.config import STATUS_URL
from sendrecv.core.record import Record
from sendrecv.core.values import SECOND, Value
from sendrecv.errors import SendrecvError

COUNTING, STANDING_BY, STARTING = "counting", "standing by", "starting"
UNDELIVERED, SHOULD_RUN, STOPPED = "not delivered", "should run", "stopped"
ELSEWHERE = "elsewhere"
STATES = (COUNTING, STANDING_BY, STARTING, UNDELIVERED, SHOULD_RUN, STOPPED, ELSEWHERE)
"""What the state of an App can be; sendrecv-status(1) explains them."""
GRACE = 3.0
"""Seconds for which a half may be without a connection, after its or the receiver's start."""
LATE = 5.0
"""Seconds without a count after which one that is connected does not deliver."""
NEWEST = 500
"""Takeovers and starts that are read of the journal."""
_MOVING = frozenset({"activating", "deactivating"})


class App(Value):
    """One App. instance: its name; app_id: the receiver's name for it. meant: whether its target is
    active. half: "main" or "failover", the one that is active, "" for none. node, host: who counts.
    since: since when that one counts, whatever the receiver has done meanwhile. count: the last one
    that the receiver has, or that was taken. beat: seconds from one count to the next. late: by how
    many seconds the next count is overdue. backlog: counts that the receiver is not known to have.
    connected: since when its sender is connected to the receiver. told: what its sender says.
    takeover: the last one, if it is among the newest (NEWEST) in the journal. paused: None if not.
    """

    instance: str
    app_id: str
    state: str
    meant: bool
    at_boot: bool
    halves: tuple[Half, Half]
    half: str = ""
    node: str = ""
    host: str = ""
    since: float | None = None
    count: int | None = None
    epoch: int | None = None
    beat: float | None = None
    late: float | None = None
    backlog: int | None = None
    connected: float | None = None
    told: Told = Told()
    takeover: Takeover | None = None
    paused: Pause | None = None


class Facts(Value):
    """All that is known. when: of the wall clock. host: the name of this one. sees_records: whether
    this user may see the records; sees_journal: and the journal. has_token: whether there is a
    token file. audits: None if there is nothing to read of them.
    """

    when: float
    host: str
    receiver: Receiver
    units: Units
    apps: tuple[App, ...]
    sees_records: bool
    has_token: bool
    sees_journal: bool = True
    audits: Audits | None = None


class Sources(Value):
    """What was asked. boot, now: of the monotonic clock that records have, in nanoseconds. records:
    by appID. enabled: the instances that start at boot. app_ids: see files.py. paused: by instance.
    """

    when: float
    boot: str
    now: int
    host: str
    receiver: Receiver
    units: Units
    records: Mapping[str, Record]
    enabled: frozenset[str]
    app_ids: Mapping[str, str]
    sees_records: bool = True
    paused: Mapping[str, Pause] = {}


Last = Callable[[Sequence[App]], Mapping[str, Takeover]]
"""The last takeover of each instance, for these Apps. Raises SendrecvError."""


def last_takeovers(_apps: Sequence[App] = ()) -> Mapping[str, Takeover]:
    """As the newest entries of the journal have them. Raises SendrecvError."""
    return {event.instance: event for event in takeovers.takeovers(newest=NEWEST)}


Reuse = Callable[[Receiver, Half], Half | None]
"""What is known of a half, given the receiver's answer and the half's state; None: ask systemd."""


def gather(
    url: str = STATUS_URL,
    ca: str = "",
    last: Last = last_takeovers,
    reuse: Reuse = lambda _asked, _half: None,
) -> Facts:
    """Of all Apps that this user may know of, in the order of their names. ca: see ask.py. last,
    reuse: in place of reading the journal, and each half, each time.
    """
    asked = receiver.read(url, ca)
    now, records = time.monotonic_ns(), files.records()  # after it: see _own()
    sources = Sources(
        when=time.time(),
        boot=systemd.boot_id(),
        now=now,
        host=os.uname().nodename.partition(".")[0],
        receiver=asked,
        units=units.read(files.masked(), partial(reuse, asked)),
        records=records or {},
        enabled=frozenset(files.enabled()),
        app_ids=files.app_ids(),
        sees_records=records is not None,
        paused=paused(),
    )
    apps, sees_journal = _with_takeovers(tuple(apps_of(sources)), last)
    return Facts(
        when=sources.when,
        host=sources.host,
        receiver=sources.receiver,
        units=sources.units,
        apps=apps,
        sees_records=sources.sees_records,
        has_token=os.path.exists("/etc/sendrecv/token"),
        sees_journal=sees_journal,
        audits=audits.read(),
    )


def _with_takeovers(
    apps: Sequence[App], last: Last = last_takeovers
) -> tuple[tuple[App, ...], bool]:
    """With the last takeover of each; and whether this user may read the journal."""
    try:
        found = last(apps)
    except SendrecvError:
        return tuple(apps), False
    return tuple(app.replace(takeover=found.get(app.instance)) for app in apps), True


def apps_of(sources: Sources) -> Iterator[App]:
    """In the order of their names: Apps with units here, and Apps that only the receiver, or a
    record, knows.
    """
    known = {instance for instance, _ in sources.units.halves}
    known |= sources.units.meant | sources.enabled | {*sources.paused}
    named = {instance: sources.app_ids.get(instance, instance) for instance in known}
    named |= {instance: app_id for instance, app_id in _by_run(sources) if instance in known}
    taken = set(named.values())
    instances = {app_id: instance for instance, app_id in sources.app_ids.items()}
    for app_id in {*sources.receiver.rows, *sources.records} - taken:
        named.setdefault(instances.get(app_id, app_id), app_id)
    for instance in sorted(named):
        app = _app(instance, named[instance], sources)
        if not _is_forgotten(app, sources):
            yield app


def _is_forgotten(app: App, sources: Sources) -> bool:
    """Whether only systemd still knows it, by a unit that ended once; see forget.py."""
    is_known = app.meant or app.at_boot or app.state != STOPPED or app.epoch is not None
    is_known = is_known or app.paused is not None
    is_seen = sources.sees_records and not sources.receiver.error
    return is_seen and not is_known


def _by_run(sources: Sources) -> Iterator[tuple[str, str]]:
    """Instance and appID of each half that the receiver has admitted: whatever sets its appID."""
    halves = {half.run: half.instance for half in sources.units.halves.values() if half.run}
    for row in sources.receiver.rows.values():
        if row.run in halves:
            yield halves[row.run], row.app_id


def _app(instance: str, app_id: str, sources: Sources) -> App:
    main, failover = (
        sources.units.halves.get((instance, role)) or half_of(instance, role)
        for role in HALVES.values()
    )
    app = App(
        instance=instance,
        app_id=app_id,
        state=STOPPED,
        meant=instance in sources.units.meant,
        at_boot=instance in sources.enabled,
        halves=(main, failover),
        paused=sources.paused.get(instance),
    )
    row = sources.receiver.rows.get(app_id)
    record = _own(row, sources.records.get(app_id))
    runs = next((half for half in app.halves if half.state in ACTIVE), None)
    if runs:
        return _running(_counted(app, row, record), runs, row, record, sources)
    return _idle(_counted(app, row, record), row, sources)


def _own(row: Row | None, record: Record | None) -> Record | None:
    """The record, if it is the App's: that of an App on several hosts is in etcd, and the file here
    is older than what the receiver has.
    """
    if row and record and (row.epoch or 0, row.count or 0) > (record.epoch, record.count):
        return None
    return record


def _counted(app: App, row: Row | None, record: Record | None) -> App:
    """With its numbers, whoever counts."""
    counts = [row.count if row else None, record.count if record and record.count >= 0 else None]
    return app.replace(
        count=_first(counts),
        epoch=_first([row.epoch if row else None, record.epoch if record else None]),
        connected=row.since if row else None,
        backlog=record.count - record.acknowledged if record else None,
    )


def _first(values: Iterable[int | None]) -> int | None:
    return next((value for value in values if value is not None), None)


def _idle(app: App, row: Row | None, sources: Sources) -> App:
    """None of its halves is active."""
    moving = [told(half.text) for half in app.halves if half.state in _MOVING]
    waits = any(said.waits for said in moving)
    if moving and not waits:
        return app.replace(state=STARTING)
    if app.meant or waits:
        return app.replace(state=SHOULD_RUN)
    if row is None or row.since is None:
        return app
    return app.replace(
        state=ELSEWHERE,
        node=row.node,
        since=row.since,
        beat=row.beat,
        late=_late(row, None, sources),
        backlog=None,
    )


def _running(app: App, half: Half, row: Row | None, record: Record | None, sources: Sources) -> App:
    """One of its halves is active."""
    said = told(half.text)
    ours = row if row and row.run == half.run else None
    own = record if record and record.run == half.run and not said.several else None
    app = app.replace(
        half=half.role,
        node=ours.node if ours else own.node_id if own else half.role,
        since=half.since,
        count=app.count if app.count is not None else said.count,
        epoch=said.epoch or app.epoch,
        beat=ours.beat if ours else None,
        backlog=own.count - own.acknowledged if own else said.backlog,
        late=_late(ours, own, sources),
        told=said,
        paused=app.paused or said.paused,
    )
    if said.stands_by:
        host, node = said.holder
        theirs = {"host": host, "node": node, "since": said.since, "count": said.count}
        app = app.replace(epoch=None, backlog=None, late=None, **theirs)
        return app.replace(state=_state_of_stand_by(app, half, sources))
    if said.several:
        app = app.replace(host=sources.host, since=said.since)
    return app.replace(state=_state(app, half, ours, sources))


def _state_of_stand_by(app: App, half: Half, sources: Sources) -> str:
    """If etcd does not answer, it does not know whether any host counts."""
    if app.host:
        return STANDING_BY
    if app.told.held:
        return SHOULD_RUN
    is_new = half.since is None or sources.when < half.since + GRACE
    return STARTING if is_new or "has released the App" in half.text else UNDELIVERED


def _state(app: App, half: Half, row: Row | None, sources: Sources) -> str:
    """Of an App that counts on this machine. row: of the half that runs."""
    if _is_delivered(app, row):
        return COUNTING
    began = max(half.since or sources.when, sources.units.began or 0)
    return STARTING if sources.when < began + GRACE else UNDELIVERED


def _is_delivered(app: App, row: Row | None) -> bool:
    if app.told.doubts:
        return False
    is_connected = row is not None and row.since is not None
    # The receiver may be another one than the App's, or may not be asked.
    if not is_connected and app.told.connection != "connected":
        return False
    longest = max(LATE, 3 * ((row.beat if row else None) or 0))
    if (app.late or 0) > longest:  # its record cannot be written, for example
        return False
    ago = row.ago if row else None
    return not ((ago or 0) > longest and (app.backlog or 0) > 1)


def _late(row: Row | None, record: Record | None, sources: Sources) -> float | None:
    """By how many seconds the next count is overdue. The record, if this user may see it, knows
    when it is due; but not of an App that counts as fast as it can, whose interval is 0.
    """
    if record and record.boot == sources.boot and record.fastest > 0:
        return round(max(sources.now - record.due, 0) / SECOND, 3)
    if row is None or row.ago is None or row.beat is None:
        return None
    return round(max(row.ago - row.beat, 0.0), 3)
