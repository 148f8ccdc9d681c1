"""The receiver's start: opens the ledger, and finds out what of its last groups was not printed.

    the ledger ...                          what is printed first
    goes on where the mark says             the rest of its last group: nobody is asked
    the same, killed between write and      what the journal does not have of that one chunk
    mark
    has no mark: another boot               what the journal does not have of the outbox; of what
                                            was printed in this boot, of the last group only
    is older than what was printed          the same. Its rows are raised by all that was printed
                                            since; the start waits until the journal can be read
    is new                                  nothing; the journal tells its rows

Where the journal cannot tell, nothing is printed again, and one line says of which Apps. Of what
was printed in this boot, it can tell only if the way to it is the same (way.py), and if it has a
line that is printed now, of the same kind: else it stores none, or had no room for some.

Then it forgets the Apps that a person asked it to (`sendrecv forget`, requests.py), before any
sender is admitted.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from sendrecv.core.errors import ERROR, NOTICE, WARNING
from sendrecv.core.lines import forgotten_line, unproven_line
from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.recovery import (
    JournalReading,
    Known,
    Reconciliation,
    Span,
    above,
    forgotten_since,
    raised,
    unprinted,
)
from sendrecv.receiver.journal import NEWEST, Journal, Unreadable
from sendrecv.receiver.ledger import Ledger
from sendrecv.receiver.mark import Mark, Progress, Standing
from sendrecv.receiver.printing import Printer, lines_in
from sendrecv.receiver.requests import Requests
from sendrecv.systemd import Notifier

OPEN_RETRY = 1.0


class Clock(Protocol):
    """A monotonic clock, in seconds."""

    def monotonic(self) -> float:
        """See time.monotonic()."""

    def sleep(self, seconds: float) -> None:
        """See time.sleep()."""


class StartPorts(NamedTuple):
    """All that a start needs from outside. open_ledger: see Ledger."""

    open_ledger: Callable[[], Ledger]
    mark: Mark
    journal: Journal
    printer: Printer
    notifier: Notifier
    clock: Clock
    requests: Requests


class Recovered(NamedTuple):
    """What is found out: rows to be raised in the ledger, counts to be printed, and counts of which
    nobody can tell. forgotten: Apps, with their incarnations, that the ledger does not know to be
    forgotten.
    """

    rows: Sequence[Row] = ()
    orders: Sequence[Print] = ()
    unproven: Sequence[Print] = ()
    forgotten: Mapping[str, int] = MappingProxyType({})


def open_ledger(ports: StartPorts) -> Ledger:
    """The ledger, with nothing left in it that should be printed. Waits while it cannot be used, or
    is known to be old while the journal cannot be asked: else senders would be told to send again
    what is printed.
    """
    reported = False
    while True:
        try:
            ledger = ports.open_ledger()
            _prepare(ledger, ports)
        except (sqlite3.OperationalError, OSError, Unreadable) as error:
            if not reported:
                ports.notifier.log(ERROR, f"ledger: {_words(error)}, waiting until it can be used")
            reported = True
            ports.notifier.status(f"waiting for the ledger: {_words(error)}")
            ports.clock.sleep(OPEN_RETRY)
        else:
            if reported:
                ports.notifier.log(NOTICE, "ledger: it can be used again")
            return ledger


def _words(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return f"it is older than what was printed, and the journal cannot be asked: {error}"
    if isinstance(error, BlockingIOError):
        return "another receiver still has it"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _prepare(ledger: Ledger, ports: StartPorts) -> None:
    try:
        _go_on(ledger, _find_out(ledger, ports), ports)
        _forget(ledger, ports)
    except BaseException:
        ledger.close()  # or the next attempt would find it locked
        raise


def _find_out(ledger: Ledger, ports: StartPorts) -> Recovered:
    standing, progress = ports.mark.compare(ledger.identity, ledger.serial, ledger.files.database)
    if standing is not Standing.CONTINUES:
        ledger.renew()
    try:
        if ledger.is_new:
            _sync_if_possible(ports)
            told = _read_back("", 0.0, ports)
            return Recovered(rows=list(told.rows.values()), forgotten=told.incarnations)
        if standing is Standing.CONTINUES:
            return _of_the_last_group(ledger, progress, ports)
        return _of_the_journal(ledger, standing, ports)
    except Unreadable as error:
        if standing is Standing.OLD:
            raise
        ports.notifier.log(
            WARNING, f"the journal cannot be asked what was printed: {error}, ignoring"
        )
        return Recovered(unproven=[] if ledger.is_new else [span.order for span in ledger.outbox()])


def _go_on(ledger: Ledger, known: Recovered, ports: StartPorts) -> None:
    """Make durable what is found out, and print what was not printed."""
    for order in known.unproven:
        ports.notifier.log(NOTICE, unproven_line(order))
    if error := ports.mark.open(ledger.identity, ledger.files.database):
        why = f"{error.filename}: {error.strerror}"
        ports.notifier.log(WARNING, f"{why}, the next start has to ask the journal, ignoring")
    serial, orders = ledger.serial, list(known.orders)
    is_raised = known.rows or known.forgotten
    if orders or is_raised or ledger.is_renewed or ledger.has_older_spans():
        now = ports.clock.monotonic()
        serial = ledger.settle(known.rows, orders, now, known.forgotten)
        ports.printer.print_group(serial, orders)
        if ledger.ways.is_new:
            ports.journal.store()
    else:
        ports.printer.nothing_left(serial, ledger.pending())


def _of_the_last_group(ledger: Ledger, progress: Progress, ports: StartPorts) -> Recovered:
    """Its lines up to `written` are out, those above `intended` are not."""
    pending = ledger.pending()
    doubtful = _cut(pending, progress.written, progress.intended)
    rest = _cut(pending, progress.intended, lines_in(pending))
    if not doubtful:
        return Recovered(orders=rest)
    # All of the chunk, or nothing: its first line tells.
    first = doubtful[0].replace(last=doubtful[0].first)
    try:
        finding = _compare_with_the_journal([ledger.span_of(first)], Known(), ledger, ports)
    except Unreadable as error:
        ports.notifier.log(WARNING, f"killed while it printed, and {error}, ignoring")
        finding = Reconciliation([], [first])
    if finding.orders:
        return Recovered(orders=[*doubtful, *rest])
    return Recovered(orders=rest, unproven=doubtful if finding.unproven else ())


def _of_the_journal(ledger: Ledger, standing: Standing, ports: StartPorts) -> Recovered:
    """After another boot, or of a ledger that is old."""
    newer = _newer(ledger, ports.journal.read_all(NEWEST).known)
    if standing is Standing.OLD or newer.rows or newer.forgotten:
        _sync_if_possible(ports)
        newest, newer = newer, _newer(ledger, _since_its_last_group(ledger, ports))
        if not newest.apps <= newer.apps:
            newer = _newer(ledger, _read_back("", 0.0, ports))
        said = f"{len(newer.apps)} Apps go on as the journal has them"
        ports.notifier.log(WARNING, f"ledger: older than what was printed, {said}, ignoring")
    # What an old ledger has still to print may have been printed since, in another boot.
    spans = [span for span in _doubtful(ledger) if span.order.app_id not in newer.forgotten]
    told = newer.told
    finding = _compare_with_the_journal(above(spans, told.rows.values()), told, ledger, ports)
    return Recovered(newer.rows, finding.orders, finding.unproven, newer.forgotten)


def _doubtful(ledger: Ledger) -> list[Span]:
    """What may not be printed, or not stored. Of this boot, that is the last group: what came
    before was printed before it was committed, and no power cut has taken anything.
    """
    others = [span for span in ledger.outbox() if span.boot != ledger.boot]
    return others + [
        span for order in ledger.pending() if (span := ledger.span_of(order)).boot == ledger.boot
    ]


class _Newer(NamedTuple):
    """told: what the journal's lines tell. rows: what of it the ledger does not have. forgotten:
    see Recovered.
    """

    told: Known
    rows: Sequence[Row]
    forgotten: Mapping[str, int]

    @property
    def apps(self) -> set[str]:
        """Those of which the ledger does not know all."""
        return {row.app_id for row in self.rows} | {*self.forgotten}


def _since_its_last_group(ledger: Ledger, ports: StartPorts) -> Known:
    """What the journal has that an old ledger may not know: what was printed before its newest
    span was opened was accepted before, and is in it. Unless it was old before that, and went on
    when the journal did not have all that it has now: a power cut may take back that files of it
    were removed.
    """
    spans = ledger.outbox()
    boot, opened = (spans[-1].boot, spans[-1].opened) if spans else ("", 0.0)
    return _read_back(boot, opened, ports)


def _read_back(boot: str, since: float, ports: StartPorts) -> Known:
    """However much it is: an App that has been stopped for long is at the end of it."""
    ports.notifier.status("reading the journal back to what the ledger knows")
    return ports.journal.read_back(boot, since).known


def _newer(ledger: Ledger, told: Known) -> _Newer:
    known = list(told.rows.values())
    forgotten = forgotten_since(told, ledger.incarnations())
    valid = (row for row in known if row.app_id not in forgotten)
    rows = [there for row in valid if (there := ledger.row(row.app_id))]
    return _Newer(told, raised(rows, known), forgotten)


def _forget(ledger: Ledger, ports: StartPorts) -> None:
    """The line comes first, and is on disk: if the ledger says that an App was forgotten, so does
    the journal. Else its old lines would be taken for what is printed, by the next start and by
    the proof. There is no line if journald is too busy, or does not store it.
    """
    before, now = ledger.incarnations(), ports.clock.monotonic()
    asked = {app_id: before.get(app_id, 0) + 1 for app_id in ports.requests.apps()}
    if not asked:
        return
    told: Mapping[str, int] = {}
    why = "it does not store what is said of that"
    try:
        ports.journal.sync()
        for app_id, incarnation in asked.items():
            ports.notifier.log(NOTICE, forgotten_line(app_id, incarnation))
        ports.journal.sync()
        told = ports.journal.read_boots({ledger.boot: now}, ()).known.incarnations
    except Unreadable as error:
        why = str(error)
    forgotten = {app_id: number for app_id, number in asked.items() if told.get(app_id) == number}
    ledger.forget(forgotten)
    for app_id in asked:
        if app_id in forgotten:
            ports.requests.done(app_id)
        else:
            ports.notifier.log(WARNING, f"App {app_id} is not forgotten yet: {why}")


def _sync_if_possible(ports: StartPorts) -> None:
    """What the journal is believed about is on disk then: a power cut does not take it away again.

    A journald that is too busy for that can still be read.
    """
    with contextlib.suppress(Unreadable):
        ports.journal.sync()


def _compare_with_the_journal(
    spans: Sequence[Span], told: Known, ledger: Ledger, ports: StartPorts
) -> Reconciliation:
    if not spans:
        return Reconciliation([], [])
    is_of_this_boot = any(span.boot == ledger.boot for span in spans)
    probe = int(ports.clock.monotonic() * 1e6)
    if is_of_this_boot:
        ports.printer.print_probe(probe)
        ports.journal.sync()  # what was printed may still be on its way
    since: dict[str, float] = {}
    for span in reversed(spans):
        since[span.boot or "-"] = min(span.opened, since.get(span.boot or "-", span.opened))
    reading = ports.journal.read_boots(since, {span.order.app_id for span in spans})
    if is_of_this_boot:
        _assert_stored(probe, reading)
    return unprinted(spans, reading, told)


def _assert_stored(probe: int, reading: JournalReading) -> None:
    """Raises Unreadable."""
    if probe not in reading.known.probes:
        raise Unreadable("it does not store what is printed now")


def _cut(orders: Sequence[Print], start: int, end: int) -> list[Print]:
    """The lines number `start` to `end` - 1 of the orders, as orders."""
    found = []
    before = 0
    for order in orders:
        first = order.first + max(start - before, 0)
        last = min(order.last, order.first + end - before - 1)
        if first <= last:
            found.append(order.replace(first=first, last=last))
        before += order.last - order.first + 1
    return found
