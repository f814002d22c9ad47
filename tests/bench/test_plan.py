from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.engine import serve_options
from bench.plan import Plan
from bench.report import Report, read
from bench.workloads import WORKLOADS


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    report = Report(tmp_path / "results.json")
    return Plan(report, WORKLOADS["sd21"], tmp_path, "wait", tmp_path, seconds=1.0, rounds=1, deadline=float("inf"))


def test_what_is_usual_is_not_told(plan: Plan) -> None:
    plan.add("http", {"p50": 1.0})
    [run] = read(plan.report.path)
    assert (run["model"], run["p50"]) == ("sd21", 1.0)
    assert "changed" not in run


def test_what_is_changed_is_told(plan: Plan) -> None:
    workload = replace(plan.workload.resized(512, 8), go_fast=True)
    changed = replace(plan, workload=workload, compiling="off", quantize="fp8", devices="all")
    changed.add("http", {"p50": 1.0})
    [run] = read(plan.report.path)
    own = {"compile": "off", "quantize": "fp8", "devices": "all"}
    assert run["changed"] == {"size": 512, "steps": 8, "go_fast": True, **own}
    assert workload.request(3)["go_fast"] is True
    assert "go_fast" not in plan.workload.request(3)


def test_a_stock_pipeline_has_nothing_of_what_only_darkroom_has(plan: Plan) -> None:
    workload = replace(plan.workload, go_fast=True)
    changed = replace(plan, workload=workload, compiling="off", quantize="fp8", devices="all")
    assert changed.stock() == plan
    smaller = replace(changed, workload=replace(changed.workload, size=512))
    assert smaller.stock().changed == {"size": 512}


def test_options_of_the_server(plan: Plan) -> None:
    options = serve_options(replace(plan, quantize="int8", devices="0,1"))
    pairs = dict(zip(options[::2], options[1::2], strict=True))
    assert (pairs["--compile"], pairs["--quantize"], pairs["--devices"]) == ("wait", "int8", "0,1")
    assert "--devices" not in serve_options(plan)
