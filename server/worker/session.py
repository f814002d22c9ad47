"""One child at work, from its start until it is gone, and why it went."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from server.errors import ConnectionClosed
from server.tracing import Tracing, continued
from server.worker.console import Console
from server.worker.messages import (
    AnyEvent,
    Collect,
    Collected,
    Command,
    Healthcheck,
    HealthResult,
    Loaded,
    Log,
    LogSource,
    Predict,
    Ready,
    SetupFailed,
    Shutdown,
    SpanReport,
)
from server.worker.process import WorkerProcess
from server.worker.question import Question
from server.worker.reports import Reports
from server.worker.runs import Runs
from server.worker.setup import Setup

HEALTHCHECK_SECONDS = 6.0
"""How long a child may take to answer: the 5 s that the predictor's own check may take, and some more."""

STABLE_SECONDS = 10.0
"""A child that was ready this long has proved to work."""

COLLECT_SECONDS = 1.0
"""How long a child may take to tell what is measured in it. It needs milliseconds, and Prometheus waits for 10 s."""

_EXIT_SECONDS = 2.0
"""How much later than its connection a child's process may end, and the other way round."""

_TERMINATION_SECONDS = 1.0
"""How long the processes that the model has started may take to end by SIGTERM."""

_HINTS: dict[int, str] = {
    signal.SIGKILL: " Most likely the machine ran out of memory: ask for less at once, use a smaller model, or give "
    "it more memory.",
    signal.SIGSEGV: " Code in C has crashed; the logs say where.",
    signal.SIGABRT: " Code in C has given up; the logs say why.",
    signal.SIGBUS: " Code in C has crashed; perhaps the shared memory (/dev/shm) is too small.",
}

model_logger = logging.getLogger("server.model")
"""Repeats everything that the model writes, but for the words of prompts."""


class Session:
    """Takes everything that a child says, and passes on what belongs to predictions.

    Args:
        process: the child.
        setup: told how setting up goes.
        runs: what belongs to predictions goes there.
        on_loaded: called when the predictor has been imported.
        on_ready: called when it has been set up.
        device: what the log calls it, where there are several.
        tracing: where its spans go.
    """

    def __init__(
        self,
        process: WorkerProcess,
        setup: Setup,
        runs: Runs,
        on_loaded: Callable[[Loaded], None],
        on_ready: Callable[[Ready], None],
        device: str | None,
        tracing: Tracing,
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._setup = setup
        self._runs = runs
        self._on_loaded = on_loaded
        self._on_ready = on_ready
        self._device = device
        self._reports = Reports(tracing)
        self._console = Console(process.stdout, process.stderr, self._write, self._make_room)
        self._reason: str | None = None
        self._ready_at: float | None = None
        self._was_used = False
        self._has_healthcheck = False
        self._health_ids = itertools.count()
        silence = HealthResult("", ok=False, error="Healthcheck error: the model's process does not answer")
        self._health = Question(HEALTHCHECK_SECONDS, silence)
        silent = f"the model's process did not answer within {COLLECT_SECONDS:g} s"
        self._collection = Question(COLLECT_SECONDS, Collected(error=silent))

    @property
    def is_ready(self) -> bool:
        """Whether the model is set up."""
        return self._ready_at is not None

    @property
    def has_proved_to_work(self) -> bool:
        """Whether it was of use, and not just ready to die at once."""
        return self._was_used or (self._ready_at is not None and time.monotonic() - self._ready_at > STABLE_SECONDS)

    async def run(self, setup_timeout: float | None) -> str:
        """Take everything until the child, and all that it has started, is gone.

        Args:
            setup_timeout: seconds within which it must be ready; `None` is no limit.

        Returns:
            Why it went, as a sentence.
        """
        exited = self._process.exited
        receiving = asyncio.create_task(self._receive(setup_timeout))
        either: list[asyncio.Future[Any]] = [receiving, exited]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([exited], timeout=_EXIT_SECONDS)
            if not exited.done():
                self.kill("Worker crashed: the connection to its process is broken.")
                await asyncio.wait([exited])
            self._runs.detach()
            await asyncio.wait([receiving], timeout=_EXIT_SECONDS)
        finally:
            self._process.kill()
            receiving.cancel()
            await asyncio.wait([receiving])
            await self._console.close()
            self._process.close()
            self._reports.end()
            self._health.answer(HealthResult("", ok=False, error="Healthcheck error: the model's process has ended"))
            self._collection.answer(Collected(error="the model's process has ended"))
        if not receiving.cancelled():
            receiving.result()
        return self._reason or _describe(exited.result())

    def send(self, command: Command) -> None:
        """Send a command.

        Raises:
            UnsendableMessage: it cannot be sent.
        """
        self._process.connection.send(command)
        self._was_used = self._was_used or isinstance(command, Predict)

    def drain(self) -> None:
        """Take what has been written to the console by now."""
        self._console.drain()

    async def healthcheck(self) -> HealthResult:
        """Run the predictor's own check, if it has one. Who asks while it runs gets the same answer."""
        if not self._has_healthcheck:
            return HealthResult("", ok=True)
        return await self._health.ask(lambda: self.send(Healthcheck(str(next(self._health_ids)))))

    async def collect(self) -> Collected:
        """What is measured in the child. Who asks meanwhile gets the same answer."""
        return await self._collection.ask(lambda: self.send(Collect()))

    def kill(self, reason: str) -> None:
        """End the child at once, for a reason that `run` returns."""
        self._reason = self._reason or reason
        self._process.kill()

    async def stop(self, grace: float) -> None:
        """End the child: ask, after `grace` seconds tell, and soon after that force it. What it runs may end first."""
        self._reason = self._reason or "The server was stopped before the prediction had ended."
        exited = self._process.exited
        if self.is_ready and grace > 0:
            self.send(Shutdown())
            await asyncio.wait([exited], timeout=grace)
        if not exited.done():
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait([exited], timeout=_TERMINATION_SECONDS)
        self._process.kill()

    async def _receive(self, setup_timeout: float | None) -> None:
        try:
            async with asyncio.timeout(setup_timeout):
                while not self.is_ready:
                    await self._take(await self._process.connection.receive())
            while True:
                await self._take(await self._process.connection.receive())
        except ConnectionClosed:
            return
        except TimeoutError:
            self.kill(f"Setup did not finish within {setup_timeout:g} s. Allow it more time (COG_SETUP_TIMEOUT).")

    async def _take(self, event: AnyEvent) -> None:
        match event:
            case Loaded():
                self._has_healthcheck = event.has_healthcheck
                self._on_loaded(event)
            case Ready():
                # What was written before belongs to setup.
                self._console.drain()
                self._setup.succeed()
                self._ready_at = time.monotonic()
                self._on_ready(event)
            case SetupFailed(error=error):
                self._console.drain()
                self.kill(error)
            case HealthResult():
                self._health.answer(event)
            case Collected():
                self._collection.answer(event)
            case Log():
                self._log(event)
            case SpanReport():
                self._reports.take(event)
            case _:
                self._runs.take(event)
        await self._make_room()

    def _write(self, source: LogSource, text: str) -> None:
        self._log(Log(self._runs.alone, source, text))

    def _log(self, event: Log) -> None:
        if event.id is not None:
            self._runs.take(event)
        elif not self.is_ready:
            self._setup.log(event.text)
        if model_logger.isEnabledFor(logging.INFO):
            with continued(self._runs.trace_of(event.id)):
                for line in filter(str.strip, event.text.splitlines()):
                    self._repeat(line, event.id)

    def _repeat(self, line: str, id: str | None) -> None:
        facts = {"prediction": id, "device": self._device, "private": lambda: {"event": line}}
        model_logger.info("%s", self._runs.redacted(id, line), extra=facts)

    async def _make_room(self) -> None:
        await self._runs.make_room()


def _describe(status: int) -> str:
    if status == os.EX_TEMPFAIL:
        return (
            f"Worker crashed: its process gave up (exit status {status}), as the engine does when the device has "
            "failed for good; the log says why. Try again: another process takes over."
        )
    if status >= 0:
        return (
            f"Worker crashed: its process ended with exit status {status}. "
            "The model's code must not end it, as os._exit() does."
        )
    names = {int(number): number.name for number in signal.Signals}
    name = names.get(-status, f"signal {-status}")
    return f"Worker crashed: its process was killed by {name}.{_HINTS.get(-status, '')}"
