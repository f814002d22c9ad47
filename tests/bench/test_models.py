from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from bench import models
from bench.workloads import WORKLOADS


@pytest.fixture
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters of the right shapes that take no memory."""

    @contextmanager
    def nothing(dtype: torch.dtype) -> Iterator[None]:
        with torch.device("meta"):
            yield

    monkeypatch.setattr(models, "_random_weights", nothing)


@pytest.mark.usefixtures("without_weights")
@pytest.mark.parametrize(
    ("model", "component", "millions"),
    [
        ("sd21", "unet", 866),
        ("sd21", "text_encoder", 340),
        ("sd21", "vae", 84),
        ("sdxl", "unet", 2567),
        ("sdxl", "text_encoder_2", 695),
        ("flux", "transformer", 11901),
        ("flux", "text_encoder_2", 4762),
    ],
)
def test_the_models_are_as_large_as_the_real_ones(model: str, component: str, millions: int) -> None:
    module = getattr(models.BUILDERS[model](), component)
    assert sum(parameter.numel() for parameter in module.parameters()) / 1e6 == pytest.approx(millions, abs=0.6)


@pytest.mark.usefixtures("without_weights")
def test_the_safety_checker_is_as_large_as_the_real_one() -> None:
    assert sum(parameter.numel() for parameter in models.safety_checker().parameters()) / 1e6 == pytest.approx(
        304, abs=1
    )


def test_every_workload_has_a_model() -> None:
    assert {name for name, workload in WORKLOADS.items() if workload.folder is None} <= models.BUILDERS.keys()
    assert all(workload.folder.is_dir() for workload in WORKLOADS.values() if workload.folder)


def test_a_model_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    class Pipeline:
        def save_pretrained(self, folder: Path) -> None:
            built.append(folder.name)
            folder.mkdir()
            (folder / "model_index.json").write_text("{}")

    monkeypatch.setitem(models.BUILDERS, "sd21", Pipeline)
    assert models.build("sd21", tmp_path) == models.build("sd21", tmp_path) == tmp_path / "sd21"
    assert len(built) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sd21"]


def test_requests_differ_and_repeat() -> None:
    workload = WORKLOADS["sd21"]
    first, second = workload.request(0), workload.request(1)
    assert first == workload.request(0)
    assert first["seed"] != second["seed"]
    # More than there are combinations of words.
    assert len({workload.request(number)["prompt"] for number in range(300)}) == 300
    assert (first["width"], first["num_inference_steps"], first["scheduler"]) == (768, 50, "DPMSolverMultistep")
    mixed = {workload.request(number, mixed=True)["num_inference_steps"] for number in range(200)}
    assert (min(mixed), max(mixed)) == (20, 50)
    assert workload.resized(256, 4).request(3, mixed=True)["num_inference_steps"] == 4
