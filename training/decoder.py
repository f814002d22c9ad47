"""Sharpens the decoder against a small critic; the latents stay as they are, so the UNet is not touched."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.budget import Budget, learning_rate
from training.device import mixed_precision, move, report
from training.painting import Painter
from training.vae import convolutions, crops, encode, peak_signal_to_noise, reconstruction_loss, sample

_RATE = 1.5e-4
_CRITIC_RATE = 3e-4
_CRITIC_WEIGHT = 0.02
_CRITIC_ALONE = 200
"""Steps before the decoder listens to the critic, which knows nothing at first."""


def sharpen_decoder(
    vae: AutoencoderKL, painter: Painter, budget: Budget, batch: int, seed: int, compiled: bool
) -> AutoencoderKL:
    """The same autoencoder with a decoder that draws edges where the other averages over where they may be.

    The critic judges patches (Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017)
    by the hinge loss, with spectral normalisation (Miyato et al., 2018).
    """
    torch.manual_seed(seed)
    device = painter.device
    report(f"Decoder before sharpening: {peak_signal_to_noise(vae, painter):.2f} dB")
    vae.requires_grad_(False)
    decoder = nn.Sequential(convolutions(vae)[1], vae.decoder).requires_grad_(True)
    average: Any = AveragedModel(decoder, multi_avg_fn=get_ema_multi_avg_fn(0.998))  # type: ignore[no-untyped-call]
    critic = _critic()
    move(critic, device)
    # Not the critic: it is too small to gain in a minute what compiling it costs, with gradients and without.
    decode = torch.compile(decoder, dynamic=False) if compiled else decoder
    fused = device.type == "cuda"
    optimizer = torch.optim.AdamW(decoder.parameters(), betas=(0.5, 0.99), weight_decay=0.0, fused=fused)
    critic_optimizer = torch.optim.AdamW(critic.parameters(), betas=(0.5, 0.99), weight_decay=0.0, fused=fused)
    step = 0
    budget.begin()
    while (progress := budget.progress(step)) < 1:
        rate = learning_rate(step, progress, warm_up=100, floor=0.05)
        optimizer.param_groups[0]["lr"] = _RATE * rate
        critic_optimizer.param_groups[0]["lr"] = _CRITIC_RATE * max(rate, 0.2)
        true = crops(painter, batch)
        with mixed_precision(device):
            with torch.no_grad():
                latents = sample(*encode(vae, true))
            made = decode(latents)
            loss = reconstruction_loss(made, true)
            if step > _CRITIC_ALONE:
                loss = loss - _CRITIC_WEIGHT * critic(made).float().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        with mixed_precision(device):
            critic_loss = relu(1 - critic(true).float()).mean() + relu(1 + critic(made.detach()).float()).mean()
        critic_optimizer.zero_grad(set_to_none=True)
        critic_loss.backward()  # type: ignore[no-untyped-call]
        critic_optimizer.step()
        average.update_parameters(decoder)
        step += 1
        if step % 500 == 0:
            report(f"Decoder step {step}, loss {loss:.4f}, critic {critic_loss:.4f}")
    decoder.load_state_dict(average.module.state_dict())
    report(f"Decoder after {step} steps: {peak_signal_to_noise(vae.requires_grad_(False), painter):.2f} dB")
    return vae


def _critic(channels: int = 48) -> nn.Sequential:
    """RGB (n, 3, h, w) to a score for each patch, positive for true ones."""

    def layer(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
        return spectral_norm(nn.Conv2d(inputs, outputs, 4, stride, 1)), nn.LeakyReLU(0.2)

    return nn.Sequential(
        *layer(3, channels, 2),
        *layer(channels, 2 * channels, 2),
        *layer(2 * channels, 4 * channels, 1),
        nn.Conv2d(4 * channels, 1, 4, 1, 1),
    )
