"""How soon a server is ready after its start, with its compiled code kept from an earlier one and without."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from bench.clients import check_drawn, connecting, predict
from bench.engine import serve_options
from bench.plan import Plan
from bench.report import say
from bench.serving import Server, running_darkroom


class Start(StrEnum):
    """How a server is started."""

    COLD = "cold"
    """Nothing kept, and waiting for the compiler."""
    WARM = "warm"
    """Compiled code kept, and waiting for the compiler to take it up."""
    BACKGROUND_WARM = "background-warm"
    """Compiled code kept, which is taken up while it already serves: what an operator has who changes nothing."""
    BACKGROUND = "background"
    """Nothing kept, but compiling while it already serves."""

    @property
    def mode(self) -> str:
        """Of compiling."""
        return "wait" if self in (Start.COLD, Start.WARM) else "background"


def measure_readiness(plan: Plan, starts: Collection[Start]) -> None:
    """Start servers one after another and report, in seconds since each process was started, when it was ready.

    What is kept is what the cold start has kept or, where there is none, what other sections have.
    """
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as name:
        caches = Path(name)
        kept = caches / "kept" if Start.COLD in starts else plan.cache
        for start in starts:
            if time.perf_counter() > plan.deadline:
                say(f"ready: no time left for the {start} start")
                return
            cache = caches / "none" if start is Start.BACKGROUND else kept
            with running_darkroom(
                plan.folder, serve_options(replace(plan, compiling=start.mode, cache=cache))
            ) as server:
                ready = server.wait_until_ready()
                picture = asyncio.run(_first_picture(plan, server))
            size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
            plan.add("ready", {"start": start, "ready": ready, "first_picture": picture, "cache_mb": size / 1e6})


def measure_reading(plan: Plan) -> None:
    """How long the weights alone take from the disk to the device. It runs in a process of its own."""
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    from server.diffusion.pipeline import best_device, best_dtype

    device = best_device()
    started = time.perf_counter()
    pipeline = DiffusionPipeline.from_pretrained(plan.folder, dtype=best_dtype(device), use_safetensors=True)
    pipeline.to(device)
    plan.add("reading", {"seconds": time.perf_counter() - started})


async def _first_picture(plan: Plan, server: Server) -> float:
    async with connecting(server.url) as client:
        [picture] = await predict(client, plan.workload.request(0))
    drawn = time.perf_counter() - server.started
    check_drawn(picture)
    return drawn
