from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import in_process
from bench.closed_loop import OutOfTime
from bench.in_process import measure_joining
from bench.passes import Pass
from bench.plan import Plan
from bench.report import Report, read
from bench.workloads import WORKLOADS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    workload = WORKLOADS["emoji-fast"].resized(64, 2)
    assert workload.folder
    report = Report(tmp_path / "results.json")
    return Plan(report, workload, workload.folder, "off", tmp_path, seconds=0.1, rounds=1, deadline=float("inf"))


def test_how_soon_a_request_joins(plan: Plan) -> None:
    measure_joining(plan, running=2)
    [run] = read(plan.report.path)
    assert (run["section"], run["running"], run["arrivals"]) == ("join", 2, 20)
    assert run["step"] > 0
    assert 0 < run["p50"] <= run["p95"] <= run["longest"] < 30


class _Company:
    """Stands for an engine with two requests that never end: who arrives is in a pass only half a second later."""

    def __init__(self, plan: Plan) -> None:
        self.passes: list[Pass] = []

    async def draw(self, inputs: dict[str, Any]) -> None:
        self._make("unet", 2)
        if inputs["num_inference_steps"] == 500:
            await asyncio.Event().wait()
        self._make("text_encoder", 3)
        self._make("unet", 3, later=0.5)

    def close(self) -> None:
        pass

    def _make(self, component: str, requests: int, later: float = 0.0) -> None:
        moment = time.perf_counter() + later
        self.passes.append(Pass(component, "eager", requests, requests, requests, moment, seconds=0.0))


def test_only_denoising_together_with_all_others_is_joining(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "MeasuredEngine", _Company)
    measure_joining(plan, running=2)
    [run] = read(plan.report.path)
    assert run["longest"] >= 0.5


def test_nothing_joins_when_the_time_is_up(plan: Plan) -> None:
    with pytest.raises(OutOfTime):
        measure_joining(replace(plan, deadline=0.0), running=2)
