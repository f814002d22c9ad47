"""What every measurement is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.report import Report
from bench.workloads import WORKLOADS, Workload


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
        rounds: how many answers each caller gets, on average, at least.
        deadline: the moment of `time.perf_counter()`, which all processes share, to end at.
        quantize: how the engine keeps weights.
        devices: the GPUs that get a process each, as `darkroom serve` takes them; `None` is one process.
    """

    report: Report
    workload: Workload
    folder: Path
    compiling: str
    cache: Path
    seconds: float
    rounds: int
    deadline: float
    quantize: str = "none"
    devices: str | None = None

    @property
    def changed(self) -> dict[str, Any]:
        """What is other than usual for the model, by name: such measurements answer none of `bench.checks`."""
        usual = WORKLOADS[self.workload.model]
        changes = {
            name: value
            for name in ("size", "steps", "go_fast")
            if (value := getattr(self.workload, name)) != getattr(usual, name)
        }
        # Background and wait come to the same code.
        if self.compiling == "off":
            changes["compile"] = "off"
        if self.quantize != "none":
            changes["quantize"] = self.quantize
        if self.devices is not None:
            changes["devices"] = self.devices
        return changes

    def stock(self) -> Plan:
        """The same without what only Darkroom has."""
        workload = replace(self.workload, go_fast=False)
        return replace(self, workload=workload, compiling="wait", quantize="none", devices=None)

    def add(self, section: str, figures: Mapping[str, Any]) -> None:
        """Report a measurement of the workload."""
        changed = self.changed
        self.report.add(section, self.workload.model, {"changed": changed, **figures} if changed else figures)
