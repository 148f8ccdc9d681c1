"""A thread of a simulated process: real code, which stops wherever it touches the world.

The real loops run here as they are, each thread in a greenlet. Every call that such a thread makes
to the outside begins with pause(): there the world decides what happens next, be it this thread,
another one, a fault, or the end of the process. Nothing runs but what the world steps, one thread
at a time, so the same choices always give the same run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from greenlet import getcurrent, greenlet

from sendrecv import systemd
from sendrecv.core.values import SECOND
from sendrecv.errors import SendrecvError
from tests.simulation.verdict import Violation

PING_INTERVAL = 1.0


class Killed(BaseException):
    """The process that runs this is no more."""


class Thread:
    """One thread. `about`: what it does next."""

    def __init__(self, now: Callable[[], int], main: Callable[[], None]) -> None:
        """`now`: the time in nanoseconds. `main` does not begin before the first step()."""
        self._now = now
        self._world = getcurrent()
        self._greenlet = greenlet(main, self._world)
        self.about: object = None
        self._limit: tuple[int, SendrecvError] | None = None
        self._until: Callable[[], object] | None = None
        self._due: int | None = 0
        self._killed = False

    @property
    def ended(self) -> bool:
        """Whether `main` has returned, or raised."""
        return bool(self._greenlet.dead)

    def ready(self) -> bool:
        """Whether it would do something now, if it got the processor."""
        if self._until is not None and self._until():
            return True
        due = self.deadline()
        return due is not None and due <= self._now()

    def deadline(self) -> int | None:
        """When it will be ready, if nothing comes before."""
        if self._limit and (self._due is None or self._due > self._limit[0]):
            return self._limit[0]
        return self._due

    def step(self) -> None:
        """Go on up to the next pause. Raises what `main` may end with, SendrecvError; and Violation
        if it ends with anything else.
        """
        try:
            self._greenlet.switch()
        except (SendrecvError, Violation):
            raise
        except Exception as error:
            raise Violation(f"a process has failed: {error!r}") from error

    def pause(
        self,
        about: object = None,
        until: Callable[[], object] | None = None,
        due: int | None = None,
    ) -> None:
        """Let the world go on, until one of them holds; for a moment if there is neither.

        Raises Killed if the process ends meanwhile. As SIGKILL runs no handler, whatever a handler
        then calls raises Killed too.
        """
        if self._killed:
            raise Killed
        self.about, self._until = about, until
        self._due = 0 if until is None and due is None else due
        self._world.switch()
        if self._limit and self._limit[0] <= self._now():
            raise self._limit[1]

    def sleep(self, seconds: float, until: Callable[[], object] | None = None) -> None:
        """Wait for so long, or until that holds."""
        self.pause(until=until, due=self.after(seconds))

    def after(self, seconds: float) -> int:
        """When so many seconds from now will have passed."""
        return self._now() + round(seconds * SECOND)

    @contextlib.contextmanager
    def at_most(self, seconds: float, error: SendrecvError) -> Iterator[None]:
        """In this context a pause that ends after so long raises `error`, and none is longer."""
        self._limit = (self.after(seconds), error)
        try:
            yield
        finally:
            self._limit = None

    def kill(self) -> None:
        """It ends where it is."""
        self._killed = True
        with contextlib.suppress(Killed):
            self._greenlet.throw(Killed)


class Notifier(systemd.Notifier):
    """A service manager to which nothing needs to be said. It only waits for pings.

    `said`: who hears of log lines that begin with that word.
    """

    # The real one opens a socket.
    def __init__(  # pylint: disable=super-init-not-called
        self, thread: Thread, said: Mapping[str, Callable[[str], None]] = MappingProxyType({})
    ) -> None:
        self.ping_interval = PING_INTERVAL
        self.pings_apart = PING_INTERVAL / 2
        self.most_apart = 0.0
        self._pinged_at = -SECOND * SECOND
        self.works = 0  # how often it has said so
        self.is_ready = False
        self._thread = thread
        self._said = said

    @contextlib.contextmanager
    def at_most(self, seconds: float, error: SendrecvError) -> Iterator[None]:
        with self._thread.at_most(seconds, error):
            yield

    def ready(self) -> None:
        self._thread.pause()
        self.is_ready = True

    def watchdog(self, seconds: float) -> None:
        pass

    def working(self, status: str) -> None:
        self.works += 1
        now = self._thread.after(0)
        if now >= self._pinged_at + self.pings_apart * SECOND:
            self._pinged_at = now

    def until_ping(self) -> float:
        if not self.most_apart:
            return self.ping_interval
        due = self._pinged_at + self.most_apart * SECOND
        return max(due - self._thread.after(0), 0) / SECOND

    def allows(self, seconds: float) -> bool:
        """Whether the watchdog has been pinged often enough for a wait of so long."""
        most = self.most_apart or self.pings_apart + self.ping_interval
        waited = self._thread.after(seconds) - self._pinged_at
        return waited <= most * SECOND + 1000  # nanoseconds, of rounding

    def status(self, text: str) -> None:
        pass

    def log(self, severity: int, text: str) -> None:
        if hear := self._said.get(text.partition(" ")[0]):
            hear(text)

    def stopping(self) -> None:
        pass
