"""Cancels synchronous code: an exception raised in the main thread, inside the model's code and nowhere else."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from server.cog import CancelationException
from server.worker.job import Job

SIGNAL = signal.SIGUSR1
"""What wakes the main thread; Cog has used the same one."""

_T = TypeVar("_T")


class Interrupter:
    """Runs the model's code in the main thread so that another thread can cancel it.

    To be made in the main thread. A signal handler decides whether to raise: only while `call` is on the stack, only
    for the job that it runs, and only once for each job.
    """

    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._job: Job | None = None
        self._shield = _Shield(self._deliver)
        signal.signal(SIGNAL, lambda *_: self._deliver())

    def call(self, job: Job, function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Call model code for a job.

        Raises:
            CancelationException: the job was canceled, before or meanwhile.
        """
        outer = self._job
        try:
            self._job = job
            self._deliver()
            return function(*args, **kwargs)
        finally:
            self._job = outer

    def cancel(self, job: Job) -> None:
        """Wake the main thread if it runs `job`, whose `canceled` has been set before; for any other thread."""
        if self._job is job:
            threading.Thread(target=self._insist, args=(job,), name="darkroom-cancel", daemon=True).start()

    def _insist(self, job: Job) -> None:
        # One signal may be too few: one that comes just before the main thread enters a system call does not end it.
        pause = 0.001
        while self._job is job and not job.interrupted:
            signal.pthread_kill(self._main, SIGNAL)
            time.sleep(pause)
            pause = min(2 * pause, 0.1)

    def shield(self) -> AbstractContextManager[object]:
        """A context within which the calling thread is not interrupted; what came meanwhile is raised at its end."""
        return self._shield if threading.get_ident() == self._main else nullcontext()

    def _deliver(self) -> None:
        job = self._job
        if job is not None and job.canceled and not job.interrupted and not self._shield.depth:
            job.interrupted = True
            raise CancelationException


class _Shield:
    def __init__(self, deliver: Callable[[], None]) -> None:
        self.depth = 0
        self._deliver = deliver

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *error: object) -> None:
        self.depth -= 1
        self._deliver()
