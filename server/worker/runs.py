"""The predictions in flight: those that the child runs, and those that wait until it can."""

from __future__ import annotations

import asyncio
from typing import Protocol

from server.errors import UnsendableMessage, WorkerError
from server.worker.messages import Cancel, Command, Predict, PredictionEvent, TerminalEvent
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

    Args:
        cancel_grace: seconds that a canceled prediction may take to end; then the child is killed.
    """

    def __init__(self, cancel_grace: float) -> None:
        self._cancel_grace = cancel_grace
        self._performer: Performer | None = None
        self._concurrency = 0
        # Both in the order in which they came. A prediction is in one of them until its terminal event is there.
        self._waiting: dict[str, Run] = {}
        self._running: dict[str, Run] = {}

    @property
    def alone(self) -> str | None:
        """The id of the prediction that runs, if it is the only one."""
        return next(iter(self._running)) if len(self._running) == 1 else None

    def attach(self, performer: Performer, concurrency: int) -> None:
        """Let a child run predictions, those that wait for one first."""
        self._performer = performer
        self._concurrency = concurrency
        self._dispatch()

    def add(self, command: Predict) -> Run:
        """Take a prediction; it begins when the child has a place for it.

        Raises:
            WorkerError: one with this id has not ended.
        """
        if command.id in self._waiting or command.id in self._running:
            raise WorkerError(f"A prediction with the id {command.id} has not ended. Give the new one another id.")
        run = self._waiting[command.id] = Run(command)
        self._dispatch()
        return run

    def cancel(self, id: str) -> None:
        """Cancel a prediction; nothing happens if it is unknown, or canceled already."""
        if run := self._waiting.pop(id, None):
            run.canceled = True
            run.end("")
        elif (run := self._running.get(id)) and not run.canceled:
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
        self._dispatch()

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

    def fail_waiting(self, reason: str) -> None:
        """End all that wait for a place."""
        for run in self._waiting.values():
            run.end(reason)
        self._waiting.clear()

    def _dispatch(self) -> None:
        while self._performer and self._waiting and len(self._running) < self._concurrency:
            run = self._waiting.pop(next(iter(self._waiting)))
            # What has been written so far is not by this one.
            self._performer.drain()
            try:
                self._performer.send(run.command)
            except UnsendableMessage as error:
                run.end(f"Prediction failed: Input validation error: {error}")
                continue
            self._running[run.id] = run
            run.start()

    def _give_up(self, run: Run) -> None:
        if self._performer:
            self._performer.kill(
                f"Worker crashed: the prediction {run.id} did not end within {self._cancel_grace:g} s of being "
                "canceled, so the process that runs it, and ran this one, was killed. Try again."
            )
