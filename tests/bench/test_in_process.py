from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.closed_loop import OutOfTime
from bench.in_process import measure_joining
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


def test_nothing_joins_when_the_time_is_up(plan: Plan) -> None:
    with pytest.raises(OutOfTime):
        measure_joining(replace(plan, deadline=0.0), running=2)
