"""The parent's side: keeps one child process that owns the model, and hands predictions to it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from opentelemetry.trace import INVALID_SPAN, Span

from server.errors import WorkerError
from server.schema.signature import Interface, Mode
from server.tracing import Tracing, carrier, fail
from server.worker.backend import Backend, WorkerState
from server.worker.backoff import Backoff
from server.worker.dispatch import Dispatcher
from server.worker.measurements import Measurements
from server.worker.messages import HealthResult, Loaded, Ready
from server.worker.process import WorkerProcess
from server.worker.session import Session
from server.worker.setup import Setup, SetupReport

logger = logging.getLogger(__name__)


class Worker(Backend):
    """A model in a process of its own, which is replaced when it dies. For one event loop.

    What the model writes is repeated by the logger `server.model`, without the words of prompts unless
    those are asked for.

    Args:
        predictor: a reference such as `predict.py:Predictor`, relative to `directory`; `None` where there is none.
        directory: the model's folder, and its current folder.
        trainer: the same of what trains.
        mode: which of the two runs. The other is imported, for what it takes and returns, but not set up.
        environment: variables for the model, added to those of this process.
        concurrency: how many predictions may run at once; `None` leaves it to the model's `@concurrent`.
        setup_timeout: seconds that loading the model may take; `None` is no limit.
        cancel_grace: seconds that a canceled prediction may take to end. Then the child is killed and replaced.
        device: what the logs and `/health-check` call it, where there are several.
        dispatcher: where predictions wait; `None` gives it a queue of its own.
        tracing: where spans go; `None` makes none.
    """

    def __init__(
        self,
        predictor: str | None,
        directory: Path,
        *,
        trainer: str | None = None,
        mode: Mode = Mode.PREDICT,
        environment: Mapping[str, str],
        concurrency: int | None = None,
        setup_timeout: float | None = None,
        cancel_grace: float = 10.0,
        device: str | None = None,
        dispatcher: Dispatcher | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        super().__init__(dispatcher or Dispatcher())
        self._arguments = ["--directory", str(directory.absolute()), "--mode", mode]
        for flag, reference in (("--predictor", predictor), ("--trainer", trainer)):
            if reference is not None:
                self._arguments += [flag, reference]
        if concurrency is not None:
            self._arguments += ["--concurrency", str(concurrency)]
        self._environment = environment
        self.device = device
        self._setup_timeout = setup_timeout
        self._tracing = tracing or Tracing()

        self._state = WorkerState.STARTING
        self._setup = Setup()
        self._concurrency = concurrency or 1
        self._loaded_interface: Interface | None = None
        self._has_been_ready = False
        self._restarts = 0
        self._setups: Counter[str] = Counter()
        self._measurements = Measurements()

        self._runs = self._dispatcher.open(cancel_grace)
        self._session: Session | None = None
        self._setup_span: Span = INVALID_SPAN
        self._supervision: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._is_loaded = asyncio.Event()
        self._is_settled = asyncio.Event()

    @property
    def workers(self) -> tuple[Worker]:
        """This one."""
        return (self,)

    @property
    def state(self) -> WorkerState:
        """What the worker can do now."""
        return self._state

    @property
    def setup(self) -> SetupReport:
        """The latest attempt to set the model up."""
        return self._setup.report

    @property
    def setup_seconds(self) -> float:
        """How long that has taken."""
        return self._setup.seconds

    @property
    def concurrency(self) -> int:
        """How many predictions run at once; 1 until `loaded` returns, unless given."""
        return self._concurrency

    @property
    def has_been_ready(self) -> bool:
        """Whether setup has ever succeeded."""
        return self._has_been_ready

    @property
    def restarts(self) -> int:
        """How many children have been replaced."""
        return self._restarts

    @property
    def setups(self) -> Mapping[str, int]:
        """How many attempts to set the model up have `succeeded` and `failed`."""
        return self._setups

    @property
    def measurements(self) -> Measurements:
        """What was measured in the child when `measure` last had an answer."""
        return self._measurements

    @property
    def running(self) -> int:
        """How many predictions the child runs."""
        return len(self._runs)

    @property
    def pid(self) -> int | None:
        """The id of the child, which leads a process group; `None` between two."""
        return self._session.pid if self._session else None

    async def start(self) -> None:
        """Start the child; does not wait for it."""
        self._supervision = asyncio.create_task(self._supervise())

    async def loaded(self) -> Interface:
        """Wait until the predictor has been imported, before its `setup()`.

        Returns:
            What the source offers, which the loaded model may narrow.

        Raises:
            WorkerError: that failed; the message is one line.
        """
        await self._is_loaded.wait()
        if self._loaded_interface is None:
            raise WorkerError(self.setup.error or "The worker was stopped before the predictor was loaded.")
        return self._loaded_interface

    async def settled(self) -> WorkerState:
        """Wait until the state is not STARTING."""
        while self._state is WorkerState.STARTING:
            await self._is_settled.wait()
        return self._state

    async def healthcheck(self) -> HealthResult:
        """Run the predictor's own `healthcheck()`, if it has one; `error` is in Cog's words.

        Raises:
            WorkerNotReady: the state is not READY.
        """
        return await self._require_ready().healthcheck()

    async def measure(self) -> None:
        """Ask the child for `measurements`, in whatever state it is; takes a second at most."""
        if self._session:
            collected = await self._session.collect()
            self._measurements.take(collected, self.device, is_ready=self._state is WorkerState.READY)
        else:
            self._measurements.miss()

    async def stop(self, grace: float) -> None:
        """Take no more predictions, let those that run end, and end the child and all that it has started.

        Args:
            grace: seconds that they may take to end. Then they fail, as those that wait for a place do at once.
        """
        self._set_state(WorkerState.STOPPED)
        self._stopping.set()
        self._dispatcher.fail_waiting("The server was stopped before the prediction had begun.")
        if self._session:
            await self._session.stop(grace)
        if self._supervision:
            await asyncio.wait([self._supervision])
            self._supervision.result()

    def _require_ready(self) -> Session:
        if self._state is WorkerState.READY and self._session:
            return self._session
        raise self._not_ready()

    def _set_state(self, state: WorkerState) -> None:
        if self._state is WorkerState.STOPPED:
            return
        self._state = state
        if state is WorkerState.STARTING:
            self._is_settled.clear()
        else:
            self._is_settled.set()
            self._is_loaded.set()
        self._changed()

    async def _supervise(self) -> None:
        backoff = Backoff()
        while True:
            self._setup = Setup()
            reason = await self._live(backoff)
            if self._stopping.is_set():
                return
            if self._setup.report.status == "starting":
                self._setup.fail(reason)
                self._setups["failed"] += 1
            if not self._has_been_ready:
                self._set_state(WorkerState.SETUP_FAILED)
                self._tell(logging.ERROR, "Setup failed", seconds=self._setup.seconds, reason=reason)
                return
            delay = backoff.next()
            self._tell(logging.ERROR, "Model's process is replaced", reason=reason, delay_seconds=delay)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
                return
            self._restarts += 1

    async def _live(self, backoff: Backoff) -> str:
        """One child's life; returns why it ended."""
        reason = "The server was stopped before the prediction had ended."
        self._setup_span = self._tracing.start(
            "cog.setup", **({"darkroom__device": self.device} if self.device else {})
        )
        try:
            parent = carrier(self._setup_span).get("traceparent")
            traced = ["--traceparent", parent] if parent else []
            process = await WorkerProcess.start([*self._arguments, *traced], self._environment)
            session = self._session = Session(
                process, self._setup, self._runs, self._on_loaded, self._on_ready, self.device, self._tracing
            )
            self._tell(logging.INFO, "Setup started", pid=process.pid)
            if self._stopping.is_set():
                session.kill(reason)
            reason = await session.run(self._setup_timeout)
            if session.has_proved_to_work:
                backoff.reset()
        except (OSError, ValueError) as error:
            reason = f"The worker process could not be started: {error}"
        finally:
            self._session = None
            if self._setup_span.is_recording():
                fail(self._setup_span, "setup_failed")
                self._setup_span.end()
            if self._state is WorkerState.READY:
                self._set_state(WorkerState.STARTING)
            self._runs.fail_running(reason)
        return reason

    def _on_loaded(self, event: Loaded) -> None:
        self._loaded_interface = event.interface
        if not self._has_been_ready:
            self._interface = event.interface
        self._concurrency = event.concurrency
        self._is_loaded.set()
        self._changed()

    def _on_ready(self, event: Ready) -> None:
        if self._session and not self._stopping.is_set():
            interface = event.interface or self._loaded_interface
            if not self._has_been_ready:
                self._interface = interface
            elif self._interface != interface:
                self._tell(
                    logging.WARNING,
                    "The inputs or the output of the predictor have changed. Restart the server to offer them.",
                )
            self._has_been_ready = True
            self._setups["succeeded"] += 1
            self._tell(logging.INFO, "Setup finished", seconds=self._setup.seconds)
            self._setup_span.end()
            self._runs.attach(self._session, self._concurrency)
            self._set_state(WorkerState.READY)

    def _tell(self, level: int, event: str, **facts: object) -> None:
        logger.log(level, event, extra={"device": self.device, **facts})
