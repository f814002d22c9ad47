"""Records in a SQLite database on this machine's disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, ParamSpec, TypeVar

from server.errors import StoreError
from server.schema.signature import Mode
from server.store.file import DatabaseFile
from server.store.rows import from_row, to_row, to_text
from server.store.schema import DELETE, GET, NEWER, OLDER, SAVE, SAVE_INPUT, SAVE_RESULT, connect
from server.store.store import VALUES, Cursor, Record

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_PURGED_AT_ONCE = 100
"""Records removed in one go: between two goes others get their turn."""

_PAGES_AT_ONCE = 8192
"""Pages of the file given back in one go."""

_BYTES_BESIDE = 600
"""About what a record takes in tables and indexes besides its values."""


class SqliteStore:
    """A `PredictionStore` in a file.

    One thread does all the work, in the order in which it was asked for. What was saved outlives the death of this
    process; should the machine lose its power, the last seconds may be lost, and nothing else.

    Args:
        file: where; the store closes it.
        max_bytes: how much is kept. When it is more, what ended first goes first.

    Raises:
        StoreError: the database cannot be opened, or a newer version of Darkroom made it.
    """

    newest: int

    def __init__(self, file: DatabaseFile, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._total = 0
        self._running: dict[int, _Size] = {}
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "store")
        try:
            self._thread.submit(self._open).result()
        except BaseException as error:
            self._thread.shutdown()
            file.close()
            if isinstance(error, sqlite3.Error | OSError):
                raise StoreError(f"Predictions cannot be kept in {file.path}: {error}.") from error
            raise

    async def save(self, records: Sequence[Record]) -> None:
        """See `PredictionStore`."""
        await self._call(self._save, records)

    async def get(self, id: str) -> Record | None:
        """See `PredictionStore`."""
        return await self._call(self._get, id)

    async def page(self, cursor: Cursor, limit: int, asked: Mode = Mode.PREDICT) -> list[Record]:
        """See `PredictionStore`."""
        return await self._call(self._page, cursor, limit, asked)

    async def purge(self, ended_before: datetime) -> None:
        """See `PredictionStore`. Free space in the file goes back to the disk, but for a tenth of what is used."""
        while await self._call(self._purge, ended_before):
            pass
        while await self._call(self._shrink):
            pass

    async def close(self) -> None:
        """See `PredictionStore`."""
        if not self._closed:
            self._closed = True
            try:
                await asyncio.wrap_future(self._thread.submit(self._connection.close))
            finally:
                self._thread.shutdown(wait=False)
                self._file.close()

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._closed:
            raise StoreError(f"{self._file.path} has been closed.")
        work = self._thread.submit(function, *args, **kwargs)
        try:
            return await asyncio.wrap_future(work)
        except sqlite3.Error as error:
            raise StoreError(f"{self._file.path}: {error}") from error

    def _open(self) -> None:
        path = self._file.path
        try:
            self._connection = connect(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            damaged = path.with_name(f"{path.name}.damaged")
            logger.error("%s is damaged (%s). It is now %s, and a new one is begun.", path, error, damaged)
            path.replace(damaged)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._connection = connect(path)
        (self.newest,) = self._connection.execute("SELECT ifnull(max(number), 0) FROM predictions").fetchone()
        self._measure()

    def _save(self, records: Sequence[Record]) -> None:
        execute = self._connection.execute
        sizes: dict[int, _Size] = {}
        with self._transaction():
            for record in records:
                known = self._running.get(record.number)
                row = to_row(record, with_input=known is None)
                size = _BYTES_BESIDE + sum(len(row[name] or b"") for name in VALUES if name in row)
                input_size = len(row["input"]) if known is None else known.input
                sizes[record.number] = _Size(input_size, size if known is None else size + input_size)
                execute(SAVE, {**row, "bytes": sizes[record.number].whole})
                execute(SAVE_RESULT, row)
                if known is None:
                    execute(SAVE_INPUT, row)
            grown = sum(size.whole - self._running.get(number, _NOTHING).whole for number, size in sizes.items())
            total = self._total + grown
            total -= self._evict(total - self._max_bytes)
        self._total = total
        self._running |= sizes
        for record in records:
            if record.status.terminal:
                del self._running[record.number]

    def _evict(self, excess: int) -> int:
        """Remove at least so many bytes of what has ended, if there are; tell how many."""
        freed = 0
        numbers: list[tuple[int]] = []
        if excess > 0:
            ended = self._connection.execute(
                "SELECT number, bytes FROM predictions WHERE completed_at IS NOT NULL ORDER BY completed_at"
            )
            for number, size in ended:
                numbers.append((number,))
                freed += size
                if freed >= excess:
                    break
            ended.close()
            self._connection.executemany(DELETE, numbers)
        return freed

    def _get(self, id: str) -> Record | None:
        try:
            row = self._connection.execute(GET, (id,)).fetchone()
        except UnicodeEncodeError:
            return None
        return from_row(row) if row else None

    def _page(self, cursor: Cursor, limit: int, asked: Mode) -> list[Record]:
        values = (asked.value, cursor.number, limit)
        rows = self._connection.execute(NEWER if cursor.newer else OLDER, values)
        records = [from_row(row) for row in rows]
        return records[::-1] if cursor.newer else records

    def _purge(self, ended_before: datetime) -> bool:
        numbers = self._connection.execute(
            "SELECT number FROM predictions WHERE completed_at < ? LIMIT ?", (to_text(ended_before), _PURGED_AT_ONCE)
        ).fetchall()
        if numbers:
            with self._transaction():
                self._connection.executemany(DELETE, map(tuple, numbers))
            self._measure()
        return len(numbers) == _PURGED_AT_ONCE

    def _shrink(self) -> bool:
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        excess: int = min(free - (pages - free) // 10, _PAGES_AT_ONCE)
        if excess > 0:
            # A script, because `execute` would stop after the first page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({excess})")
        return excess == _PAGES_AT_ONCE

    def _measure(self) -> None:
        (self._total,) = self._connection.execute("SELECT ifnull(sum(bytes), 0) FROM predictions").fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has ended it already where the disk failed.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


class _Size(NamedTuple):
    """Bytes of a record that is kept and has not ended: of its input, and with all else."""

    input: int
    whole: int


_NOTHING = _Size(0, 0)
