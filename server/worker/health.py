"""The predictor's own `healthcheck()`, run beside whatever else runs."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any

from server.worker.failure import summarize
from server.worker.logs import Logs

LIMIT = 5.0
"""Seconds that a check may take."""


class UserHealthcheck:
    """Runs a `healthcheck()`, one at a time: one that hangs is waited for again, not started again.

    Args:
        function: the method, synchronous or not.
        logs: what it writes belongs to no prediction.
        loop: the event loop of an asynchronous predictor.
    """

    def __init__(self, function: Callable[[], Any], logs: Logs, loop: asyncio.AbstractEventLoop | None) -> None:
        self._function = function
        self._logs = logs
        self._loop = loop
        self._running: Future[Any] | None = None

    def check(self) -> str | None:
        """Why the model is unhealthy, in Cog's words; `None` if it is well. Takes up to `LIMIT` seconds."""
        future = self._running
        if future is None or future.done():
            future = self._running = self._start()
        wait_for([future], LIMIT)
        if not future.done():
            future.cancel()
            return f"Healthcheck failed: user-defined healthcheck timed out after {LIMIT} seconds"
        if error := future.exception():
            return f"Healthcheck failed: {summarize(error)}"
        return "Healthcheck failed: user-defined healthcheck returned False" if future.result() is False else None

    def _start(self) -> Future[Any]:
        if self._loop is not None and inspect.iscoroutinefunction(self._function):
            return asyncio.run_coroutine_threadsafe(self._call(), self._loop)
        future: Future[Any] = Future()
        # Running, so that it cannot be canceled: the thread goes on anyway.
        future.set_running_or_notify_cancel()
        # A daemon, unlike the threads of an executor: a check that hangs must not keep the process from ending.
        threading.Thread(target=self._run, args=(future,), name="darkroom-healthcheck", daemon=True).start()
        return future

    def _run(self, future: Future[Any]) -> None:
        try:
            with self._logs.nobody():
                result = self._function()
                if inspect.isawaitable(result):
                    result = asyncio.run(_wait(result))
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    async def _call(self) -> Any:
        with self._logs.nobody():
            return await self._function()


async def _wait(awaitable: Any) -> Any:
    return await awaitable
