"""Twins: copies that share weights, and keep what was done to the layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from server.diffusion.errors import ModelError
from server.diffusion.gates import gate_of, put_gates
from server.diffusion.groupnorm import EmbeddingActivation, FusedGroupNorm, fuse_group_norms
from server.diffusion.optimizations import ChannelsLastTransformer2DModel, keep_channels_last
from server.diffusion.twins import make_twin
from tests.diffusion.tiny_pipelines import diffusers


@pytest.fixture
def pipeline(tiny: Callable[[str], Path]) -> Any:
    return diffusers.DiffusionPipeline.from_pretrained(tiny("stable-diffusion"))


def kinds(model: nn.Module) -> list[tuple[str, type, Any]]:
    return [(name, type(module), getattr(module, "activation", None)) for name, module in model.named_modules()]


def test_weights_are_shared_and_layers_are_not(pipeline: Any) -> None:
    for model in (pipeline.unet, pipeline.text_encoder):
        twin = make_twin(model)
        for (name, own), (other_name, copy) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
            assert name == other_name
            assert own is not copy
            assert own.data_ptr() == copy.data_ptr()
        assert {id(buffer) for buffer in model.buffers()} == {id(buffer) for buffer in twin.buffers()}
        assert not {id(part) for part in model.modules()} & {id(part) for part in twin.modules()}
        first = next(iter(twin.parameters()))
        first.data = torch.zeros_like(first)
        assert next(iter(model.parameters())).abs().sum() > 0


def test_what_was_done_to_the_layers_is_kept(pipeline: Any) -> None:
    unet = pipeline.unet
    keep_channels_last(unet)
    fuse_group_norms(unet)
    twin = make_twin(unet)
    assert kinds(twin) == kinds(unet)
    found = {type(module) for module in twin.modules()}
    assert {FusedGroupNorm, EmbeddingActivation, ChannelsLastTransformer2DModel} <= found
    for own, copy in zip(unet.parameters(), twin.parameters(), strict=True):
        assert own.stride() == copy.stride()
    inputs = torch.randn(1, 4, 8, 8), 1, torch.randn(1, 3, 32)
    with torch.no_grad():
        assert torch.equal(twin(*inputs).sample, unet(*inputs).sample)


def test_gates_are_left_behind(pipeline: Any) -> None:
    put_gates(pipeline)
    twin = make_twin(pipeline.unet)
    assert gate_of(twin) is None
    assert gate_of(pipeline.unet) is not None
    assert not {"forward", "to"} & vars(twin).keys()
    assert twin.forward.__self__ is twin


def test_bound_methods_become_the_twins_and_closures_are_refused(pipeline: Any) -> None:
    layer = pipeline.unet.conv_in
    layer.forward = layer.forward
    assert make_twin(pipeline.unet).conv_in.forward.__self__ is not layer
    forward = layer.forward
    layer.forward = lambda *args: forward(*args)
    with pytest.raises(ModelError, match="put on the model's conv_in"):
        make_twin(pipeline.unet)
