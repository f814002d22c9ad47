"""One call of the command: what its sections share."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.closed_loop import OutOfTime
from bench.plan import Plan
from bench.report import say


class Session:
    """One call of the command.

    Attributes:
        plan: what every section is told; `prepare` makes its folder.
        models: the folder of built models.
        failed: whether a section did.
    """

    def __init__(self, plan: Plan, models: Path) -> None:
        self.plan = plan
        self.models = models
        self.failed = False

    def prepare(self) -> None:
        """Build the model, unless it is there or in this repository."""
        if self.plan.workload.folder is None:
            self.build(self.plan.workload.model)

    def build(self, name: str) -> Path:
        """The folder of a model of `bench.models`, built now if it is not there."""
        folder = self.models / name
        if not folder.exists():
            self.models.mkdir(parents=True, exist_ok=True)
            self.apart(_build, name, self.models)
        return folder

    def apart(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function in a process of its own, whose end frees the GPU. What it prints is seen."""
        process = multiprocessing.get_context("spawn").Process(target=_call, args=(function, *arguments))
        process.start()
        try:
            process.join()
        finally:
            process.terminate()
            process.join(30)
            process.kill()
        if process.exitcode:
            raise RuntimeError(f"{function.__name__} ended with {process.exitcode}; the reason is above")


def end_when_told() -> None:
    """Have SIGTERM end this process as Ctrl-C does, with all that it has started: or that would be measured, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _call(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function whose standard error, where models report their progress, is only shown if it fails."""
    end_when_told()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        os.dup2(log.fileno(), 2)
        try:
            function(*arguments)
        except OutOfTime as over:
            say(str(over))
        except Exception:
            traceback.print_exc()
            sys.stderr.flush()
            log.seek(0)
            say(log.read()[-4000:])
            sys.exit(1)


def _build(name: str, cache: Path) -> None:
    # Imported here: it takes the seconds that torch takes, and room on the GPU.
    from bench import models

    models.build(name, cache)
