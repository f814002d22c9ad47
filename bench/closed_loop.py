"""A closed loop: so many callers, each asking again as soon as it is answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy

Ask = Callable[[int], Awaitable[int]]
"""Makes the request of that number, from 0, and returns the denoising steps that it took."""


class OutOfTime(Exception):
    """The time was up before every caller had its first answer."""


@dataclass(frozen=True)
class Call:
    """One answered request.

    Attributes:
        started, ended: moments of `time.perf_counter()`.
        steps: the denoising steps that it took.
    """

    started: float
    ended: float
    steps: int


@dataclass(frozen=True)
class Load:
    """What a closed loop did.

    Attributes:
        callers: how many.
        calls: every one that was answered.
        opened: when each caller had its first answer: from then on the load is steady.
        closed: when the first caller stopped asking.
    """

    callers: int
    calls: list[Call]
    opened: float
    closed: float

    @property
    def seconds(self) -> float:
        """How long the load was steady."""
        return self.closed - self.opened

    @property
    def latencies(self) -> list[float]:
        """Seconds of each request that was answered under the steady load."""
        return [call.ended - call.started for call in self.calls if self.opened < call.ended <= self.closed]

    def images_per_second(self) -> float:
        """Pictures a second under the steady load.

        Of requests that reach beyond its ends, the share of their time within counts. Counting whole pictures would
        err by as many as there are callers, because requests that are batched end together.
        """
        return sum(map(self._share_within, self.calls)) / self.seconds

    def steps_per_second(self) -> float:
        """Denoising steps of single pictures a second, counted in the same way: what mixed step counts compare by."""
        return sum(self._share_within(call) * call.steps for call in self.calls) / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency that so many in a hundred requests do not exceed, interpolated."""
        return float(numpy.percentile(self.latencies, percent))

    def figures(self) -> dict[str, float]:
        """What is reported."""
        return {
            "callers": self.callers,
            "images_per_second": self.images_per_second(),
            "steps_per_second": self.steps_per_second(),
            "p50": self.percentile(50),
            "p95": self.percentile(95),
            "p99": self.percentile(99),
            "answers": len(self.latencies),
            "seconds": self.seconds,
        }

    def _share_within(self, call: Call) -> float:
        within = min(call.ended, self.closed) - max(call.started, self.opened)
        return max(0.0, within) / (call.ended - call.started)


async def closed_loop(ask: Ask, callers: int, *, seconds: float, rounds: int, deadline: float) -> Load:
    """Keep a load up until it was steady for so long and so many requests; then let the last ones end.

    Args:
        ask: makes a request; what it raises ends the loop.
        callers: how many ask at once.
        seconds: how long at least.
        rounds: how many answers for each caller, on average, at least.
        deadline: the moment of `time.perf_counter()` after which nothing more is asked.

    Raises:
        OutOfTime: the load never became steady before the deadline.
    """
    if time.perf_counter() >= deadline:
        raise OutOfTime(f"no time left for a load of {callers}")
    numbers = itertools.count()
    calls: list[Call] = []
    opened: float | None = None
    closed: float | None = None
    answered = 0

    async def call() -> float:
        number, started = next(numbers), time.perf_counter()
        steps = await ask(number)
        ended = time.perf_counter()
        calls.append(Call(started, ended, steps))
        return ended

    async def caller() -> None:
        nonlocal opened, closed, answered
        ended = await call()
        answered += 1
        if answered == callers:
            opened = ended
        while closed is None:
            if opened is not None:
                within = sum(call.ended > opened for call in calls)
                if ended - opened >= seconds and within >= rounds * callers:
                    closed = ended
                    return
            if ended >= deadline:
                closed = ended
                return
            ended = await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    if opened is None or closed is None or closed <= opened:
        raise OutOfTime(f"no steady load of {callers} before the time was up")
    return Load(callers, calls, opened, closed)
