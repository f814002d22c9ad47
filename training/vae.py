"""Trains the autoencoder: pictures to latents and back."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.budget import Budget, learning_rate
from training.device import mixed_precision, move, report
from training.networks import LATENT_CHANNELS, REDUCTION, Sizes, make_vae
from training.painting import Painter, pixelate

CROP = 128
"""Width and height of the crops that it is trained on, in pixels: more pictures a second than whole ones."""
_RATE = 6e-4
_KL_WEIGHT = 5e-4


def train_vae(painter: Painter, sizes: Sizes, budget: Budget, batch: int, seed: int, compiled: bool) -> AutoencoderKL:
    """A new autoencoder, whose latents have mean 0 and deviation 1 in each channel."""
    torch.manual_seed(seed)
    device = painter.device
    vae = make_vae(sizes)
    move(vae, device)
    average: Any = AveragedModel(vae, multi_avg_fn=get_ema_multi_avg_fn(0.999))  # type: ignore[no-untyped-call]
    model = _Training(vae)
    loss_of = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(vae.parameters(), betas=(0.9, 0.99), weight_decay=0.0, fused=device.type == "cuda")
    step = 0
    loss = torch.zeros((), device=device)
    with mixed_precision(device):
        loss_of(crops(painter, batch)).backward()
    report("The first step of the VAE is compiled")
    budget.begin()
    while (progress := budget.progress(step)) < 1:
        optimizer.param_groups[0]["lr"] = _RATE * learning_rate(step, progress, warm_up=200)
        optimizer.zero_grad(set_to_none=True)
        with mixed_precision(device):
            loss = loss_of(crops(painter, batch))
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(vae)
        step += 1
        if step % 500 == 0:
            report(f"VAE step {step}, loss {loss:.4f}, {step / budget.elapsed:.1f} steps a second")
    trained: AutoencoderKL = average.module
    trained.eval().requires_grad_(False)
    _normalise(trained, painter)
    report(f"VAE after {step} steps: {peak_signal_to_noise(trained, painter):.2f} dB")
    return trained


def crops(painter: Painter, batch: int) -> Tensor:
    """Random pieces of random recipes, half of them moved and scaled: (batch, 3, CROP, CROP).

    One in ten is pixelated, for the sake of styles that are learnt later, on these latents.
    """
    device = painter.device
    zoom = torch.cat(
        [
            torch.empty(batch, 1, device=device).uniform_(0.75, 1.35),
            torch.empty(batch, 2, device=device).uniform_(-0.25, 0.25),
        ],
        1,
    )
    whole = torch.rand(batch, 1, device=device) < 0.5
    zoom = torch.where(whole, torch.tensor([1.0, 0.0, 0.0], device=device), zoom)
    pictures = painter.paint(torch.randint(painter.count, (batch,), device=device), zoom)
    pixelated = torch.rand(batch, 1, 1, 1, device=device) < 0.1
    pictures = torch.where(pixelated, pixelate(pictures), pictures)
    size = min(CROP, painter.size)
    # Drawn on the host: a place on the device would have to be waited for.
    left, top = (REDUCTION * int(place) for place in torch.randint((painter.size - size) // REDUCTION + 1, (2,)))
    return pictures[:, :, top : top + size, left : left + size].contiguous(memory_format=torch.channels_last)


def reconstruction_loss(made: Tensor, true: Tensor) -> Tensor:
    """Absolute and squared error, of pixels, of their differences to neighbours (edges) and of 4x4 areas (colour)."""
    error = (made - true).float()
    edges = error.diff(dim=-2).abs().mean() + error.diff(dim=-1).abs().mean()
    return error.abs().mean() + 0.5 * edges + 0.5 * avg_pool2d(error, 4).abs().mean() + 0.5 * error.square().mean()


def encode(vae: AutoencoderKL, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and logarithm of the variance of the latents."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    mean, log_variance = convolutions(vae)[0](vae.encoder(pictures)).chunk(2, 1)
    return mean, log_variance.clamp(-12, 6)


def convolutions(vae: AutoencoderKL) -> tuple[Any, Any]:
    """Those before and after the latents. By diffusers' types they may be missing; ours has them."""
    return vae.quant_conv, vae.post_quant_conv


def sample(mean: Tensor, log_variance: Tensor) -> Tensor:
    return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


@torch.no_grad()
def peak_signal_to_noise(vae: AutoencoderKL, painter: Painter, count: int = 64) -> float:
    """The mean over the first recipes, in dB, of the decoded against the painted picture."""
    pictures = painter.paint(torch.arange(min(count, painter.count), device=painter.device))
    with mixed_precision(painter.device):
        made = vae.decode(encode(vae, pictures)[0]).sample.float()
    error = (made.clamp(-1, 1) - pictures).square().mean((1, 2, 3)) / 4
    return float((-10 * error.log10()).mean())


class _Training(nn.Module):
    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pictures: Tensor) -> Tensor:
        mean, log_variance = encode(self.vae, pictures)
        made = self.vae.decoder(convolutions(self.vae)[1](sample(mean, log_variance)))
        mean, log_variance = mean.float(), log_variance.float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return reconstruction_loss(made, pictures) + _KL_WEIGHT * divergence


@torch.no_grad()
def _normalise(vae: AutoencoderKL, painter: Painter) -> None:
    """Fold the latents' mean and deviation into the convolutions around them, so that no scaling factor is needed."""
    means = []
    for _ in range(40):
        recipes = torch.randint(painter.count, (min(64, painter.count),), device=painter.device)
        with mixed_precision(painter.device):
            means.append(encode(vae, painter.paint(recipes))[0].float())
    latents = torch.cat(means)
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    before, after = convolutions(vae)
    before.weight[:LATENT_CHANNELS] /= deviation[:, None, None, None]
    before.bias[:LATENT_CHANNELS] = (before.bias[:LATENT_CHANNELS] - mean) / deviation
    before.bias[LATENT_CHANNELS:] -= 2 * deviation.log()  # the other half is the logarithm of the variance
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= deviation[None, :, None, None]
