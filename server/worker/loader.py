"""`predict.py:Predictor` -> the object that makes predictions."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from server.errors import PredictorNotFound
from server.schema.signature import Mode

DEFAULT_NAMES = {Mode.PREDICT: ("Runner", "Predictor"), Mode.TRAIN: ("Trainer", "train")}
"""What is looked for, in this order, where a reference names only a file."""


def enter_directory(directory: Path) -> None:
    """Make a model's folder the current one, and let the model import the modules beside it.

    To be called when everything of ours has been imported: a `server.py` of the model would come first.
    """
    os.chdir(directory)
    sys.path.insert(0, str(directory))


def find_predictor(reference: str, mode: Mode = Mode.PREDICT) -> Any:
    """Import a file and find the class or function in it that predicts, or trains.

    Args:
        reference: a file, relative to the current folder, and after a colon a name in it; without one, that is one of
            `DEFAULT_NAMES`.
        mode: what it is to do.

    Raises:
        PredictorNotFound: there is no such file, or no such name in it.
        BaseException: whatever the file raises.
    """
    filename, _, name = reference.partition(":")
    module = _import_file(Path(filename).absolute(), mode)
    return _find(module, filename, (name,) if name else DEFAULT_NAMES[mode])


def make_predictor(found: Any) -> Any:
    """An instance of what was found where that is a class, else the function itself.

    Raises:
        BaseException: whatever the class raises.
    """
    return found() if inspect.isclass(found) else found


def _import_file(path: Path, mode: Mode) -> ModuleType:
    if not path.is_file():
        example = "predict.py:Predictor" if mode is Mode.PREDICT else "train.py:train"
        raise PredictorNotFound(
            f"There is no file {path}. Write the name of one in `{mode}:` of cog.yaml, as in {example}."
        )
    imported = sys.modules.get(path.stem)
    if imported is not None and getattr(imported, "__file__", None) == str(path):
        # Predictor and trainer may share a file, or one import the other: nothing of it may be there twice.
        return imported
    # Under its own name, so that what it defines can be pickled; but never in the place of another module.
    name = path.stem if path.stem not in sys.modules else f"model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PredictorNotFound(f"{path} is no Python file. Rename it so that its name ends in .py.")
    if str(path.parent) not in sys.path:
        sys.path.insert(1, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, filename: str, names: Sequence[str]) -> Any:
    for candidate in names:
        predictor = getattr(module, candidate, None)
        if callable(predictor):
            return predictor
    defined = [key for key, value in vars(module).items() if _could_be_meant(value, module)]
    raise PredictorNotFound(
        f"{filename} defines no class and no function {' or '.join(names)}. "
        + (f"It defines {', '.join(defined)}: write {filename}:{defined[0]}." if defined else "It defines none at all.")
    )


def _could_be_meant(value: Any, module: ModuleType) -> bool:
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
