"""Weights of eight bits in place of sixteen, by torchao: half the memory for the layers that hold most of a model.

Which layers: those that are linear and stand in a list of layers of a kind, as transformer blocks do, with an even
16 rows and columns as the kernels want them. All else is left: what is before and after the blocks, for there a
rounded weight shows most; norms, embeddings and convolutions; and models other than those that denoise and than large
text encoders. Each row of weights has a scale of its own, and with `fp8` so has each row of what goes in, never a
batch as a whole: what a request gets must not depend on who shares its pass.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch import nn
from transformers import PreTrainedModel

from server.diffusion.errors import ModelError, first_line
from server.diffusion.turns import bytes_of


class Quantization(StrEnum):
    """How weights are kept."""

    NONE = "none"
    """As they are."""
    INT8 = "int8"
    """As integers of eight bits, which become floats again where they are multiplied. On every device."""
    FP8 = "fp8"
    """As floats of eight bits, multiplied as such with what goes in, rounded likewise. On NVIDIA GPUs that can."""


_LARGE = 500_000_000
"""From how many weights on a text encoder is large: T5, Qwen and Gemma are, those of CLIP but the largest are not."""

_MULTIPLE = 16

_FP8_CAPABILITY = (8, 9)
"""From this compute capability on (Ada, Hopper and later) an NVIDIA GPU multiplies in fp8."""

_INSTALL = "python -m pip install 'torchao>=0.18'"


def check_device(quantization: Quantization, device: torch.device) -> None:
    """Tell, before a model is read, what cannot be done with it here.

    Raises:
        ModelError: torchao is missing or does not work, or the device cannot compute so.
    """
    if quantization is Quantization.NONE:
        return
    _torchao()
    if quantization is Quantization.FP8:
        check_capability(torch.cuda.get_device_capability(device) if device.type == "cuda" else None, str(device))


def check_capability(capability: tuple[int, int] | None, device: str) -> None:
    """Tell a device that cannot compute in fp8.

    Args:
        capability: of an NVIDIA GPU; `None` is another device.
        device: what it is called.

    Raises:
        ModelError: it cannot.
    """
    if capability and capability >= _FP8_CAPABILITY:
        return
    found = f"{device} has {'.'.join(map(str, capability))}" if capability else f"this is {device}"
    raise ModelError(
        f"--quantize fp8 needs an NVIDIA GPU of compute capability 8.9 or more, such as an L40S or an H100; {found}. "
        "Take int8, which works on every device, or none."
    )


def quantize_weights(pipeline: DiffusionPipeline, quantization: Quantization, large: int = _LARGE) -> list[str]:
    """Quantize the weights of a pipeline that has just been read, in place and layer by layer.

    Args:
        pipeline: on the CPU, so that the device never has to hold more than what comes out.
        quantization: how. Text encoders are quantized as int8 in any case: they work once a request, and int8 keeps
            more digits in the same memory.
        large: from how many weights on text encoders are quantized.

    Returns:
        What was done, in short phrases for the log.

    Raises:
        ModelError: there is nothing in this pipeline to quantize.
    """
    if quantization is Quantization.NONE:
        return []
    done, before, after = [], 0, 0
    for name, model in pipeline.components.items():
        if not isinstance(model, nn.Module):
            continue
        before += bytes_of(model)
        if (kind := _kind_for(model, quantization, large)) and _quantize(model, kind):
            done.append(f"{kind} weights of {name}")
        after += bytes_of(model)
    if not done:
        raise ModelError(
            f"--quantize {quantization} would change nothing of this model ({type(pipeline).__name__}): it has no "
            f"blocks of linear layers whose sides are multiples of {_MULTIPLE}. Take none."
        )
    return [*done, f"{after / 1e6:.1f} MB in place of {before / 1e6:.1f}"]


def layers_to_quantize(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The layers of a model whose weights are quantized, by name."""
    blocks = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    for name, module in model.named_modules():
        # Of subclasses, as within `nn.MultiheadAttention`, others read the weight.
        if type(module) is not nn.Linear or not name.startswith(blocks):
            continue
        if module.in_features % _MULTIPLE == module.out_features % _MULTIPLE == 0:
            yield name, module


def _kind_for(model: nn.Module, quantization: Quantization, large: int) -> Quantization | None:
    match model:
        case ModelMixin() if not (hasattr(model, "encode") and hasattr(model, "decode")):
            return quantization
        case PreTrainedModel() if sum(parameter.numel() for parameter in model.parameters()) >= large:
            return Quantization.INT8
    return None


def _quantize(model: nn.Module, quantization: Quantization) -> bool:
    chosen = {layer for _, layer in layers_to_quantize(model)}
    if chosen:
        api = _torchao()
        api.quantize_(model, _config(api, quantization), filter_fn=lambda module, _: module in chosen)
    return bool(chosen)


def _config(api: Any, quantization: Quantization) -> Any:
    # What torchao recommends to the compiler is for the whole process, and also sets the precision of float32.
    if quantization is Quantization.INT8:
        return api.Int8WeightOnlyConfig(granularity=api.PerRow(), set_inductor_config=False)
    kernels = importlib.import_module("torchao.quantization.quantize_.common")
    return api.Float8DynamicActivationFloat8WeightConfig(
        granularity=api.PerRow(),
        # Torch's own, whatever else is installed.
        kernel_preference=kernels.KernelPreference.TORCH,
        set_inductor_config=False,
    )


def _torchao() -> Any:
    try:
        return importlib.import_module("torchao.quantization")
    except ImportError as error:
        raise ModelError(f"--quantize needs torchao ({first_line(error)}). Install it: {_INSTALL}") from error
