"""How much of the device's memory a forward pass needs, learnt from those that were made."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch

_SHARE = 0.9
"""How much of what is free a pass may be expected to need."""


def is_shortage(error: BaseException) -> bool:
    """Whether this is the device's, or the machine's, lack of memory."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


class Memory:
    """Keeps passes as small as memory allows. Passes of one kind differ in nothing but how many rows they have.

    Args:
        device: where they are made. On a CPU it is only learnt from what has failed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._bytes_a_row: dict[Hashable, float] = {}
        self._most: dict[Hashable, int] = {}

    def limit(self, kind: Hashable, least: int, most: int) -> int:
        """How many rows a pass may have now, between `least` and `most`."""
        rows = self._most.get(kind, most)
        if a_row := self._bytes_a_row.get(kind):
            reserved = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
            free = torch.cuda.mem_get_info(self._device)[0] + reserved
            rows = min(rows, int(_SHARE * free / a_row))
        return max(least, min(rows, most))

    @contextmanager
    def measured(self, kind: Hashable, rows: int) -> Iterator[None]:
        """Learn what the pass within needs."""
        if self._device.type != "cuda":
            yield
            return
        before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        yield
        self._bytes_a_row[kind] = max(1.0, (torch.cuda.max_memory_allocated(self._device) - before) / rows)

    def shrink(self, kind: Hashable, rows: int) -> None:
        """Learn that a pass of so many rows was too large."""
        self._most[kind] = max(1, rows // 2)
