"""The life of a prediction, from the accepted request to its one terminal state."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec

from server.errors import DarkroomError, NotReady, PredictionExists, ShuttingDown, WorkerError
from server.prediction import Prediction
from server.schema.signature import Signature
from server.schema.validation import InputValidator, ValidInput
from server.service.inputs import fetch_inputs
from server.service.job import Interrupted, Job
from server.service.slots import Slots
from server.service.updates import Reader, Updates
from server.service.webhooks import Webhook
from server.store.history import History
from server.store.redaction import redacted
from server.worker.messages import (
    Canceled,
    Failed,
    Log,
    Metric,
    Output,
    Predict,
    PredictionEvent,
    Succeeded,
    TerminalEvent,
)
from server.worker.worker import Worker

logger = logging.getLogger(__name__)

_MOST_WAITING_EVENTS = 1024
"""How far publishing may fall behind the model before the model has to wait."""


class Outputs(Protocol):
    """Where the files that a model puts out are published."""

    async def publish(self, value: Any, prediction_id: str) -> Any:
        """Give `value` back with each `LocalFile` in it replaced by a URL."""


class PredictionService:
    """Creates, runs and cancels predictions. One that was accepted always ends in a terminal state.

    Args:
        worker: who runs them.
        slots: who may run.
        outputs: where files that come out go.
        client: fetches files that go in.
        history: who is told what becomes of them.
        max_file_bytes: the largest such file.
        stream_history: how many updates are kept for readers who come late.
    """

    def __init__(
        self,
        worker: Worker,
        slots: Slots,
        outputs: Outputs,
        client: httpx.AsyncClient,
        history: History,
        *,
        max_file_bytes: int,
        stream_history: int,
    ) -> None:
        self._worker = worker
        self._slots = slots
        self._outputs = outputs
        self._client = client
        self._history = history
        self._max_file_bytes = max_file_bytes
        self._stream_history = stream_history
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._validator: tuple[Signature, InputValidator] | None = None
        self._closing = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the model's inputs, in order; none until it has been imported."""
        signature = self._worker.signature
        return tuple(field.name for field in signature.inputs) if signature else ()

    @property
    def streams(self) -> bool:
        """Whether the model's author marked it with `@streaming`; not until it has been imported."""
        return self._worker.signature is not None and self._worker.signature.streaming

    def validate(self, input: Any) -> ValidInput:
        """Check the inputs of a request; nothing else happens.

        Raises:
            ShuttingDown: the server is stopping.
            NotReady: the model has not been set up yet, or could not be.
            InvalidRequest: the inputs break the schema.
        """
        return self._current_validator()[1].validate(input)

    def create(
        self,
        id: str,
        valid: ValidInput,
        context: Mapping[str, str],
        webhook: Webhook,
        *,
        for_readers: bool = False,
    ) -> Prediction:
        """Accept a prediction; from here on it runs by itself.

        Args:
            id: unique among those that have not ended.
            valid: what `validate` returned.
            context: what the model reads as `current_scope().context`.
            webhook: whom to tell.
            for_readers: whether it is to be canceled when nobody reads along any more.

        Raises:
            ShuttingDown, NotReady: as in `validate`.
            PredictionExists: one of this id has not ended.
            AtCapacity, QueueFull: there is no room.
        """
        signature, _ = self._current_validator()
        if id in self._jobs:
            raise PredictionExists(
                f"A prediction with the id {id!r} has not ended yet. Wait for it, cancel it, or choose another id."
            )
        place = self._slots.enter()
        prediction = Prediction(id, valid.values, dict(context))
        entry = self._history.open(prediction, redacted(valid.values, signature))
        job = Job(prediction, signature, place, webhook, entry, Updates(self._stream_history), for_readers)
        self._jobs[id] = job
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
        """Ask a prediction to end as canceled, wherever it is; tells whether there was one."""
        job = self._jobs.get(id)
        if job is None:
            return False
        job.cancel()
        if job.in_worker:
            self._worker.cancel(id)
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

    def _current_validator(self) -> tuple[Signature, InputValidator]:
        if self._closing:
            raise ShuttingDown("The server is shutting down and takes no new predictions. Send it to another.")
        signature = self._worker.signature
        # A child that was ready once and died is being replaced: what arrives meanwhile waits for the new one.
        if signature is None or not self._worker.has_been_ready:
            raise NotReady("Setup has not finished yet. Wait until it has finished, or GET /health-check for status.")
        if self._validator is None or self._validator[0] is not signature:
            self._validator = signature, InputValidator(signature)
        return self._validator

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
        end: TerminalEvent = Failed(id_, "The server stopped before the prediction ended.", 0.0)
        try:
            folder = Path(tempfile.mkdtemp(prefix="darkroom-"))
            try:
                end = await self._predict(job, folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        except DarkroomError as error:
            end = Failed(id_, str(error), 0.0)
        except Exception:
            logger.exception("Prediction %s failed by an error of the server's own", id_)
            end = Failed(id_, "The server failed to run this prediction; its log says why.", 0.0)
        finally:
            self._slots.leave(job.place)
            del self._jobs[id_]
            try:
                self._apply(job, Canceled(id_, end.predict_time) if job.canceled else end)
            finally:
                job.ended.set()

    async def _predict(self, job: Job, folder: Path) -> TerminalEvent:
        prediction = job.prediction
        try:
            command = await job.interruptible(self._prepare(job, folder))
        except Interrupted:
            return Canceled(prediction.id, 0.0)
        prediction.start()
        job.entry.changed()
        job.updates.start(prediction)
        job.webhook.start(prediction)
        events: asyncio.Queue[PredictionEvent] = asyncio.Queue(_MOST_WAITING_EVENTS)
        async with asyncio.TaskGroup() as group:
            job.in_worker = True
            group.create_task(self._read(job, command, events))
            return await self._follow(job, events)

    async def _prepare(self, job: Job, folder: Path) -> Predict:
        prediction = job.prediction
        inputs, outputs = folder / "inputs", folder / "outputs"
        await self._slots.turn(job.place)
        inputs.mkdir()
        outputs.mkdir()
        values = await fetch_inputs(prediction.input, job.signature, inputs, self._client, self._max_file_bytes)
        await self._worker.settled()
        return Predict(prediction.id, values, str(outputs), prediction.context)

    async def _read(self, job: Job, command: Predict, events: asyncio.Queue[PredictionEvent]) -> None:
        # Apart from `_follow`, so that the slot is free once the child is done, however long publishing files takes.
        if job.canceled:
            await events.put(Canceled(command.id, 0.0))
            return
        try:
            async with aclosing(self._worker.run(command)) as stream:
                async for event in stream:
                    if isinstance(event, TerminalEvent):
                        job.in_worker = False
                        self._slots.leave(job.place)
                    await events.put(event)
        except WorkerError as error:
            job.in_worker = False
            await events.put(Failed(command.id, str(error), 0.0))

    async def _follow(self, job: Job, events: asyncio.Queue[PredictionEvent]) -> TerminalEvent:
        while True:
            event = await events.get()
            match event:
                case Succeeded() | Failed() | Canceled():
                    return event if job.failure is None else Failed(event.id, job.failure, event.predict_time)
                case Output() if job.canceled or job.failure is not None:
                    continue
            try:
                await self._take(job, event)
            except DarkroomError as error:
                self._give_up(job, str(error))
            except Exception:
                logger.exception("Prediction %s: the server could not take in %s", job.prediction.id, event)
                self._give_up(job, "The server could not take in what the model put out; its log says why.")

    async def _take(self, job: Job, event: Log | Output | Metric) -> None:
        if isinstance(event, Output):
            try:
                value = await job.interruptible(self._outputs.publish(event.value, event.id))
            except Interrupted:
                return
            event = msgspec.structs.replace(event, value=value)
        self._apply(job, event)

    def _give_up(self, job: Job, failure: str) -> None:
        job.failure = failure
        if job.in_worker:
            self._worker.cancel(job.prediction.id)

    def _apply(self, job: Job, event: PredictionEvent) -> None:
        job.prediction.apply(event)
        job.entry.changed()
        job.updates.notify(job.prediction, event)
        job.webhook.notify(job.prediction, event)
