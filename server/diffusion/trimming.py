"""Memory that passes on a CPU have freed, given back to the system."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping


class Trimmer:
    """Has the C library give back what it keeps, now and then.

    glibc takes memory for tensors of any size from one heap, and gives back only what is free at its end. What stays in
    use is scattered over it, so that it grows for hours while little of it is used. Other C libraries, and allocators
    that are loaded in its place, see to it themselves.

    Args:
        seconds: how long it keeps it at least: what is used again soon costs the system nothing.
        environ: where `MALLOC_TRIM_THRESHOLD_` is, the operator has decided what is to be kept.
    """

    def __init__(self, seconds: float = 5.0, environ: Mapping[str, str] = os.environ) -> None:
        self._seconds = seconds
        self._trimmed_at = time.monotonic()
        self._malloc_trim: Callable[[int], int] | None = None
        if "MALLOC_TRIM_THRESHOLD_" not in environ:
            self._malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def trim(self) -> float | None:
        """Give it back, if the last time was long enough ago; else, in how many seconds it will have been."""
        if self._malloc_trim is None:
            return None
        early = self._trimmed_at + self._seconds - time.monotonic()
        if early > 0:
            return early
        self._malloc_trim(0)
        self._trimmed_at = time.monotonic()
        return None
