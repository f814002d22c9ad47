"""What a one-off prediction leaves behind: its files, and text or JSON on standard output or in a file."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from server.prediction import Prediction
from server.worker.messages import LocalFile


def write_output(value: Any, output: Path | None) -> None:
    """Write what the model put out, and say on standard error what went where.

    Args:
        value: the output.
        output: a file (more than one are numbered), a folder, or `None`: files keep their own names in the current
            folder, and anything else is printed.
    """
    if value is None:
        _say("No output generated.")
        return
    files = list(files_in(value))
    targets = _copy({file: _numbered(Path(file.path).name, output, number) for number, file in enumerate(files)})
    if files and (value in files or value == files):
        return
    text = value if isinstance(value, str) else _json(value, targets)
    if output is None or files:
        print(text)
    else:
        _write_text(text, output / "output.txt" if output.is_dir() else output)


def write_prediction(prediction: Prediction, output: Path | None) -> None:
    """Write the prediction as JSON: status, output, error and metrics.

    Args:
        prediction: it has ended.
        output: a file, a folder, or `None` for standard output. The model's files keep their own names, beside that
            file, in that folder or in the current one; their paths take their places in the JSON.
    """
    target = output / "output.json" if output and output.is_dir() else output
    folder = target.parent if target else Path()
    files = [] if prediction.error else files_in(prediction.output)
    targets = _copy({file: folder / Path(file.path).name for file in files})
    document = {
        "status": prediction.status,
        "output": prediction.output,
        "error": prediction.error or "",
        "metrics": prediction.metrics,
    }
    text = _json(document, targets)
    if target is None:
        print(text)
    else:
        _write_text(text, target)


def _copy(targets: dict[LocalFile, Path]) -> dict[LocalFile, Path]:
    for file, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)
        _say(f"Wrote {target}")
        made = Path(file.path).suffix
        if target.suffix.lower() != made.lower():
            _say(
                f"Note: the model made {made or 'a file without an ending'}; only the name of {target} says otherwise."
            )
    return targets


def _write_text(text: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n", encoding="utf-8")
    _say(f"Wrote {target}")


def files_in(value: Any) -> Iterator[LocalFile]:
    """The files in an output, in order."""
    match value:
        case LocalFile():
            yield value
        case list():
            for item in value:
                yield from files_in(item)
        case dict():
            for item in value.values():
                yield from files_in(item)


def _numbered(name: str, output: Path | None, number: int) -> Path:
    if output is None:
        return Path(name)
    if output.is_dir():
        return output / name
    return output.with_stem(f"{output.stem}-{number}") if number else output


def _json(value: Any, targets: dict[LocalFile, Path]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=_path_of(targets))


def _path_of(targets: dict[LocalFile, Path]) -> Callable[[LocalFile], str]:
    return lambda file: str(targets[file])


def _say(text: str) -> None:
    print(text, file=sys.stderr)
