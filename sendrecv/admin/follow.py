"""The facts again and again, for views that stay open. Each look costs little.

A look is what facts.gather() does, in the process that runs already. What costs most is left out.
systemd is asked about a half only if its state has changed, if its App does not count, if its run
is not connected to the receiver, and now and then: a machine of 100 Apps has 200 halves, and half
of the work is PID 1's. journalctl runs only while an App counts under an epoch of which the journal
has not told yet, and then for PATIENCE seconds at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from sendrecv.admin import facts as reading
from sendrecv.admin import takeovers
from sendrecv.admin.facts import COUNTING, NEWEST, STANDING_BY, App, Facts
from sendrecv.admin.receiver import Receiver
from sendrecv.admin.takeovers import Takeover
from sendrecv.admin.units import Half
from sendrecv.config import STATUS_URL
from sendrecv.core.values import Value
from sendrecv.errors import SendrecvError

PAUSE = 0.4
"""Seconds between two looks, at least: with a takeover of 0.2 s, a kill is seen within 1 s."""
SELDOM = 10
"""Looks after which each half is asked again."""
NEWER = 50
"""Takeovers and starts that are read again; those before were read by the first look."""
SHARE = 0.04
"""Of a core, for the looks."""
PATIENCE = 20.0
"""Seconds for which an entry is waited for. A sender writes one after ten seconds at the latest."""
CALM = 1.0
"""Seconds after which numbers alone are news."""


def looks(url: str, ca: str = "") -> Iterator[Facts]:
    """Without an end. Between two, the caller may take as long as it likes. The pause after a look
    is so long that looking takes no more than SHARE of a core, however many Apps there are.
    """
    follower = Follower(url, ca)
    while True:
        began = time.process_time()
        yield follower.read()
        time.sleep(max(PAUSE, (time.process_time() - began) * (1 / SHARE - 1)))


class Follower:
    """Reads the facts again and again. url, ca: see facts.gather()."""

    def __init__(self, url: str = STATUS_URL, ca: str = "") -> None:
        self._url, self._ca = url, ca
        self._recent = Recent()
        self._looks = 0
        self._halves: dict[str, Half] = {}
        self._counting: set[str] = set()

    @property
    def events(self) -> Sequence[Takeover]:
        """The takeovers and starts that were read of the journal, the newest last."""
        return self._recent.found

    def read(self) -> Facts:
        """As they are now."""
        found = reading.gather(self._url, self._ca, self._recent, self._reused)
        self._halves = {half.unit: half for half in found.units.halves.values()}
        self._counting = {app.instance for app in found.apps if app.state == COUNTING}
        self._looks += 1
        return found

    def _reused(self, asked: Receiver, half: Half) -> Half | None:
        known = self._halves.get(half.unit)
        if known is None or (known.state, known.masked) != (half.state, half.masked):
            return None
        if (self._looks + hash(half.unit)) % SELDOM == 0:
            return None
        if not known.run:
            return known
        connected = {row.run for row in asked.rows.values() if row.since is not None}
        return known if half.instance in self._counting and known.run in connected else None


class _Told(Value):
    """What the journal told: the last takeover of each instance, and its newest epoch there.
    error: why the journal cannot be read.
    """

    last: Mapping[str, Takeover]
    epochs: Mapping[str, int]
    error: SendrecvError | None


class Recent:
    """Reads the takeovers for facts.gather(), and remembers them."""

    def __init__(
        self,
        events: Callable[[int], Sequence[Takeover]] = lambda number: takeovers.events(
            newest=number
        ),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """events: so many of the newest, the newest last."""
        self.found: Sequence[Takeover] = ()
        self._events, self._clock = events, clock
        self._told: _Told | None = None
        self._again = 0.0
        """After an error, when the journal is asked again."""
        self._waits: dict[tuple[str, int], float] = {}
        """Until when the entry of that instance and epoch is waited for."""

    def __call__(self, apps: Sequence[App]) -> Mapping[str, Takeover]:
        """The last takeover of each instance. Raises SendrecvError if the journal is not read."""
        told = self._told
        if told is None or self._is_behind(told, apps):
            told = self._told = self._read()
        if told.error:
            raise told.error
        return told.last

    def _read(self) -> _Told:
        try:
            new = self._events(NEWER if self.found else NEWEST)
        except SendrecvError as error:
            self._again = self._clock() + PATIENCE
            return _Told({}, {}, error)
        oldest = new[0].when if new else float("inf")
        before = [event for event in self.found if event.when < oldest]
        found = self.found = [*before, *new][-NEWEST:]
        return _Told(
            last={event.instance: event for event in found if not event.is_start},
            epochs={event.instance: event.epoch for event in found},
            error=None,
        )

    def _is_behind(self, told: _Told, apps: Sequence[App]) -> bool:
        """Whether something may be in the journal that has not been read."""
        now = self._clock()
        if told.error:
            return now >= self._again
        missing = {
            (app.instance, app.epoch)
            for app in apps
            if app.half and app.epoch is not None and app.state != STANDING_BY
            if told.epochs.get(app.instance) != app.epoch  # less than before, if it was forgotten
        }
        self._waits = {key: self._waits.get(key, now + PATIENCE) for key in missing}
        return any(now < until for until in self._waits.values())


class News:
    """Chooses what to tell of many looks: each change of who counts or of what is wrong at once,
    and changes of numbers once a second (CALM).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: object = None
        self._next = 0.0

    def is_news(self, facts: Facts) -> bool:
        """Whether to tell of this look."""
        now, matters = self._clock(), _matters(facts)
        if matters == self._before and now < self._next:
            return False
        self._before, self._next = matters, now + CALM
        return True


def _matters(facts: Facts) -> tuple[object, ...]:
    """Without the numbers that change with each count."""
    apps = tuple(map(_but_numbers, facts.apps))
    return (apps, facts.receiver.error, facts.receiver.refusal, facts.units.others)


_NUMBERS = ("count", "beat", "late", "backlog")


def _but_numbers(app: App) -> App:
    halves = tuple(half.replace(text="") for half in app.halves)
    return app.replace(told=None, halves=halves, **dict.fromkeys(_NUMBERS))
