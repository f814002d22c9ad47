"""Predictors for the tests of the schema."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

import server.cog

TESTS = Path(__file__).parent.parent
Load = Callable[[Path], object]


@pytest.fixture
def load() -> Iterator[Load]:
    """Imports a predictor's file and makes its `Predictor` or `Runner`, with our `cog`."""
    with loading() as load_file:
        yield load_file


@contextmanager
def loading() -> Iterator[Load]:
    """Make `import cog` mean our package, as in the worker process; forget it, and the predictors, afterwards."""
    before = dict(sys.modules)
    server.cog.alias()
    try:
        yield _load
    finally:
        for name in sys.modules.keys() - before.keys():
            if name.split(".")[0] == "cog" or _is_predictor(sys.modules[name]):
                del sys.modules[name]
        sys.modules.update(before)


def _load(file: Path) -> object:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered, as the worker does it: Python finds the source of a class by it.
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    [predictor] = [getattr(module, name) for name in ("Predictor", "Runner") if hasattr(module, name)]
    return predictor()


def _is_predictor(module: ModuleType) -> bool:
    return Path(getattr(module, "__file__", None) or "/").is_relative_to(TESTS)
