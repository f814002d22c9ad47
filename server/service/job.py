"""What the server keeps of a prediction that has not ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from server.prediction import Prediction
from server.schema.signature import Signature
from server.service import journal
from server.service.slots import Place
from server.service.updates import Updates
from server.service.webhooks import Webhook
from server.store.history import Entry
from server.worker.messages import PredictionEvent

T = TypeVar("T")


class Interrupted(Exception):
    """A cancel ended the server's own work for a prediction."""


@dataclass(eq=False)
class Job:
    """A prediction that has not ended, and what it takes to run it.

    Attributes:
        prediction: its state.
        signature: what its input was checked against.
        place: its place in the queue, then its slot.
        webhook: whom to tell.
        entry: its place among all predictions that are known.
        updates: who reads along.
        for_readers: whether it ends when nobody reads along any more.
        in_worker: whether the worker has it, and so has to be told of a cancel.
        canceled: whether somebody asked for its end.
        failure: why the server gave up on it while the worker still has it.
        ended: set once its state is terminal.
    """

    prediction: Prediction
    signature: Signature
    place: Place
    webhook: Webhook
    entry: Entry
    updates: Updates
    for_readers: bool
    in_worker: bool = False
    canceled: bool = False
    failure: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _work: asyncio.Task[Any] | None = None

    def start(self) -> None:
        """Say that it is its turn, to all who want to know."""
        self.prediction.start()
        journal.started(self.prediction)
        self.entry.changed()
        self.updates.start(self.prediction)
        self.webhook.start(self.prediction)

    def apply(self, event: PredictionEvent) -> None:
        """Take in what the worker said, in which files are published by now, and tell all who want to know."""
        self.prediction.apply(event)
        self.entry.changed()
        self.updates.notify(self.prediction, event)
        self.webhook.notify(self.prediction, event)

    async def interruptible(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something for the prediction that its cancel may interrupt. One thing at a time.

        Raises:
            Interrupted: it was canceled, now or before.
        """
        self._work = task = asyncio.create_task(work)
        if self.canceled:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if self.canceled:
                raise Interrupted from None
            raise
        finally:
            self._work = None

    def cancel(self) -> None:
        """Ask for its end, and interrupt what is done for it."""
        if not self.canceled:
            journal.canceling(self.prediction)
        self.canceled = True
        if self._work:
            self._work.cancel()
