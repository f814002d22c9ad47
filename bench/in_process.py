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
from bench.workloads import Workload

_ARRIVALS = 20
_JOINING_STEPS = 4
_ENDLESS = 500
"""Steps of a request that is still under way when everything is measured."""


def measure_engine(plan: Plan, callers: Sequence[int], mixes: Sequence[bool]) -> None:
    """The engine's throughput at numbers of callers, with equal and mixed steps; then the passes by size."""
    started = time.perf_counter()
    with closing(MeasuredEngine(plan.folder, plan.compiling)) as engine, sampling_gpu() as gpu:
        plan.report.add("loaded", plan.workload.model, {"seconds": time.perf_counter() - started})

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
                    plan.report.add("engine", plan.workload.model, {"mixed": mixed, **figures})

        try:
            asyncio.run(run())
        finally:
            sizes = passes.by_size(engine.passes)
            for size in sizes:
                plan.report.add("passes", plan.workload.model, size)
            for rows, rate in passes.ceilings(sizes, plan.workload.steps).items():
                plan.report.add("ceiling", plan.workload.model, {"rows": rows, "images_per_second": rate})


def measure_joining(plan: Plan, running: int) -> None:
    """How long a request takes to start its first step while others run: `running` long ones that never end."""
    with closing(MeasuredEngine(plan.folder, plan.compiling)) as engine:
        plan.report.add("join", plan.workload.model, asyncio.run(_join(engine, plan, running)))


async def _join(engine: MeasuredEngine, plan: Plan, running: int) -> dict[str, Any]:
    random = Random(0)
    delays: list[float] = []
    async with asyncio.TaskGroup() as group:
        under_way = [asyncio.Event() for _ in range(running)]
        others = [
            group.create_task(_draw_long(engine, plan.workload, number, event))
            for number, event in enumerate(under_way)
        ]
        for event in under_way:
            await event.wait()
        begin = time.perf_counter()
        while len(delays) < _ARRIVALS and time.perf_counter() < plan.deadline:
            await asyncio.sleep(random.uniform(0, 2 * passes.step_seconds(engine.passes)))
            delays.append(await _delay_of_one(engine, plan.workload, running + len(delays)))
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


async def _draw_long(engine: MeasuredEngine, workload: Workload, number: int, under_way: asyncio.Event) -> None:
    inputs = workload.request(number) | {"num_inference_steps": _ENDLESS}
    await engine.draw(inputs, on_progress=lambda *_: under_way.set())


async def _delay_of_one(engine: MeasuredEngine, workload: Workload, number: int) -> float:
    """Seconds from the call to the start of its first step: to its end, less the time of the pass that made it."""
    ends: list[float] = []
    inputs = workload.request(number) | {"num_inference_steps": _JOINING_STEPS}
    called = time.perf_counter()
    await engine.draw(inputs, on_progress=lambda *_: ends.append(time.perf_counter()))
    around = passes.within(engine.passes, called, time.perf_counter())
    return ends[0] - called - passes.step_seconds(around)
