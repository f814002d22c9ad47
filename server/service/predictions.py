"""The life of a prediction, from the accepted request to its one terminal state."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
from structlog.contextvars import bind_contextvars

from server.errors import NotReady, PredictionExists, ShuttingDown
from server.metrics import Metrics
from server.prediction import Prediction
from server.schema.signature import Interface, Mode
from server.schema.validation import InputValidator, ValidInput
from server.service import journal, spans
from server.service.job import Job
from server.service.outputs import Outputs
from server.service.runner import JobRunner
from server.service.slots import Slots
from server.service.updates import Reader, Updates
from server.service.webhooks import Webhook
from server.store.history import History
from server.store.redaction import redacted
from server.tracing import Tracing
from server.worker.backend import Backend
from server.worker.messages import Canceled, Failed, TerminalEvent

_MOST_REMEMBERED = 1000
"""Of how many canceled predictions a cancel that comes again is known."""


class PredictionService:
    """Creates, runs and cancels predictions. One that was accepted always ends in a terminal state.

    A training is a prediction here: what the worker makes of either, its mode decides, not the request.

    Args:
        backend: who runs them.
        slots: who may run.
        outputs: where files that come out go.
        client: fetches files that go in.
        history: who is told what becomes of them.
        metrics: where they are counted.
        max_file_bytes: the largest such file.
        stream_history: how many updates are kept for readers who come late.
        tracing: where spans go; `None` makes none.
    """

    def __init__(
        self,
        backend: Backend,
        slots: Slots,
        outputs: Outputs,
        client: httpx.AsyncClient,
        history: History,
        metrics: Metrics,
        *,
        max_file_bytes: int,
        stream_history: int,
        tracing: Tracing | None = None,
    ) -> None:
        self._backend = backend
        self._slots = slots
        self._history = history
        self._metrics = metrics
        self._stream_history = stream_history
        self._tracing = tracing or Tracing()
        self._runner = JobRunner(backend, slots, outputs, client, metrics, max_file_bytes)
        self._jobs: dict[str, Job] = {}
        # The ids of predictions that have ended so, the latest last.
        self._canceled: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._validators: dict[Mode, InputValidator] = {}
        self._closing = False

    @property
    def interface(self) -> Interface | None:
        """What the model offers; `None` until it has been imported."""
        return self._backend.interface

    @property
    def streams(self) -> bool:
        """Whether the model's author marked it with `@streaming`; not until it has been imported."""
        return self._backend.signature is not None and self._backend.signature.streaming

    def validate(self, input: Any, asked: Mode = Mode.PREDICT) -> ValidInput:
        """Check the inputs of a request for a prediction, or for a training; nothing else happens.

        Raises:
            ShuttingDown: the server is stopping.
            NotReady: the model has not been set up yet, or could not be.
            InvalidRequest: the inputs break the schema.
        """
        return self._validator(self._current_interface(), asked).validate(input)

    def create(
        self,
        id: str,
        valid: ValidInput,
        context: Mapping[str, str],
        webhook: Webhook,
        *,
        for_readers: bool = False,
        asked: Mode = Mode.PREDICT,
    ) -> Prediction:
        """Accept a prediction; from here on it runs by itself.

        Args:
            id: unique among those that have not ended.
            valid: what `validate` returned.
            context: what the model reads as `current_scope().context`.
            webhook: whom to tell.
            for_readers: whether it is to be canceled when nobody reads along any more.
            asked: as in `validate`.

        Raises:
            ShuttingDown, NotReady: as in `validate`.
            PredictionExists: one of this id has not ended.
            AtCapacity, QueueFull: there is no room.
        """
        signature = self._current_interface().asked(asked)
        if id in self._jobs:
            raise PredictionExists(
                f"A prediction with the id {id!r} has not ended yet. Wait for it, cancel it, or choose another id."
            )
        place = self._slots.enter()
        prediction = Prediction(id, valid.values, dict(context), asked)
        entry = self._history.open(prediction, redacted(valid.values, signature))
        job = Job(prediction, signature, place, webhook, entry, Updates(self._stream_history), for_readers)
        journal.accepted(prediction, entry.input, self._slots.ahead(place))
        self._jobs[id] = job
        self._canceled.pop(id, None)
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job.prediction

    def get(self, id: str) -> Prediction | None:
        """The prediction of this id, unless it has ended or never was."""
        job = self._jobs.get(id)
        return job.prediction if job else None

    def told_input(self, id: str) -> dict[str, Any]:
        """The input of a prediction that has not ended, as others may see it."""
        return self._jobs[id].entry.input

    def ahead(self, id: str) -> int | None:
        """How many predictions come before this one in the queue; `None` where it does not wait."""
        job = self._jobs.get(id)
        return self._slots.ahead(job.place) if job else None

    def read(self, id: str) -> AbstractContextManager[Reader]:
        """Read along with a prediction that has not ended yet, from its first update to its last.

        Where it was created `for_readers`, the last reader to leave before the end cancels it.
        """
        return self._reader(self._jobs[id])

    async def kept(self, id: str) -> None:
        """Return once the prediction would be remembered though this server died, or soon where that cannot be."""
        if job := self._jobs.get(id):
            await job.entry.kept()

    async def wait(self, id: str) -> None:
        """Return once the prediction has ended; at once if there is none of this id."""
        if job := self._jobs.get(id):
            await job.ended.wait()

    def cancel(self, id: str) -> bool:
        """Ask a prediction to end as canceled, wherever it is.

        Returns:
            Whether that is how it ends, or has ended; not if there is none of this id, or if it has ended otherwise.
        """
        job = self._jobs.get(id)
        if job is None:
            return id in self._canceled
        self._runner.cancel(job)
        return True

    async def finish(self, seconds: float) -> None:
        """Accept nothing more, and return once all that was accepted has ended or the time is over."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def abort(self, seconds: float) -> None:
        """The same, and cancel it all at once."""
        for id_ in list(self._jobs):
            self.cancel(id_)
        await self.finish(seconds)

    def _current_interface(self) -> Interface:
        if self._closing:
            raise ShuttingDown("The server is shutting down and takes no new predictions. Send it to another.")
        interface = self._backend.interface
        # A child that was ready once and died is being replaced: what arrives meanwhile waits for the new one.
        if interface is None or not self._backend.has_been_ready:
            raise NotReady("Setup has not finished yet. Wait until it has finished, or GET /health-check for status.")
        return interface

    def _validator(self, interface: Interface, asked: Mode) -> InputValidator:
        if asked not in self._validators:
            self._validators[asked] = InputValidator(interface.asked(asked))
        return self._validators[asked]

    @contextmanager
    def _reader(self, job: Job) -> Iterator[Reader]:
        try:
            with job.updates.reader() as reader:
                yield reader
        finally:
            # The id may be in use again by now.
            if job.for_readers and not job.updates.readers and self._jobs.get(job.prediction.id) is job:
                self.cancel(job.prediction.id)

    async def _run(self, job: Job) -> None:
        id_ = job.prediction.id
        # Whatever this task and those that it starts log is about it.
        bind_contextvars(prediction=id_)
        end: TerminalEvent = Failed(id_, "The server stopped before the prediction ended.", 0.0)
        with spans.whole(self._tracing, job.prediction, job.entry.input) as current:
            try:
                end = await self._runner.run(job)
            finally:
                self._slots.leave(job.place)
                del self._jobs[id_]
                if job.canceled:
                    end = Canceled(id_, end.predict_time)
                    self._remember(id_)
                try:
                    job.apply(end)
                    journal.ended(job.prediction, job.entry.input, end)
                    self._metrics.count_end(job.prediction, journal.warning_codes(job.prediction))
                    spans.ended(current, self._tracing, job.prediction, job.entry.input)
                finally:
                    job.ended.set()

    def _remember(self, id: str) -> None:
        self._canceled[id] = None
        if len(self._canceled) > _MOST_REMEMBERED:
            del self._canceled[next(iter(self._canceled))]
