"""How far a request is, as lines of its log."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from tqdm import tqdm  # type: ignore[import-untyped]

_SECONDS_BETWEEN_LINES = 0.5


class Progress:
    """One progress bar for all pictures of a request, in place of the pipeline's own for each.

    It goes to standard error in tqdm's form, each state on a line that begins with the percentage, so that clients
    can read it from the end of the log: ` 50%|#####     | 10/20 [00:01<00:01, 9.9it/s]`. The last line is complete.

    Args:
        pictures: how many pictures the request makes.
    """

    def __init__(self, pictures: int) -> None:
        self._pictures = pictures
        self._finished = 0
        self._steps = 0
        self._step = 0
        self._started = time.monotonic()
        self._printed_at = -_SECONDS_BETWEEN_LINES
        self._printed = -1

    def attach(self, pipeline: DiffusionPipeline) -> None:
        """Let a pipeline, which belongs to one picture, report here."""
        pipeline.progress_bar = self._start_stage
        for part in vars(pipeline).values():
            if isinstance(part, DiffusionPipeline):
                self.attach(part)

    def finish_picture(self) -> None:
        """Record that a picture is done."""
        self._finished += 1
        self._step = 0
        self._print(now=self._finished == self._pictures)

    def _start_stage(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> "_Stage":
        if self._finished == 0:
            # A pipeline tells how long a stage is when it begins, and all pictures of a request take the same steps.
            self._steps += total if total is not None else len(list(iterable or ()))
        self._print()
        return _Stage(self._advance, iterable, total)

    def _advance(self, steps: float) -> None:
        self._step = min(self._step + int(steps), self._steps)
        self._print()

    def _print(self, now: bool = False) -> None:
        elapsed = time.monotonic() - self._started
        done = self._steps * self._finished + self._step
        due = now or elapsed - self._printed_at >= _SECONDS_BETWEEN_LINES
        if self._steps and due and done != self._printed:
            self._printed_at, self._printed = elapsed, done
            total = self._steps * self._pictures
            print(tqdm.format_meter(done, total, elapsed, ncols=70), file=sys.stderr, flush=True)


class _Stage(tqdm):  # type: ignore[misc]
    """What a pipeline takes for its own progress bar: silent, but for telling how many steps are done."""

    def __init__(self, advance: Callable[[float], None], iterable: Iterable[Any] | None, total: int | None) -> None:
        super().__init__(iterable, total=total, disable=True)
        self._advance = advance

    def __iter__(self) -> Iterator[Any]:
        for item in self.iterable:
            yield item
            self._advance(1)

    def update(self, n: float | None = 1) -> bool | None:
        self._advance(n or 0)
        return None
