"""Trains a small LoRA on the finished pipeline: everything in pixel art."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from training.budget import Budget, learning_rate
from training.device import mixed_precision, report
from training.painting import Painter, pixelate
from training.unet import Objective
from training.vae import encode, sample

RANK = 4
_RATE = 2e-3
_PICTURES = 20_000
_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "proj_in", "proj_out"]


def train_pixel_art(
    pipeline: StableDiffusionPipeline, painter: Painter, budget: Budget, batch: int, seed: int, folder: Path
) -> None:
    """Teach the UNet to draw whatever is asked in large pixels, and write `pytorch_lora_weights.safetensors`."""
    torch.manual_seed(seed)
    device = painter.device
    pipeline.to(device)
    unet, text_encoder = pipeline.unet, pipeline.text_encoder
    latents = _pixelated(pipeline, painter)
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=_TARGETS))
    added = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(added, weight_decay=0.0)
    objective = Objective(device)
    end = pipeline.tokenizer.eos_token_id
    step = 0
    budget.begin()
    while (progress := budget.progress(step)) < 1:
        optimizer.param_groups[0]["lr"] = _RATE * learning_rate(step, progress, warm_up=100)
        recipes = torch.randint(len(latents), (batch,), device=device)
        captions = torch.randint(painter.tokens.shape[1], (batch,), device=device)
        tokens = torch.full((batch, pipeline.tokenizer.model_max_length), end, device=device)
        tokens[:, : painter.tokens.shape[2]] = painter.tokens[recipes, captions].long()
        with torch.no_grad(), mixed_precision(device):
            words = text_encoder(tokens)[0]

        def predict(noisy: Tensor, timesteps: Tensor, words: Tensor = words) -> Tensor:
            made: Tensor = unet(noisy, timesteps, words, return_dict=False)[0]
            return made

        loss = objective.loss(predict, latents[recipes].float(), objective.draw_timesteps(batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(added, 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            report(f"LoRA step {step}, loss {loss:.4f}")
    weights = get_peft_model_state_dict(unet)
    StableDiffusionPipeline.save_lora_weights(folder, {name: tensor.half() for name, tensor in weights.items()})
    report(f"LoRA after {step} steps: {sum(parameter.numel() for parameter in added):,} parameters")


@torch.no_grad()
def _pixelated(pipeline: StableDiffusionPipeline, painter: Painter, batch: int = 256) -> Tensor:
    parts = []
    for numbers in torch.arange(min(_PICTURES, painter.count), device=painter.device).split(batch):
        pictures = pixelate(painter.paint(numbers)).contiguous(memory_format=torch.channels_last)
        with mixed_precision(painter.device):
            parts.append(sample(*encode(pipeline.vae, pictures)).half())
    return torch.cat(parts)
