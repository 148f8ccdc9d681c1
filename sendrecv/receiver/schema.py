"""The tables of the receiver's ledger, and how those of earlier versions become them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sendrecv.errors import RecordFromFuture

FORMAT = 3
"""Format 1 had no state and no pending table; its spans knew neither boot nor time. Format 2 did
not know which App had changed last, nor which was ever forgotten."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS app (
    app_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, run TEXT NOT NULL,
    node_id TEXT NOT NULL, last INTEGER, changed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    span INTEGER PRIMARY KEY, app_id TEXT NOT NULL, node_id TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    boot TEXT NOT NULL DEFAULT '', opened REAL NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS pending (
    place INTEGER PRIMARY KEY, app_id TEXT NOT NULL, node_id TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS incarnation (
    app_id TEXT PRIMARY KEY, number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS way (
    boot TEXT NOT NULL, since REAL NOT NULL, name TEXT NOT NULL, PRIMARY KEY (boot, since)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1), identity TEXT NOT NULL, serial INTEGER NOT NULL
) STRICT;
"""
_FROM_FORMAT_1 = (
    "ALTER TABLE outbox ADD COLUMN boot TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE outbox ADD COLUMN opened REAL NOT NULL DEFAULT 0",
)
_FROM_FORMAT_2 = ("ALTER TABLE app ADD COLUMN changed INTEGER NOT NULL DEFAULT 0",)


def prepare(database: sqlite3.Connection, path: Path) -> bool:
    """Make the tables that are missing. Whether all are: it is a new ledger.

    Raises RecordFromFuture, and sqlite3.DatabaseError if the database is damaged.
    """
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if 0 < found < FORMAT:
        _migrate(database, int(found))
    if found > FORMAT:
        raise RecordFromFuture(
            f"{path}: ledger has format {found}, this version knows up to {FORMAT}",
            "install that version",
        )
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict.splitlines()[-1])
    database.executescript(_SCHEMA)
    return bool(found == 0)


def _migrate(database: sqlite3.Connection, found: int) -> None:
    with database:
        for statement in (*_FROM_FORMAT_1 * (found == 1), *_FROM_FORMAT_2):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {FORMAT}")
