"""Predictions and stores for the tests."""

from __future__ import annotations

import asyncio
import itertools
import resource
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from server.prediction import Prediction
from server.schema.signature import Mode
from server.store.file import DatabaseFile
from server.store.sqlite import SqliteStore
from server.store.store import Cursor, Record
from server.worker.messages import Log, LogSource, Metric, Output, PredictionEvent, Succeeded

PLENTY = 1 << 40
_PATIENCE = 60.0
_numbers = itertools.count(1)


def apply(prediction: Prediction, *events: PredictionEvent) -> Prediction:
    for event in events:
        prediction.apply(event)
    return prediction


def log(text: str) -> Log:
    return Log("p", LogSource.STDOUT, text)


def running(id: str = "p", **input: Any) -> Prediction:
    prediction = Prediction(id, input)
    prediction.start()
    return prediction


def ended(id: str = "p", output: Any = "out", **input: Any) -> Prediction:
    return apply(running(id, **input), log("one\n"), Metric(id, "m", 1), Output(id, output), Succeeded(id, 0.5))


def record(prediction: Prediction, number: int | None = None, ago: float = 0) -> Record:
    """A record of it, with the next number unless one is given; `ago` seconds are taken from its times."""
    prediction.created_at -= timedelta(seconds=ago)
    if prediction.completed_at:
        prediction.completed_at -= timedelta(seconds=ago)
    return Record.of(next(_numbers) if number is None else number, prediction, prediction.input)


def before(seconds: float = 0) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


NEWEST = Cursor(1 << 59)


@asynccontextmanager
async def store_in(folder: Path | None = None, max_bytes: int = PLENTY) -> AsyncIterator[SqliteStore]:
    """A store in a folder, or in one that goes away; it is closed afterwards."""
    file = DatabaseFile(folder, "test.db") if folder else DatabaseFile.temporary("test.db")
    store = SqliteStore(file, max_bytes)
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be written to, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class WatchedStore:
    """A real store that tells what is written to it, and that a test can hold up or break.

    Attributes:
        saved: everything that was written, in order.
        let: whether writing goes on; while not, it waits.
        broken: what every operation raises instead, unless it is `None`.
    """

    def __init__(self, store: SqliteStore) -> None:
        self.newest = store.newest
        self.saved: list[Record] = []
        self.let = asyncio.Event()
        self.let.set()
        self.broken: Exception | None = None
        self._store = store
        self._happened = asyncio.Condition()

    async def save(self, records: Sequence[Record]) -> None:
        await self.let.wait()
        try:
            self._check()
            await self._store.save(records)
            self.saved += records
        finally:
            async with self._happened:
                self._happened.notify_all()

    async def get(self, id: str) -> Record | None:
        self._check()
        return await self._store.get(id)

    async def page(self, cursor: Cursor, limit: int, asked: Mode = Mode.PREDICT) -> list[Record]:
        self._check()
        return await self._store.page(cursor, limit, asked)

    async def purge(self, ended_before: datetime) -> None:
        self._check()
        await self._store.purge(ended_before)

    async def close(self) -> None:
        """Its owner closes it."""

    async def next_write(self) -> None:
        """Return once a write has been done, or has failed."""
        async with asyncio.timeout(_PATIENCE), self._happened:
            await self._happened.wait()

    async def until(self, sought: Callable[[Record], bool]) -> None:
        """Return once such a record has been written."""
        async with asyncio.timeout(_PATIENCE), self._happened:
            await self._happened.wait_for(lambda: any(map(sought, self.saved)))

    def _check(self) -> None:
        if self.broken:
            raise self.broken
