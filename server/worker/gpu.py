"""The GPUs that this process works on, as their driver and torch tell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_FAMILIES = {
    "used": ("darkroom_gpu_memory_used_bytes", "Memory of the GPU that is in use, by any process."),
    "total": ("darkroom_gpu_memory_total_bytes", "Memory of the GPU."),
    "reserved": (
        "darkroom_gpu_memory_reserved_bytes",
        "Memory of the GPU that torch keeps for this model, used or not.",
    ),
    "allocated": ("darkroom_gpu_memory_allocated_bytes", "Memory of the GPU that the tensors of this model take."),
    "utilization": (
        "darkroom_gpu_utilization_ratio",
        "Share of the time, from 0 to 1, in which the GPU was at work, over the last sampling period of its driver.",
    ),
}


class GpuCollector(Collector):
    """Tells of each GPU once torch uses it. Where there is none, or its driver tells nothing, nothing is told.

    It asks the driver and looks at torch's books, neither of which waits for what the GPU does.
    """

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    def describe(self) -> Iterator[Metric]:
        """The families, without samples."""
        return iter(_new_families().values())

    def collect(self) -> Iterator[Metric]:
        """The families, with a sample for each GPU."""
        families = _new_families()
        if torch := _torch_with_gpus():
            for index in range(torch.cuda.device_count()):
                for name, value in self._values(torch, index):
                    families[name].add_metric([str(index)], value)
        return (family for family in families.values() if family.samples)

    def _values(self, torch: Any, index: int) -> Iterator[tuple[str, float]]:
        yield "reserved", torch.cuda.memory_reserved(index)
        yield "allocated", torch.cuda.memory_allocated(index)
        try:
            import pynvml
        except ImportError:
            return
        try:
            handle = self._handle(pynvml, f"GPU-{torch.cuda.get_device_properties(index).uuid}")
        except pynvml.NVMLError:
            return
        told: tuple[tuple[str, Callable[[], float]], ...] = (
            ("used", lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).used),
            ("total", lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            ("utilization", lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
        )
        for name, ask in told:
            try:
                yield name, ask()
            except pynvml.NVMLError:
                # Of parts of a GPU (MIG) its driver does not tell everything.
                continue

    def _handle(self, pynvml: Any, uuid: str) -> Any:
        if not self._handles:
            pynvml.nvmlInit()
        if uuid not in self._handles:
            self._handles[uuid] = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return self._handles[uuid]


def _torch_with_gpus() -> Any:
    """torch, if it has taken hold of the GPUs; to ask anything else of it would make it do so."""
    # Not imported here, for a model may do without it; and it may be half imported just now.
    torch: Any = sys.modules.get("torch")
    is_initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)
    return torch if is_initialized and is_initialized() else None


def _new_families() -> dict[str, GaugeMetricFamily]:
    return {key: GaugeMetricFamily(name, help_, labels=["gpu"]) for key, (name, help_) in _FAMILIES.items()}
