"""The receiver's durable ledger: a row for each App, and the outbox of counts being printed.

SQLite, in WAL mode with synchronous=FULL: one fsync for each group, and a commit that has
returned survives a power cut (https://www.sqlite.org/wal.html, pragma.html#pragma_synchronous).

Groups are numbered (`serial`), and the orders of the last one are kept (`pending`): a receiver that
was killed had printed all groups before. How much of the last one it had printed is in mark.py's
file, which a reboot loses.

The outbox holds spans of counts, in the same transaction as the rows. journald syncs its files to
disk only every five minutes (journald.conf(5), SyncIntervalSec=), so a span is kept for longer than
that. After a power cut, what of the spans is not in the journal is printed again, if the journal
stores what takes the way that their lines took: see recovery.py and way.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sendrecv.core.receiver_events import Print, Row
from sendrecv.core.recovery import Span
from sendrecv.core.values import Value
from sendrecv.core.wire import LEDGER_NAME
from sendrecv.errors import LedgerBroken
from sendrecv.receiver import schema
from sendrecv.receiver.files import Files, WhenWritten, locked
from sendrecv.receiver.way import Ways

MAX_NAMES = 100_000
"""Apps that it has room for, of which it forgets none: 27 new ones a day for ten years. They take
about 10 MB, which each start reads to find damage."""
LOCK_TIMEOUT = 0.2
"""Seconds to wait for a database that another process has locked."""
LOG_ROWS = 200
"""After how many rows the log is merged into the database, where a group counts as ten rows more.
That is about 20 groups, and about 100 pages of 4 KiB. With SQLite's 1000, the log would need 4 MB.
And SQLite would do it within a transaction: see files.py."""
SPAN_OPEN = 30.0
"""Seconds for which one span is extended before a new one is begun."""
SPAN_KEPT = 360.0
"""Seconds for which a span is kept: journald's sync interval and some slack."""

_ROW = "app_id, epoch, run, node_id, last"


class _Open(Value):
    """A span of this boot that may still be extended or has to be kept."""

    number: int
    span: Span


class Ledger:
    """The ledger in `directory`, locked for the life of this object; made new if there is none.

    The lock is what keeps a predecessor that systemd could not kill (state D) from printing the
    lines that its successor has found missing.

    Not thread-safe: one call at a time. `now` is in seconds of the monotonic clock of this boot.
    Attribute is_new: whether there was no ledger. identity: 32 hexadecimal digits that no other
    ledger has, see renew(). serial: the number of the last group. boot: as given. ways: of its
    lines. files: those of the database.
    """

    def __init__(
        self,
        directory: Path,
        boot: str = "",
        look: Callable[[], str] = lambda: "",
        written: WhenWritten = lambda before, after: None,
    ) -> None:
        """`boot`: the ID of this boot. look: tells the way of the lines, see way.py. written: see
        files.py.

        Raises RecordFromFuture; LedgerBroken if it is damaged, and now kept aside; BlockingIOError
        if another process has the lock; sqlite3.Error or OSError if it cannot be opened now.
        """
        self.path = directory / "ledger.db"
        self.is_new = False
        self.boot = boot
        self._lock = locked(directory / "lock")
        try:
            self._database = self._open_or_set_aside()
        except BaseException:
            os.close(self._lock)
            raise
        self._stored = self._read_state()
        self.identity, self.serial = self._stored or (os.urandom(16).hex(), 0)
        self.ways = Ways(self._database, boot, look)
        self.files = Files(self.path, written)
        self._spans: dict[int, _Open] = {}  # by number, which is their order in time
        self._newest: dict[str, _Open] = {}  # of each App
        self._number = 0
        self._load()

    def rows(self, most: int = MAX_NAMES) -> list[Row]:
        """The rows of all Apps, or of those `most` that changed last; the last one at the end."""
        query = f"SELECT {_ROW} FROM app ORDER BY changed DESC, app_id DESC LIMIT ?"
        return [Row(*values) for values in self._select(query, most)][::-1]

    def row(self, app_id: str) -> Row | None:
        """The row of that App, if it has one."""
        found = self._select(f"SELECT {_ROW} FROM app WHERE app_id = ?", app_id)
        return Row(*found[0]) if found else None

    def incarnations(self) -> dict[str, int]:
        """How often each App was forgotten, without those that never were."""
        return dict(self._select("SELECT app_id, number FROM incarnation"))

    def has_room(self) -> bool:
        """Whether there is room for one more App."""
        ((names,),) = self._select("SELECT count(*) FROM app")
        return int(names) < MAX_NAMES

    def outbox(self) -> list[Span]:
        """All spans, oldest first."""
        query = "SELECT app_id, node_id, first, last, boot, opened FROM outbox ORDER BY span"
        return [
            Span(Print(*order), boot, opened, self.ways.since(boot, opened))
            for *order, boot, opened in self._select(query)
        ]

    def span_of(self, order: Print) -> Span:
        """The same counts, as the span that they are in has them."""
        spans = [span for span in self.outbox() if span.order.app_id == order.app_id]
        return spans[-1].replace(order=order) if spans else Span(order, self.boot, 0.0, None)

    def has_older_spans(self) -> bool:
        """Whether there are spans of other boots."""
        ((number,),) = self._select("SELECT count(*) FROM outbox")
        return int(number) > len(self._spans)

    def pending(self) -> list[Print]:
        """The orders of the last group."""
        query = "SELECT app_id, node_id, first, last FROM pending ORDER BY place"
        return [Print(*values) for values in self._select(query)]

    def commit(self, rows: Iterable[Row], orders: Sequence[Print], now: float) -> int:
        """Make a group durable: its number. After sqlite3.Error or OSError nothing of it has
        happened.

        Raises LedgerBroken if the database is damaged, or not as this process has left it.
        """
        return self._commit(rows, orders, now, self._expired(now))

    def settle(
        self,
        rows: Iterable[Row],
        orders: Sequence[Print],
        now: float,
        forgotten: Mapping[str, int] = MappingProxyType({}),
    ) -> int:
        """The same, as the first group of a process: of the spans of other boots, only `orders` are
        not printed yet. They become spans of this boot. `forgotten`: incarnations of Apps of which
        everything else that is there is dropped before.
        """
        self._forget(forgotten)
        mine = set(self._spans)
        spans = self._select("SELECT span FROM outbox")
        others = [number for (number,) in spans if number not in mine]
        return self._commit(rows, orders, now, [*others, *self._expired(now)])

    def empty_outbox(self, now: float) -> None:
        """All counts are printed, and stored where they go. Raises what commit() does."""
        self._commit([], [], now, [number for (number,) in self._select("SELECT span FROM outbox")])

    def forget(self, forgotten: Mapping[str, int]) -> None:
        """Drop all that is known of these Apps, of which those incarnations begin. The last group
        stays as it is. Raises what commit() does.
        """
        self._forget(forgotten)

    def _forget(self, forgotten: Mapping[str, int]) -> None:
        if not forgotten:
            return
        apps = [(app_id,) for app_id in forgotten]
        with self._transaction():
            self._database.executemany("DELETE FROM app WHERE app_id = ?", apps)
            self._database.executemany("DELETE FROM outbox WHERE app_id = ?", apps)
            self._database.executemany(
                "INSERT OR REPLACE INTO incarnation VALUES (?, ?)", forgotten.items()
            )
        for app_id in forgotten:
            self._newest.pop(app_id, None)
        kept = [there for there in self._spans.values() if there.span.order.app_id not in forgotten]
        self._spans = {there.number: there for there in kept}

    def renew(self) -> None:
        """From the next group on, it has another identity: nothing says that it goes on where the
        last receiver ended. A copy that was made before, and is put back later, may have any
        serial, but not this identity. Its first half stays: by that name clients know the ledger,
        and tell that it is old if nobody else can.
        """
        self.identity = self.identity[:LEDGER_NAME] + os.urandom(16).hex()[LEDGER_NAME:]

    @property
    def is_renewed(self) -> bool:
        """Whether its identity is not in the database yet."""
        return self._stored != (self.identity, self.serial)

    def close(self) -> None:
        """Close the database: its write-ahead log is merged into it. If somebody else has written
        to it, the next start finds that out.
        """
        try:
            with self.files.merge():
                self._database.close()
        except LedgerBroken:
            self._database.close()
        finally:
            os.close(self._lock)

    # The outbox.

    def _load(self) -> None:
        """The spans of this boot stay as they are; the clock is the same."""
        query = "SELECT app_id, node_id, first, last, boot, opened, span FROM outbox ORDER BY span"
        for *order, boot, opened, number in self._select(query):
            self._number = max(self._number, number)
            if boot == self.boot and boot:
                self._remember([_Open(number, Span(Print(*order), boot, opened))])

    def _plan(self, orders: Sequence[Print], now: float) -> list[_Open]:
        """The spans that `orders` extend or open."""
        since = self.ways.see(now) if orders else 0.0
        spans: dict[str, _Open] = {}
        closed: list[_Open] = []
        number = self._number
        for order in orders:
            there = spans.get(order.app_id) or self._newest.get(order.app_id)
            if there and there.span.opened >= since and _extends(there.span, order, now):
                grown = there.span.order.replace(last=order.last)
                spans[order.app_id] = there.replace(span=there.span.replace(order=grown))
                continue
            if order.app_id in spans:
                closed.append(spans[order.app_id])
            number += 1
            spans[order.app_id] = _Open(number, Span(order, self.boot, now))
        return sorted([*closed, *spans.values()], key=lambda span: span.number)

    def _remember(self, spans: Iterable[_Open]) -> None:
        for there in spans:
            self._spans[there.number] = self._newest[there.span.order.app_id] = there
            self._number = max(self._number, there.number)

    def _expired(self, now: float) -> list[int]:
        limit = now - SPAN_OPEN - SPAN_KEPT
        old = takewhile(lambda there: there.span.opened <= limit, self._spans.values())
        return [there.number for there in old]

    def _commit(
        self, rows: Iterable[Row], orders: Sequence[Print], now: float, gone: Sequence[int]
    ) -> int:
        spans, rows = self._plan(orders, now), list(rows)
        try:
            with self._transaction():
                self._write_rows(rows)
                self._write_spans(spans, gone)
                self._write_pending(orders)
                self.ways.write()
                self._stamp()
        except sqlite3.OperationalError:  # disk full, or locked: it may go better next time
            self._merge("RESTART")  # the log's room is used again
            raise
        self.ways.written()
        self.serial += 1
        self._stored = (self.identity, self.serial)
        self.files.unmerged += len(rows) + 10
        if self.files.unmerged >= LOG_ROWS:
            self._merge("PASSIVE")
        for number in gone:
            self._spans.pop(number, None)
        self._remember(spans)
        return self.serial

    # The database.

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Raises LedgerBroken if somebody else has written to what is read."""
        self.files.verify()
        with self._whole():
            return self._database.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._whole(), self.files.transaction(), self._database:
            yield

    def _merge(self, how: str) -> None:
        """The log into the database. If that fails, the log gets longer: what it has is durable."""
        with contextlib.suppress(sqlite3.OperationalError), self._whole(), self.files.merge():
            self._database.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
            self.files.unmerged = 0

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Whatever SQLite says of a damaged database is LedgerBroken."""
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise LedgerBroken(f"{self.path}: {error}") from None

    def _write_rows(self, rows: Iterable[Row]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO app VALUES (?, ?, ?, ?, ?, ?)",
            [(*row.as_dict().values(), self.serial + 1) for row in rows],
        )

    def _write_spans(self, spans: Iterable[_Open], gone: Sequence[int]) -> None:
        if gone:
            self._database.executemany(
                "DELETE FROM outbox WHERE span = ?", [(number,) for number in gone]
            )
        self._database.executemany(
            "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (there.number, *_values(there.span.order), there.span.boot, there.span.opened)
                for there in spans
            ],
        )

    def _write_pending(self, orders: Iterable[Print]) -> None:
        self._database.execute("DELETE FROM pending")
        self._database.executemany(
            "INSERT INTO pending VALUES (?, ?, ?, ?, ?)",
            [(place, *_values(order)) for place, order in enumerate(orders)],
        )

    def _stamp(self) -> None:
        """A ledger is new until its first rows are in it: not before. What is there must be what
        this process has written last: the files of a whole database may have been put back, with
        the index that SQLite shares.
        """
        state = (self.identity, self.serial + 1)
        if self._stored:
            query = "UPDATE state SET identity = ?, serial = ? WHERE identity = ? AND serial = ?"
            if self._database.execute(query, (*state, *self._stored)).rowcount != 1:
                raise LedgerBroken(f"{self.path}: another state was put back while in use")
            return
        self._database.execute("INSERT INTO state VALUES (1, ?, ?)", state)
        self._database.execute(f"PRAGMA user_version = {schema.FORMAT}")

    def _read_state(self) -> tuple[str, int] | None:
        """Identity and serial, if they are in the database."""
        found = self._database.execute("SELECT identity, serial FROM state").fetchone()
        return (str(found[0]), int(found[1])) if found else None

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
        if self.path.exists() and not os.access(self.path, os.R_OK | os.W_OK):
            # SQLite would only say "unable to open database file".
            owner = f"it belongs to {self.path.owner()}"
            raise PermissionError(errno.EACCES, owner, str(self.path))
        database = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("PRAGMA wal_autocheckpoint=0")
            self.is_new = schema.prepare(database, self.path)
            database.execute("SELECT * FROM app").fetchone()  # so the log's file is there
        except BaseException:
            database.close()
            raise
        return database

    def _set_aside(self) -> None:
        os.replace(self.path, self.path.with_name("ledger.db.damaged"))
        for suffix in ("-wal", "-shm"):  # they belong to it: a new database must not replay them
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _extends(span: Span, order: Print, now: float) -> bool:
    follows = (order.node_id, order.first) == (span.order.node_id, span.order.last + 1)
    return follows and now < span.opened + SPAN_OPEN


def _values(order: Print) -> tuple[str, str, int, int]:
    return order.app_id, order.node_id, order.first, order.last
