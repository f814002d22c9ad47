"""Encodes the recipes once, so that the UNet's training neither paints nor encodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from training.device import mixed_precision
from training.networks import LATENT_CHANNELS, REDUCTION
from training.painting import Painter
from training.vae import encode, sample


def empty_latents(count: int, image: int, device: torch.device) -> Tensor:
    """Room for the latents of `count` pictures: (count, 4, image / 8, image / 8) in float16, 4.6 kB each at 192."""
    size = image // REDUCTION
    return torch.zeros(count, LATENT_CHANNELS, size, size, dtype=torch.float16, device=device)


@torch.no_grad()
def encode_recipes(
    vae: AutoencoderKL,
    painter: Painter,
    seed: int,
    batch: int = 256,
    change: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """A sample of the latents of every recipe, as `empty_latents`; of its changed picture where `change` is given."""
    torch.manual_seed(seed)
    latents = empty_latents(painter.count, painter.size, painter.device)
    for start in range(0, painter.count, batch):
        recipes = torch.arange(start, min(start + batch, painter.count), device=painter.device)
        pictures = painter.paint(recipes)
        if change:
            pictures = change(pictures)
        with mixed_precision(painter.device):
            latents[recipes] = sample(*encode(vae, pictures)).half()
    return latents


def write_latents(latents: Tensor, file: Path) -> None:
    """Write them from wherever they are (see `write_whole`)."""
    write_whole(latents.cpu(), file)


def write_whole(value: object, file: Path) -> None:
    """Write for `torch.load`, under the file's name once all is there: another process may be waiting for it."""
    partial = file.with_suffix(".partial")
    torch.save(value, partial)
    partial.replace(file)
