"""From facts to samples: values of metrics, each with its labels. Nothing is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from sendrecv import __version__
from sendrecv.admin.facts import COUNTING, ELSEWHERE, STANDING_BY, STATES, UNDELIVERED, App, Facts
from sendrecv.admin.metrics import table
from sendrecv.admin.metrics.table import SILENCES, Metric
from sendrecv.admin.metrics.tally import OfApp, Tally
from sendrecv.admin.problems import Problem, problems
from sendrecv.admin.receiver import Commits, Receiver
from sendrecv.admin.units import ACTIVE
from sendrecv.core.values import Value
from sendrecv.core.wire import Refusal

_SOMEBODY_COUNTS = frozenset({COUNTING, STANDING_BY, UNDELIVERED, ELSEWHERE})


class Sample(Value):
    """labels: the values of the metric's labels, in their order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class Histogram(Value):
    """up_to: by a bound, how many were so much or less. total: how many there were. sum: of all."""

    metric: Metric
    labels: tuple[str, ...]
    up_to: tuple[tuple[float, int], ...]
    total: int
    sum: float


Measured = Sample | Histogram


class MetricsInput(Value):
    """What is measured. tally: None if the journal cannot be read. space: by directory, available
    and whole bytes. seconds: how long it took to read all that.
    """

    facts: Facts
    tally: Tally | None
    space: Mapping[str, tuple[int, int]]
    seconds: float


def measured(read: MetricsInput) -> Iterator[Measured]:
    """All that is known. What is not known has no sample."""
    yield Sample(table.BUILD, (__version__,), 1)
    yield Sample(table.COLLECTED, (), read.facts.when)
    yield Sample(table.COLLECTION, (), read.seconds)
    yield from _of_sources(read)
    yield from _of_problems(problems(read.facts))
    for directory, (available, size) in read.space.items():
        yield Sample(table.AVAILABLE, (directory,), available)
        yield Sample(table.SIZE, (directory,), size)
    yield from _of_receiver(read.facts.receiver)
    for app in read.facts.apps:
        yield from _of_app(app, read.facts)
        if read.tally:
            yield from _of_tally(app.instance, read.tally.apps.get(app.instance, OfApp()))


def _of_sources(read: MetricsInput) -> Iterator[Measured]:
    sources = {
        "systemd": not read.facts.units.error,
        "receiver": not read.facts.receiver.error,
        "journal": read.tally is not None,
    }
    for source, is_up in sources.items():
        yield Sample(table.SOURCE, (source,), is_up)


def _of_problems(found: Iterable[Problem]) -> Iterator[Measured]:
    kinds = Counter((one.code, "error" if one.is_error else "warning") for one in found)
    for labels, number in kinds.items():
        yield Sample(table.PROBLEMS, labels, number)


def _of_receiver(receiver: Receiver) -> Iterator[Measured]:
    yield from _known(table.RECEIVER_START, (), receiver.since)
    yield from _known(table.CONNECTIONS, (), receiver.connections)
    yield from _known(table.RECEIVED, (), receiver.counts)
    if receiver.refusals is not None:
        # All of them: the increase from "not there" to 1 is none.
        for reason in Refusal:
            number = receiver.refusals.get(reason.value, 0)
            yield Sample(table.REFUSALS, (reason.value,), number)
    if receiver.commits:
        yield _of_commits(receiver.commits)


def _of_commits(commits: Commits) -> Histogram:
    return Histogram(table.COMMITS, (), commits.up_to, commits.count, commits.seconds)


def _of_app(app: App, facts: Facts) -> Iterator[Measured]:
    name = (app.instance,)
    for state in STATES:
        yield Sample(table.STATE, (*name, state), app.state == state)
    yield Sample(table.SHOULD_RUN, name, app.meant)
    yield Sample(table.AT_BOOT, name, app.at_boot)
    yield from _of_pause(app)
    if app.state in _SOMEBODY_COUNTS and app.node:
        here = "" if app.state in {STANDING_BY, ELSEWHERE} else app.half
        yield Sample(table.WHO, (*name, app.app_id, here, app.node, app.host), 1)
        yield from _known(table.SINCE, name, app.since)
    yield from _of_counts(app, facts)
    for half in app.halves:
        yield Sample(table.HALF, (*name, half.role), half.state in ACTIVE)
        yield Sample(table.MASKED, (*name, half.role), half.masked)
    if app.takeover:
        yield Sample(table.LAST, name, app.takeover.when)


def _of_pause(app: App) -> Iterator[Measured]:
    paused = app.paused
    yield Sample(table.PAUSED, (app.instance,), paused is not None)
    yield from _known(table.PAUSED_SINCE, (app.instance,), paused.since if paused else None)


def _of_counts(app: App, facts: Facts) -> Iterator[Measured]:
    name, row = (app.instance,), facts.receiver.rows.get(app.app_id)
    # Not App.count, which is another one if the receiver cannot be asked: a counter would jump.
    if row and row.count is not None:
        yield Sample(table.COUNTS, name, row.count + 1)
    yield from _known(table.EPOCH, name, app.epoch)
    yield from _known(table.BEAT, name, app.beat)
    yield from _known(table.LATE, name, app.late)
    yield from _known(table.BACKLOG, name, app.backlog)
    if not facts.receiver.error:
        yield Sample(table.CONNECTED, name, row is not None and row.since is not None)


def _of_tally(instance: str, app: OfApp) -> Iterator[Measured]:
    """The common reasons are always there: the increase from "not there" to 1 is none."""
    for metric, counts in ((table.TAKEOVERS, app.takeovers), (table.STARTS, app.starts)):
        for reason in (*table.REASONS, table.OTHER):
            if reason in counts or reason in _COMMON[metric.name]:
                yield Sample(metric, (instance, reason), counts.get(reason, 0))
    up_to = tuple(zip(SILENCES, accumulate(app.silences), strict=False))
    yield Histogram(table.SILENCE, (instance,), up_to, sum(app.silences), app.seconds)


_COMMON = {
    table.TAKEOVERS.name: ("signal", "core-dump", "exit-code", "watchdog", "oom-kill", "stopped"),
    table.STARTS.name: ("again",),
}


def _known(metric: Metric, labels: tuple[str, ...], value: float | None) -> Iterator[Sample]:
    if value is not None:
        yield Sample(metric, labels, value)
