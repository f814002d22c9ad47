"""The engine in this process, with a record of its passes. All that the bench knows of its interface is here."""

from __future__ import annotations

from typing import Any

import server.diffusion as untyped_diffusion
from bench.closed_loop import Ask
from bench.passes import Pass
from bench.plan import Plan
from bench.workloads import Workload

# Measured through whatever version of it is checked out, so that two can be compared.
diffusion: Any = untyped_diffusion


def serve_options(plan: Plan) -> list[str]:
    """The options that have `darkroom serve` open its engine as `MeasuredEngine` does."""
    options = ["--compile", plan.compiling, "--compile-cache", str(plan.cache), "--quantize", plan.quantize]
    return options if plan.devices is None else [*options, "--devices", plan.devices]


class MeasuredEngine:
    """An engine that is warm, and keeps a record of its passes. It has one device, whatever the plan says.

    Args:
        plan: which model, and how it is compiled and quantized.

    Attributes:
        passes: those made so far.
        reuses: of each picture that may go fast, how many passes of its denoiser there were, and how many of them were
            left out but for the first block.
    """

    def __init__(self, plan: Plan) -> None:
        self.passes: list[Pass] = []
        self.reuses: list[Any] = []
        self._engine = diffusion.Engine(
            str(plan.folder), compile=plan.compiling, cache=plan.cache, quantize=plan.quantize
        )
        self._engine.warm_up()
        self._engine.on_pass = self._record

    async def draw(self, inputs: dict[str, Any]) -> None:
        """Make the pictures of a request, and leave them as the engine hands them over.

        Args:
            inputs: by name, as a client sends them.
        """
        async for picture in self._engine.generate(diffusion.PictureRequest(**inputs)):
            if picture.reuse:
                self.reuses.append(picture.reuse)

    def asking(self, workload: Workload, *, mixed: bool = False) -> Ask:
        """For a closed loop: make the requests of a workload."""

        async def ask(number: int) -> int:
            inputs = workload.request(number, mixed=mixed)
            await self.draw(inputs)
            return int(inputs["num_inference_steps"])

        return ask

    def close(self) -> None:
        """Cancel what runs."""
        self._engine.close()

    def _record(self, made: Any) -> None:
        # Called on the engine's thread: nothing more than this may be done here.
        self.passes.append(
            Pass(
                component=made.component,
                kind=str(made.kind),
                requests=made.requests,
                rows=made.rows,
                padded_rows=made.padded_rows,
                started=made.started,
                seconds=made.seconds,
            )
        )
