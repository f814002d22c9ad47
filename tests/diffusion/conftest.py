"""Tiny pipelines, built and loaded once for all tests of the engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from server.diffusion import Engine
from tests.diffusion.hub import Hub, serve_hub
from tests.diffusion.tiny_edit_pipelines import build, controlnet_for
from tests.diffusion.tiny_pipelines import stable_diffusion


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
            # On a GPU, recorded only: compiling takes longer than what the tests are about.
            engines[name] = Engine(str(tiny(name)), compile="off")
        return engines[name]

    return loaded


@pytest.fixture(scope="session")
def controlnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for the tiny Stable Diffusion, in a folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("controlnet")
    controlnet_for(stable_diffusion().unet).save_pretrained(folder)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub, and an empty cache."""
    with serve_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
        yield hub


@pytest.fixture
def offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it to forbid asking the Hub."""

    def forbid() -> None:
        hub.fetched.clear()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    return forbid
