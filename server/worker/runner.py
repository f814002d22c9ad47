"""Runs predictions, whatever the shape of the predictor."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any

from opentelemetry.trace import Span

from server.cog import CancelationException
from server.cog.scope import Scope, prediction_scope
from server.schema.signature import Interface, Mode, Signature
from server.tracing import CANCELED, Tracing, continued, fail, span
from server.worker.connection import ChildConnection
from server.worker.decoding import InputDecoder
from server.worker.encoding import OutputEncoder
from server.worker.failure import input_fault, summarize, trace
from server.worker.interrupt import Interrupter
from server.worker.job import Job
from server.worker.logs import Logs
from server.worker.messages import Canceled, Failed, Metric, MetricMode, Output, Succeeded

_END: Any = object()


class Runner:
    """Runs predictions of one predictor, or trainings of one trainer: to a runner they are all predictions.

    Args:
        function: what makes a prediction.
        interface: what `inspect_predictor` says of it.
        connection: where the events go.
        logs: attributes what the model writes.
        interrupter: cancels synchronous code.
        forget: told of each job that has ended, before the parent is.
        tracing: where spans go.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        interface: Interface,
        connection: ChildConnection,
        logs: Logs,
        interrupter: Interrupter,
        forget: Callable[[Job], None],
        tracing: Tracing,
    ) -> None:
        self._function = function
        self._noun = interface.mode.noun
        self._inputs = {field.name for field in interface.served.inputs}
        self._decoder = InputDecoder(function, interface.served)
        self._yields = interface.served.output.iterator is not None
        self._connection = connection
        self._logs = logs
        self._interrupter = interrupter
        self._forget = forget
        self._tracing = tracing
        self._span_name = "cog.train.invoke" if interface.mode is Mode.TRAIN else "cog.prediction.invoke"
        self.asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        """Whether predictions run as tasks of an event loop, and may so run concurrently."""

    def narrow(self, signature: Signature) -> None:
        """From now on give predictions the defaults of `signature`, which is that of the function, narrowed."""
        self._decoder.narrow(signature)

    async def run(self, job: Job) -> None:
        """Run one prediction to its end. Exactly one terminal event is sent, as the last; nothing is raised.

        A coroutine that never waits where the predictor is synchronous, so that no event loop is needed.
        """
        started = time.perf_counter()
        error = None
        scope = Scope(job.command.context, lambda name, value, mode: self._record(job, name, value, mode))
        with self._logs.prediction(job.id), prediction_scope(scope), self._traced(job) as current:
            try:
                await self._predict(job)
            except (CancelationException, asyncio.CancelledError):
                job.canceled = True
            except _Failure as failure:
                error = failure
                fail(current, type(failure.cause).__qualname__)
            if job.canceled:
                current.set_attribute(CANCELED, True)
        seconds = time.perf_counter() - started
        self._forget(job)
        # Whatever the code made of being canceled, that is what happened.
        if job.canceled:
            self._connection.send(Canceled(job.id, seconds))
        elif error:
            fault = input_fault(error.cause, self._inputs)
            # Of an input that the client can correct, where it was found says nothing.
            place = () if fault else trace(error.cause)
            self._connection.send(Failed(job.id, f"Prediction failed: {error}", seconds, fault, place))
        else:
            self._connection.send(Succeeded(job.id, seconds))

    def run_synchronously(self, job: Job) -> None:
        """The same for a synchronous predictor, in the main thread."""
        with suppress(StopIteration):
            self.run(job).send(None)

    @contextmanager
    def _traced(self, job: Job) -> Iterator[Span]:
        with (
            self._tracing.active(),
            continued(job.command.trace),
            span(self._span_name, cog__prediction__id=job.id) as current,
        ):
            yield current

    async def _predict(self, job: Job) -> None:
        with ExitStack() as files:
            with _failing("Input validation error: "):
                arguments = self._decoder.decode(job.command.input, files)
            with _failing(f"Async {self._noun} failed: " if self.asynchronous else f"{self._noun.title()} failed: "):
                result = self._interrupter.call(job, self._function, **arguments)
            consumption = self._consume(job, result)
            if self.asynchronous or not _needs_event_loop(result):
                await consumption
            else:
                # A synchronous function that hands out something asynchronous, such as a decorator may make it.
                self._interrupter.call(job, asyncio.run, consumption)

    async def _consume(self, job: Job, result: Any) -> None:
        encoder = OutputEncoder(Path(job.command.output_dir))
        if inspect.isawaitable(result):
            with _failing(f"Async {self._noun} failed: "):
                result = await result
        if inspect.isasyncgen(result) or (self._yields and isinstance(result, AsyncIterator)):
            items = self._iterate_async(result)
        elif inspect.isgenerator(result) or (self._yields and isinstance(result, Iterator)):
            items = self._iterate(job, result)
        else:
            if self._yields and not isinstance(result, list | tuple | set | frozenset):
                # Declared to yield, it has returned: as in Cog that is one item, or none.
                result = [] if result is None else [result]
            self._put(job, encoder, result, None)
            return
        index = 0
        async with aclosing(items):
            async for item in items:
                self._put(job, encoder, item, index)
                index += 1
        if not index:
            self._put(job, encoder, [], None)

    async def _iterate(self, job: Job, iterator: Iterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            while True:
                with _failing("Generator iteration error: "):
                    item = self._interrupter.call(job, next, iterator, _END)
                if item is _END:
                    return
                yield item
        except CancelationException:
            # Where the cancel came between two items, the generator has not seen it.
            if inspect.isgenerator(iterator) and inspect.getgeneratorstate(iterator) == inspect.GEN_SUSPENDED:
                with suppress(BaseException):
                    iterator.throw(CancelationException())
            raise
        finally:
            if inspect.isgenerator(iterator):
                with suppress(BaseException):
                    iterator.close()

    async def _iterate_async(self, iterator: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        try:
            while True:
                with _failing(f"Async {self._noun} failed: "):
                    item = await anext(iterator, _END)
                if item is _END:
                    return
                yield item
        finally:
            if inspect.isasyncgen(iterator):
                with suppress(BaseException):
                    await iterator.aclose()

    def _put(self, job: Job, encoder: OutputEncoder, value: Any, index: int | None) -> None:
        if job.interrupted:
            # It has been told, and went on.
            raise CancelationException
        if job.canceled:
            return
        with _failing(f"Failed to serialize output{'' if index is None else ' item'}: "):
            try:
                self._connection.send(Output(job.id, encoder.encode(value), index))
            except OSError as error:
                raise _Failure("Failed to process output: ", error) from error

    def _record(self, job: Job, name: str, value: Any, mode: MetricMode) -> None:
        self._connection.send(Metric(job.id, name, value, mode))


class _Failure(Exception):
    """The model's code has raised `cause`."""

    def __init__(self, prefix: str, cause: BaseException) -> None:
        super().__init__(prefix + summarize(cause))
        self.cause = cause


@contextmanager
def _failing(prefix: str) -> Iterator[None]:
    """Turn whatever is raised inside into a `_Failure`, a cancel excepted; Cog's texts begin with these prefixes."""
    try:
        yield
    except (CancelationException, asyncio.CancelledError, _Failure):
        raise
    except BaseException as error:
        raise _Failure(prefix, error) from error


def _needs_event_loop(result: Any) -> bool:
    return inspect.isawaitable(result) or isinstance(result, AsyncIterator)
