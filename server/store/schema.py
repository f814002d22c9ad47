"""The tables of the SQLite database, and the statements on them."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from server.errors import StoreError
from server.prediction import Status
from server.store.rows import to_text
from server.store.store import INTERRUPTED, MOST_IN_LIST, VALUES

_VERSIONS = (
    (
        # What is listed; small rows, so that a page of them is read at once.
        """CREATE TABLE predictions (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL,
            status TEXT NOT NULL,
            error BLOB,
            metrics BLOB NOT NULL,
            created_at TEXT NOT NULL,
            started_at TEXT,
            completed_at TEXT,
            bytes INTEGER NOT NULL
        )""",
        "CREATE INDEX predictions_by_id ON predictions (id, number)",
        "CREATE INDEX predictions_by_end ON predictions (completed_at, bytes)",
        # Apart from the results, which are written again and again.
        """CREATE TABLE inputs (
            number INTEGER PRIMARY KEY REFERENCES predictions ON DELETE CASCADE,
            input BLOB NOT NULL
        )""",
        """CREATE TABLE results (
            number INTEGER PRIMARY KEY REFERENCES predictions ON DELETE CASCADE,
            output BLOB,
            logs BLOB NOT NULL
        )""",
    ),
    (
        "ALTER TABLE predictions ADD COLUMN asked TEXT NOT NULL DEFAULT 'predict'",
        "CREATE INDEX predictions_by_asked ON predictions (asked, number)",
    ),
)
"""What leads from each version of the tables to the next; the first makes them. To change a table, add a version."""

_COLUMNS = "number, id, asked, status, created_at, started_at, completed_at"
_TABLES = "predictions LEFT JOIN inputs USING (number) LEFT JOIN results USING (number)"
_WHOLE = ", ".join(VALUES)
_BRIEF = ", ".join(f"CASE WHEN length({name}) > {MOST_IN_LIST} THEN x'' ELSE {name} END AS {name}" for name in VALUES)

GET = f"SELECT {_COLUMNS}, {_WHOLE} FROM {_TABLES} WHERE id = ? ORDER BY number DESC LIMIT 1"  # noqa: S608
OLDER = f"SELECT {_COLUMNS}, {_BRIEF} FROM {_TABLES} WHERE asked = ? AND number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608
NEWER = f"SELECT {_COLUMNS}, {_BRIEF} FROM {_TABLES} WHERE asked = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608
DELETE = "DELETE FROM predictions WHERE number = ?"

SAVE = """
    INSERT INTO predictions (number, id, asked, status, error, metrics, created_at, started_at, completed_at, bytes)
    VALUES (:number, :id, :asked, :status, :error, :metrics, :created_at, :started_at, :completed_at, :bytes)
    ON CONFLICT (number) DO UPDATE SET
        status = excluded.status, error = excluded.error, metrics = excluded.metrics,
        started_at = excluded.started_at, completed_at = excluded.completed_at, bytes = excluded.bytes
"""
SAVE_INPUT = "INSERT INTO inputs (number, input) VALUES (:number, :input) ON CONFLICT DO NOTHING"
SAVE_RESULT = """
    INSERT INTO results (number, output, logs) VALUES (:number, :output, :logs)
    ON CONFLICT (number) DO UPDATE SET output = excluded.output, logs = excluded.logs
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a database, make or bring up to date its tables, and end what a server that is gone has left running.

    Raises:
        StoreError: a newer version of Darkroom made it.
        sqlite3.Error: it cannot be opened, or is none.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.executescript(_PRAGMAS)
        _update(connection, path)
        _end_interrupted(connection)
    except BaseException:
        connection.close()
        raise
    return connection


# The order matters: only an empty file takes the first, and not once the second has written to it.
_PRAGMAS = """
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = FAST;
    PRAGMA journal_size_limit = 67108864;
"""


def _update(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_VERSIONS):
        raise StoreError(
            f"{path} was made by a newer version of Darkroom. Use that one, or give another folder by --data-dir."
        )
    for number, statements in enumerate(_VERSIONS[version:], version + 1):
        connection.executescript(f"BEGIN; {'; '.join(statements)}; PRAGMA user_version = {number}; COMMIT")


def _end_interrupted(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE predictions SET status = ?, error = ?, completed_at = ? WHERE completed_at IS NULL",
        (Status.FAILED.value, msgspec.json.encode(INTERRUPTED), to_text(datetime.now(UTC))),
    )
