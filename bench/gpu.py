"""How busy the GPU is, as nvidia-smi sees it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean

_QUERY = "timestamp,utilization.gpu,memory.used,power.draw,clocks.sm"
_INTERVAL = 0.2


@dataclass(frozen=True)
class Sample:
    """One reading.

    Attributes:
        at: the moment of `time.perf_counter()`.
        busy: the share of the last moments (nvidia-smi's, up to a second) in which a kernel ran, 0 to 1.
        memory: GiB in use, by whatever process.
        watts: power draw.
        clock: of the multiprocessors, in MHz.
    """

    at: float
    busy: float
    memory: float
    watts: float
    clock: float


@dataclass
class GpuUse:
    """The readings so far; none where there is no NVIDIA GPU."""

    samples: list[Sample] = field(default_factory=list)

    def figures(self, begin: float, end: float) -> dict[str, float]:
        """Means between two moments of `time.perf_counter()`, and the most memory; empty without readings."""
        within = [sample for sample in self.samples if begin <= sample.at <= end]
        if not within:
            return {}
        return {
            "gpu_busy": fmean(sample.busy for sample in within),
            "gpu_memory_gib": max(sample.memory for sample in within),
            "gpu_watts": fmean(sample.watts for sample in within),
            "gpu_mhz": fmean(sample.clock for sample in within),
        }


def first_gpu() -> str:
    """The GPU that one process works on, as nvidia-smi wants it named."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0] or "0"


@contextmanager
def sampling_gpu() -> Iterator[GpuUse]:
    """Read the GPU five times a second, in a thread, while the context lasts."""
    use = GpuUse()
    program = shutil.which("nvidia-smi")
    if program is None:
        yield use
        return
    command = [
        program,
        f"--id={first_gpu()}",
        f"--query-gpu={_QUERY}",
        "--format=csv,noheader,nounits",
        f"--loop-ms={_INTERVAL * 1e3:.0f}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        reading = threading.Thread(target=_read, args=(process, use.samples), daemon=True)
        reading.start()
        try:
            yield use
        finally:
            process.terminate()
            reading.join()


def _read(process: subprocess.Popen[str], samples: list[Sample]) -> None:
    # What nvidia-smi notes is the time of day; when a line arrives here says less, for it comes through a buffer.
    since = time.time() - time.perf_counter()
    for line in process.stdout or ():
        sample = parse(line, since)
        if sample is not None:
            samples.append(sample)


def parse(line: str, since: float) -> Sample | None:
    """One line of nvidia-smi's table; `None` where it is no reading: the program may be there without a GPU.

    Args:
        line: as it prints it.
        since: the time of day, as `time.time()` tells it, at which `time.perf_counter()` was 0.
    """
    moment, _, rest = line.partition(",")
    try:
        at = datetime.strptime(moment, "%Y/%m/%d %H:%M:%S.%f").timestamp() - since
        busy, memory, watts, clock = map(float, rest.split(","))
    except ValueError:
        return None
    return Sample(at, busy / 100, memory / 1024, watts, clock)
