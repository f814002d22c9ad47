"""Several workers with the same model, one for each device, that share the work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from server.errors import WorkerError
from server.worker.backend import Backend, WorkerState
from server.worker.dispatch import Dispatcher
from server.worker.setup import SetupReport, joined
from server.worker.worker import Worker

logger = logging.getLogger(__name__)

_BEST_FIRST = (WorkerState.STOPPED, WorkerState.READY, WorkerState.STARTING, WorkerState.SETUP_FAILED)
"""The state of the fleet is the first of these that one of its workers has; all are stopped at once."""


class Fleet(Backend):
    """A worker for each device and one queue before them. Each prediction goes to the least busy that is ready.

    It is ready while one of them is. A worker that dies fails what it was running and is replaced; one whose first
    setup fails stays out, and the others do the work.

    Args:
        devices: what they are called, two at least.
        create: makes the worker of a device, which takes its predictions from the dispatcher.
    """

    def __init__(self, devices: Sequence[str], create: Callable[[str, Dispatcher], Worker]) -> None:
        super().__init__(Dispatcher())
        self._workers = {device: create(device, self._dispatcher) for device in devices}
        self._starting: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._has_been_ready = False
        for worker in self._workers.values():
            worker.watch(self._take_note)

    @property
    def workers(self) -> Sequence[Worker]:
        """All, in the order of their devices, of equals the first gets a prediction."""
        return tuple(self._workers.values())

    @property
    def state(self) -> WorkerState:
        """What the best of the workers can do now."""
        states = {worker.state for worker in self.workers}
        return next(state for state in _BEST_FIRST if state in states)

    @property
    def setup(self) -> SetupReport:
        """The latest attempts to set the model up, as one."""
        return joined({device: worker.setup for device, worker in self._workers.items()})

    @property
    def concurrency(self) -> int:
        """How many predictions the workers that are ready run at once; 0 while none is."""
        return sum(worker.concurrency for worker in self.workers if worker.state is WorkerState.READY)

    @property
    def has_been_ready(self) -> bool:
        """Whether setup has ever succeeded on any device."""
        return self._has_been_ready

    async def start(self) -> None:
        """Start the children; does not wait for them.

        The first goes ahead until it has imported the predictor, or the next where it cannot; then all others follow
        at once. So code that cannot be imported keeps one process busy, and not all.
        """
        self._starting = asyncio.create_task(self._start())

    async def settled(self) -> WorkerState:
        """Wait until one worker is ready, or none will be."""
        while self.state is WorkerState.STARTING:
            self._news.clear()
            await self._news.wait()
        return self.state

    async def stop(self, grace: float) -> None:
        """Stop all workers, at the same time; `grace` is for all together."""
        if self._starting:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        stops = (worker.stop(grace) for worker in self.workers)
        # None may keep another from being stopped.
        for outcome in await asyncio.gather(*stops, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _start(self) -> None:
        waiting = list(self.workers)
        while waiting and self._interface is None:
            worker = waiting.pop(0)
            await worker.start()
            with suppress(WorkerError):
                await worker.loaded()
        for worker in waiting:
            await worker.start()
        await asyncio.gather(*(worker.settled() for worker in self.workers))
        self._compare_interfaces()
        failed = [device for device, worker in self._workers.items() if worker.state is WorkerState.SETUP_FAILED]
        if failed and self.has_been_ready:
            logger.error(
                "The model runs on %d of %d devices: it could not be set up on %s, which no prediction goes to until "
                "the server is started again.",
                len(self._workers) - len(failed),
                len(self._workers),
                ", ".join(failed),
            )

    def _compare_interfaces(self) -> None:
        others = [
            device
            for device, worker in self._workers.items()
            if worker.has_been_ready and worker.interface != self._interface
        ]
        if others:
            logger.warning(
                "The model takes other inputs on %s than on the device that was ready first, whose are offered. Let "
                "`narrow_inputs` return the same on every device.",
                ", ".join(others),
            )

    def _take_note(self) -> None:
        if not self._has_been_ready:
            first = next((worker for worker in self.workers if worker.has_been_ready), None)
            self._has_been_ready = first is not None
            # Of the first that is ready: then it is what the loaded model takes. Until then of the first imported.
            self._interface = next((one.interface for one in (first, *self.workers) if one and one.interface), None)
        self._news.set()
        self._changed()
