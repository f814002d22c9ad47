"""Where a pipeline's weights are while it works: on the device, or there by turns where that is too small for all.

Too little memory is met step by step (`Step`), each slower than the one before. Left out on purpose is attention
slicing: torch's attention never holds the matrix that this would cut into slices; in its place, diffusers would compute
attention in a way that does.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import torch
from accelerate import cpu_offload  # type: ignore[import-untyped]
from accelerate.hooks import add_hook_to_module, remove_hook_from_module  # type: ignore[import-untyped]
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server.diffusion.errors import ModelError
from server.diffusion.gates import remove_gates
from server.diffusion.memory import free_bytes
from server.diffusion.turns import Turn, Turns, bytes_of, move

_log = logging.getLogger(__name__)

_BYTES_A_PIXEL = 3 << 10
"""What decoding a picture takes beside the weights, in half precision: with 128 channels at its full size, some ten
times that many values. Denoising takes less."""

_TILED_BYTES_A_PIXEL = 1 << 10
"""The same where the picture is decoded in tiles, so that denoising needs most."""

_USUAL_PIXELS = 1024 * 1024


class Step(IntEnum):
    """What is done so that a pipeline fits. A step takes the place of the one before."""

    WHOLE = 0
    """Nothing: all weights are on the device, and room for a picture."""
    TILED = 1
    """All weights are on the device; the autoencoder works picture by picture, and on large ones in tiles."""
    BY_MODEL = 2
    """The models of the pipeline are on the device by turns, as many at a time as fit."""
    BY_LAYER = 3
    """Each layer is on the device only while it works."""


@dataclass
class Placement:
    """How a pipeline was placed.

    Attributes:
        device: where it works; `pipeline.device` may be another one, for it is where weights happen to be.
        step: what was done.
        notes: what that means for requests, a sentence or two each; empty where it fits.
    """

    device: torch.device
    step: Step
    notes: list[str] = field(default_factory=list)
    turns: Turns | None = None

    @property
    def stays(self) -> bool:
        """Whether weights stay where they are."""
        return self.step <= Step.TILED

    @property
    def records(self) -> bool:
        """Whether passes can be recorded, and compiled."""
        return self.device.type == "cuda" and self.stays

    def make_room(self, module: Any) -> None:
        """Take off the device what a pass of `module` does not need."""
        if self.turns:
            self.turns.leave_alone(module)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def place(pipeline: DiffusionPipeline, device: torch.device, least: Step = Step.WHOLE) -> Placement:
    """Get a pipeline ready to work on a device, in the first step that fits. Each that does not is logged.

    Args:
        pipeline: as it was read, on the CPU.
        device: where it shall work.
        least: the step to begin with.

    Raises:
        ModelError: the device has too little memory for it in any way.
    """
    sizes = {name: bytes_of(module) for name, module in _models(pipeline).items()}
    step = least
    if device.type == "cuda":
        step = max(least, choose(sizes, free_bytes(device), _pixels(pipeline)))
    while True:
        try:
            placement = arrange(pipeline, device, step)
            break
        except torch.OutOfMemoryError as error:
            reason = str(error).partition(".")[0]
        if step is Step.BY_LAYER:
            raise ModelError(
                f"{type(pipeline).__name__} does not fit into the memory of {device} in any way ({reason}). Choose a "
                "smaller model, or one of which `script/download-weights --variant fp16` fetches smaller weights."
            )
        _log.warning("Warning: the model does not fit onto %s (%s); the next step is tried.", device, reason)
        pipeline.to("cpu")
        if device.type == "cuda":
            torch.cuda.empty_cache()
        step = Step(step + 1)
    for note in placement.notes:
        _log.warning("Warning: the model needs %.1f GB. %s", sum(sizes.values()) / 1e9, note)
    return placement


def place_lower(pipeline: DiffusionPipeline, placement: Placement) -> Placement:
    """Place a pipeline anew, in the first step that fits of those that need less memory. It is logged.

    Args:
        pipeline: as `place` has placed it; nobody may use it meanwhile. Gates on its models are taken off.
        placement: how, in another step than the last.

    Raises:
        ModelError: the device has too little memory for any of them.
    """
    for module in _models(pipeline).values():
        remove_gates(module)
        remove_hook_from_module(module, recurse=True)
        if hasattr(module, "use_tiling"):
            module.disable_slicing()
            module.disable_tiling()
        move(module, torch.device("cpu"))
    gc.collect()
    if placement.device.type == "cuda":
        torch.cuda.empty_cache()
    _log.warning("Warning: %s has too little memory for a picture; the next step is tried.", placement.device)
    return place(pipeline, placement.device, Step(placement.step + 1))


def choose(sizes: Mapping[str, int], free: int, pixels: int = _USUAL_PIXELS) -> Step:
    """The first step that should fit.

    Args:
        sizes: how many bytes the weights of each model of the pipeline are.
        free: how many bytes the device has for them and for all else.
        pixels: how many a picture of the model's own size has.
    """
    total, largest = sum(sizes.values()), max(sizes.values(), default=0)
    if total + pixels * _BYTES_A_PIXEL <= free:
        return Step.WHOLE
    if total + pixels * _TILED_BYTES_A_PIXEL <= free:
        return Step.TILED
    return Step.BY_MODEL if largest + pixels * _TILED_BYTES_A_PIXEL <= free else Step.BY_LAYER


def arrange(pipeline: DiffusionPipeline, device: torch.device, step: Step) -> Placement:
    """Place a pipeline, which is on the CPU, in one way. Gates are put on it afterwards.

    Raises:
        torch.OutOfMemoryError: it does not fit so.
    """
    match step:
        case Step.WHOLE:
            pipeline.to(device)
            return Placement(device, step)
        case Step.TILED:
            pipeline.to(device)
            for module in _models(pipeline).values():
                if hasattr(module, "use_tiling"):
                    module.enable_slicing()
                    module.enable_tiling()
            note = (
                f"It leaves {device} little memory: pictures are decoded one by one, and large ones in tiles, which "
                "may show faintly where they meet. Use a device with more memory, or a smaller model."
            )
            return Placement(device, step, [note])
        case Step.BY_MODEL:
            room = free_bytes(device) - _pixels(pipeline) * _BYTES_A_PIXEL if device.type == "cuda" else 0
            turns = Turns(device, room)
            for module in _models(pipeline).values():
                add_hook_to_module(module, Turn(turns))
            note = (
                f"{device} has too little memory for all of it: its models are there by turns, which takes longer and "
                "changes nothing else. Use a device with more memory, or a smaller model."
            )
            return Placement(device, step, [note], turns)
        case Step.BY_LAYER:
            for name, module in _models(pipeline).items():
                if name in pipeline._exclude_from_cpu_offload:
                    module.to(device)
                else:
                    # As `enable_sequential_cpu_offload` does, for a device of any kind.
                    cpu_offload(module, device, offload_buffers=bool(module._parameters))
            note = (
                f"{device} has too little memory even for its largest model: each layer is there only while it works, "
                "which takes many times as long. Use a device with more memory, or a smaller model."
            )
            return Placement(device, step, [note])


def _models(pipeline: DiffusionPipeline) -> dict[str, Any]:
    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


def _pixels(pipeline: DiffusionPipeline) -> int:
    """How many pixels a picture of the model's own size has."""
    model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    sample = getattr(pipeline, "default_sample_size", None) or getattr(getattr(model, "config", None), "sample_size", 0)
    if not isinstance(sample, int) or not sample:
        return _USUAL_PIXELS
    side = sample * int(getattr(pipeline, "vae_scale_factor", 8))
    return side * side
