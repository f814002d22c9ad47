"""The predictions that a child runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from server.errors import UnsendableMessage
from server.worker.messages import Cancel, Command, PredictionEvent, TerminalEvent
from server.worker.run import Run


class Performer(Protocol):
    """What runs predictions: a child at work."""

    def send(self, command: Command) -> None:
        """Send a command."""

    def drain(self) -> None:
        """Take what has been written to the console by now."""

    def kill(self, reason: str) -> None:
        """End it at once."""


class Runs:
    """Hands predictions to a child, at most so many at once, and what it says of them to who asked for them.

    `Dispatcher.open` makes it, and decides which predictions these are.

    Args:
        cancel_grace: seconds that a canceled prediction may take to end; then the child is killed.
        on_room: called when there may be a place for another.
    """

    def __init__(self, cancel_grace: float, on_room: Callable[[], None]) -> None:
        self._cancel_grace = cancel_grace
        self._on_room = on_room
        self._performer: Performer | None = None
        self._concurrency = 0
        # In the order in which they began.
        self._running: dict[str, Run] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._running

    def __len__(self) -> int:
        return len(self._running)

    @property
    def has_room(self) -> bool:
        """Whether there is a child, and it can run another."""
        return self._performer is not None and len(self._running) < self._concurrency

    @property
    def load(self) -> float:
        """Which share of its places is taken, from 0 to 1; only where there has been a child."""
        return len(self._running) / self._concurrency

    @property
    def alone(self) -> str | None:
        """The id of the prediction that runs, if it is the only one."""
        return next(iter(self._running)) if len(self._running) == 1 else None

    def redacted(self, id: str | None, text: str) -> str:
        """What a prediction has written, or `None` of them that is known, without what its input says."""
        authors = self._running.values() if id is None else filter(None, [self._running.get(id)])
        for run in authors:
            text = run.redactor.redact(text)
        return text

    def attach(self, performer: Performer, concurrency: int) -> None:
        """Let a child run predictions."""
        self._performer = performer
        self._concurrency = concurrency
        self._on_room()

    def begin(self, run: Run) -> None:
        """Hand a prediction to the child; only where there is room."""
        assert self._performer is not None
        # What has been written so far is not by this one.
        self._performer.drain()
        try:
            self._performer.send(run.command)
        except UnsendableMessage as error:
            run.end(f"Prediction failed: Input validation error: {error}")
            return
        self._running[run.id] = run
        run.start()

    def cancel(self, id: str) -> None:
        """Cancel a prediction; nothing happens if it does not run here, or is canceled already."""
        if (run := self._running.get(id)) and not run.canceled:
            run.canceled = True
            if self._performer:
                self._performer.send(Cancel(id))
                run.deadline = asyncio.get_running_loop().call_later(self._cancel_grace, self._give_up, run)

    def take(self, event: PredictionEvent) -> None:
        """Pass on what the child says; nothing happens if that prediction has ended."""
        run = self._running.get(event.id or "")
        if run is None:
            return
        if isinstance(event, TerminalEvent):
            if self._performer:
                # What was written before the end belongs before it.
                self._performer.drain()
            del self._running[run.id]
        run.push(event)
        if run.ended.is_set():
            self._on_room()

    def trace_of(self, id: str | None) -> Mapping[str, str]:
        """The span that a prediction runs in, as `tracing.carrier` has it; nothing where it does not run here."""
        run = self._running.get(id or "")
        return run.command.trace if run else {}

    async def make_room(self) -> None:
        """Wait until all who iterate have caught up."""
        for run in list(self._running.values()):
            await run.room()

    def detach(self) -> None:
        """Say that the child is gone: of what it runs there is only a rest to come, and it gets nothing new."""
        self._performer = None
        for run in self._running.values():
            run.unbind()

    def fail_running(self, reason: str) -> None:
        """End all that the child had."""
        for run in self._running.values():
            run.end(reason)
        self._running.clear()

    def _give_up(self, run: Run) -> None:
        if self._performer:
            self._performer.kill(
                f"Worker crashed: the prediction {run.id} did not end within {self._cancel_grace:g} s of being "
                "canceled, so the process that runs it, and ran this one, was killed. Try again."
            )
