"""What is measured without a server: the engine's own throughput, its passes, and how soon a request joins.

Each function runs in a process of its own, whose end gives the GPU's memory back to the next measurement.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from random import Random
from typing import Any

import numpy

from bench import passes
from bench.closed_loop import OutOfTime, closed_loop
from bench.engine import MeasuredEngine
from bench.gpu import sampling_gpu
from bench.plan import Plan

_ARRIVALS = 20
_JOINING_STEPS = 4
_ENDLESS = 500
"""Steps of a request that is still under way when everything is measured."""


def measure_engine(plan: Plan, callers: Sequence[int], mixes: Sequence[bool]) -> None:
    """The engine's throughput at numbers of callers, with equal and mixed steps; then the passes by size."""
    started = time.perf_counter()
    with closing(MeasuredEngine(plan)) as engine, sampling_gpu() as gpu:
        plan.add("loaded", {"seconds": time.perf_counter() - started})

        async def run() -> None:
            for mixed in mixes:
                for number in callers:
                    ask = engine.asking(plan.workload, mixed=mixed)
                    load = await closed_loop(
                        ask, number, seconds=plan.seconds, rounds=plan.rounds, deadline=plan.deadline
                    )
                    during = passes.within(engine.passes, load.opened, load.closed)
                    figures: dict[str, Any] = load.figures() | gpu.figures(load.opened, load.closed)
                    figures |= {"pass_busy": passes.busy_share(during), "shared_by": passes.shared_by(during)}
                    if engine.reuses:
                        left_out = sum(reuse.reused for reuse in engine.reuses)
                        figures["reused"] = left_out / sum(reuse.passes for reuse in engine.reuses)
                    plan.add("engine", {"mixed": mixed, **figures})

        try:
            asyncio.run(run())
        finally:
            sizes = passes.by_size(engine.passes)
            for size in sizes:
                plan.add("passes", size)
            for rows, rate in passes.ceilings(sizes, plan.workload.steps).items():
                plan.add("ceiling", {"rows": rows, "images_per_second": rate})


def measure_joining(plan: Plan, running: int) -> None:
    """How long a request takes to start its first step while others run: `running` long ones that never end."""
    with closing(MeasuredEngine(plan)) as engine:
        plan.add("join", asyncio.run(_join(engine, plan, running)))


async def _join(engine: MeasuredEngine, plan: Plan, running: int) -> dict[str, Any]:
    random = Random(0)
    delays: list[float] = []
    async with asyncio.TaskGroup() as group:
        others = [
            group.create_task(engine.draw(plan.workload.request(number) | {"num_inference_steps": _ENDLESS}))
            for number in range(running)
        ]
        begin = (await _first_shared(engine, running, time.perf_counter())).started
        while len(delays) < _ARRIVALS and time.perf_counter() < plan.deadline:
            await asyncio.sleep(random.uniform(0, 2 * passes.step_seconds(engine.passes)))
            inputs = plan.workload.request(running + len(delays)) | {"num_inference_steps": _JOINING_STEPS}
            called = time.perf_counter()
            await engine.draw(inputs)
            delays.append((await _first_shared(engine, running + 1, called)).started - called)
        for task in others:
            task.cancel()
    if not delays:
        raise OutOfTime("no request could join before the time was up")
    during = passes.within(engine.passes, begin, time.perf_counter())
    return {
        "running": running,
        "arrivals": len(delays),
        "step": passes.step_seconds(during),
        "p50": float(numpy.percentile(delays, 50)),
        "p95": float(numpy.percentile(delays, 95)),
        "longest": max(delays),
    }


async def _first_shared(engine: MeasuredEngine, requests: int, since: float) -> passes.Pass:
    """The first denoising pass for so many requests that was begun at that moment or later.

    Raises:
        RuntimeError: there is none for a long time: they do not share passes.
    """
    for _ in range(6000):
        for made in engine.passes:
            if made.denoises and made.requests == requests and made.started >= since:
                return made
        # An engine may tell of a pass some time after it has been made.
        await asyncio.sleep(0.01)
    raise RuntimeError(f"{requests} requests run, but no pass is for all of them")
