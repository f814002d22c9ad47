"""Who runs the jobs: the main thread, one after the other, or an event loop in it, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from server.worker.interrupt import Interrupter
from server.worker.job import Job
from server.worker.runner import Runner

_T = TypeVar("_T")


class Executor(Protocol):
    """Runs jobs in the main thread; `submit`, `cancel` and `stop` are for other threads."""

    def submit(self, job: Job) -> None:
        """Run a job when its turn comes."""

    def cancel(self, job: Job) -> None:
        """Tell the code of a job, whose `canceled` has been set, if it has begun and has not been told."""

    def stop(self) -> None:
        """Let `serve` return when every job submitted so far has ended."""

    def serve(self) -> None:
        """Run jobs until `stop`."""

    def wait_for(self, awaitable: Awaitable[_T]) -> _T:
        """The result of an asynchronous `setup()`; to be called before `serve`."""


class SerialExecutor:
    """For synchronous predictors: no event loop runs, so that they may run one themselves."""

    def __init__(self, runner: Runner, interrupter: Interrupter) -> None:
        self._runner = runner
        self._interrupter = interrupter
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def cancel(self, job: Job) -> None:
        self._interrupter.cancel(job)

    def stop(self) -> None:
        self._jobs.put(None)

    def serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._runner.run_synchronously(job)

    def wait_for(self, awaitable: Awaitable[_T]) -> _T:
        return asyncio.run(_await(awaitable))


class ConcurrentExecutor:
    """For asynchronous predictors: a task for each job."""

    def __init__(self, runner: Runner, loop: asyncio.AbstractEventLoop) -> None:
        self._runner = runner
        self._loop = loop
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()

    def submit(self, job: Job) -> None:
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, job)

    def cancel(self, job: Job) -> None:
        self._loop.call_soon_threadsafe(self._cancel, job)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._jobs.put_nowait, None)

    def serve(self) -> None:
        self._run(self._serve())

    def wait_for(self, awaitable: Awaitable[_T]) -> _T:
        result: _T = self._run(_await(awaitable))
        return result

    def _run(self, coroutine: Any) -> Any:
        main = self._loop.create_task(coroutine)
        while not main.done():
            try:
                self._loop.run_until_complete(main)
            except (SystemExit, KeyboardInterrupt):
                # asyncio lets these two stop the loop, whichever task raises them. The task has ended by it; the
                # others have not.
                if main.done():
                    raise
        return main.result()

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        while (job := await self._jobs.get()) is not None:
            task = asyncio.create_task(self._run_job(job))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)

    async def _run_job(self, job: Job) -> None:
        # Set here: a task canceled before its first step would never take it, and would end without a word.
        job.task = asyncio.current_task()
        await self._runner.run(job)

    def _cancel(self, job: Job) -> None:
        if job.task is not None and not job.interrupted:
            job.interrupted = True
            job.task.cancel()


async def _await(awaitable: Awaitable[_T]) -> _T:
    return await awaitable
