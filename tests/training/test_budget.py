from __future__ import annotations

import math

import pytest

from training.budget import Budget, learning_rate


def test_steps_count_where_they_are_given() -> None:
    budget = Budget(seconds=1e-9, steps=10)
    budget.begin()
    assert [budget.progress(step) for step in (0, 5, 10, 20)] == [0, 0.5, 1, 1]
    assert not budget.interrupted()


def test_seconds_count_with_those_of_earlier_runs() -> None:
    budget = Budget(seconds=1e6)
    budget.begin(spent=0.75e6)
    assert budget.elapsed >= 0.75e6
    assert budget.progress(0) == pytest.approx(0.75, abs=0.01)
    budget.begin(spent=2e6)
    assert budget.progress(0) == 1


def test_a_run_is_interrupted_by_its_own_time_alone() -> None:
    for stop_after, expected in ((0.0, True), (-3.0, True), (1e6, False), (math.inf, False)):
        budget = Budget(seconds=1e6, stop_after=stop_after)
        budget.begin(spent=1e6)
        assert budget.interrupted() is expected


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    assert [learning_rate(step, 0, warm_up=4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert learning_rate(100, 0.5, warm_up=4, floor=0.2) == pytest.approx(0.6)
    assert learning_rate(100, 1, warm_up=4, floor=0.2) == pytest.approx(0.2)
    falling = [learning_rate(100, part / 20, warm_up=4) for part in range(21)]
    assert falling == sorted(falling, reverse=True)
