"""Times on a GPU, and the record of what `bench.kernels` measures."""

from __future__ import annotations

import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

cuda: Any = torch.cuda


@dataclass
class Run:
    """One call of `bench.kernels`.

    Attributes:
        out: the JSON file for the results.
        until: the moment of `time.monotonic()` from which on no measurement starts.
        dry: tiny networks on the CPU, to test the script.
        results: section -> name -> figures.
    """

    out: Path
    until: float
    dry: bool
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str:
        return "cpu" if self.dry else "cuda"

    @property
    def late(self) -> bool:
        return time.monotonic() > self.until

    def record(self, section: str, what: str, **figures: Any) -> None:
        """Print figures at once, since the rest may not come to an end, and keep them."""
        self.results.setdefault(section, {})[what] = figures
        shown = (
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in figures.items()
        )
        print(f"[{section}] {what}:", *shown, flush=True)

    def save(self) -> None:
        self.out.write_text(json.dumps(self.results, indent=1))

    @contextmanager
    def attempt(self, section: str, what: str) -> Iterator[None]:
        """Record an error instead of raising it: time on the GPU is short, and the other figures are wanted."""
        try:
            yield
        except Exception as error:
            if self.dry:
                raise
            traceback.print_exc(limit=-4)
            self.record(section, what, error=f"{type(error).__name__}: {str(error)[:300]}")
            cuda.empty_cache()
        self.save()


def graph_time(run: Run, work: Callable[[], object], calls: int = 1) -> float:
    """Milliseconds of one call of `work`: the median of several replays of a CUDA graph of `calls` calls."""
    if run.dry:
        return eager_time(run, work)
    graph = capture(lambda: [work() for _ in range(calls)][-1])
    for _ in range(3):
        graph.replay()
    times: list[float] = []
    until = time.monotonic() + 1.0
    while len(times) < 5 or (len(times) < 30 and time.monotonic() < until):
        start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / calls)
    return statistics.median(times)


def capture(work: Callable[[], object]) -> Any:
    """A CUDA graph of `work`, after two calls that let libraries choose their kernels."""
    stream = cuda.Stream()
    stream.wait_stream(cuda.current_stream())
    with cuda.stream(stream):
        for _ in range(2):
            work()
    cuda.current_stream().wait_stream(stream)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        work()
    return graph


def eager_time(run: Run, work: Callable[[], object]) -> float:
    """Milliseconds of one call of `work` as it is: the median of five."""
    times: list[float] = []
    for _ in range(1 if run.dry else 5):
        synchronize(run)
        start = time.perf_counter()
        work()
        synchronize(run)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def synchronize(run: Run) -> None:
    if not run.dry:
        cuda.synchronize()


def profile(run: Run, section: str, work: Callable[[], object]) -> None:
    """Record the kernels of one call of `work` that take longest."""
    profiler: Any = torch.profiler
    work()
    cuda.synchronize()
    activities = [profiler.ProfilerActivity.CUDA, profiler.ProfilerActivity.CPU]
    with profiler.profile(activities=activities) as recorded:
        for _ in range(3):
            work()
        cuda.synchronize()
    events = [event for event in recorded.key_averages() if event.device_type.name == "CUDA"]
    events.sort(key=lambda event: -event.self_device_time_total)
    run.record(section, "all", ms=sum(event.self_device_time_total for event in events) / 3e3)
    for rank, event in enumerate(events[:25], 1):
        ms = event.self_device_time_total / 3e3
        run.record(section, f"{rank}", ms=ms, calls=event.count // 3, kernel=event.key[:120])


def relative(result: torch.Tensor, exact: torch.Tensor) -> float:
    """The norm of the difference over that of what is exact."""
    return float((result.double() - exact.double()).norm() / exact.double().norm())
