"""When the device began and ended what it was asked to do."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import torch

_T = TypeVar("_T")


class Clock(Generic[_T]):
    """Times pieces of work on a device, which on a GPU go on after they have been asked for.

    Args:
        device: which.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
        self._running: deque[tuple[torch.cuda.Event, torch.cuda.Event, Callable[[float], _T]]] = deque()
        self._ended: list[_T] = []

    def start(self) -> Callable[[Callable[[float], _T]], None]:
        """Begin a piece of work. What is returned ends it; it takes what makes a report of the seconds."""
        if self._stream is None:
            started = time.perf_counter()
            return lambda report: self._ended.append(report(time.perf_counter() - started))
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record(self._stream)

        def stop(report: Callable[[float], _T]) -> None:
            end.record(self._stream)
            self._running.append((begin, end, report))

        return stop

    def reports(self) -> list[_T]:
        """The reports of what has ended since this was last called."""
        while self._running and self._running[0][1].query():  # type: ignore[no-untyped-call]
            begin, end, report = self._running.popleft()
            self._ended.append(report(begin.elapsed_time(end) / 1000))
        ended, self._ended = self._ended, []
        return ended

    @property
    def running(self) -> int:
        """How many pieces of work had not ended when `reports` was last called."""
        return len(self._running)
