"""Pictures of many prompts, for people (a grid) and for the judge (a score)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from PIL import Image

from server.diffusion.defaults import card_parameters
from training.captions import with_article
from training.judge import Judge


@dataclass(frozen=True)
class Settings:
    """How a pipeline draws: in how many steps, and how closely to the prompt."""

    steps: int = 20
    guidance: float = 5.0

    def but(self, steps: int | None, guidance: float | None) -> Settings:
        """These, with those of the two that are given in their place."""
        return Settings(self.steps if steps is None else steps, self.guidance if guidance is None else guidance)


@dataclass(frozen=True)
class Score:
    """How many of the pictures the judge named rightly first, and among its first five: parts of 1."""

    pictures: int
    top_1: float
    top_5: float
    missed: tuple[str, ...]
    """The prompts whose picture was not among the first five."""


def recommended_settings(model: Path) -> Settings:
    """Those under `inference: parameters:` in the metadata of the model card; the usual ones where there is no card."""
    parameters = card_parameters(model)
    return Settings().but(parameters.get("num_inference_steps"), parameters.get("guidance_scale"))


def draw(
    pipeline: StableDiffusionPipeline, prompts: Sequence[str], settings: Settings, seed: int = 1, batch: int = 8
) -> list[Image.Image]:
    """One picture for each prompt, all from the same seed."""
    pipeline.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), batch):
        part = list(prompts[start : start + batch])
        # Noise is drawn on the host, so that a picture is the same on every machine.
        generators = [torch.Generator().manual_seed(seed) for _ in part]
        made = pipeline(
            part, num_inference_steps=settings.steps, guidance_scale=settings.guidance, generator=generators
        )
        pictures += made.images
    return pictures


def grid(pictures: Sequence[Image.Image], columns: int = 8) -> Image.Image:
    """All of them on one sheet, row by row."""
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % columns * width, number // columns * height))
    return sheet


@torch.no_grad()
def score(
    pipeline: StableDiffusionPipeline, judge: Judge, numbers: Sequence[int], settings: Settings, batch: int = 8
) -> Score:
    """Ask for each of these of the judge's concepts by its name, and let the judge say what it sees."""
    prompts = [with_article(judge.labels[number]) for number in numbers]
    first, five, missed = 0, 0, []
    for number, prompt, picture in zip(numbers, prompts, draw(pipeline, prompts, settings, batch=batch), strict=True):
        rgb = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
        best = judge(rgb.float() / 127.5 - 1)[0].topk(5).indices.tolist()
        first += best[0] == number
        five += number in best
        if number not in best:
            missed.append(prompt)
    return Score(len(prompts), first / len(prompts), five / len(prompts), tuple(missed))
