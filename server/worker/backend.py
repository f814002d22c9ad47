"""What runs a model, as the rest of the server sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import TYPE_CHECKING

from server.errors import WorkerNotReady
from server.schema.signature import Interface, Signature
from server.worker.dispatch import Dispatcher
from server.worker.messages import Predict, PredictionEvent
from server.worker.setup import SetupReport

if TYPE_CHECKING:
    from server.worker.worker import Worker


class WorkerState(StrEnum):
    """What can be done now."""

    STARTING = "starting"
    """The child loads the model, for the first time or again."""
    READY = "ready"
    """Predictions are taken."""
    SETUP_FAILED = "setup_failed"
    """The model could not be loaded, and never has been; that is final."""
    STOPPED = "stopped"
    """`stop` was called; that is final."""


class Backend(ABC):
    """A model that takes predictions: one `Worker`, or a `Fleet` of them. For one event loop.

    Args:
        dispatcher: where predictions wait.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._interface: Interface | None = None
        self._watchers: list[Callable[[], None]] = []

    @property
    @abstractmethod
    def workers(self) -> Sequence[Worker]:
        """Those that it consists of, one for each device."""

    @property
    @abstractmethod
    def state(self) -> WorkerState:
        """What can be done now."""

    @property
    @abstractmethod
    def setup(self) -> SetupReport:
        """The latest attempt to set the model up."""

    @property
    @abstractmethod
    def concurrency(self) -> int:
        """How many predictions run at once."""

    @property
    @abstractmethod
    def has_been_ready(self) -> bool:
        """Whether setup has ever succeeded."""

    @property
    def interface(self) -> Interface | None:
        """What the model offers; `None` until it has been imported.

        Being set up may narrow it. From the moment on at which it has been ready it stays the same.
        """
        return self._interface

    @property
    def signature(self) -> Signature | None:
        """What the function that runs takes and returns; `None` until it has been imported."""
        return self._interface.served if self._interface else None

    @abstractmethod
    async def start(self) -> None:
        """Start to load the model; does not wait for it."""

    @abstractmethod
    async def settled(self) -> WorkerState:
        """Wait until the state is not STARTING."""

    @abstractmethod
    async def stop(self, grace: float) -> None:
        """Take no more predictions, let those that run end, and end each child and all that it has started.

        Args:
            grace: seconds that they may take to end. Then they fail, as those that wait for a place do at once.
        """

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called whenever the state, the concurrency or the interface may be another."""
        self._watchers.append(watcher)

    async def run(self, command: Predict) -> AsyncGenerator[PredictionEvent, None]:
        """Run a prediction; it begins with the first iteration, or when a child has a place for it.

        While a child that was ready once is being replaced, it waits for the new one, or for another child.

        Ends after exactly one terminal event, also when the child dies. Who stops earlier must close the iterator
        (`contextlib.aclosing`): that cancels the prediction, and returns when the child has ended it.

        Raises:
            WorkerNotReady: the model has never been ready, or `stop` was called.
            WorkerError: a prediction with this id has not ended.
        """
        if not self.has_been_ready or self.state is WorkerState.STOPPED:
            raise self._not_ready()
        async with aclosing(self._dispatcher.run(command)) as events:
            async for event in events:
                yield event

    def cancel(self, id: str) -> None:
        """Cancel a prediction. Nothing happens if it is unknown, has ended, or was canceled before."""
        self._dispatcher.cancel(id)

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _not_ready(self) -> WorkerNotReady:
        match self.state:
            case WorkerState.SETUP_FAILED:
                return WorkerNotReady(f"The model could not be set up: {self.setup.error}")
            case WorkerState.STOPPED:
                return WorkerNotReady("The worker has been stopped.")
        return WorkerNotReady("The model is being set up. Wait until it is ready.")
