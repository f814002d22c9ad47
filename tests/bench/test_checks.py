from __future__ import annotations

from typing import Any

import pytest

from bench.checks import Check, checks, table
from bench.report import Run


def _run(section: str, model: str = "sd21", **figures: Any) -> Run:
    return {
        "section": section,
        "model": model,
        "date": "2026-11-24T12:00:00+00:00",
        "mixed": False,
        "p50": 1.0,
        "p99": 1.2,
        **figures,
    }


def _find(runs: list[Run], beginning: str) -> Check:
    [found] = [check for check in checks(runs) if check.what.startswith(beginning)]
    return found


def test_nothing_measured_is_neither_met_nor_missed() -> None:
    rows = list(checks([]))
    assert len(rows) > 12
    assert {row.met for row in rows} == {None}
    assert {row.measured for row in rows} == {"not measured"}


@pytest.mark.parametrize(("rate", "met"), [(1.5, True), (1.3, False)])
def test_a_ratio_to_the_reference(rate: float, met: bool) -> None:
    runs = [_run("reference", images_per_second=0.2, p50=5.0), _run("http", callers=8, images_per_second=rate)]
    check = _find(runs, "SD 2.1, 8 clients: images/s of the reference")
    assert (check.asked, check.measured, check.met) == ("at least 7 (10.5)", f"{rate / 0.2:.3g}", met)


def test_the_newest_measurement_counts_and_those_with_mixed_steps_are_others() -> None:
    runs = [
        _run("engine", callers=8, images_per_second=1.0),
        _run("engine", callers=8, images_per_second=2.0),
        _run("http", callers=8, images_per_second=1.96),
        _run("http", callers=8, images_per_second=9.0) | {"mixed": True},
    ]
    assert _find(runs, "SD 2.1, 8 clients: images/s of the engine").measured == "0.98"


def test_what_is_measured_otherwise_than_usual_answers_nothing() -> None:
    runs = [_run("reference", images_per_second=0.2), _run("http", callers=8, images_per_second=2.0)]
    quick = _run("http", callers=8, images_per_second=9.0, changed={"quantize": "fp8"})
    assert _find([*runs, quick], "SD 2.1, 8 clients: images/s of the reference").measured == "10"


def test_joining_may_take_a_step_and_twenty_milliseconds() -> None:
    late = _find([_run("join", step=0.1, longest=0.121)], "SD 2.1, 7 running")
    assert (late.measured, late.met) == ("121 ms at most, of 120 ms", False)
    assert _find([_run("join", step=0.1, longest=0.119)], "SD 2.1, 7 running").met


def test_reading_the_weights_does_not_count_against_a_warm_start() -> None:
    runs = [_run("ready", start="background-warm", ready=40.0), _run("reading", seconds=6.0)]
    check = _find(runs, "SD 2.1: seconds to ready")
    assert (check.measured, check.met) == ("34", True)


def test_the_first_picture_comes_before_the_compiler_would_be_done() -> None:
    runs = [
        _run("ready", start="cold", ready=120.0, first_picture=121.0),
        _run("ready", start="background", ready=20.0, first_picture=24.0),
    ]
    assert _find(runs, "SD 2.1, nothing kept").met


@pytest.mark.parametrize(
    ("figures", "met"),
    [({}, True), ({"wrong": 1}, False), ({"stuck": 1}, False), ({"gpu_memory_growth": 0.2}, False)],
)
def test_a_soak_forgives_nothing(figures: dict[str, Any], met: bool) -> None:
    soak = {"minutes": 10.0, "compared": 900, "wrong": 0, "stuck": 0, "memory_growth": 0.01} | figures
    assert _find([_run("soak", **soak)], "sd21: mixed").met is met


def test_the_table_is_markdown() -> None:
    text = table([Check("speed", "at least 7", "8", True), Check("size", "at most 1", "2", False)])
    assert text.splitlines()[2:] == ["| speed | at least 7 | 8 | yes |", "| size | at most 1 | 2 | **no** |"]
