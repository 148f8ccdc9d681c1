"""A year of an App, as the journal would have it: a stream, of which only an hour is in memory.

Its entries are those that sendrecv/proof/read yields, with all fields that journald adds. What
happens is done by the World of the unit tests. The seconds in which nothing happens, 31.5 million
of them, are written from a template, which is made of an entry of the World.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.bench import proof
from tests.unit.proof.journals import Fields, World, export

DAY = 86_400
APP = "main"
SECOND = 1_000_000
Act = Callable[[World, str], None]


def _fields(text: str) -> Fields:
    """Without those that a World writes itself."""
    pairs = (line.partition("=") for line in text.splitlines())
    own = {"_BOOT_ID", "_MACHINE_ID", "_HOSTNAME"}
    return {name: value for name, _, value in pairs if name not in own}


_OF = {"stdout": _fields(proof.RECEIVER), "journal": _fields(proof.PID1)}


@dataclass
class Host(World):
    """A World whose entries have as many fields as journald's, and need not all be in memory."""

    taken: int = 0

    @property
    def number(self) -> int:
        return self.taken + len(self.entries) + 1

    def take(self) -> list[Fields]:
        """What was written since."""
        taken, self.entries = self.entries, []
        self.taken += len(taken)
        return taken

    def write(self, fields: Fields) -> Fields:
        return super().write({**_OF[fields["_TRANSPORT"]], **fields})


@dataclass
class Truth:
    """What happened."""

    counts: int = 0
    takeovers: int = 0
    boots: int = 1
    cuts: int = 0
    runs: int = 1
    unproven: list[tuple[int, int, int]] = field(default_factory=list)
    """First and last count, and the wall clock of the receiver's word (microseconds)."""
    silence: int = 0
    """The longest time from the last count before a takeover to the first one after it."""


@dataclass
class Happening:
    """How much happens in that time, at random moments."""

    days: float = 365
    takeovers: int = 3000
    boots: int = 40
    cuts: int = 6
    """How many of the boots follow a power cut. Every other one takes counts with it."""
    receivers: int = 50
    """Restarts of the receiver."""
    seed: int = 1
    planted: Act | None = None
    """What must not happen, and does."""
    planted_on: float = 200
    """The day on which it does."""


class Year:
    """Yields the entries; `truth` grows meanwhile."""

    def __init__(self, happening: Happening, machine: str = "a" * 32) -> None:
        self.truth = Truth()
        self.host = Host(machine=machine, numbering="5" * 32)
        self.happening = happening
        self._random = random.Random(happening.seed)
        self.begin = self.host.wall

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Each with its wall clock, in microseconds."""
        self.host.start_receiver()
        self.host.admit(self.host.start(APP, "main"))
        for second, act in self._schedule():
            yield from self._taken()
            yield from self._counts(self.begin + second * SECOND)
            act()
        yield from self._taken()
        yield from self._counts(self.begin + int(self.happening.days * DAY * SECOND))

    def _schedule(self) -> list[tuple[int, Callable[[], None]]]:
        it = self.happening
        acts: list[Callable[[], None]] = [self._take_over] * it.takeovers
        acts += [self._restart_receiver] * it.receivers
        acts += [self._cut] * it.cuts + [self._boot] * (it.boots - it.cuts - 1)
        # The last two days are without a boot: some of the benchmark reads them from other files.
        calm = min(2.0, it.days / 4)
        moments = range(60, int((it.days - calm) * DAY), 15)
        falls = self._random.sample(moments, len(acts))
        self._random.shuffle(acts)
        found = list(zip(falls, acts, strict=True))
        if planted := it.planted:
            found.append((int(it.planted_on * DAY), lambda: planted(self.host, APP)))
        return sorted(found, key=lambda pair: pair[0])

    def _taken(self) -> Iterator[tuple[int, bytes]]:
        for entry in self.host.take():
            self.truth.counts += entry["MESSAGE"].startswith('{"count"')
            yield int(entry["__REALTIME_TIMESTAMP"]), b"\n" + export([entry])[:-1]

    def _counts(self, until: int) -> Iterator[tuple[int, bytes]]:
        """One a second, up to that time."""
        host = self.host
        times = max(2, (until - host.wall) // SECOND)
        template, offset = self._template(), host.wall - host.now
        first, now, place = host.counts.get(APP, 0), host.now, host.taken
        host.counts[APP], host.taken, host.now = first + times, place + times, now + times * SECOND
        self.truth.counts += times
        for number in range(first, first + times):
            now, place = now + SECOND, place + 1
            wall = now + offset
            yield wall, template % (place, now, wall, wall, now, number)

    def _template(self) -> bytes:
        """For the cursor's i, m and t, the wall clock, the monotonic clock, and the count."""
        host, node = self.host, self.host.senders[APP].role
        entry = host.print(APP, node, 0)
        host.entries.pop()
        host.now -= host.step
        cursor = f"s={host.numbering};i=%x;b={host.boot_id};m=%x;t=%x;x=1"
        message = '{"count": %d, ' + f'"appID": "{APP}", "nodeID": "{node}"}}'
        times = {"__REALTIME_TIMESTAMP": "%d", "__MONOTONIC_TIMESTAMP": "%d"}
        return b"\n" + export([{**entry, "__CURSOR": cursor, **times, "MESSAGE": message}])[:-1]

    # What happens

    def _take_over(self) -> None:
        host, before = self.host, self.host.now
        host.wait(self._random.choice([0.0, 0.0, 0.0, 0.2, 0.5]))
        host.take_over(APP, self._random.choice(["signal", "watchdog", "success", "exit-code"]))
        first = host.entries[-2]  # take_over() ends with two counts
        self.truth.takeovers += 1
        self.truth.runs += 1
        silence = int(first["__MONOTONIC_TIMESTAMP"]) - before
        self.truth.silence = max(self.truth.silence, silence)

    def _restart_receiver(self) -> None:
        self.host.start_receiver()
        self.host.admit(self.host.senders[APP])

    def _boot(self) -> None:
        self._down(clean=True)
        self._up()

    def _cut(self) -> None:
        """Every other one takes the last two counts from the journal."""
        host, node = self.host, self.host.senders[APP].role
        self.truth.cuts += 1
        lost = 2 if self.truth.cuts % 2 else 0
        first = host.counts[APP]
        host.counts[APP] += lost
        self._down(clean=False)
        if lost:
            said = host.cannot_tell(APP, node, first, first + lost - 1)
            wall = int(said["__REALTIME_TIMESTAMP"])
            self.truth.unproven.append((first, first + lost - 1, wall))
        self._up()

    def _down(self, *, clean: bool) -> None:
        """The machine is off for one to five minutes."""
        host, before = self.host, self.host.wall
        host.boot(clean=clean)
        before = max(before, *(int(one["__REALTIME_TIMESTAMP"]) for one in host.entries[-9:]), 0)
        host.clock += before + self._random.randrange(60, 300) * SECOND - host.wall
        self.truth.boots += 1
        host.start_receiver()

    def _up(self) -> None:
        host = self.host
        host.admit(host.start(APP, "main"))
        self.truth.runs += 1


def prints_twice(host: World, app: str) -> None:
    """A violation: a count that was printed before."""
    host.print(app, host.senders[app].role, host.counts[app] - 1)


def skips(host: World, app: str) -> None:
    """A violation: a count that is never printed."""
    host.counts[app] += 1


def overlaps(host: World, app: str) -> None:
    """A violation: the other half starts while this one runs."""
    before = host.senders[app]
    after = host.start(app, "failover" if before.role == "main" else "main")
    host.exit(before)
    host.admit(after)


PLANTED: dict[str, Act] = {"twice": prints_twice, "skips": skips, "overlaps": overlaps}
