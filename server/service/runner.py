"""One prediction at work: its files in, the worker, its files out."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import msgspec

from server.errors import DarkroomError, InputFileError, InvalidRequest, OutputError, WorkerError, WrongMode
from server.metrics import Metrics
from server.schema.signature import Signature
from server.schema.validation import InputValidator
from server.service import journal, spans
from server.service.inputs import fetch_inputs
from server.service.job import Interrupted, Job
from server.service.outputs import Outputs, files_in
from server.service.slots import Slots
from server.service.threads import in_thread
from server.tracing import carrier, span
from server.worker.backend import Backend
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

logger = logging.getLogger(__name__)

_MOST_WAITING_EVENTS = 1024
"""How far publishing may fall behind the model before the model has to wait."""


class JobRunner:
    """Runs what was accepted.

    Args:
        backend: who runs it.
        slots: who may run.
        outputs: where files that come out go.
        client: fetches files that go in.
        metrics: where files and waits are counted.
        max_file_bytes: the largest such file.
    """

    def __init__(
        self,
        backend: Backend,
        slots: Slots,
        outputs: Outputs,
        client: httpx.AsyncClient,
        metrics: Metrics,
        max_file_bytes: int,
    ) -> None:
        self._backend = backend
        self._slots = slots
        self._outputs = outputs
        self._client = client
        self._metrics = metrics
        self._max_file_bytes = max_file_bytes

    async def run(self, job: Job) -> TerminalEvent:
        """Run a prediction in a temporary folder of its own, which is gone afterwards.

        The job takes in everything but its end, which is returned; whatever goes wrong is such an end. Its slot is
        given back as soon as the worker is done, or else by the caller.
        """
        id_ = job.prediction.id
        try:
            folder = Path(tempfile.mkdtemp(prefix="darkroom-"))
            try:
                return await self._predict(job, folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        except DarkroomError as error:
            return Failed(id_, str(error), 0.0)
        except Exception:
            logger.exception("Prediction failed by an error of the server's own", extra={"prediction": id_})
            return Failed(id_, "The server failed to run this prediction; its log says why.", 0.0)

    def cancel(self, job: Job) -> None:
        """Ask a prediction to end, wherever it is."""
        job.cancel()
        if job.in_worker:
            self._backend.cancel(job.prediction.id)

    async def _predict(self, job: Job, folder: Path) -> TerminalEvent:
        try:
            await job.interruptible(self._turn(job))
            # As in Cog, before its files are fetched.
            job.start()
            self._metrics.count_start(job.prediction)
            command = await job.interruptible(self._prepare(job, folder))
        except Interrupted:
            return Canceled(job.prediction.id, 0.0)
        events: asyncio.Queue[PredictionEvent] = asyncio.Queue(_MOST_WAITING_EVENTS)
        async with asyncio.TaskGroup() as group:
            job.in_worker = True
            group.create_task(self._read(job, command, events))
            return await self._follow(job, events)

    async def _turn(self, job: Job) -> None:
        with span("darkroom.queue"):
            await self._slots.turn(job.place)
            await self._backend.settled()

    async def _prepare(self, job: Job, folder: Path) -> Predict:
        prediction = job.prediction
        inputs, outputs = folder / "inputs", folder / "outputs"
        inputs.mkdir()
        outputs.mkdir()
        with spans.stage("prepare_input", prediction):
            served, given = self._check_mode(job)
            try:
                values = await fetch_inputs(given, served, inputs, self._client, self._max_file_bytes)
            except InputFileError:
                self._metrics.input_files.labels("failed").inc()
                raise
            await in_thread(self._metrics.count_inputs, list(files_in(values)))
        return Predict(prediction.id, values, str(outputs), prediction.context)

    def _check_mode(self, job: Job) -> tuple[Signature, dict[str, Any]]:
        """The signature of what is going to run, and the inputs that it gets.

        Raises:
            WrongMode: what was asked for is something else, and its inputs do not fit.
        """
        interface = self._backend.interface
        assert interface is not None
        if job.signature is interface.served:
            return interface.served, job.prediction.input
        # Cog hands them over all the same; then it is Python that complains.
        mode = interface.mode
        remedy = f"This server runs every request as a {mode.noun}; start one with --x-mode {mode.other} instead."
        try:
            valid = InputValidator(interface.served).validate(job.prediction.input)
        except InvalidRequest as invalid:
            raise WrongMode(f"The inputs do not fit {mode}: {invalid}. {remedy}") from invalid
        if valid.unknown:
            raise WrongMode(f"The inputs do not fit {mode}, which has no {', '.join(valid.unknown)}. {remedy}")
        return interface.served, valid.values

    async def _read(self, job: Job, command: Predict, events: asyncio.Queue[PredictionEvent]) -> None:
        # Apart from `_follow`, so that the slot is free once the child is done, however long publishing files takes.
        if job.canceled:
            await events.put(Canceled(command.id, 0.0))
            return
        try:
            with spans.stage("execute", job.prediction) as current:
                command = msgspec.structs.replace(command, trace=carrier())
                async with aclosing(self._backend.run(command)) as stream:
                    async for event in stream:
                        if isinstance(event, TerminalEvent):
                            job.in_worker = False
                            self._slots.leave(job.place)
                            spans.executed(current, event)
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
                case Output() if job.failure is not None:
                    continue
            try:
                await self._take(job, event)
            except DarkroomError as error:
                journal.unpublished(job.prediction, error)
                self._give_up(job, str(error))
            except Exception:
                what = {"prediction": job.prediction.id, "what": type(event).__name__}
                logger.exception("The server could not take in what the model put out", extra=what)
                self._give_up(job, "The server could not take in what the model put out; its log says why.")

    async def _take(self, job: Job, event: Log | Output | Metric) -> None:
        if isinstance(event, Output) and (files := list(files_in(event.value))):
            try:
                value = await job.interruptible(self._publish(job, event))
            except Interrupted:
                return
            except OutputError:
                self._metrics.output_files.labels("failed").inc(len(files))
                raise
            await in_thread(self._metrics.count_outputs, files)
            event = msgspec.structs.replace(event, value=value)
        job.apply(event)

    async def _publish(self, job: Job, output: Output) -> Any:
        with spans.stage("upload_output", job.prediction):
            return await self._outputs.publish(output.value, output.id)

    def _give_up(self, job: Job, failure: str) -> None:
        job.failure = failure
        if job.in_worker:
            self._backend.cancel(job.prediction.id)
