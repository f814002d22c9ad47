"""How much of the device's memory a forward pass needs, learnt from those that were made."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch

from server.diffusion.trimming import Trimmer

_SHARE = 0.9
"""How much of what is free a pass may be expected to need."""

_SECONDS_BETWEEN_LOOKS = 1.0


_SHORTAGES = (
    "can't allocate memory",
    # Of what CUDA allocates by itself, such as the memory of a kernel.
    "CUDA error: out of memory",
)


def is_shortage(error: BaseException) -> bool:
    """Whether this is the device's, or the machine's, lack of memory."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _SHORTAGES)
    )


def free_bytes(device: torch.device) -> int:
    """How much memory of a GPU this process can still have, counting what torch keeps and does not use."""
    used = torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - used
    # Unlike the others, this one does not take a device without an index.
    share = torch.cuda.get_per_process_memory_fraction(
        torch.cuda.current_device() if device.index is None else device.index
    )
    return min(free, int(share * torch.cuda.get_device_properties(device).total_memory) - used)


class Memory:
    """Keeps passes as small as memory allows. Passes of one kind differ in nothing but how many rows they have.

    Args:
        device: where they are made. On a CPU it is only learnt from what has failed, and what they free is given back.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._bytes_a_row: dict[Hashable, float] = {}
        self._most: dict[Hashable, int] = {}
        self._free = 0
        self._looked_at = -math.inf
        self._trimmer = Trimmer()

    def limit(self, kind: Hashable, least: int, most: int) -> int:
        """How many rows a pass may have now, between `least` and `most`."""
        rows = self._most.get(kind, most)
        if a_row := self._bytes_a_row.get(kind):
            rows = min(rows, int(_SHARE * self._look() / a_row))
        return max(least, min(rows, most))

    def _look(self) -> int:
        # The driver takes half a millisecond to tell, much of what a pass of a small model takes.
        now = time.monotonic()
        if now - self._looked_at > _SECONDS_BETWEEN_LOOKS:
            self._free = free_bytes(self._device)
            self._looked_at = now
        return self._free

    @contextmanager
    def measured(self, kind: Hashable, rows: int) -> Iterator[None]:
        """Learn what the pass within needs; on a CPU, give back what it has freed."""
        if self._device.type != "cuda":
            yield
            self.tidy()
            return
        before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        yield
        self._bytes_a_row[kind] = max(1.0, (torch.cuda.max_memory_allocated(self._device) - before) / rows)

    def tidy(self) -> float | None:
        """On a CPU, give back what passes have freed; in how many seconds to ask again, where it is too early."""
        return self._trimmer.trim() if self._device.type != "cuda" else None

    def shrink(self, kind: Hashable, rows: int) -> None:
        """Learn that a pass of so many rows was too large."""
        self._most[kind] = max(1, rows // 2)
