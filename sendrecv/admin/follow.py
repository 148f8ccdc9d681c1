"""The facts again and again, for views that stay open. Each look costs little.

A look is what facts.gather() does, in the process that runs already. What costs most is left out:
journalctl runs only while an App counts under an epoch of which the journal has not told yet, and
then for PATIENCE seconds at most. The pause after a look is so long that looking takes no more than
SHARE of a core, however many Apps there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from sendrecv.admin import facts as reading
from sendrecv.admin import takeovers
from sendrecv.admin.facts import STANDING_BY, App, Facts
from sendrecv.admin.takeovers import Takeover
from sendrecv.core.values import Value
from sendrecv.errors import SendrecvError

PAUSE = 0.4
"""Seconds between two looks, at least: with a takeover of 0.2 s, a kill is seen within 1 s."""
SHARE = 0.04
"""Of a core, for the looks."""
PATIENCE = 20.0
"""Seconds for which an entry is waited for. A sender writes one after ten seconds at the latest."""
CALM = 1.0
"""Seconds after which numbers alone are news."""


def looks(url: str, ca: str = "") -> Iterator[Facts]:
    """Without an end. Between two, the caller may take as long as it likes. See facts.gather()."""
    recent = Recent()
    while True:
        began = time.process_time()
        yield reading.gather(url, ca, recent)
        time.sleep(max(PAUSE, (time.process_time() - began) * (1 / SHARE - 1)))


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
        events: Callable[[], Sequence[Takeover]] = lambda: takeovers.events(newest=reading.NEWEST),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
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
            found = self._events()
        except SendrecvError as error:
            self._again = self._clock() + PATIENCE
            return _Told({}, {}, error)
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
