"""What makes single forward passes of a loaded pipeline quick on an NVIDIA GPU, and changes none of its weights."""

from typing import Any

import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch import nn

from server.diffusion.groupnorm import fuse_group_norms


def optimize(pipeline: DiffusionPipeline) -> list[str]:
    """Prepare a pipeline that was loaded onto a GPU; on another device this does nothing.

    Names and values of all parameters stay, and LoRA adapters load before and after.

    Returns:
        What was done, in short phrases for the log; empty on another device.
    """
    if pipeline.device.type != "cuda":
        return []
    # TF32 keeps more digits than the half precision of all else; only what a pipeline upcasts is in float32.
    torch.set_float32_matmul_precision("high")
    done = []
    networks = [module for module in pipeline.components.values() if isinstance(module, nn.Module)]
    if sum(keep_channels_last(network) for network in networks):
        done.append("channels-last")
    if count := sum(fuse_group_norms(network) for network in networks):
        done.append(f"{count} fused group norms")
    return done


def keep_channels_last(module: nn.Module) -> int:
    """Have two-dimensional convolutions, and what lies between them, work on pictures that are channels-last in memory.

    Returns:
        How many convolutions there are.
    """
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    for convolution in convolutions:
        convolution.to(memory_format=torch.channels_last)
    for part in module.modules():
        if type(part) is Transformer2DModel:
            part.__class__ = ChannelsLastTransformer2DModel
    return len(convolutions)


class ChannelsLastTransformer2DModel(Transformer2DModel):  # type: ignore[misc]
    """A Transformer2DModel that leaves its result channels-last, where diffusers copies it to planes.

    That copy makes the sum with the residual one of planes, too, and so each layer until the next convolution.
    """

    def _get_output_for_continuous_inputs(
        self,
        hidden_states: torch.Tensor,
        residual: torch.Tensor,
        batch_size: int,
        height: int,
        width: int,
        inner_dim: int,
    ) -> Any:
        if self.use_linear_projection:
            hidden_states = self.proj_out(hidden_states)
        picture = hidden_states.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return (picture if self.use_linear_projection else self.proj_out(picture)) + residual
