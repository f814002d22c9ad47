"""How soon a server is ready after its start, with its compiled code kept from an earlier one and without."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.clients import check_drawn, connecting, predict
from bench.engine import serve_options
from bench.plan import Plan
from bench.report import say
from bench.serving import Server, running_darkroom


def measure_readiness(plan: Plan) -> None:
    """Start servers one after another and report, in seconds since each process was started, when it was ready.

    Nothing kept and waiting for the compiler; what that one kept; nothing kept, but compiling while it already serves.
    """
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as name:
        caches = Path(name)
        for start, mode, cache in (
            ("cold", "wait", "first"),
            ("warm", "wait", "first"),
            ("background", "background", "second"),
        ):
            if time.perf_counter() > plan.deadline:
                say(f"ready: no time left for the {start} start")
                return
            options = serve_options(replace(plan, compiling=mode, cache=caches / cache))
            with running_darkroom(plan.folder, options) as server:
                ready = server.wait_until_ready()
                picture = asyncio.run(_first_picture(plan, server))
            size = sum(path.stat().st_size for path in (caches / cache).rglob("*") if path.is_file())
            figures = {"start": start, "ready": ready, "first_picture": picture, "cache_mb": size / 1e6}
            plan.add("ready", figures)


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
