"""How long a stage trains, and how fast it learns along the way."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Training for `steps`, or for `seconds` where there are no steps given; `stop_after` ends this run earlier.

    A run that resumes an earlier one gives the seconds `spent` before. Steps repeat exactly; seconds make the most of
    rented time, and a faster card trains for more steps.
    """

    seconds: float
    steps: int | None = None
    stop_after: float = math.inf
    spent: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def begin(self, spent: float = 0.0) -> None:
        """Start the clock of this run (loading and compiling come before)."""
        self.spent, self._started = spent, time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds trained, in this run and before."""
        return self.spent + time.monotonic() - self._started

    def progress(self, step: int) -> float:
        """How far training has come, 0 to 1, before this step (from 0)."""
        return min(1.0, step / self.steps if self.steps is not None else self.elapsed / self.seconds)

    def interrupted(self) -> bool:
        """Whether this run's own time is up."""
        return time.monotonic() - self._started >= self.stop_after


def learning_rate(step: int, progress: float, warm_up: int, floor: float = 0.01) -> float:
    """A part, 0 to 1, of the full rate: rising for `warm_up` steps, then along a cosine down to `floor`."""
    return min(1.0, (step + 1) / warm_up) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
