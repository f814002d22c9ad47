"""The command line: sections that may follow one another in one call."""

from __future__ import annotations

import functools
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bench import checks as demands
from bench.closed_loop import OutOfTime
from bench.plan import Plan
from bench.readiness import Start, measure_readiness, measure_reading
from bench.report import Report, Run, has_gpu, line, machine, read, say
from bench.session import Session, end_when_told
from bench.workloads import ROOT, WORKLOADS

_CACHE = ROOT / ".cache" / "bench"


class _Numbers(click.ParamType[tuple[int, ...]]):
    """Several positive integers, with commas between."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(map(int, str(value).split(",")))
        except ValueError:
            numbers = ()
        if not numbers or min(numbers) < 1:
            self.fail(f"{value!r} should be positive integers, as in 1,8,32", param, ctx)
        return numbers


def _section(command: Callable[..., None]) -> Callable[..., None]:
    """Make of a function a section: it is skipped when the time is up, and its failure does not stop the next."""

    @functools.wraps(command)
    def run(session: Session, **options: Any) -> None:
        name = command.__name__
        if time.perf_counter() > session.plan.deadline:
            say(f"{name}: skipped, the time is up")
            return
        started = time.perf_counter()
        try:
            command(session, **options)
        except OutOfTime as over:
            say(f"{name}: {over}")
        except Exception:
            traceback.print_exc(file=sys.stdout)
            session.failed = True
        say(f"{name}: took {time.perf_counter() - started:.0f} s")

    return click.pass_obj(run)


def _results(ctx: click.Context, param: click.Parameter, value: Path | tuple[Path, ...]) -> Path | tuple[Path, ...]:
    """Refuse a file that holds something else, before anything is measured."""
    try:
        for path in value if isinstance(value, tuple) else (value,):
            if path.exists():
                read(path)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", ctx, param) from None
    return value


_callers = click.option(
    "--callers", type=_Numbers(), default="1,2,4,8,16,32", show_default=True, help="How many ask at once."
)
_mixed = click.option(
    "--steps",
    type=click.Choice(["same", "mixed", "both"]),
    default="both",
    show_default=True,
    help="Whether all requests have the same number of steps.",
)


def _mixes(steps: str) -> list[bool]:
    return {"same": [False], "mixed": [True], "both": [False, True]}[steps]


@click.group(chain=True, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", type=click.Choice(list(WORKLOADS)), help="What is drawn. Default: sd21 on a GPU, else emoji.")
@click.option("--size", type=click.IntRange(min=64), help="Pixels of each side. Default: the model's.")
@click.option("--step-count", type=click.IntRange(1, 500), help="Denoising steps. Default: the model's.")
@click.option(
    "--models",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=_CACHE / "models",
    help="Where models are built. Default: .cache/bench/models.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, resolve_path=True),
    default=_CACHE / "results.json",
    callback=_results,
    help="The file that results are added to. Default: .cache/bench/results.json.",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0.01), help="Ask for nothing new after so long. Default: no limit."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="Of each load, at least."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=2, show_default=True, help="Answers each, on average, at least."
)
@click.option(
    "--compile",
    "compiling",
    type=click.Choice(["off", "background", "wait"]),
    default="wait",
    show_default=True,
    help="How Darkroom compiles, on a GPU.",
)
@click.option(
    "--quantize",
    type=click.Choice(["none", "int8", "fp8"]),
    default="none",
    show_default=True,
    help="How Darkroom keeps weights.",
)
@click.option("--go-fast", is_flag=True, help="Have steps that change little worked out in part.")
@click.option("--devices", help="The GPUs that Darkroom serves with: all, or numbers. Default: one.")
@click.pass_context
def main(ctx: click.Context, /, minutes: float | None, models: Path, **options: Any) -> None:
    """Measure Darkroom beside a stock pipeline under the real Cog, on this machine.

    Sections may follow one another, each with its own options, and run in that order; without any, all that suit the
    machine do. Every figure is printed and saved as soon as it is known. docs/performance.md tells what they mean.

    script/bench --model sd21 reference http --callers 8,32 check
    """
    end_when_told()
    ctx.obj = _session(models, time.perf_counter() + 60 * minutes if minutes else float("inf"), **options)
    say(f"machine    {line(machine())}")
    if ctx.invoked_subcommand is None:
        for command in _suitable():
            ctx.invoke(command)


def _session(
    models: Path,
    deadline: float,
    model: str | None,
    size: int | None,
    step_count: int | None,
    out: Path,
    seconds: float,
    rounds: int,
    compiling: str,
    quantize: str,
    go_fast: bool,
    devices: str | None,
) -> Session:
    workload = WORKLOADS[model or ("sd21" if has_gpu() else "emoji")].resized(size, step_count)
    workload = replace(workload, go_fast=go_fast)
    folder = workload.folder or models / workload.model
    cache = _CACHE / "compiled"
    plan = Plan(Report(out), workload, folder, compiling, cache, seconds, rounds, deadline, quantize, devices)
    return Session(plan, models)


def _suitable() -> list[click.Command]:
    if has_gpu():
        return [reference, stock, http, engine, join, ready, soak, check]
    return [reference, together, http, engine, join, soak, check]


@main.command()
@_section
def build(session: Session) -> None:
    """Build the model, if it is not there. The other sections do it, too."""
    session.prepare()


@main.command()
@_section
def reference(session: Session) -> None:
    """The stock pipeline in float32 under the real Cog, as cog-stable-diffusion has it."""
    checker = session.build("safety-checker") if session.plan.workload.model == "sd21" else None
    _measure_stock(session, "reference", "float32", checker)


@main.command()
@_section
def stock(session: Session) -> None:
    """The same in half precision, without a safety checker."""
    _measure_stock(session, "stock", session.plan.workload.half, None)


@main.command()
@_callers
@_mixed
@_section
def http(session: Session, callers: tuple[int, ...], steps: str) -> None:
    """Darkroom over HTTP."""
    from bench.over_http import measure_darkroom

    session.prepare()
    measure_darkroom(session.plan, callers, _mixes(steps))


@main.command()
@_callers
@_mixed
@_section
def engine(session: Session, callers: tuple[int, ...], steps: str) -> None:
    """The engine in process: its throughput, its passes by size, and what they would allow."""
    from bench.in_process import measure_engine

    session.prepare()
    session.apart(measure_engine, session.plan, callers, _mixes(steps))


@main.command()
@click.option("--running", type=click.IntRange(min=1), default=7, show_default=True, help="How many run already.")
@_section
def join(session: Session, running: int) -> None:
    """How soon a request starts its first step while others run."""
    from bench.in_process import measure_joining

    session.prepare()
    session.apart(measure_joining, session.plan, running)


@main.command()
@click.option(
    "--start",
    "starts",
    type=click.Choice([str(start) for start in Start]),
    multiple=True,
    default=[str(start) for start in Start],
    help="Only so; may be repeated. Default: all.",
)
@_section
def ready(session: Session, starts: tuple[str, ...]) -> None:
    """How soon a server is ready: nothing compiled before, compiled before, and compiling beside serving."""
    session.prepare()
    session.apart(measure_reading, session.plan)
    # In this order: a warm start finds what the cold one has kept.
    measure_readiness(session.plan, [start for start in Start if start in starts])


@main.command()
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="How many turns.")
@_section
def together(session: Session, repeats: int) -> None:
    """Eight requests one after another, and the same at once, turn by turn."""
    from bench.over_http import measure_together

    session.prepare()
    measure_together(session.plan, repeats)


@main.command()
@click.option("--for", "minutes", type=click.FloatRange(min=0.05), default=10.0, show_default=True, help="Minutes.")
@_section
def soak(session: Session, minutes: float) -> None:
    """Requests at random, some canceled, left or failing: every picture is compared with the same alone."""
    from bench.soak import measure_soak

    session.prepare()
    measure_soak(session.plan, minutes, has_gpu())


@main.command()
@click.option(
    "--with",
    "others",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    callback=_results,
    help="Further results.",
)
@click.pass_obj
def check(session: Session, others: tuple[Path, ...] = ()) -> None:
    """What was asked for beside what was measured."""
    runs: list[Run] = [run for path in (*others, session.plan.report.path) if path.exists() for run in read(path)]
    say(demands.table(list(demands.checks(sorted(runs, key=lambda run: run["date"])))))


@main.result_callback()
@click.pass_obj
def finish(session: Session, *_: Any, **__: Any) -> None:
    """The exit status says whether every section worked."""
    if session.failed:
        sys.exit(1)


def _measure_stock(session: Session, section: str, dtype: str, safety_checker: Path | None) -> None:
    from bench.over_http import measure_stock

    session.prepare()
    measure_stock(session.plan, section, dtype, safety_checker)


if __name__ == "__main__":
    main(prog_name="script/bench")
