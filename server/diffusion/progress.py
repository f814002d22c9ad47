"""How far a request is, as lines of its log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from tqdm import tqdm  # type: ignore[import-untyped]

OnProgress = Callable[[int, int], None]
"""Told how many denoising steps are done, and of how many, for all pictures of a request."""

_SECONDS_BETWEEN_LINES = 0.5


class Progress:
    """One progress bar for all pictures of a request, in place of the pipeline's own for each.

    It goes to standard error in tqdm's form, each state on a line that begins with the percentage, so that clients
    can read it from the end of the log: ` 50%|#####     | 10/20 [00:01<00:01, 9.9it/s]`. The last line is complete.

    Args:
        pictures: how many pictures the request makes.
        on_progress: told of each step.
        schedule: takes a function with its arguments and calls it where lines are to be written, in the order in which
            it got them. Pipelines report from the thread that owns the device, which has better to do.
    """

    def __init__(
        self,
        pictures: int,
        on_progress: OnProgress | None = None,
        schedule: Callable[..., Any] = lambda function, *arguments: function(*arguments),
    ) -> None:
        self._on_progress = on_progress
        self._schedule = schedule
        # Steps of each picture: done, and known of. All of them take the same in the end.
        self._done = [0] * pictures
        self._steps = [0] * pictures
        self._finished = 0
        self._started = time.monotonic()
        self._printed_at = -_SECONDS_BETWEEN_LINES
        self._printed = -1
        self._told = -1

    def attach(self, pipeline: DiffusionPipeline, picture: int) -> None:
        """Let a pipeline, which belongs to the picture of this number, report here."""

        def start_stage(iterable: Iterable[Any] | None = None, total: int | None = None) -> _Stage:
            steps = total if total is not None else _count(iterable)
            self._schedule(self._start_stage, picture, steps)
            return _Stage(lambda steps: self._schedule(self._advance, picture, steps), iterable, total)

        pipeline.progress_bar = start_stage
        for part in vars(pipeline).values():
            if isinstance(part, DiffusionPipeline):
                self.attach(part, picture)

    def finish_picture(self, picture: int) -> None:
        """Record that a picture is done."""
        self._finished += 1
        self._done[picture] = self._total_of_one
        self._report(now=self._finished == len(self._done))

    def skip_picture(self, picture: int) -> None:
        """Record that a picture is done that takes no steps: it counts as one."""
        self._steps[picture] = 1
        self.finish_picture(picture)

    def steps_of(self, picture: int) -> int:
        """How many steps a picture is known to take."""
        return self._steps[picture]

    @property
    def _total_of_one(self) -> int:
        return max(self._steps)

    def _start_stage(self, picture: int, steps: int) -> None:
        # A pipeline tells how long a stage is when it begins.
        self._steps[picture] += steps
        self._report()

    def _advance(self, picture: int, steps: float) -> None:
        self._done[picture] = min(self._done[picture] + int(steps), self._total_of_one)
        self._report()

    def _report(self, now: bool = False) -> None:
        done, total = sum(self._done), self._total_of_one * len(self._done)
        if not total:
            return
        if self._on_progress and done != self._told:
            self._told = done
            self._on_progress(done, total)
        elapsed = time.monotonic() - self._started
        due = now or elapsed - self._printed_at >= _SECONDS_BETWEEN_LINES
        if due and done != self._printed:
            self._printed_at, self._printed = elapsed, done
            print(tqdm.format_meter(done, total, elapsed, ncols=70), file=sys.stderr, flush=True)


def _count(iterable: Iterable[Any] | None) -> int:
    # Not by whether it is true, which tensors of timesteps are not.
    return 0 if iterable is None else len(list(iterable))


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
