"""Pictures of many prompts, for people (a grid) and for the judge (a score)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from training.captions import with_article
from training.judge import Judge
from training.pack import Concept
from training.vocabulary import plain


@dataclass(frozen=True)
class Score:
    """How many of the pictures the judge named rightly first, and among its first five."""

    pictures: int
    top_1: float
    top_5: float
    missed: tuple[str, ...]
    """The prompts whose picture was not among the first five."""


def draw(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    steps: int,
    guidance: float,
    seed: int = 1,
    batch: int = 8,
) -> list[Image.Image]:
    """One picture for each prompt, all from the same seed."""
    pipeline.set_progress_bar_config(disable=True)
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), batch):
        part = list(prompts[start : start + batch])
        # Noise is drawn on the host, so that a picture is the same on every machine.
        generators = [torch.Generator().manual_seed(seed) for _ in part]
        made = pipeline(part, num_inference_steps=steps, guidance_scale=guidance, generator=generators)
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
    pipeline: StableDiffusionPipeline,
    judge: Judge,
    concepts: Sequence[Concept],
    numbers: Sequence[int],
    steps: int,
    guidance: float,
    batch: int = 8,
) -> Score:
    """Ask for each of these concepts by its plain name, and let the judge say what it sees."""
    prompts = [with_article(plain(concepts[number].label)) for number in numbers]
    pictures = draw(pipeline, prompts, steps, guidance, batch=batch)
    pixels = np.stack([np.asarray(picture) for picture in pictures])
    first, five, missed = 0, 0, []
    for number, prompt, rgb in zip(numbers, prompts, torch.from_numpy(pixels), strict=True):
        scores = judge(rgb.permute(2, 0, 1)[None].float() / 127.5 - 1)
        best = scores[0].topk(5).indices.tolist()
        first += best[0] == number
        five += number in best
        if number not in best:
            missed.append(prompt)
    return Score(len(prompts), first / len(prompts), five / len(prompts), tuple(missed))
