"""Run a model once, from the command line."""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from server.errors import InputFileError, InvalidRequest, PredictionFailed, SetupError, Violation, WorkerError
from server.launch import create_worker
from server.manifest import Manifest
from server.prediction import Prediction, Status
from server.schema.signature import InputField, Interface, Kind, Signature, ValueType
from server.schema.validation import InputValidator
from server.service.client import http_client
from server.service.inputs import fetch_inputs
from server.settings import ModelSettings
from server.worker.messages import LocalFile, Log, Predict
from server.worker.worker import Worker, WorkerState

# How tqdm, and with it most models, draw a bar: " 40%|####      | 8/20 [00:01<00:02, 5.9it/s]".
_BAR = re.compile(r"^(?P<label>.*?):?\s*\d+%\|.*\|\s*(?P<done>\d+)/(?P<total>\d+)\s")


async def read_interface(settings: ModelSettings, manifest: Manifest) -> Interface:
    """What the model takes and returns; it is imported but not set up.

    Raises:
        WorkerError: it cannot be imported, or its signature cannot be served.
    """
    worker = await _start(settings, manifest)
    try:
        return await _load(worker)
    finally:
        await worker.stop(0)


async def predict_once(
    settings: ModelSettings, manifest: Manifest, assignments: Sequence[str], output: Path | None
) -> None:
    """Set the model up, run one prediction with a progress bar on standard error, and write its output.

    Args:
        settings: what to load.
        manifest: the folder to load it from.
        assignments: the inputs, each as `name=value`.
        output: where the output goes: a file, a folder, or `None` for the current folder and standard output.

    Raises:
        InvalidRequest: the inputs do not fit the model.
        InputFileError: a file among them cannot be had.
        WorkerError: the model cannot be loaded.
        PredictionFailed: it ran, and failed.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        with _Display() as display:
            worker = await _start(settings, manifest)
            try:
                signature = (await _load(worker)).served
                values = await _read_inputs(signature, assignments, Path(scratch), settings.max_file_bytes)
                if await worker.settled() is not WorkerState.READY:
                    raise _setup_error(worker)
                prediction = await _run(worker, values, Path(scratch), display)
            finally:
                await worker.stop(0)
        _write(prediction.output, output)
    _say(", ".join(f"{name} {value}" for name, value in prediction.metrics.items()))


async def _start(settings: ModelSettings, manifest: Manifest) -> Worker:
    # What the worker would log, the display and the errors say.
    logging.getLogger("server").setLevel(logging.CRITICAL)
    worker = create_worker(settings, manifest)
    await worker.start()
    return worker


async def _load(worker: Worker) -> Interface:
    try:
        return await worker.loaded()
    except WorkerError as error:
        raise _setup_error(worker) from error


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
    if prediction.status is not Status.SUCCEEDED:
        raise PredictionFailed((prediction.error or "The prediction was canceled.").removeprefix("Prediction failed: "))
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


async def _read_inputs(
    signature: Signature, assignments: Sequence[str], scratch: Path, max_bytes: int
) -> dict[str, Any]:
    values = InputValidator(signature).validate(_parse(signature, assignments)).values
    for field in signature.inputs:
        if field.name in values and _takes_files(field.type):
            values[field.name] = _open_files(field.name, values[field.name])
    folder = scratch / "inputs"
    folder.mkdir()
    async with http_client() as client:
        return await fetch_inputs(values, signature, folder, client, max_bytes)


def _parse(signature: Signature, assignments: Sequence[str]) -> dict[str, Any]:
    fields = {field.name: field for field in signature.inputs}
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InvalidRequest(
                [Violation(("body", "input", assignment), "there is no `=` in it; write -i name=value")]
            )
        if name not in fields:
            known = ", ".join(fields) or "no inputs at all"
            raise InvalidRequest([Violation(("body", "input", name), f"the model has no such input; it takes {known}")])
        value = _parse_value(fields[name], text)
        if fields[name].type.kind is not Kind.LIST:
            if name in values:
                raise InvalidRequest([Violation(("body", "input", name), "it is given twice and takes one value")])
            values[name] = value
        else:
            values.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    return values


def _parse_value(field: InputField, text: str) -> Any:
    kinds = {field.type.kind, *(member.kind for member in field.type.items)}
    if kinds <= {Kind.STRING, Kind.PATH, Kind.FILE, Kind.SECRET}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        # Text where JSON was expected: the validation says so in the words that HTTP clients get too.
        return text


def _takes_files(type_: ValueType) -> bool:
    return type_.kind in (Kind.PATH, Kind.FILE) or any(_takes_files(item) for item in type_.items)


def _open_files(name: str, value: Any) -> Any:
    match value:
        case list():
            return [_open_files(name, item) for item in value]
        case str() if value.startswith("@"):
            path = Path(value[1:]).absolute()
            if not path.is_file():
                raise InputFileError(f"-i {name}: there is no file {path}. Give the path of one after the @.")
            return LocalFile(str(path))
        case _:
            return value


def _write(value: Any, output: Path | None) -> None:
    files = list(_files_in(value))
    targets = {file: _target(Path(file.path).name, output, number) for number, file in enumerate(files)}
    for file, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)
        _say(f"Wrote {target}")
        made = Path(file.path).suffix
        if target.suffix.lower() != made.lower():
            _say(
                f"Note: the model made {made or 'a file without an ending'}; only the name of {target} says otherwise."
            )
    if files and (value in files or value == files):
        return
    text = (
        value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=_path_of(targets))
    )
    if output is None or files:
        print(text)
    else:
        output.write_text(text + "\n")
        _say(f"Wrote {output}")


def _files_in(value: Any) -> Iterator[LocalFile]:
    match value:
        case LocalFile():
            yield value
        case list():
            for item in value:
                yield from _files_in(item)
        case dict():
            for item in value.values():
                yield from _files_in(item)


def _target(name: str, output: Path | None, number: int) -> Path:
    if output is None:
        return Path(name)
    if output.is_dir():
        return output / name
    return output.with_stem(f"{output.stem}-{number}") if number else output


def _path_of(targets: dict[LocalFile, Path]) -> Callable[[LocalFile], str]:
    return lambda file: str(targets[file])


def _say(text: str) -> None:
    print(text, file=sys.stderr)
