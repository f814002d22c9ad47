"""The forward passes of an engine, and figures from their record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

DENOISERS = ("unet", "transformer")
"""The components whose passes are denoising steps."""


@dataclass(frozen=True)
class Pass:
    """One forward pass.

    Attributes:
        component: `unet`, `vae.decode`, ...
        kind: `eager`, `graph` or `compiled`.
        requests: how many shared it.
        rows: of the batch, which guidance doubles.
        padded_rows: what the batch was filled up to.
        started: when the device was asked for it, by `time.perf_counter()`.
        seconds: how long the device took.
    """

    component: str
    kind: str
    requests: int
    rows: int
    padded_rows: int
    started: float
    seconds: float

    @property
    def ended(self) -> float:
        """When the device had made it."""
        return self.started + self.seconds

    @property
    def denoises(self) -> bool:
        """Whether it is a denoising step."""
        return self.component in DENOISERS


def within(passes: Sequence[Pass], begin: float, end: float) -> list[Pass]:
    """Those that were made between two moments."""
    return [each for each in passes if begin <= each.started and each.ended <= end]


def busy_share(passes: Sequence[Pass]) -> float:
    """How much of the time from the first pass to the last the device was in passes; 0 without any.

    What a scheduler computes between two steps keeps a GPU busy, too, and does not count here.
    """
    if not passes:
        return 0.0
    span = max(each.ended for each in passes) - min(each.started for each in passes)
    return sum(each.seconds for each in passes) / span


def shared_by(passes: Sequence[Pass]) -> float:
    """How many requests shared a denoising pass, on average; 0 without any."""
    requests = [each.requests for each in passes if each.denoises]
    return fmean(requests) if requests else 0.0


def step_seconds(passes: Sequence[Pass]) -> float:
    """The median time of a denoising pass.

    Raises:
        statistics.StatisticsError: there is none.
    """
    return median(each.seconds for each in passes if each.denoises)


def by_size(passes: Sequence[Pass]) -> list[dict[str, Any]]:
    """For each component, kind and size of batch: how many passes there were, and their median time.

    `ms_per_request` counts only passes that were not padded: what a pass costs each of those that share it.
    """
    groups: dict[tuple[str, str, int], list[Pass]] = defaultdict(list)
    for each in passes:
        groups[each.component, each.kind, each.padded_rows].append(each)
    return [
        {
            "component": component,
            "kind": kind,
            "padded_rows": padded_rows,
            "passes": len(group),
            "ms": 1e3 * median(each.seconds for each in group),
            "ms_per_request": _per_request(group),
        }
        for (component, kind, padded_rows), group in sorted(groups.items())
    ]


def ceilings(sizes: Sequence[dict[str, Any]], steps: int) -> dict[int, float]:
    """Pictures a second that the passes alone allow, by the rows of a denoising batch.

    For each size of batch: one picture's share of `steps` passes of it, and one picture's share of everything else at
    its cheapest. No scheduler, no Python, no waiting: what is lost against it is ours to win.
    """
    costs: dict[int, float] = {}
    others: dict[str, float] = {}
    for size in sizes:
        if (cost := size["ms_per_request"]) is None:
            continue
        if size["component"] in DENOISERS:
            rows = size["padded_rows"]
            costs[rows] = min(cost, costs.get(rows, cost))
        else:
            others[size["component"]] = min(cost, others.get(size["component"], cost))
    return {rows: 1e3 / (steps * cost + sum(others.values())) for rows, cost in sorted(costs.items())}


def _per_request(group: Sequence[Pass]) -> float | None:
    full = [each.seconds / each.requests for each in group if each.rows == each.padded_rows]
    return 1e3 * median(full) if full else None
