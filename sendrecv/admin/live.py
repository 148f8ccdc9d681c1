"""The facts, each second: what gather() of facts.py reads, with less work.

A machine of 100 Apps has 200 halves. To ask systemd for each of them, each second, is much work,
half of it for PID 1. So a half is asked again only when its state has changed, when its run is not
the one that the receiver knows, when its App does not count, and now and then. Files that change
seldom are read seldom. Records are not read: the receiver has the counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping

from sendrecv import systemd
from sendrecv.admin import audits, facts, files, paused, receiver, takeovers, units
from sendrecv.admin.facts import COUNTING, App, Facts, Sources
from sendrecv.admin.takeovers import Takeover
from sendrecv.admin.units import Half
from sendrecv.config import STATUS_URL
from sendrecv.core.values import Value
from sendrecv.errors import SendrecvError

SELDOM = 10
"""Rounds between two looks at what seldom changes, and after which each half is asked again."""
NEWEST = 50
"""Takeovers and starts that are read anew; all before were read at the start."""


class Settled(Value):
    """What seldom changes: see Sources."""

    masked: frozenset[str]
    enabled: frozenset[str]
    app_ids: Mapping[str, str]
    has_token: bool


class Live:
    """Reads the facts again and again. Attribute strips: of each instance, what its last seconds
    were like, the newest last: how many counts came in each, -1 where that is not known.
    """

    def __init__(self, strip: int = 30) -> None:
        """strip: seconds."""
        self.strips: dict[str, list[int]] = {}
        self.events: list[Takeover] = []
        self.sees_journal = True
        self._strip = strip
        self._round = 0
        self._halves: dict[str, Half] = {}
        self._settled = _settled()
        self._counting: set[str] = set()
        self._runs: frozenset[str] = frozenset()
        self._looks = 0
        self._counts: dict[str, int | None] = {}
        self._boot = systemd.boot_id()
        self._read_events(facts.NEWEST)

    def read(self) -> Facts:
        """As they are now."""
        if self._round and self._round % SELDOM == 0:
            self._settled = _settled()
        asked = receiver.read(STATUS_URL, "")
        runs = frozenset(row.run for row in asked.rows.values())
        known = units.read(self._settled.masked, lambda half: self._reused(half, runs))
        self._halves = {half.unit: half for half in known.halves.values()}
        found = facts.apps_of(self._sources(asked, known))
        self._read_news(runs)
        last = {event.instance: event for event in self.events if not event.is_start}
        apps = tuple(app.replace(takeover=last.get(app.instance)) for app in found)
        self._counting = {app.instance for app in apps if app.state == COUNTING}
        self._add_to_strips(apps)
        self._round += 1
        return Facts(
            when=time.time(),
            host=os.uname().nodename.partition(".")[0],
            receiver=asked,
            units=known,
            apps=apps,
            sees_records=False,
            has_token=self._settled.has_token,
            sees_journal=self.sees_journal,
            audits=audits.read(),
        )

    def _sources(self, asked: receiver.Receiver, known: units.Units) -> Sources:
        return Sources(
            when=time.time(),
            boot=self._boot,
            now=time.monotonic_ns(),
            host=os.uname().nodename.partition(".")[0],
            receiver=asked,
            units=known,
            records={},
            enabled=self._settled.enabled,
            app_ids=self._settled.app_ids,
            # A unit that ended once, and is forgotten otherwise, is no App.
            sees_records=True,
            paused=paused.paused(),
        )

    def _reused(self, half: Half, runs: frozenset[str]) -> Half | None:
        known = self._halves.get(half.unit)
        if known is None or (known.state, known.masked) != (half.state, half.masked):
            return None
        is_its_turn = (self._round + hash(half.unit)) % SELDOM == 0
        if is_its_turn or (known.run and known.run not in runs):
            return None
        return known if half.instance in self._counting or not known.run else None

    def _read_news(self, runs: frozenset[str]) -> None:
        """Of the journal. An entry is written a moment after the run that it tells of is known."""
        if runs != self._runs:
            self._runs, self._looks = runs, 2
        if self._looks or self._round % SELDOM == 0:
            self._looks = max(self._looks - 1, 0)
            self._read_events(NEWEST)

    def _read_events(self, newest: int) -> None:
        try:
            found = takeovers.events(newest=newest)
        except SendrecvError:
            self.sees_journal = False
            return
        oldest = found[0].when if found else 0.0
        self.events = [*(event for event in self.events if event.when < oldest), *found]
        self.events = self.events[-facts.NEWEST :]

    def _add_to_strips(self, apps: Iterable[App]) -> None:
        new = {}
        for app in apps:
            before, now = self._counts.get(app.instance), app.count
            came = -1 if before is None or now is None else max(now - before, 0)
            new[app.instance] = [*self.strips.get(app.instance, ()), came][-self._strip :]
        self.strips = new
        self._counts = {app.instance: app.count for app in apps}


def _settled() -> Settled:
    return Settled(
        masked=files.masked(),
        enabled=frozenset(files.enabled()),
        app_ids=files.app_ids(),
        has_token=os.path.exists("/etc/sendrecv/token"),
    )
