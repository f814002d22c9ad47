from __future__ import annotations

import asyncio
import time
from itertools import count

import pytest

from bench.closed_loop import Call, Load, OutOfTime, closed_loop


def test_requests_that_end_together_are_counted_right() -> None:
    # Four callers in step, a second each, the load observed from the end of the first round to that of the third.
    calls = [Call(float(turn), turn + 1.0, steps=10) for turn in range(3) for _ in range(4)]
    load = Load(4, calls, opened=1.0, closed=3.0)
    assert load.images_per_second() == pytest.approx(4)
    assert load.steps_per_second() == pytest.approx(40)
    assert load.figures()["answers"] == 8
    assert load.percentile(50) == pytest.approx(1)


def test_requests_that_reach_beyond_the_ends_count_by_their_share() -> None:
    calls = [Call(0.0, 2.0, steps=5), Call(2.0, 4.0, steps=5), Call(4.0, 6.0, steps=5)]
    load = Load(1, calls, opened=1.0, closed=5.0)
    assert load.images_per_second() == pytest.approx(0.5)
    assert load.latencies == [2.0, 2.0]


def test_percentiles_interpolate() -> None:
    calls = [Call(0.0, latency, steps=1) for latency in (1.0, 2.0, 3.0, 4.0, 5.0)]
    figures = Load(5, calls, opened=0.0, closed=9.0).figures()
    assert [figures["p50"], figures["p95"], figures["p99"]] == pytest.approx([3, 4.8, 4.96])


async def test_a_loop_keeps_its_callers_busy_until_all_have_enough() -> None:
    running, most, numbers = 0, 0, []

    async def ask(number: int) -> int:
        nonlocal running, most
        numbers.append(number)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01 + 0.002 * (number % 3))
        running -= 1
        return 7

    load = await closed_loop(ask, 3, seconds=0.1, rounds=2, deadline=float("inf"))
    assert most == load.callers == 3
    assert numbers == list(range(len(load.calls)))
    assert load.seconds >= 0.1
    assert len(load.latencies) >= 6
    assert load.steps_per_second() == pytest.approx(7 * load.images_per_second())
    assert 0.009 < load.percentile(50) < 0.1


async def test_rounds_are_waited_for() -> None:
    async def ask(_: int) -> int:
        await asyncio.sleep(0.02)
        return 1

    load = await closed_loop(ask, 2, seconds=0.001, rounds=5, deadline=float("inf"))
    assert len(load.latencies) >= 10


async def test_the_deadline_ends_a_load_early() -> None:
    async def ask(_: int) -> int:
        await asyncio.sleep(0.02)
        return 1

    started = time.perf_counter()
    load = await closed_loop(ask, 2, seconds=60, rounds=100, deadline=started + 0.2)
    assert time.perf_counter() - started < 5
    assert load.latencies


async def test_a_load_that_never_was_steady_is_none() -> None:
    asked = count()

    async def ask(_: int) -> int:
        next(asked)
        await asyncio.sleep(0.05)
        return 1

    with pytest.raises(OutOfTime, match="no steady load of 2"):
        await closed_loop(ask, 2, seconds=1, rounds=1, deadline=time.perf_counter() + 0.01)
    with pytest.raises(OutOfTime, match="no time left"):
        await closed_loop(ask, 2, seconds=1, rounds=1, deadline=time.perf_counter())
    assert next(asked) == 2


async def test_what_a_request_raises_ends_the_loop() -> None:
    async def ask(number: int) -> int:
        if number == 3:
            raise ValueError("no picture")
        await asyncio.sleep(0.001)
        return 1

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="no picture")):
        await closed_loop(ask, 2, seconds=60, rounds=1, deadline=float("inf"))
