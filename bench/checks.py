"""What was asked for, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.readiness import Start
from bench.report import Run


@dataclass(frozen=True)
class Check:
    """One demand.

    Attributes:
        what: is demanded.
        asked: the bound, and in brackets what is aimed at.
        measured: the figure, or why there is none.
        met: whether it is within the bound; `None` where it was not measured.
    """

    what: str
    asked: str
    measured: str
    met: bool | None


def checks(runs: Sequence[Run]) -> Iterator[Check]:
    """Every demand, put to the newest measurements of it."""
    reference = _latest(runs, "reference", model="sd21")
    one = _http(runs, "sd21", 1)
    for clients in (8, 32):
        yield _at_least(
            f"SD 2.1, {clients} clients: images/s of the reference",
            _ratio(_http(runs, "sd21", clients), reference, "images_per_second"),
            7,
            aim=10.5,
        )
    yield _at_least("SD 2.1, one client: p50 within the reference's", _ratio(reference, one, "p50"), 5.5, aim=8)
    for clients in (8, 32):
        engine = _latest(runs, "engine", model="sd21", mixed=False, callers=clients)
        yield _at_least(
            f"SD 2.1, {clients} clients: images/s of the engine in process",
            _ratio(_http(runs, "sd21", clients), engine, "images_per_second"),
            0.95,
        )
    eight = _http(runs, "sd21", 8)
    yield _at_most("SD 2.1, 8 clients: p99 of p50", eight["p99"] / eight["p50"] if eight else None, 1.3)
    yield _joining(_latest(runs, "join", model="sd21"))
    yield _at_least(
        "SDXL, 8 clients: images/s of stock in half precision",
        _ratio(_http(runs, "sdxl", 8), _latest(runs, "stock", model="sdxl"), "images_per_second"),
        1.9,
        aim=2.7,
    )
    yield from _starting(runs)
    engine = _latest(runs, "engine", model="sd21", mixed=False, callers=8)
    for name, run, figure in (
        ("over HTTP, by nvidia-smi", eight, "gpu_busy"),
        ("in process, by nvidia-smi", engine, "gpu_busy"),
        ("in process, by its passes", engine, "pass_busy"),
    ):
        yield _at_least(f"SD 2.1, 8 clients: GPU busy {name}", _figure(run, figure), 0.95)
    together = _latest(runs, "together", model="emoji")
    yield _at_most("emoji, 8 at once: time of one after another", _figure(together, "ratio"), 0.75)
    for model in ("sd21", "emoji"):
        yield _soaked(model, _latest(runs, "soak", model=model))


def table(rows: Sequence[Check]) -> str:
    """The checks as a table in Markdown."""
    lines = ["| Check | Asked (aim) | Measured | Met |", "| --- | --- | --- | --- |"]
    verdicts = {True: "yes", False: "**no**", None: ""}
    lines += [f"| {row.what} | {row.asked} | {row.measured} | {verdicts[row.met]} |" for row in rows]
    return "\n".join(lines)


def _latest(runs: Sequence[Run], section: str, **wanted: Any) -> Run | None:
    matching = (
        run
        for run in reversed(runs)
        if run["section"] == section
        and "changed" not in run
        and all(run.get(name) == value for name, value in wanted.items())
    )
    return next(matching, None)


def _http(runs: Sequence[Run], model: str, clients: int) -> Run | None:
    return _latest(runs, "http", model=model, mixed=False, callers=clients)


def _figure(run: Run | None, name: str) -> float | None:
    return None if run is None else run.get(name)


def _ratio(over: Run | None, under: Run | None, figure: str) -> float | None:
    return None if over is None or under is None else over[figure] / under[figure]


def _at_least(what: str, measured: float | None, bound: float, aim: float | None = None) -> Check:
    asked = f"at least {bound:g}" + (f" ({aim:g})" if aim is not None else "")
    return _compared(what, asked, measured, measured is not None and measured >= bound)


def _at_most(what: str, measured: float | None, bound: float) -> Check:
    return _compared(what, f"at most {bound:g}", measured, measured is not None and measured <= bound)


def _compared(what: str, asked: str, measured: float | None, met: bool) -> Check:
    if measured is None:
        return Check(what, asked, "not measured", None)
    return Check(what, asked, f"{measured:.3g}", met)


def _joining(run: Run | None) -> Check:
    what, asked = "SD 2.1, 7 running: start of the first step of an arrival", "within a step + 20 ms"
    if run is None:
        return Check(what, asked, "not measured", None)
    bound = run["step"] + 0.02
    measured = f"{1e3 * run['longest']:.0f} ms at most, of {1e3 * bound:.0f} ms"
    return Check(what, asked, measured, run["longest"] <= bound)


def _starting(runs: Sequence[Run]) -> Iterator[Check]:
    cold, warm, background = (
        _latest(runs, "ready", model="sd21", start=start)
        for start in (Start.COLD, Start.BACKGROUND_WARM, Start.BACKGROUND)
    )
    reading = _latest(runs, "reading", model="sd21")
    seconds = None if warm is None or reading is None else warm["ready"] - reading["seconds"]
    yield _at_most("SD 2.1: seconds to ready, compiled code kept, without reading weights", seconds, 35)
    what, asked = "SD 2.1, nothing kept: first picture", "before compilation ends"
    if cold is None or background is None:
        yield Check(what, asked, "not measured", None)
    else:
        measured = f"after {background['first_picture']:.0f} s; compilation alone is ready after {cold['ready']:.0f} s"
        yield Check(what, asked, measured, background["first_picture"] < cold["ready"])


def _soaked(model: str, run: Run | None) -> Check:
    what = f"{model}: mixed, canceled and failing requests at random"
    asked = "none wrong, none stuck, memory level"
    if run is None:
        return Check(what, asked, "not measured", None)
    growth = max(run["memory_growth"], run.get("gpu_memory_growth", 0.0))
    measured = (
        f"{run['minutes']:g} minutes, {run['compared']} pictures: {run['wrong']} wrong, {run['stuck']} stuck, "
        f"memory {growth:+.1%}"
    )
    return Check(what, asked, measured, run["wrong"] == run["stuck"] == 0 and growth <= 0.05)
