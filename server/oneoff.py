"""Run a model once, from the command line."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from server.assignments import parse_inputs, read_inputs
from server.errors import InputRefused, PredictionFailed, SetupError, WorkerError
from server.launch import create_worker
from server.manifest import Manifest
from server.outcome import write_output, write_prediction
from server.prediction import Prediction, Status
from server.schema.signature import Interface, Signature
from server.schema.validation import InputValidator
from server.settings import ModelSettings
from server.worker.backend import WorkerState
from server.worker.devices import choose_devices
from server.worker.messages import Log, Predict
from server.worker.worker import Worker

# How tqdm, and with it most models, draw a bar: " 40%|####      | 8/20 [00:01<00:02, 5.9it/s]".
_BAR = re.compile(r"^(?P<label>.*?):?\s*\d+%\|.*\|\s*(?P<done>\d+)/(?P<total>\d+)\s")

Inputs = Sequence[str] | Mapping[str, Any]
"""The inputs of a prediction: each as `name=value`, or by name."""


async def read_interface(settings: ModelSettings, manifest: Manifest, *, narrowed: bool) -> Interface:
    """What the model takes and returns.

    Args:
        settings: what to load.
        manifest: the folder to load it from.
        narrowed: whether to set it up, and so to hear what the loaded model takes; else it is only imported.

    Raises:
        DeviceError: it is to be set up, and a device that the settings name cannot be had.
        WorkerError: it cannot be imported or set up, or its signature cannot be served.
    """
    devices = choose_devices(settings.devices, os.environ) if narrowed else ()
    worker = await _start(create_worker(settings, manifest, next(iter(devices), None)))
    try:
        return await (_set_up(worker) if narrowed else _load(worker))
    finally:
        await worker.stop(0)


async def predict_once(settings: ModelSettings, manifest: Manifest, given: Inputs, output: Path | None) -> None:
    """Set the model up, run one prediction with a progress bar on standard error, and write its output.

    Args:
        settings: what to load.
        manifest: the folder to load it from.
        given: the inputs; by name, the whole prediction is written, as JSON.
        output: where the output goes: a file, a folder, or `None` for the current folder and standard output.

    Raises:
        InputRefused: `predict` found fault with an input.
        PredictionFailed: it ran, and failed.
        DarkroomError: as `run_once` says.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        prediction = await run_once(settings, manifest, lambda _: given, Path(scratch))
        if isinstance(given, Mapping):
            write_prediction(prediction, output)
        require_success(prediction)
        if not isinstance(given, Mapping):
            write_output(prediction.output, output)
            _say(", ".join(f"{name} {value}" for name, value in prediction.metrics.items()))


async def run_once(
    settings: ModelSettings, manifest: Manifest, choose: Callable[[Signature], Inputs], scratch: Path
) -> Prediction:
    """Set the model up and run one prediction, with a progress bar on standard error.

    Args:
        settings: what to load.
        manifest: the folder to load it from.
        choose: tells the inputs, of a model that takes what the signature says.
        scratch: an empty folder, which the files of the inputs and of the output are in afterwards.

    Raises:
        InvalidRequest: the inputs do not fit the model, as the signature or `narrow_inputs` says.
        InputFileError: a file among them cannot be had.
        DeviceError: a device that the settings name cannot be had.
        WorkerError: the model cannot be loaded.
    """
    device = next(iter(choose_devices(settings.devices, os.environ)), None)
    with _Display() as display:
        worker = await _start(create_worker(settings, manifest, device))
        try:
            signature = (await _load(worker)).served
            parsed = parse_inputs(signature, choose(signature))
            # Before the model is loaded, which may take minutes; and afterwards, for it may take less by then.
            values = await read_inputs(signature, parsed, scratch, settings.max_file_bytes)
            InputValidator((await _set_up(worker)).served).validate(parsed)
            return await _run(worker, values, scratch, display)
        finally:
            await worker.stop(0)


def require_success(prediction: Prediction) -> None:
    """Make sure that a prediction did what it was to do.

    Raises:
        InputRefused: `predict` found fault with an input.
        PredictionFailed: it did not.
    """
    if fault := prediction.fault:
        raise InputRefused(fault.input, fault.message)
    if prediction.status is not Status.SUCCEEDED:
        reason = prediction.error or "The prediction was canceled."
        raise PredictionFailed(reason.removeprefix("Prediction failed: "))


async def _start(worker: Worker) -> Worker:
    # What the worker would log, the display and the errors say.
    logging.getLogger("server").setLevel(logging.CRITICAL)
    await worker.start()
    return worker


async def _load(worker: Worker) -> Interface:
    try:
        return await worker.loaded()
    except WorkerError as error:
        raise _setup_error(worker) from error


async def _set_up(worker: Worker) -> Interface:
    state = await worker.settled()
    if state is not WorkerState.READY or worker.interface is None:
        raise _setup_error(worker)
    return worker.interface


def _setup_error(worker: Worker) -> SetupError:
    return SetupError(f"The model could not be set up.\n{worker.setup.logs.rstrip()}")


async def _run(worker: Worker, values: dict[str, Any], scratch: Path, display: _Display) -> Prediction:
    prediction = Prediction(input=values)
    outputs = scratch / "outputs"
    outputs.mkdir()
    prediction.start()
    async with aclosing(worker.run(Predict(prediction.id, values, str(outputs)))) as events:
        async for event in events:
            prediction.apply(event)
            if isinstance(event, Log):
                display.log(event.text)
    return prediction


class _Display:
    """A spinner while the model loads, then the model's own progress bars redrawn, its other logs above them."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._progress.add_task("Loading the model", total=None)

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def log(self, text: str) -> None:
        """Show what the model wrote."""
        for line in text.splitlines():
            if match := _BAR.match(line):
                self._progress.update(
                    self._task,
                    description=match["label"].strip() or "Running",
                    completed=int(match["done"]),
                    total=int(match["total"]),
                )
            elif line.strip():
                self._progress.console.print(line, markup=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
