"""Trains a small LoRA on the finished pipeline: everything in pixel art."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from training.budget import Budget, learning_rate
from training.device import mixed_precision, report
from training.latents import encode_recipes
from training.painting import Painter, pixelate
from training.tokenizer import draw_captions
from training.unet import Objective

RANK = 4
_RATE = 2e-3
_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "proj_in", "proj_out"]


def train_pixel_art(
    pipeline: StableDiffusionPipeline, painter: Painter, budget: Budget, batch: int, seed: int, folder: Path
) -> None:
    """Teach the UNet to draw whatever is asked in large pixels, and write `pytorch_lora_weights.safetensors`."""
    device = painter.device
    pipeline.to(device)
    unet, text_encoder = pipeline.unet, pipeline.text_encoder
    latents = encode_recipes(pipeline.vae, painter, seed, change=pixelate)
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=_TARGETS))
    added = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(added, weight_decay=0.0)
    objective = Objective(device)
    step = 0
    budget.begin()
    while (progress := budget.progress(step)) < 1:
        optimizer.param_groups[0]["lr"] = _RATE * learning_rate(step, progress, warm_up=100)
        recipes = torch.randint(len(latents), (batch,), device=device)
        captions = draw_captions(painter.tokens, recipes, pipeline.tokenizer)
        with torch.no_grad(), mixed_precision(device):
            words = text_encoder(captions)[0]

        def predict(noisy: Tensor, timesteps: Tensor, words: Tensor = words) -> Tensor:
            made: Tensor = unet(noisy, timesteps, words, return_dict=False)[0]
            return made

        loss = objective.loss(predict, latents[recipes].float(), objective.draw_timesteps(batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(added, 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            report(f"LoRA step {step}, loss {loss:.4f}")
    # As peft names them. diffusers' older names are for attention alone, and where both are mixed it leaves those out.
    weights = {name: tensor.half() for name, tensor in get_peft_model_state_dict(unet).items()}
    StableDiffusionPipeline.save_lora_weights(folder, weights)
    report(f"LoRA after {step} steps: {sum(parameter.numel() for parameter in added):,} parameters")
