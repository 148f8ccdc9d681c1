"""The receiver's durable ledger: a row for each App, and the outbox of lines being printed.

SQLite, in WAL mode with synchronous=FULL: one fsync for each group, and a commit that has
returned survives a power cut (https://www.sqlite.org/wal.html, pragma.html#pragma_synchronous).

The outbox holds spans of counts, in the same transaction as the rows. journald syncs its files to
disk only every five minutes (journald.conf(5), SyncIntervalSec=), so a span is kept for longer
than that after it was printed. At the next start, whatever of the spans is not in the journal is
printed then: see missing().

How much of the journal must be read for that is in the file `journal-lines` beside the ledger: an
upper bound of the lines printed since the oldest span was opened, and the boots in which they were,
written before they are. The boots, since journalctl knows their order by the wall clock at worst.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice, takewhile
from pathlib import Path

from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.values import Value
from sendrecv.errors import LedgerBroken, RecordFromFuture

FORMAT = 1
LOCK_TIMEOUT = 0.2
"""Seconds to wait for a database that another process has locked."""
SPAN_OPEN = 30.0
"""Seconds for which one span is extended before a new one is begun."""
SPAN_KEPT = 360.0
"""Seconds for which a span is kept: journald's sync interval and some slack."""
REBUILT_FROM = 100_000
"""Lines of the journal from which a lost ledger is made anew, as in journal-tail."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS app (
    app_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, run TEXT NOT NULL,
    node_id TEXT NOT NULL, last INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    span INTEGER PRIMARY KEY, app_id TEXT NOT NULL, node_id TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT;
"""


class _Span(Value):
    """Counts being printed. lines_before: lines ever printed when it was opened."""

    number: int
    order: Print
    opened: float
    lines_before: int


class Ledger:
    """The ledger in `directory`, locked for the life of this object; made new if there is none.

    The lock is what keeps a predecessor that systemd could not kill (state D) from printing the
    lines that its successor has found missing.

    Not thread-safe: one call at a time. `now` is in seconds of the monotonic clock.
    Attribute is_new: whether there was no ledger.
    """

    def __init__(self, directory: Path, boot: str = "") -> None:
        """`boot`: the ID of this boot, if it is known.

        Raises RecordFromFuture; LedgerBroken if it is damaged, and now kept aside: for a new one
        more of the journal must be read first; BlockingIOError if another process has the lock;
        sqlite3.Error or OSError if it cannot be opened now.
        """
        self.path = directory / "ledger.db"
        self.is_new = False
        self._lock = _locked(directory / "lock")
        self._bound = LineBound(directory / "journal-lines", boot)
        try:
            self._bound.add_boot()
            if not self.path.exists():
                self._bound.widen()
            self._database = self._open_or_set_aside()
        except BaseException:
            os.close(self._lock)
            raise
        self._stamped = not self.is_new
        self._inode = os.stat(self.path).st_ino
        self._spans: dict[int, _Span] = {}  # by number, which is their order in time
        self._newest: dict[str, _Span] = {}  # of each App
        self._number = 0
        self._lines = 0  # printed by this process

    def rows(self) -> list[Row]:
        """The rows of all Apps."""
        query = "SELECT app_id, epoch, run, node_id, last FROM app"
        return [Row(*values) for values in self._database.execute(query)]

    def outbox(self) -> list[Print]:
        """The spans that an earlier process has left, oldest first."""
        query = "SELECT app_id, node_id, first, last FROM outbox ORDER BY span"
        return [Print(*values) for values in self._database.execute(query)]

    def replace_outbox(self, orders: Sequence[Print], now: float) -> None:
        """Keep only `orders`, which are about to be printed again. Call once, before any more."""
        lines = _lines_in(orders)
        spans = self._plan(orders, now)
        self._bound.grow(lines)
        if self.outbox():
            with self._database:
                self._database.execute("DELETE FROM outbox")
                self._write_spans(spans)
        # Whatever is in the outbox from now on is printed in this boot.
        self._bound.drop_other_boots()
        self._bound.shrink(lines)
        self._remember(spans, lines)

    def commit(self, rows: Iterable[Row], orders: Sequence[Print], now: float) -> None:
        """Make a group durable. After sqlite3.Error or OSError nothing of it has happened.

        Raises LedgerBroken if the database is damaged, or no longer the file at its path.
        """
        self._verify()
        lines = _lines_in(orders)
        spans = self._plan(orders, now)
        expired = self._expired(now)
        unconfirmed = self._lines + lines - self._lines_before_oldest(len(expired))
        self._bound.grow(unconfirmed)
        try:
            with self._database:
                self._write_rows(rows)
                if expired:
                    self._database.execute("DELETE FROM outbox WHERE span <= ?", (expired[-1],))
                self._write_spans(spans)
                self._stamp()
        except sqlite3.OperationalError:
            raise  # disk full, or locked: it may go better next time
        except sqlite3.DatabaseError as error:
            raise LedgerBroken(f"{self.path}: {error}") from None
        self._stamped = True
        for number in expired:
            del self._spans[number]
        self._bound.shrink(unconfirmed)
        self._remember(spans, lines)

    def close(self) -> None:
        """Close the database: its write-ahead log is merged into it."""
        self._database.close()
        os.close(self._lock)

    # The outbox.

    def _plan(self, orders: Sequence[Print], now: float) -> list[_Span]:
        """The spans that `orders` extend or open."""
        spans: dict[str, _Span] = {}
        closed: list[_Span] = []
        number = self._number
        for order in orders:
            span = spans.get(order.app_id) or self._newest.get(order.app_id)
            if span and _extends(span, order, now):
                grown = span.order.replace(last=order.last)
                spans[order.app_id] = span.replace(order=grown)
                continue
            if order.app_id in spans:
                closed.append(spans[order.app_id])
            number += 1
            spans[order.app_id] = _Span(number, order, now, self._lines)
        return sorted([*closed, *spans.values()], key=lambda span: span.number)

    def _remember(self, spans: Sequence[_Span], lines: int) -> None:
        for span in spans:
            self._spans[span.number] = self._newest[span.order.app_id] = span
            self._number = max(self._number, span.number)
        self._lines += lines

    def _expired(self, now: float) -> list[int]:
        limit = now - SPAN_OPEN - SPAN_KEPT
        old = takewhile(lambda span: span.opened <= limit, self._spans.values())
        return [span.number for span in old]

    def _lines_before_oldest(self, expired: int) -> int:
        oldest = next(islice(self._spans.values(), expired, None), None)
        return oldest.lines_before if oldest else self._lines

    # The database.

    def _write_rows(self, rows: Iterable[Row]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO app VALUES (?, ?, ?, ?, ?)",
            [(row.app_id, row.epoch, row.run, row.node_id, row.last) for row in rows],
        )

    def _write_spans(self, spans: Iterable[_Span]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?)",
            [
                (span.number, span.order.app_id, span.order.node_id, *_bounds(span.order))
                for span in spans
            ],
        )

    def _stamp(self) -> None:
        """A ledger is new until its first rows, those of rows_of(), are in it: not before."""
        if not self._stamped:
            self._database.execute(f"PRAGMA user_version = {FORMAT}")

    def _verify(self) -> None:
        try:
            inode = os.stat(self.path).st_ino
        except OSError as error:
            raise LedgerBroken(f"{self.path}: {error.strerror} while in use") from None
        if inode != self._inode:
            raise LedgerBroken(f"{self.path}: replaced by another file while in use")

    def _open_or_set_aside(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._set_aside()
            raise LedgerBroken(
                f"{self.path}: damaged ({error}), kept as ledger.db.damaged",
                "starting again, with a new one made from the journal",
            ) from None

    def _open(self) -> sqlite3.Connection:
        # One thread at a time uses it, but not always the one that opened it.
        database = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            self._check(database)
            database.executescript(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database

    def _check(self, database: sqlite3.Connection) -> None:
        """Raises sqlite3.DatabaseError if the database is damaged."""
        (found,) = database.execute("PRAGMA user_version").fetchone()
        self.is_new = found == 0
        if found > FORMAT:
            raise RecordFromFuture(
                f"{self.path}: ledger has format {found}, this version knows up to {FORMAT}",
                "install that version",
            )
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict.splitlines()[-1])

    def _set_aside(self) -> None:
        os.replace(self.path, self.path.with_name("ledger.db.damaged"))
        for suffix in ("-wal", "-shm"):  # they belong to it: a new database must not replay them
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


class LineBound:
    """The file that says how many lines of the journal must be read at the next start, and of which
    boots: "LINES BOOT BOOT...". Without a boot: the last ones of all.

    A bound that is too great costs time, one that is too small would make missing() print lines
    twice: it grows before the lines are printed, and shrinks after the spans are gone.
    """

    def __init__(self, path: Path, boot: str = "") -> None:
        """A file that is missing or unreadable counts as 0."""
        self._path = path
        self._boot = boot
        try:
            bound, *self._boots = path.read_text(encoding="ascii").split()
            self._bound = int(bound)
        except (OSError, ValueError):
            self._bound, self._boots = 0, []

    def add_boot(self) -> None:
        """Lines are going to be printed in this boot, too. Raises OSError."""
        if self._boot and self._boot not in self._boots and self._bound:
            if self._boots:  # else all boots are read as it is
                self._boots.append(self._boot)
                self._write(self._bound)

    def drop_other_boots(self) -> None:
        """Nothing of any other boot is of interest now. Raises OSError."""
        if self._boot and self._boots != [self._boot]:
            self._boots = [self._boot]
            if self._bound:
                self._write(self._bound)

    def grow(self, lines: int) -> None:
        """Make the bound at least `lines`. Raises OSError."""
        if lines > self._bound:
            self._write(2 * lines + 100)

    def widen(self) -> None:
        """The ledger was lost: should this process be killed before a new one is complete, the
        next one must be told as many lines as this one, of all boots, and with those of sessions.
        An empty list of boots asks journal-tail for all of that. Raises OSError.
        """
        if self._bound:
            self._boots = []
            self._write(max(self._bound, REBUILT_FROM))

    def shrink(self, lines: int) -> None:
        """Make a bound that is far above `lines` smaller. An error is of no consequence."""
        if self._bound > 8 * lines + 10_000:
            with contextlib.suppress(OSError):
                self._write(2 * lines + 100)

    def _write(self, bound: int) -> None:
        draft = self._path.with_name(self._path.name + ".new")
        with draft.open("w", encoding="ascii") as file:
            file.write(" ".join([str(bound), *self._boots]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._bound = bound


def _locked(path: Path) -> int:
    """A descriptor of the file at `path`, locked. Raises BlockingIOError if it is already."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _extends(span: _Span, order: Print, now: float) -> bool:
    follows = (order.node_id, order.first) == (span.order.node_id, span.order.last + 1)
    return follows and now < span.opened + SPAN_OPEN


def _bounds(order: Print) -> tuple[int, int]:
    return order.first, order.last


def _lines_in(orders: Iterable[Print]) -> int:
    return sum(order.last - order.first + 1 for order in orders)
