"""Group normalization of pictures that lie channels-last in memory, with SiLU in the same pass.

Convolutions on tensor cores want a picture's channels side by side. torch's own group norm works on whole planes, so
between two convolutions it copies everything there and back, and SiLU is one more pass. Here a picture is read twice
and written once (`groupnorm_kernels`). Whatever the kernels don't take goes to torch: the CPU, other layouts, training.
"""

import torch
from diffusers.models.autoencoders.vae import Decoder, Encoder, MaskConditionDecoder
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from torch.nn import functional

_DTYPES = (torch.bfloat16, torch.float16, torch.float32)
# Of these the forward pass calls `conv_act` right after `conv_norm_out`, and neither anywhere else.
_WITH_OUTPUT_NORM = (UNet2DConditionModel, UNet2DModel, Encoder, Decoder, MaskConditionDecoder)


class FusedGroupNorm(nn.GroupNorm):
    """A GroupNorm that may be followed by SiLU in the same pass.

    Attributes:
        activation: whether SiLU follows.
    """

    activation: bool = False

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize [pictures, channels, ...]; shape, type and layout stay."""
        if self.weight is not None and _fits(input, self.weight):
            # In a graph of torch.compile the kernels are one opaque operation; without one, its dispatch only costs.
            fused = group_norm if torch.compiler.is_compiling() else _launch
            return fused(input, self.weight, self.bias, self.num_groups, self.eps, self.activation)
        normalized = super().forward(input)
        return functional.silu(normalized) if self.activation else normalized


class EmbeddingActivation(nn.SiLU):
    """What stands for the activation of a ResnetBlock2D whose norms apply it themselves: SiLU of embeddings only."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Pictures [pictures, channels, height, width] as they are, embeddings [pictures, channels] with SiLU."""
        return input if input.ndim == 4 else super().forward(input)


def fuse_group_norms(module: nn.Module) -> int:
    """Turn every GroupNorm of a loaded model into a FusedGroupNorm, in place.

    Where SiLU follows in one of diffusers' own blocks, the norm takes it over. Parameters and their names stay, so that
    weights and LoRA adapters load as before. Doing it again changes nothing.

    Returns:
        How many FusedGroupNorm there are now.
    """
    for block in module.modules():
        if type(block) is ResnetBlock2D:
            _take_over_activations(block)
        elif isinstance(block, _WITH_OUTPUT_NORM):
            _take_over_output_activation(block)
    for norm in module.modules():
        if type(norm) is nn.GroupNorm:
            norm.__class__ = FusedGroupNorm
    return sum(isinstance(norm, FusedGroupNorm) for norm in module.modules())


def _take_over_activations(block: ResnetBlock2D) -> None:
    # With "scale_shift" the embedding comes between norm and activation.
    if block.time_embedding_norm != "default" or type(block.nonlinearity) is not nn.SiLU:
        return
    if _activate(block.norm1, block.norm2):
        block.nonlinearity = EmbeddingActivation()


def _take_over_output_activation(block: nn.Module) -> None:
    if type(block.conv_act) is nn.SiLU and _activate(block.conv_norm_out):
        block.conv_act = nn.Identity()


def _activate(*norms: nn.Module | None) -> bool:
    if not all(type(norm) is nn.GroupNorm for norm in norms):
        return False
    for norm in norms:
        norm.__class__ = FusedGroupNorm
        setattr(norm, "activation", True)
    return True


def _fits(x: torch.Tensor, weight: torch.Tensor) -> bool:
    if not x.is_cuda or torch.is_grad_enabled() or x.dtype not in _DTYPES or weight.dtype not in _DTYPES:
        return False
    match x.ndim:
        case 3:
            return x.numel() > 0 and x.transpose(1, 2).is_contiguous()
        case 4:
            return x.numel() > 0 and x.is_contiguous(memory_format=torch.channels_last)
        case _:
            return False


def _launch(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float, silu: bool
) -> torch.Tensor:
    # Here, not at the top: Triton comes with torch for CUDA only.
    from server.diffusion import groupnorm_kernels

    out = torch.empty_like(x)
    with torch.cuda.device_of(x):
        groupnorm_kernels.launch(x, out, weight, bias, groups, eps, silu)
    return out


group_norm = torch.library.custom_op("darkroom::group_norm", _launch, mutates_args=(), device_types="cuda")


@group_norm.register_fake
def _(x: torch.Tensor, *_: object) -> torch.Tensor:
    return torch.empty_like(x)
