"""All predictions that this server knows: those that run, and those that have ended."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from server.errors import StoreError
from server.prediction import Prediction, Status
from server.schema.signature import Mode
from server.store.store import Cursor, PredictionStore, Record, weight

logger = logging.getLogger(__name__)

LOST = "The server could not keep how this prediction ended, because its disk failed or was too slow. Send it again."
"""The error of a prediction of which nothing better is known."""

_NEVER = float("inf")
_SECONDS_BETWEEN_PURGES = 60.0

_MOST_UNWRITTEN = 256 << 20
"""About how many bytes of predictions that have ended may wait to be written."""

_PATIENCE = 1.0
"""Seconds for which somebody waits for the disk before going on without."""

_SHARE = 20
"""How many times longer than a write took the next one of the same prediction waits, where that can wait."""


@dataclass(frozen=True)
class Page:
    """A part of a list.

    Attributes:
        records: newest first, and as `Record.brief` has them.
        next: leads to those made before, if there are any.
        previous: leads to those made after, if there may be any.
    """

    records: list[Record]
    next: Cursor | None
    previous: Cursor | None


class History:
    """Answers for predictions that run from memory, and for the others from a store; writes to the store what changes.

    Writing never delays or fails a prediction. What begins, starts or ends is written at once, together with what else
    is due; what happens between, at most every `interval` seconds. While the store fails, that is logged once, and what
    ends waits in memory as far as there is room.

    Use it as an asynchronous context manager: the store is written to inside, and closed at the end.

    Args:
        store: `None` keeps nothing of a prediction once it has ended.
        max_age: seconds after its end for which a prediction is kept.
        interval: seconds.
        retry: seconds after which to write again when it failed.
    """

    def __init__(
        self, store: PredictionStore | None, max_age: float, interval: float = 1.0, retry: float = 10.0
    ) -> None:
        self._store = store
        self._max_age = timedelta(seconds=max_age)
        self._interval = interval
        self._retry = retry
        self._newest = store.newest if store else 0
        self._entries: dict[int, Entry] = {}
        self._unwritten = 0
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closing = False
        self._failing = False

    async def __aenter__(self) -> Self:
        if self._store:
            self._keeper = asyncio.create_task(self._keep(self._store))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._changed.set()
        if self._store and self._keeper:
            try:
                await self._keeper
            finally:
                await self._store.close()

    def open(self, prediction: Prediction, input: dict[str, Any]) -> Entry:
        """Know a new prediction.

        Args:
            prediction: whose id no other has that has not ended.
            input: its input without secrets; this, not its own, is told and kept.
        """
        # The time, so that no number comes twice, though what had it may be purged; but never backwards.
        self._newest = max(self._newest + 1, time.time_ns() // 1000)
        entry = Entry(self, self._newest, prediction, input)
        self._entries[entry.number] = entry
        entry.changed()
        return entry

    async def get(self, id: str) -> Record | None:
        """The newest prediction of this id.

        Raises:
            StoreError: it is not in memory, and the store could not be read.
        """
        newest = self._newest
        entry = next((entry for entry in reversed(self._entries.values()) if entry.prediction.id == id), None)
        known = entry.record() if entry else None
        if self._store is None or (known and not known.status.terminal):
            return known
        try:
            stored = await self._store.get(id)
        except StoreError:
            if known:
                return known
            raise
        if stored is None or (known and known.number >= stored.number):
            return known
        return _settled(stored) if stored.number <= newest else stored

    async def page(self, cursor: Cursor | None, limit: int, asked: Mode = Mode.PREDICT) -> Page:
        """Up to `limit` predictions (or trainings, if that is `asked`) next to the cursor; without one, the newest.

        Those that are made while pages are turned over change nothing in older pages: none comes twice, none is missed.

        Raises:
            StoreError: the store could not be read.
        """
        newest = self._newest
        # What is made while the store is read must not take up room on this page.
        at = cursor or Cursor(newest + 1)
        at = at if at.newer else Cursor(min(at.number, newest + 1))
        records = {
            number: entry.record().brief()
            for number, entry in self._entries.items()
            if at.covers(number) and entry.prediction.asked is asked
        }
        if self._store:
            for record in await self._store.page(at, limit + 1, asked):
                if record.number <= newest:
                    records.setdefault(record.number, _settled(record))
        nearest = sorted(records, reverse=not at.newer)
        more = len(nearest) > limit
        numbers = sorted(nearest[:limit], reverse=True)
        return Page(
            [records[number] for number in numbers],
            next=Cursor(numbers[-1]) if numbers and (more or at.newer) else None,
            previous=Cursor(numbers[0], newer=True) if numbers and (more if at.newer else cursor is not None) else None,
        )

    def _note(self, entry: Entry, *, at_once: bool, ended: bool) -> None:
        if ended and self._store is None:
            self._forget(entry)
            return
        if ended:
            entry.weight = weight([entry.prediction.output, entry.prediction.logs, entry.input], _MOST_UNWRITTEN)
            self._unwritten += entry.weight
            self._make_room(entry)
        due = time.monotonic() if at_once else entry.rests_until
        if due < entry.due:
            entry.due = due
            self._changed.set()

    def _make_room(self, last: Entry) -> None:
        waiting = (entry for entry in list(self._entries.values()) if entry.weight is not None and entry is not last)
        while self._unwritten > _MOST_UNWRITTEN and (oldest := next(waiting, None)):
            self._forget(oldest)
            self._fail("they end faster than the disk takes them")

    def _forget(self, entry: Entry) -> None:
        if self._entries.pop(entry.number, None):
            self._unwritten -= entry.weight or 0

    async def _keep(self, store: PredictionStore) -> None:
        purge_at = retry_at = 0.0
        while not self._closing:
            self._changed.clear()
            now = time.monotonic()
            if now >= purge_at:
                await self._purge(store)
                purge_at = now + _SECONDS_BETWEEN_PURGES
            if now >= retry_at and not await self._write(store, now):
                retry_at = time.monotonic() + self._retry
            due = max(retry_at, min((entry.due for entry in self._entries.values()), default=_NEVER))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(purge_at, due) - time.monotonic())):
                    await self._changed.wait()
        await self._write(store, _NEVER)
        if self._unwritten:
            logger.error("The server stops before all predictions that have ended could be stored.")

    async def _write(self, store: PredictionStore, now: float) -> bool:
        """Write what is due; tell whether it could be done."""
        entries = [entry for entry in self._entries.values() if entry.due <= now and entry.due != _NEVER]
        if not entries:
            return True
        for entry in entries:
            entry.due = _NEVER
        begun = time.monotonic()
        try:
            records = [entry.record() for entry in entries]
            await store.save(records)
        except Exception as error:
            for entry in entries:
                entry.due = begun
            self._fail(error)
            return False
        rest = max(self._interval, _SHARE * (time.monotonic() - begun))
        for entry, record in zip(entries, records, strict=True):
            entry.tried.set()
            entry.rests_until = time.monotonic() + rest
            if record.status.terminal:
                self._forget(entry)
        if self._failing and not self._unwritten:
            self._failing = False
            logger.info("Predictions are stored again.")
        return True

    async def _purge(self, store: PredictionStore) -> None:
        try:
            await store.purge(datetime.now(UTC) - self._max_age)
        except Exception as error:
            self._fail(error)

    def _fail(self, reason: object) -> None:
        for entry in self._entries.values():
            entry.tried.set()
        if self._failing:
            return
        self._failing = True
        unexpected = reason if isinstance(reason, Exception) and not isinstance(reason, StoreError) else None
        logger.error(
            "Predictions cannot be stored: %s. They run as before, but may be forgotten when they end. "
            "This is tried again every %g s, and logged again only once it works.",
            reason,
            self._retry,
            exc_info=unexpected,
        )


class Entry:
    """One prediction's place in a `History`, which made it."""

    def __init__(self, history: History, number: int, prediction: Prediction, input: dict[str, Any]) -> None:
        self.number = number
        self.prediction = prediction
        self.input = input
        self.due = _NEVER
        self.rests_until = 0.0
        self.weight: int | None = None
        self.tried = asyncio.Event()
        self._history = history
        self._status: Status | None = None

    def changed(self) -> None:
        """Tell that the prediction is not what it was before. Costs next to nothing, and fails never."""
        status = self.prediction.status
        is_news, self._status = status is not self._status, status
        self._history._note(self, at_once=is_news, ended=is_news and status.terminal)

    async def kept(self) -> None:
        """Return once it outlives the death of this server; or soon, if that cannot be or takes too long."""
        if self._history._store and not self._history._failing:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self.tried.wait()

    def record(self) -> Record:
        """Its present state."""
        return Record.of(self.number, self.prediction, self.input)


def _settled(record: Record) -> Record:
    """A record out of the store, which has ended for certain: it is in memory no longer."""
    return record if record.status.terminal else replace(record, status=Status.FAILED, error=LOST)
