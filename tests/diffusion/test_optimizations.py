"""What `optimize` does, as far as it can be seen without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from server.diffusion import Engine, PictureRequest
from server.diffusion.groupnorm import fuse_group_norms
from server.diffusion.optimizations import keep_channels_last, optimize
from tests.conftest import ROOT
from tests.diffusion.test_groupnorm import pixels
from tests.diffusion.test_loras import LORA, within_squares
from tests.diffusion.test_loras import pixels as pixels_of
from tests.diffusion.tiny_pipelines import BUILDERS, diffusers

Tiny = Callable[[str], Path]


@pytest.mark.parametrize("name", BUILDERS)
def test_without_a_gpu_it_does_nothing(tiny: Tiny, name: str) -> None:
    engine = Engine(str(tiny(name)))
    layouts = strides(engine.pipeline)
    assert optimize(engine.pipeline) == []
    assert strides(engine.pipeline) == layouts
    kinds = {type(part) for network in networks(engine.pipeline) for part in network.modules()}
    assert all(kind.__module__.startswith(("diffusers.", "torch.", "transformers.")) for kind in kinds)


@pytest.mark.parametrize("name", BUILDERS)
def test_channels_last_gives_the_same_picture_from_the_same_weights(tiny: Tiny, name: str) -> None:
    engine = Engine(str(tiny(name)))
    before = pixels(engine, name)
    weights = [dict(network.named_parameters()) for network in networks(engine.pipeline)]
    assert sum(keep_channels_last(network) for network in networks(engine.pipeline)) > 0
    for network, known in zip(networks(engine.pipeline), weights, strict=True):
        assert all(parameter is known[key] for key, parameter in network.named_parameters())
    after = pixels(engine, name)
    # Sums are in another order: the last bit of a float may differ, and so a rounding to 255 steps.
    assert np.abs(after - before).max() <= 1


@pytest.mark.parametrize("linear", [False, True])
def test_every_norm_of_a_stable_diffusion_model_gets_channels_last(linear: bool) -> None:
    unet = diffusers.UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16, 32, 32),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
        use_linear_projection=linear,
    )
    inputs = layouts_into_norms(unet)
    with torch.no_grad():
        result = unet(torch.randn(2, 4, 16, 16), torch.tensor([1, 500]), torch.randn(2, 7, 8)).sample
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert inputs == [True] * 61


def test_every_norm_of_an_autoencoder_gets_channels_last(tiny: Tiny) -> None:
    vae: Any = Engine(str(tiny("stable-diffusion"))).pipeline.vae
    inputs = layouts_into_norms(vae)
    with torch.no_grad():
        vae.decode(vae.encode(torch.randn(2, 3, 64, 48)).latent_dist.mean)
    assert len(inputs) == fuse_group_norms(vae)
    assert all(inputs)


def test_a_transformer_between_convolutions_is_still_one(tiny: Tiny) -> None:
    unet: Any = Engine(str(tiny("stable-diffusion"))).pipeline.unet
    before = [name for name, part in unet.named_modules() if isinstance(part, Transformer2DModel)]
    assert keep_channels_last(unet) == keep_channels_last(unet)
    assert [name for name, part in unet.named_modules() if isinstance(part, Transformer2DModel)] == before


def test_a_convolution_over_time_stays_as_it_is() -> None:
    over_time = nn.Conv3d(2, 2, 3)
    assert keep_channels_last(nn.Sequential(over_time, nn.Conv2d(2, 2, 3))) == 1
    assert over_time.weight.is_contiguous()


def test_a_lora_holds_as_before_and_can_be_unloaded() -> None:
    request = PictureRequest(prompt="a penguin", seed=1, num_inference_steps=4)
    engine = Engine(str(ROOT / "models" / "emoji-fast"))
    engine.pipeline.load_lora_weights(LORA.parent, weight_name=LORA.name)
    expected = pixels_of(engine, request)

    engine = Engine(str(ROOT / "models" / "emoji-fast"))
    for network in networks(engine.pipeline):
        keep_channels_last(network)
        fuse_group_norms(network)
    plain = pixels_of(engine, request)
    engine.pipeline.load_lora_weights(LORA.parent, weight_name=LORA.name)
    pixelated = pixels_of(engine, request)
    assert np.abs(pixelated - expected).mean() < 0.1
    assert within_squares(pixelated) < 0.7 * within_squares(plain)
    engine.pipeline.unload_lora_weights()
    assert np.array_equal(pixels_of(engine, request), plain)


def networks(pipeline: Any) -> list[nn.Module]:
    return [part for part in pipeline.components.values() if isinstance(part, nn.Module)]


def strides(pipeline: Any) -> list[tuple[int, ...]]:
    return [parameter.stride() for network in networks(pipeline) for parameter in network.parameters()]


def layouts_into_norms(network: nn.Module) -> list[bool]:
    """Optimize `network` as on a GPU; of each call of a norm from now on, whether the kernel could take its input."""
    keep_channels_last(network)
    fuse_group_norms(network)
    seen: list[bool] = []

    def look(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        x = arguments[0] if arguments[0].ndim == 4 else arguments[0].unsqueeze(3)
        seen.append(x.is_contiguous(memory_format=torch.channels_last))

    for part in network.modules():
        if isinstance(part, nn.GroupNorm):
            part.register_forward_pre_hook(look)
    return seen
