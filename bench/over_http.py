"""What is measured through a server: the references under the real Cog, and Darkroom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.clients import asking, check_drawn, connecting, predict
from bench.closed_loop import closed_loop
from bench.engine import serve_options
from bench.gpu import GpuUse, sampling_gpu
from bench.plan import Plan
from bench.report import Run
from bench.serving import Server, running_cog, running_darkroom

_TOGETHER = 8


def measure_stock(plan: Plan, section: str, dtype: str, safety_checker: Path | None) -> None:
    """A stock pipeline under the real Cog, one request at a time."""
    plan = plan.stock()
    environment = {"BENCH_MODEL": str(plan.folder), "BENCH_DTYPE": dtype}
    if safety_checker is not None:
        environment["BENCH_SAFETY_CHECKER"] = str(safety_checker)
    with running_cog("stock", environment) as server, sampling_gpu() as gpu:
        ready = server.wait_until_ready()
        about = {"dtype": dtype, "safety_checker": safety_checker is not None, "ready": ready}
        asyncio.run(_load(plan, section, server, gpu, 1, False, about))


def measure_darkroom(plan: Plan, clients: Sequence[int], mixes: Sequence[bool]) -> None:
    """Darkroom over HTTP, at numbers of clients, with equal and mixed steps."""
    with running_darkroom(plan.folder, serve_options(plan)) as server, sampling_gpu() as gpu:
        plan.add("loaded", {"over": "http", "seconds": server.wait_until_ready()})
        for mixed in mixes:
            for number in clients:
                asyncio.run(_load(plan, "http", server, gpu, number, mixed, {}))


def measure_together(plan: Plan, repeats: int) -> None:
    """The same requests one after another and all at once, turn by turn on one server."""
    with running_darkroom(plan.folder, serve_options(plan)) as server:
        server.wait_until_ready()
        alone, together = asyncio.run(_take_turns(plan, server, repeats))
    ratios = [both / one for one, both in zip(alone, together, strict=True)]
    figures = {"requests": _TOGETHER, "alone": alone, "together": together, "ratio": median(ratios)}
    plan.add("together", figures)


async def _load(plan: Plan, section: str, server: Server, gpu: GpuUse, clients: int, mixed: bool, about: Run) -> None:
    async with connecting(server.url) as client:
        [picture] = await predict(client, plan.workload.request(0))
        check_drawn(picture)
        load = await closed_loop(
            asking(client, plan.workload, mixed=mixed),
            clients,
            seconds=plan.seconds,
            rounds=plan.rounds,
            deadline=plan.deadline,
        )
    figures = {**about, "mixed": mixed, **load.figures(), **gpu.figures(load.opened, load.closed)}
    plan.add(section, figures)


async def _take_turns(plan: Plan, server: Server, repeats: int) -> tuple[list[float], list[float]]:
    alone: list[float] = []
    together: list[float] = []
    async with connecting(server.url) as client:
        ask = asking(client, plan.workload)
        # Once for nothing: what a server keeps of a request, such as its encoded prompt, it keeps for both.
        await asyncio.gather(*(ask(number) for number in range(_TOGETHER)))
        for _ in range(repeats):
            started = time.perf_counter()
            for number in range(_TOGETHER):
                await ask(number)
            between = time.perf_counter()
            await asyncio.gather(*(ask(number) for number in range(_TOGETHER)))
            alone.append(between - started)
            together.append(time.perf_counter() - between)
    return alone, together
