"""The engine in this process, with a record of its passes. All that the bench knows of its interface is here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import server.diffusion as untyped_diffusion
from bench.closed_loop import Ask
from bench.passes import Pass
from bench.workloads import Workload

# Measured through whatever version of it is checked out, so that two can be compared.
diffusion: Any = untyped_diffusion


class MeasuredEngine:
    """An engine that keeps a record of its passes.

    Args:
        folder: of the model.
        compiling: the engine's mode of compiling; `None` leaves it to the engine.
    """

    def __init__(self, folder: Path, compiling: str | None) -> None:
        options = {} if compiling is None else {"compile": compiling}
        self._engine = diffusion.Engine(str(folder), **options)
        self._engine.on_pass = self._record
        self.passes: list[Pass] = []

    async def draw(self, inputs: dict[str, Any], on_progress: Callable[[int, int], None] | None = None) -> None:
        """Make the pictures of a request, and leave them as the engine hands them over.

        Args:
            inputs: by name, as a client sends them.
            on_progress: told the number of each step when it has been made, from 1, and how many there are.
        """
        options = {} if on_progress is None else {"on_progress": on_progress}
        async for _ in self._engine.generate(diffusion.TextToImage(**inputs), **options):
            pass

    def asking(self, workload: Workload, *, mixed: bool = False) -> Ask:
        """For a closed loop: make the requests of a workload."""

        async def ask(number: int) -> int:
            inputs = workload.request(number, mixed=mixed)
            await self.draw(inputs)
            return int(inputs["num_inference_steps"])

        return ask

    def close(self) -> None:
        """End the engine's thread."""
        self._engine.close()

    def _record(self, record: Any) -> None:
        # Called on the engine's thread: nothing more than this may be done here.
        self.passes.append(
            Pass(
                ended=time.perf_counter(),
                component=record.component,
                kind=str(record.kind),
                requests=record.requests,
                rows=record.rows,
                padded_rows=record.padded_rows,
                seconds=record.seconds,
            )
        )
