"""The pipeline folder, as stock diffusers loads it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from transformers import CLIPTokenizer

from training.unet import Denoiser


def assemble(
    vae: AutoencoderKL, denoiser: Denoiser, tokenizer: CLIPTokenizer, scheduler: SchedulerMixin
) -> StableDiffusionPipeline:
    """A pipeline of these parts, without a safety checker."""
    # diffusers' types do not hold that the last two may be missing.
    parts: dict[str, Any] = {
        "vae": vae.eval(),
        "unet": denoiser.unet.eval(),
        "text_encoder": denoiser.text_encoder.eval(),  # type: ignore[no-untyped-call]
        "tokenizer": tokenizer,
        "scheduler": scheduler,
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline: StableDiffusionPipeline = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    return pipeline


def write_pipeline(pipeline: StableDiffusionPipeline, tokenizer: Path, folder: Path) -> None:
    """Save it as float16 safetensors, with the tokenizer's own files as they were made."""
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    pipeline.to(dtype=torch.float32)
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(tokenizer, folder / "tokenizer")
