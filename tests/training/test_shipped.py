"""The weights in models/ and training/, as anyone gets them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

from tests.conftest import ROOT
from training.captions import with_article
from training.drawing import draw, recommended_settings, score
from training.judge import Judge, read_judge
from training.networks import make_few_step_scheduler, make_scheduler
from training.recipes import BACKGROUNDS, background_held_out

BASE = ROOT / "models" / "emoji"
FAST = ROOT / "models" / "emoji-fast"
LORA = ROOT / "models" / "emoji-loras" / "pixel-art" / "pytorch_lora_weights.safetensors"

PLAIN = (
    "red apple",
    "cat",
    "dog",
    "rocket",
    "pizza",
    "penguin",
    "guitar",
    "hamburger",
    "octopus",
    "unicorn",
    "snowman",
    "key",
)


@cache
def loaded(name: str) -> StableDiffusionPipeline:
    pipeline = DiffusionPipeline.from_pretrained(ROOT / "models" / name, dtype=torch.float32)
    assert type(pipeline) is StableDiffusionPipeline
    return pipeline


@pytest.fixture(scope="module")
def judge() -> Judge:
    return read_judge(ROOT / "training" / "judge.safetensors")


def numbers(judge: Judge, names: Sequence[str]) -> list[int]:
    return [judge.labels.index(name) for name in names]


@pytest.mark.parametrize(
    ("folder", "scheduler", "steps"),
    [(BASE, make_scheduler(), 20), (FAST, make_few_step_scheduler(), 8)],
)
def test_is_a_stock_pipeline_of_at_most_40_mb(folder: Path, scheduler: Any, steps: int) -> None:
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 40e6
    shipped = loaded(folder.name).scheduler
    assert type(shipped) is type(scheduler)
    expected = {name: value for name, value in scheduler.config.items() if not name.startswith("_")}
    assert {name: shipped.config[name] for name in expected} == expected
    assert recommended_settings(folder).steps == steps


def test_the_judge_names_concepts_and_is_finite(judge: Judge) -> None:
    assert len(judge.labels) == len(set(judge.labels)) == 1354
    assert all(bool(value.isfinite().all()) for value in judge.state_dict().values())
    torch.manual_seed(0)
    with torch.no_grad():
        scores = judge(torch.rand(2, 3, 192, 192) * 2 - 1)
    assert (scores.shape, scores.dtype) == ((2, 1354), torch.float32)
    assert bool(scores.isfinite().all())


def test_the_fast_model_draws_what_it_is_asked(judge: Judge) -> None:
    result = score(loaded(FAST.name), judge, numbers(judge, PLAIN), recommended_settings(FAST))
    assert round(result.top_5 * result.pictures) >= 10, result.missed


def test_the_model_draws_what_it_is_asked(judge: Judge) -> None:
    result = score(loaded(BASE.name), judge, numbers(judge, PLAIN[:4]), recommended_settings(BASE))
    assert round(result.top_5 * result.pictures) >= 3, result.missed


def test_backgrounds_that_training_never_showed_are_right(judge: Judge) -> None:
    compositions = [("penguin", "blue"), ("red apple", "teal")]
    for name, colour in compositions:
        assert background_held_out(judge.labels.index(name), colour), (name, colour)
    prompts = [f"{with_article(name)} on {with_article(colour)} background" for name, colour in compositions]
    pictures = draw(loaded(FAST.name), prompts, recommended_settings(FAST))
    assert [background(picture) for picture in pictures] == [colour for _, colour in compositions]


def test_the_lora_draws_in_large_pixels() -> None:
    assert LORA.stat().st_size < 1e6
    pipeline = loaded(FAST.name)
    settings = recommended_settings(FAST)
    smooth = draw(pipeline, ["a red apple", "a rocket"], settings)
    pipeline.load_lora_weights(LORA.parent, weight_name=LORA.name)
    adapters = sum(name.endswith(".lora_A") for name, _ in pipeline.unet.named_modules())
    pixelated = draw(pipeline, ["a red apple", "a rocket"], settings)
    pipeline.unload_lora_weights()  # type: ignore[no-untyped-call]
    assert 2 * adapters == len(load_file(LORA))
    for before, after in zip(smooth, pixelated, strict=True):
        assert unevenness(after) < 0.5 * unevenness(before)


def background(picture: Image.Image) -> str:
    """The name of the colour nearest to the mean of the picture's border."""
    rgb = np.asarray(picture, float)
    border = np.concatenate([rgb[:4].reshape(-1, 3), rgb[-4:].reshape(-1, 3)])
    return min(BACKGROUNDS, key=lambda name: float(np.abs(border.mean(0) - BACKGROUNDS[name]).sum()))


def unevenness(picture: Image.Image) -> float:
    """The mean variance inside the squares of 8 pixels that the LoRA was taught to fill."""
    rgb = np.asarray(picture, float)
    squares = rgb.reshape(rgb.shape[0] // 8, 8, rgb.shape[1] // 8, 8, 3)
    return float(squares.var((1, 3)).mean())
