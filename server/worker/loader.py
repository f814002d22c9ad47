"""`predict.py:Predictor` -> the object that makes predictions."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from server.errors import PredictorNotFound

DEFAULT_NAMES = ("Runner", "Predictor")
"""What is looked for, in this order, where a reference names only a file."""


def enter_directory(directory: Path) -> None:
    """Make a model's folder the current one, and let the model import the modules beside it.

    To be called when everything of ours has been imported: a `server.py` of the model would come first.
    """
    os.chdir(directory)
    sys.path.insert(0, str(directory))


def load_predictor(reference: str) -> Any:
    """Import a file and make the predictor that it defines.

    Args:
        reference: a file, relative to the current folder, and after a colon the name of a class or a function in it;
            without a name, that is `Runner` or `Predictor`.

    Returns:
        An instance where it is a class, else the function.

    Raises:
        PredictorNotFound: there is no such file, or no such name in it.
        BaseException: whatever the file, or the class, raises.
    """
    filename, _, name = reference.partition(":")
    module = _import_file(Path(filename).absolute())
    predictor = _find(module, filename, name)
    return predictor() if inspect.isclass(predictor) else predictor


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PredictorNotFound(
            f"There is no file {path}. Write the name of one in `predict:` of cog.yaml, as in predict.py:Predictor."
        )
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


def _find(module: ModuleType, filename: str, name: str) -> Any:
    names = (name,) if name else DEFAULT_NAMES
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
