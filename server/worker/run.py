"""One prediction, as the parent sees it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import cached_property

from server.discretion import Redactor
from server.worker.messages import Canceled, Failed, Log, Predict, PredictionEvent, TerminalEvent

_CROWD = 1024
"""How many events may wait for whoever iterates before no more are taken from the child."""

_CROWDED_TEXT = 1 << 22
"""The same for the characters of log in them."""


class Run:
    """A prediction that the worker was asked for, and the events of it that nobody has taken yet.

    Attributes:
        command: what was asked.
        canceled: whether it was canceled; then its end is `Canceled`, whatever the child makes of it.
        ended: set when the terminal event is there.
        deadline: kills the child, where the prediction was canceled and does not end.
    """

    def __init__(self, command: Predict) -> None:
        self.command = command
        self.canceled = False
        self.ended = asyncio.Event()
        self.deadline: asyncio.TimerHandle | None = None
        self._events: deque[PredictionEvent] = deque()
        self._length = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._bounded = True
        self._abandoned = False
        self._started = time.perf_counter()

    @property
    def id(self) -> str:
        """The prediction's id."""
        return self.command.id

    @cached_property
    def redactor(self) -> Redactor:
        """Takes out of a text what the prediction's input says."""
        return Redactor(self.command.input)

    def start(self) -> None:
        """Say that the child has it: the time counts from now."""
        self._started = time.perf_counter()

    def push(self, event: PredictionEvent) -> None:
        """Add an event. After a terminal one there are no others."""
        if isinstance(event, TerminalEvent):
            self.ended.set()
            if self.deadline:
                self.deadline.cancel()
            if self.canceled:
                event = Canceled(event.id, event.predict_time)
        if self._abandoned:
            return
        self._events.append(event)
        self._length += _length(event)
        self._arrived.set()
        if self._bounded and self._is_crowded():
            self._room.clear()

    def end(self, error: str) -> None:
        """Add the terminal event of a prediction whose child is gone."""
        self.push(Failed(self.id, error, time.perf_counter() - self._started))

    async def next(self) -> PredictionEvent:
        """The next event. For one task at a time."""
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        self._length -= _length(event)
        if not self._is_crowded():
            self._room.set()
        return event

    async def room(self) -> None:
        """Wait until whoever iterates has caught up."""
        await self._room.wait()

    def unbind(self) -> None:
        """Let any number of events wait: the child is gone, and there is only a rest to come."""
        self._bounded = False
        self._room.set()

    def abandon(self) -> None:
        """Drop the events, those to come as well: nobody iterates any more."""
        self._abandoned = True
        self._events.clear()
        self._room.set()

    def _is_crowded(self) -> bool:
        return len(self._events) >= _CROWD or self._length >= _CROWDED_TEXT


def _length(event: PredictionEvent) -> int:
    return len(event.text) if isinstance(event, Log) else 0
