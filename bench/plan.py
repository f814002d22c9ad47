"""What every measurement is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.report import Report
from bench.workloads import Workload


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        report: where figures go.
        workload: what is drawn.
        folder: of the model.
        compiling: the engine's mode of compiling.
        cache: where compiled code is kept from one server to the next.
        seconds: how long each load is kept up, at least.
        rounds: how many answers each caller gets, at least.
        deadline: the moment of `time.perf_counter()`, which all processes share, to end at.
    """

    report: Report
    workload: Workload
    folder: Path
    compiling: str
    cache: Path
    seconds: float
    rounds: int
    deadline: float
