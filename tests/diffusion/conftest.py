"""Tiny pipelines, built and loaded once for all tests of the engine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from server.diffusion import Engine
from tests.diffusion.tiny_pipelines import build


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny pipeline, by its name in `BUILDERS`."""
    folders: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in folders:
            folders[name] = build(name, tmp_path_factory.mktemp("models") / name)
        return folders[name]

    return folder


@pytest.fixture(scope="session")
def engine(tiny: Callable[[str], Path]) -> Callable[[str], Engine]:
    """An engine that has loaded a tiny pipeline, by its name in `BUILDERS`."""
    engines: dict[str, Engine] = {}

    def loaded(name: str) -> Engine:
        if name not in engines:
            engines[name] = Engine(str(tiny(name)))
        return engines[name]

    return loaded
