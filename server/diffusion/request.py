"""What somebody asks for, and what a pipeline is called with for it."""

import copy
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server.diffusion.defaults import accepted_arguments
from server.diffusion.errors import InputError

SEEDS = 2**32
"""Seeds are the integers from 0 to one less."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextToImage:
    """A request for pictures; `None` leaves a choice to the model.

    Attributes:
        prompt: what the pictures should show.
        seed: from 0 to `SEEDS` - 1. Picture i, counted from 0, is the one that `seed + i` makes alone; after the
            greatest seed comes 0.
        negative_prompt: what they should not show.
        width, height: in pixels.
        num_outputs: how many pictures, 1 or more.
        num_inference_steps: denoising steps for each, 1 or more.
        guidance_scale: how closely to follow the prompt, 0 or more.
        scheduler: one of `SCHEDULERS`.
    """

    prompt: str
    seed: int
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    num_outputs: int = 1
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        # In JSON 20.0 is an integer, and a server may hand it over as the float it looks like.
        for name in ("seed", "width", "height", "num_outputs", "num_inference_steps"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, int(value))

    def seed_of(self, index: int) -> int:
        """The seed of the picture at `index`, counted from 0."""
        return (self.seed + index) % SEEDS


def call_arguments(
    pipeline: DiffusionPipeline, recommended: Mapping[str, int | float], request: TextToImage
) -> dict[str, Any]:
    """The arguments that a pipeline is called with, but for the generator.

    What has no effect on this model is logged.

    Raises:
        InputError: the pipeline has no such argument, or cannot make pictures of that size.
    """
    accepted = accepted_arguments(pipeline)
    arguments: dict[str, Any] = {**recommended, "prompt": request.prompt}
    for name in ("width", "height", "num_inference_steps"):
        if (value := getattr(request, name)) is not None:
            _require(name, accepted, pipeline)
            arguments[name] = value
    _complete_size(arguments, accepted, pipeline)
    _check_size(pipeline, arguments)
    if request.negative_prompt is not None and ("negative_prompt" in accepted or request.negative_prompt):
        _require("negative_prompt", accepted, pipeline)
        arguments["negative_prompt"] = request.negative_prompt
    if request.guidance_scale is not None:
        _set_guidance(request.guidance_scale, arguments, accepted, pipeline)
    if request.negative_prompt and not _avoids(arguments, accepted, pipeline):
        _log.warning("Warning: negative_prompt has no effect without guidance: this request runs with it turned off.")
    return arguments


def size_multiple(pipeline: DiffusionPipeline) -> int:
    """Width and height have to be divisible by this many pixels."""
    factor = int(getattr(pipeline, "vae_scale_factor", 8))
    patch = int(getattr(pipeline, "patch_size", 1))
    processor = getattr(getattr(pipeline, "image_processor", None), "config", {})
    return math.lcm(factor * patch, int(processor.get("vae_scale_factor", 1)))


def _require(name: str, accepted: Mapping[str, Any], pipeline: DiffusionPipeline) -> None:
    if name not in accepted:
        raise InputError(name, f"this model ({type(pipeline).__name__}) has no such setting. Leave it out.")


def _complete_size(arguments: dict[str, Any], accepted: Mapping[str, Any], pipeline: DiffusionPipeline) -> None:
    """Give the other side where one is given: Stable Diffusion takes no notice of a lone one."""
    given = arguments.keys() & {"width", "height"}
    if len(given) != 1:
        return
    [other] = {"width", "height"} - given
    own = accepted.get(other) or _own_size(pipeline, other)
    if not isinstance(own, int):
        raise InputError(other, f"this model needs it where {given.pop()} is given. Give both, or none.")
    arguments[other] = own


def _own_size(pipeline: DiffusionPipeline, name: str) -> int | None:
    model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    sample: Any = getattr(pipeline, "default_sample_size", None) or getattr(model, "config", {}).get("sample_size")
    if isinstance(sample, list | tuple):
        sample = sample[name == "width"]
    return sample * int(getattr(pipeline, "vae_scale_factor", 8)) if isinstance(sample, int) else None


def _check_size(pipeline: DiffusionPipeline, arguments: Mapping[str, Any]) -> None:
    multiple = size_multiple(pipeline)
    for name in ("width", "height"):
        if (size := arguments.get(name)) is not None and size % multiple:
            below, above = size // multiple * multiple, math.ceil(size / multiple) * multiple
            nearest = f"{below} or {above}" if below else above
            raise InputError(
                name, f"{size} is not a multiple of {multiple}, as this model needs. The nearest: {nearest}."
            )


def _set_guidance(
    scale: float, arguments: dict[str, Any], accepted: Mapping[str, Any], pipeline: DiffusionPipeline
) -> None:
    own = accepted.get("true_cfg_scale")
    if isinstance(own, int | float) and own > 1:
        # Pipelines such as Qwen-Image's call it so, and guide only where there is a negative prompt, be it blank.
        arguments["true_cfg_scale"] = scale
        if scale > 1:
            arguments.setdefault("negative_prompt", " ")
        return
    _require("guidance_scale", accepted, pipeline)
    arguments["guidance_scale"] = scale
    transformer = getattr(getattr(pipeline, "transformer", None), "config", {})
    if "true_cfg_scale" in accepted and not transformer.get("guidance_embeds", True):
        _log.warning("Warning: guidance_scale has no effect on this model: it was not trained to take one.")


def _avoids(arguments: Mapping[str, Any], accepted: Mapping[str, Any], pipeline: DiffusionPipeline) -> bool:
    """Whether a negative prompt has an effect."""
    if "true_cfg_scale" in accepted:
        return float(arguments.get("true_cfg_scale", accepted["true_cfg_scale"])) > 1
    scale = arguments.get("guidance_scale", accepted.get("guidance_scale"))
    if not isinstance(scale, int | float):
        return True
    if hasattr(type(pipeline), "do_classifier_free_guidance"):
        probe: Any = copy.copy(pipeline)
        probe._guidance_scale = scale
        return bool(probe.do_classifier_free_guidance)
    return scale > 1
