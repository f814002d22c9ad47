"""Requests at random for a long time, some canceled, left or failing: is every picture right, does all end?"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import numpy
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.clients import WrongAnswer, connecting, pictures, pixels, predict
from bench.engine import serve_options
from bench.plan import Plan
from bench.report import say
from bench.serving import Server, running_darkroom

_KINDS = 12
_CALLERS = 8
_DECIBELS = 40.0
"""What a picture on a GPU has to reach against the same request alone."""
_LEVELS = 1
"""By how many of 255 levels a picture on a CPU may differ: as rounding to levels can, of what differs by 1e-5."""

_COMPILER = "torch/_inductor/compile_worker"
"""What tells the processes of torch's compiler."""

_NO_PICTURE = "data:image/png;base64,"


@dataclass
class _Soak:
    """One run.

    Attributes:
        plan: what is drawn.
        client: to the server.
        on_gpu: decides how pictures are compared.
        patience: seconds after which a request counts as stuck.
        random: every choice.
        alone: each request with the pictures that it made alone.
        counts: what became of requests.
        worst: the largest difference of a picture: levels on a CPU, lost decibels (as a negative number) on a GPU.
    """

    plan: Plan
    client: httpx.AsyncClient
    on_gpu: bool
    patience: float
    random: Random
    alone: list[tuple[dict[str, Any], list[bytes]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    worst: float = float("-inf")

    async def draw_alone(self) -> None:
        """Make every request once with nothing beside it."""
        for number in range(_KINDS):
            inputs = _inputs(self.plan, number, self.random)
            self.alone.append((inputs, await predict(self.client, inputs)))

    async def run(self, until: float) -> None:
        """Make requests at random until a moment of `time.perf_counter()`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLERS):
                group.create_task(self._call_until(until))

    async def draw_again(self) -> None:
        """Make every request alone once more: whatever happened left no trace."""
        for inputs, expected in self.alone:
            await self._draw(inputs, expected)

    async def _call_until(self, until: float) -> None:
        while time.perf_counter() < until:
            inputs, expected = self.random.choice(self.alone)
            act = self.random.choices((self._draw, self._cancel, self._leave, self._fail), weights=(70, 14, 8, 8))[0]
            try:
                async with asyncio.timeout(self.patience):
                    await act(inputs, expected)
            except TimeoutError:
                self.counts["stuck"] += 1
                say(f"soak: stuck for {self.patience:.0f} s in {act.__name__}: {inputs}")
            except WrongAnswer as error:
                self.counts["wrong"] += 1
                say(f"soak: {error}: {inputs}")

    async def _draw(self, inputs: dict[str, Any], expected: Sequence[bytes]) -> None:
        self._compare(await predict(self.client, inputs), expected)

    async def _cancel(self, inputs: dict[str, Any], expected: Sequence[bytes]) -> None:
        body = {"input": {**inputs, "output_format": "png"}}
        answer = await self.client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
        path = f"/predictions/{answer.json()['id']}"
        await asyncio.sleep(self._moment())
        await self.client.post(f"{path}/cancel")
        state = await self._end_of(path)
        if state["status"] == "succeeded":
            self._compare(pictures(state), expected)
        elif state["status"] == "canceled":
            self.counts["canceled"] += 1
        else:
            raise WrongAnswer(f"canceled, but it {state['status']}: {state.get('error')}")

    async def _end_of(self, path: str) -> dict[str, Any]:
        while True:
            state: dict[str, Any] = (await self.client.get(path)).json()
            if state["status"] not in ("starting", "processing"):
                return state
            await asyncio.sleep(0.02)

    async def _leave(self, inputs: dict[str, Any], expected: Sequence[bytes]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._moment()):
                self._compare(await predict(self.client, inputs), expected)
                return
        self.counts["left"] += 1

    async def _fail(self, inputs: dict[str, Any], _: Sequence[bytes]) -> None:
        # Valid by the schema; the engine finds out that there is nothing to mask.
        try:
            await predict(self.client, inputs | {"mask": _NO_PICTURE})
        except WrongAnswer:
            self.counts["failed"] += 1
        else:
            raise WrongAnswer("a request that no model can do succeeded")

    def _moment(self) -> float:
        """Somewhere in the life of a request."""
        return self.random.uniform(0, self.patience / 20)

    def _compare(self, drawn: Sequence[bytes], expected: Sequence[bytes]) -> None:
        for picture, reference in zip(drawn, expected, strict=True):
            self.counts["compared"] += 1
            distance = decibels_lost(picture, reference) if self.on_gpu else levels_apart(picture, reference)
            self.worst = max(self.worst, distance)
            if distance > (-_DECIBELS if self.on_gpu else _LEVELS):
                raise WrongAnswer(f"a picture differs from the same alone ({distance:g})")


def measure_soak(plan: Plan, minutes: float, on_gpu: bool) -> None:
    """Serve requests at random for so many minutes."""
    with running_darkroom(plan.folder, serve_options(plan)) as server:
        server.wait_until_ready()
        plan.add("soak", asyncio.run(_soak(plan, server, minutes, on_gpu)))


async def _soak(plan: Plan, server: Server, minutes: float, on_gpu: bool) -> dict[str, Any]:
    async with connecting(server.url) as client:
        started = time.perf_counter()
        soak = _Soak(plan, client, on_gpu, patience=60.0, random=Random(0))
        await soak.draw_alone()
        # Whatever waits for all the others, each of the slowest kind, still is not stuck.
        soak.patience = max(30.0, 3 * _CALLERS * (time.perf_counter() - started) / _KINDS)
        began = time.perf_counter()
        until = min(began + 60 * minutes, plan.deadline)
        memory: list[tuple[float, float]] = []
        gpu_memory: list[tuple[float, float]] = []
        watching = asyncio.create_task(_watch(server, client, memory, gpu_memory))
        await soak.run(until)
        ended = time.perf_counter()
        watching.cancel()
        await soak.draw_again()
    counts = {name: soak.counts[name] for name in ("compared", "canceled", "left", "failed", "wrong", "stuck")}
    figures = {
        "minutes": (ended - began) / 60,
        **counts,
        "worst": soak.worst if math.isfinite(soak.worst) else None,
        **growth(memory, "memory"),
    }
    return figures | (growth(gpu_memory, "gpu_memory") if gpu_memory else {})


def _inputs(plan: Plan, number: int, random: Random) -> dict[str, Any]:
    inputs = plan.workload.request(number, mixed=True)
    # No smaller than predict.py takes.
    side = max(64, plan.workload.size * 2 // 3 // 64 * 64)
    return inputs | {
        "width": random.choice((plan.workload.size, side)),
        "height": random.choice((plan.workload.size, side)),
        "num_outputs": random.choice((1, 1, 1, 2)),
        "guidance_scale": random.choice((plan.workload.guidance, plan.workload.guidance + 2, 1.0)),
    }


async def _watch(
    server: Server,
    client: httpx.AsyncClient,
    memory: list[tuple[float, float]],
    gpu_memory: list[tuple[float, float]],
) -> None:
    """Note each second how much memory the server's processes hold and, by its own metrics, how much of a GPU; in GiB.

    What the GPU's driver tells would be of all processes on it. The processes of torch's compiler come when there is
    something to compile and go when they have been idle for a minute: they do not count.
    """
    root = psutil.Process(server.process.pid)
    while True:
        held = 0
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held += 0 if any(_COMPILER in part for part in process.cmdline()) else process.memory_info().rss
        memory.append((time.perf_counter(), held / 2**30))
        if reserved := reserved_bytes((await client.get("/metrics")).text):
            gpu_memory.append((time.perf_counter(), reserved / 2**30))
        await asyncio.sleep(1)


def reserved_bytes(metrics: str) -> float:
    """How much of all its GPUs' memory a server keeps for its models, by the text of its `/metrics`; 0 without any."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        if family.name == "darkroom_gpu_memory_reserved_bytes"
        for sample in family.samples
    )


def growth(readings: Sequence[tuple[float, float]], name: str) -> dict[str, Any]:
    """The level to which memory falls back at the end, and how much that is above the one soon after the beginning.

    It is the tenth percentile of a quarter of the readings: what pictures take for a while, and allocators keep for a
    while longer, goes up and down above it, and a leak lifts it. The first minute, or of a short run the first fifth,
    does not count: caches fill.
    """
    begin, end = readings[0][0], readings[-1][0]
    settled = [value for at, value in readings if at >= begin + min(60.0, (end - begin) / 5)]
    quarter = max(1, len(settled) // 4)
    early, late = (float(numpy.percentile(part, 10)) for part in (settled[:quarter], settled[-quarter:]))
    return {f"{name}_gib": late, f"{name}_growth": late / early - 1, f"{name}_by_minute": _by_minute(readings)}


def _by_minute(readings: Sequence[tuple[float, float]]) -> list[float]:
    """The least of each minute: where memory rises, whether it does so once or on and on."""
    minutes: dict[float, float] = {}
    for at, value in readings:
        minute = (at - readings[0][0]) // 60
        minutes[minute] = min(value, minutes.get(minute, value))
    return [round(value, 3) for value in minutes.values()]


def levels_apart(picture: bytes, reference: bytes) -> float:
    return float(numpy.abs(pixels(picture).astype(int) - pixels(reference).astype(int)).max())


def decibels_lost(picture: bytes, reference: bytes) -> float:
    """The peak signal-to-noise ratio, negative so that less is better."""
    error = numpy.square(pixels(picture).astype(float) - pixels(reference).astype(float)).mean()
    return float(10 * numpy.log10(error / 255**2)) if error else float("-inf")
