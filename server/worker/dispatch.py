"""The predictions that wait for a child, and which child each goes to."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from server.errors import WorkerError
from server.worker.messages import Predict, PredictionEvent, TerminalEvent
from server.worker.run import Run
from server.worker.runs import Runs


class Dispatcher:
    """One queue for any number of children, first in, first out, to the least busy first.

    A child that is gone gets nothing, so that what waits is never bound to one that may not come back.
    """

    def __init__(self) -> None:
        # In the order in which they came. A prediction is here or with one child until its terminal event is there.
        self._waiting: dict[str, Run] = {}
        self._children: list[Runs] = []

    def open(self, cancel_grace: float) -> Runs:
        """A place for one more child; the earlier it was opened, the earlier it is chosen among equals.

        Args:
            cancel_grace: as `Runs` takes it.
        """
        runs = Runs(cancel_grace, self._dispatch)
        self._children.append(runs)
        return runs

    async def run(self, command: Predict) -> AsyncGenerator[PredictionEvent, None]:
        """Run a prediction; it begins with the first iteration, or when a child has a place for it.

        Ends after exactly one terminal event, also when the child dies. Who stops earlier must close the iterator
        (`contextlib.aclosing`): that cancels the prediction, and returns when the child has ended it.

        Raises:
            WorkerError: a prediction with this id has not ended.
        """
        run = self._add(command)
        try:
            while True:
                event = await run.next()
                yield event
                if isinstance(event, TerminalEvent):
                    return
        finally:
            if not run.ended.is_set():
                run.abandon()
                self.cancel(run.id)
                await run.ended.wait()

    def cancel(self, id: str) -> None:
        """Cancel a prediction; nothing happens if it is unknown, or canceled already."""
        if run := self._waiting.pop(id, None):
            run.canceled = True
            run.end("")
        for runs in self._children:
            runs.cancel(id)

    def fail_waiting(self, reason: str) -> None:
        """End all that wait for a place."""
        for run in self._waiting.values():
            run.end(reason)
        self._waiting.clear()

    def _add(self, command: Predict) -> Run:
        if command.id in self._waiting or any(command.id in runs for runs in self._children):
            raise WorkerError(f"A prediction with the id {command.id} has not ended. Give the new one another id.")
        run = self._waiting[command.id] = Run(command)
        self._dispatch()
        return run

    def _dispatch(self) -> None:
        while self._waiting and (open_ := [runs for runs in self._children if runs.has_room]):
            run = self._waiting.pop(next(iter(self._waiting)))
            min(open_, key=lambda runs: runs.load).begin(run)
