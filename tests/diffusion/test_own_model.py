"""Pipelines that change their model while they run, in company: each gets what stock diffusers draws alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module  # type: ignore[import-untyped]

from server.diffusion import Engine, ModelError, PictureRequest
from server.diffusion.gates import gate_of
from server.diffusion.own_model import changes_its_model
from tests.diffusion.drawing import TOLERANCE, distance, draw_together
from tests.diffusion.rare_pipelines import build
from tests.diffusion.test_batching import call_together
from tests.diffusion.tiny_pipelines import diffusers

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*:FutureWarning")  # as diffusers' own calls are

WORKS: tuple[dict[str, Any], ...] = (
    {"num_inference_steps": 3},
    {"num_inference_steps": 4},
    {"num_inference_steps": 5, "guidance_scale": 1.0},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("perturbed-attention", tmp_path_factory.mktemp("changing") / "model")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Engine:
    return Engine(str(folder))


def drawing(seed: int, given: dict[str, Any]) -> Callable[[Any], np.ndarray]:
    def work(pipeline: Any) -> np.ndarray:
        pipeline.set_progress_bar_config(disable=True)
        images: np.ndarray = pipeline(
            "a red apple", generator=torch.Generator().manual_seed(seed), output_type="np", **given
        ).images
        return images

    return work


@pytest.mark.parametrize("name", ["StableDiffusionPAGPipeline", "StableDiffusionSAGPipeline"])
async def test_a_stock_call_is_the_same_in_company(name: str, folder: Path, loaded: Engine) -> None:
    stock = getattr(diffusers, name).from_pretrained(folder, dtype=torch.float32)
    shared = getattr(diffusers, name).from_pipe(loaded.pipeline)
    works = [drawing(seed, given) for seed, given in enumerate(WORKS)]
    expected = [work(stock) for work in works]
    together = await call_together(loaded, [(work, shared) for work in works])
    for picture, got in zip(expected, together, strict=True):
        assert np.abs(picture - got).max() < TOLERANCE


def test_requests_are_the_same_in_company_and_leave_the_model_as_it_was(folder: Path, loaded: Engine) -> None:
    unet: Any = loaded.pipeline.unet
    before = unet.attn_processors
    requests = [
        PictureRequest(prompt="a red apple", seed=seed, num_outputs=2, width=64, height=64, **given)
        for seed, given in enumerate(WORKS)
    ]
    together = draw_together(loaded, requests)
    stock: Any = diffusers.StableDiffusionPAGPipeline.from_pretrained(folder, dtype=torch.float32)
    stock.set_progress_bar_config(disable=True)
    for pictures, given in zip(together, WORKS, strict=True):
        for picture in pictures:
            generator = torch.Generator().manual_seed(picture.seed)
            [expected] = stock("a red apple", width=64, height=64, generator=generator, **given).images
            assert distance(picture.image, expected) <= 1
    assert unet.attn_processors == before
    assert gate_of(unet)


async def test_a_model_that_is_not_on_the_device_as_a_whole_is_refused(folder: Path) -> None:
    offloaded = Engine(str(folder))
    add_hook_to_module(offloaded.pipeline.unet, ModelHook())
    with pytest.raises(ModelError, match="more memory"):
        await offloaded.call(drawing(1, WORKS[0]))
    offloaded.close()


def test_other_pipelines_go_on_sharing(engine: Callable[[str], Engine]) -> None:
    assert not changes_its_model(engine("stable-diffusion").pipeline)
