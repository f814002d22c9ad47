"""The fused group norm: what it computes without a GPU, what it replaces in a model, and its operation in a graph.

The kernels themselves need Triton; `bench/kernels.py` checks them, on a GPU or by Triton's interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from torch.nn import functional

from server.diffusion import Engine
from server.diffusion.groupnorm import FusedGroupNorm, fuse_group_norms, group_norm
from tests.diffusion.test_engine import images, request
from tests.diffusion.tiny_pipelines import BUILDERS, diffusers

Tiny = Callable[[str], Path]


def channels_last(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    pictures, channels, *sides = shape
    return torch.randn(pictures, *sides, channels).to(dtype).movedim(-1, 1)


def pixels(engine: Engine, name: str) -> np.ndarray:
    return np.asarray(images(engine, request(name))[0], dtype=np.int16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize(
    "x", [channels_last(2, 12, 5, 4), torch.randn(2, 12, 5, 4), channels_last(2, 12, 7), torch.randn(2, 12, 3, 4, 5)]
)
def test_without_a_gpu_it_is_torchs_group_norm_and_silu(x: torch.Tensor, activation: bool, dtype: torch.dtype) -> None:
    x = x.to(dtype)
    norm = FusedGroupNorm(4, 12, dtype=dtype)
    nn.init.normal_(norm.weight)
    norm.activation = activation
    expected = functional.group_norm(x, 4, norm.weight, norm.bias, norm.eps)
    assert torch.equal(norm(x), functional.silu(expected) if activation else expected)


@pytest.mark.parametrize("name", BUILDERS)
def test_fusing_changes_no_pixel_and_no_weight(tiny: Tiny, name: str) -> None:
    engine = Engine(str(tiny(name)))
    networks = [part for part in engine.pipeline.components.values() if isinstance(part, nn.Module)]
    before = pixels(engine, name)
    parameters = [dict(network.named_parameters()) for network in networks]
    weights = [list(network.state_dict()) for network in networks]
    norms = sum(isinstance(part, nn.GroupNorm) for network in networks for part in network.modules())

    counted = [fuse_group_norms(network) for network in networks]

    assert sum(counted) == norms
    assert [list(network.state_dict()) for network in networks] == weights
    for network, known in zip(networks, parameters, strict=True):
        assert all(parameter is known[key] for key, parameter in network.named_parameters())
    assert np.array_equal(pixels(engine, name), before)
    assert [fuse_group_norms(network) for network in networks] == counted
    assert np.array_equal(pixels(engine, name), before)


def test_a_stable_diffusion_model_is_left_with_no_other_norm_or_activation(tiny: Tiny) -> None:
    unet: Any = Engine(str(tiny("stable-diffusion"))).pipeline.unet
    fuse_group_norms(unet)
    norms = {name: part for name, part in unet.named_modules() if isinstance(part, nn.GroupNorm)}
    alone = {name for name, norm in norms.items() if not norm.activation}
    assert all(name.endswith(("attentions.0.norm", "attentions.1.norm")) for name in alone)
    assert {name.rpartition(".")[2] for name in norms.keys() - alone} == {"norm1", "norm2", "conv_norm_out"}


def test_an_encoder_of_pictures_is_fused_as_well(tiny: Tiny) -> None:
    vae: Any = Engine(str(tiny("stable-diffusion"))).pipeline.vae
    picture = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = vae.encode(picture).latent_dist.mean
        fuse_group_norms(vae)
        assert torch.equal(vae.encode(picture).latent_dist.mean, before)
    assert vae.encoder.conv_norm_out.activation


@pytest.mark.parametrize("other", [{"time_embedding_norm": "scale_shift"}, {"non_linearity": "gelu"}])
def test_a_block_with_something_else_after_its_norm_keeps_its_activation(other: dict[str, str]) -> None:
    block = ResnetBlock2D(in_channels=8, temb_channels=8, groups=4, **other)  # type: ignore[arg-type]
    x, embedding = torch.randn(2, 8, 4, 4), torch.randn(2, 8)
    before = block(x, embedding)
    assert fuse_group_norms(block) == 2
    assert torch.equal(block(x, embedding), before)


def test_a_norm_without_weights_works(tiny: Tiny) -> None:
    norm = nn.Sequential(nn.GroupNorm(4, 8, affine=False))
    x = torch.randn(2, 8, 4, 4)
    before = norm(x)
    fuse_group_norms(norm)
    assert torch.equal(norm(x), before)


def test_gradients_still_flow() -> None:
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        layers_per_block=1,
    )
    fuse_group_norms(unet)
    unet(torch.randn(1, 3, 8, 8), 1).sample.sum().backward()
    assert all(parameter.grad is not None for parameter in unet.parameters())


@group_norm.register_kernel("cpu")
def stand_in(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float, silu: bool
) -> torch.Tensor:
    """What the kernels do, for a graph on the CPU."""
    normalized = functional.group_norm(x, groups, weight, bias, eps)
    return torch.empty_like(x).copy_(functional.silu(normalized) if silu else normalized)


@pytest.mark.parametrize("sides", [(5, 4), (7,)])
def test_in_a_graph_it_keeps_the_layout_for_any_number_of_pictures(sides: tuple[int, ...]) -> None:
    weight, bias = torch.randn(12), torch.randn(12)

    def forward(x: torch.Tensor) -> torch.Tensor:
        normalized: torch.Tensor = group_norm(x * 2, weight, bias, 4, 1e-5, True)
        return normalized if normalized.stride(1) == 1 else normalized * 0

    compiled = torch.compile(forward, fullgraph=True, backend="aot_eager", dynamic=True)
    with torch.no_grad():
        for pictures in (2, 3, 8):
            x = channels_last(pictures, 12, *sides)
            result = compiled(x)
            assert result.stride() == x.stride()
            torch.testing.assert_close(result, stand_in(x * 2, weight, bias, 4, 1e-5, True))


def test_its_operation_is_declared_as_it_behaves() -> None:
    torch.library.opcheck(group_norm, (channels_last(2, 12, 5, 4), torch.ones(12), torch.zeros(12), 4, 1e-5, False))
