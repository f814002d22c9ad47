"""The child's main part: load the predictor, set it up, run what the parent asks for."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import server
from server.errors import WorkerError
from server.schema.inspect import concurrency_of, inspect_predictor, prediction_function
from server.schema.narrowing import narrow
from server.schema.signature import Interface, Mode
from server.tracing import Tracing, continued, span
from server.worker import collection
from server.worker.connection import ChildConnection
from server.worker.executors import ConcurrentExecutor, Executor, SerialExecutor
from server.worker.failure import summarize, trace_text
from server.worker.health import UserHealthcheck
from server.worker.interrupt import Interrupter
from server.worker.job import Job
from server.worker.lifeline import end_group
from server.worker.loader import enter_directory, find_predictor, make_predictor
from server.worker.logs import Logs
from server.worker.messages import (
    AnyCommand,
    Cancel,
    Collect,
    Healthcheck,
    HealthResult,
    Loaded,
    Predict,
    Ready,
    SetupFailed,
    Shutdown,
)
from server.worker.runner import Runner


class Child:
    """The process that owns one model. To be made, and run, in the main thread.

    Args:
        connection: to the parent.
        directory: the model's folder.
        references: the predictor in it, such as `predict.py:Predictor`, and the trainer.
        mode: which of them runs; it is among `references`.
        concurrency: how many predictions may run at once; `None` leaves it to `@concurrent`.
        tracing: where spans go.
        trace: the span of the setup, as `tracing.carrier` has it.
    """

    def __init__(
        self,
        connection: ChildConnection,
        directory: Path,
        references: Mapping[Mode, str],
        mode: Mode,
        concurrency: int | None,
        tracing: Tracing,
        trace: Mapping[str, str],
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._references = references
        self._mode = mode
        self._concurrency = concurrency
        self._tracing = tracing
        self._trace = trace
        self._interrupter = Interrupter()
        self._logs = Logs(connection, self._interrupter.shield)
        self._jobs: dict[str, Job] = {}
        # Set when the predictor is ready.
        self._executor: Executor | None = None
        self._healthcheck: UserHealthcheck | None = None

    def run(self) -> int:
        """Serve until the parent says `Shutdown`.

        Returns:
            The exit status of the process: 0, or 1 where the predictor could not be set up.
        """
        self._logs.install()
        collection.install()
        threading.Thread(target=self._listen, name="darkroom-listener", daemon=True).start()
        try:
            with closing(asyncio.Runner()) as loops:
                return self._serve(loops)
        finally:
            self._logs.detach()
            self._connection.finish()

    def _serve(self, loops: asyncio.Runner) -> int:
        try:
            with self._tracing.active(), continued(self._trace), span("cog.setup.predictor"):
                executor, ready = self._prepare(loops)
            # Before the parent knows that it may send predictions.
            self._executor = executor
            self._connection.send(ready)
        except BaseException as error:
            # SystemExit too: a model that calls sys.exit() while it loads has failed.
            self._logs.report(trace_text(error))
            self._connection.send(SetupFailed(summarize(error)))
            return 1
        executor.serve()
        return 0

    def _prepare(self, loops: asyncio.Runner) -> tuple[Executor, Ready]:
        enter_directory(self._directory)
        _warn_of_hidden_modules(self._directory)
        with span("darkroom.import"):
            found = {mode: find_predictor(reference, mode) for mode, reference in self._references.items()}
        predictor = make_predictor(found[self._mode])
        function = prediction_function(predictor, self._mode)
        # What is set up is served; of the other no instance is made.
        signatures = {mode: inspect_predictor(other, mode) for mode, other in {**found, self._mode: predictor}.items()}
        interface = Interface(self._mode, signatures)
        concurrency = self._concurrency or concurrency_of(predictor, self._mode)
        healthcheck = getattr(predictor, "healthcheck", None)
        self._connection.send(Loaded(interface, concurrency, callable(healthcheck)))
        runner = Runner(
            function, interface, self._connection, self._logs, self._interrupter, self._forget, self._tracing
        )
        if concurrency > 1 and not runner.asynchronous:
            raise WorkerError(
                f"A concurrency of {concurrency} (COG_MAX_CONCURRENCY > 1) requires an async run() or predict() "
                f"method, and {function.__qualname__} is not async. Make it so, or set the concurrency to 1."
            )
        loop = loops.get_loop() if runner.asynchronous else None
        executor = ConcurrentExecutor(runner, loop) if loop else SerialExecutor(runner, self._interrupter)
        if callable(healthcheck):
            self._healthcheck = UserHealthcheck(healthcheck, self._logs, loop)
        _set_up(predictor, executor)
        narrowed = narrow(predictor, interface.served)
        runner.narrow(narrowed)
        self._logs.flush()
        return executor, Ready(None if narrowed is interface.served else interface.narrowed(narrowed))

    def _listen(self) -> None:
        try:
            for command in self._connection.receive():
                self._obey(command)
        except BaseException:
            # Python's own stream: it leads to the parent's console whatever the model has done to sys.stderr.
            traceback.print_exc(file=sys.__stderr__)
        finally:
            end_group()

    def _obey(self, command: AnyCommand) -> None:
        match command:
            case Predict(id=id_) if self._executor:
                job = self._jobs[id_] = Job(command)
                self._executor.submit(job)
            case Cancel(id=id_) if self._executor and (found := self._jobs.get(id_)) and not found.canceled:
                found.canceled = True
                self._executor.cancel(found)
            case Healthcheck(id=id_):
                threading.Thread(target=self._check, args=(id_,), name="darkroom-healthcheck", daemon=True).start()
            case Collect():
                collection.answer(self._connection, self._logs)
            case Shutdown() if self._executor:
                self._executor.stop()
            case Shutdown():
                end_group()

    def _check(self, id_: str) -> None:
        error = self._healthcheck.check() if self._healthcheck else None
        self._connection.send(HealthResult(id_, error is None, error))

    def _forget(self, job: Job) -> None:
        # The parent may use an id again as soon as it is told of the end.
        if self._jobs.get(job.id) is job:
            del self._jobs[job.id]


def _set_up(predictor: Any, executor: Executor) -> None:
    setup: Callable[..., Any] | None = getattr(predictor, "setup", None)
    if setup is None:
        return
    arguments = {}
    if "weights" in inspect.signature(setup).parameters:
        # Given even where it is not set, as Cog does: a default in the source is not used.
        arguments["weights"] = os.environ.get("COG_WEIGHTS") or None
    result = setup(**arguments)
    if inspect.isawaitable(result):
        executor.wait_for(result)


def _warn_of_hidden_modules(directory: Path) -> None:
    ours = Path(server.__path__[0])
    for hidden in (directory / "server.py", directory / "server" / "__init__.py"):
        if hidden.exists() and hidden.parent != ours:
            print(f"{hidden} cannot be imported: the name `server` is Darkroom's own. Rename it if the model needs it.")
