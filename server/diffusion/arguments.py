"""What a pipeline is called with: the words, the numbers, and the sizes that it can make."""

import copy
import math
from collections.abc import Mapping
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server.diffusion.defaults import accepted_arguments
from server.diffusion.errors import InputError
from server.diffusion.request import PictureRequest
from server.diffusion.sizing import Size, SizeLimits
from server.diffusion.warnings import WarningCode, Warnings

_USUAL_SIDE = 1024
"""What models make that do not say what they were trained for."""

_LEAST, _GREATEST = 32, 2048
"""The sides of pictures, in pixels. Below, models that were trained for pictures make none; above, attention takes more
memory than cards have."""

_HIGH_SCALE = 10.0
"""A guidance at which every pipeline guides that ever does."""


def call_arguments(
    pipeline: DiffusionPipeline, recommended: Mapping[str, int | float], request: PictureRequest, warnings: Warnings
) -> dict[str, Any]:
    """The arguments that a pipeline is called with, but for the prompt, sizes, pictures and the generator.

    Args:
        pipeline: the form that does what is asked for.
        recommended: the model card's numbers.
        request: what is asked for.
        warnings: told of what has no effect on this model.

    Raises:
        InputError: the pipeline has no such argument; or the request is strict and something has no effect.
    """
    accepted = accepted_arguments(pipeline)
    arguments: dict[str, Any] = {name: value for name, value in recommended.items() if name in accepted}
    if request.num_inference_steps is not None:
        require("num_inference_steps", accepted, pipeline)
        arguments["num_inference_steps"] = request.num_inference_steps
    if "intermediate_timesteps" in accepted and arguments.get("num_inference_steps", 2) != 2:
        # Sana Sprint has a level in the middle, which is for two steps alone.
        arguments["intermediate_timesteps"] = None
    if request.negative_prompt is not None and ("negative_prompt" in accepted or request.negative_prompt):
        require("negative_prompt", accepted, pipeline)
        arguments["negative_prompt"] = request.negative_prompt
    if request.guidance_scale is not None:
        _set_guidance(request.guidance_scale, arguments, accepted, pipeline, warnings)
    if request.negative_prompt and not _avoids(arguments, accepted, pipeline):
        message = "it has no effect without guidance, which is turned off for this request. Raise guidance_scale."
        warnings.add(WarningCode.IGNORED, "negative_prompt", message)
    return arguments


def size_limits(pipeline: DiffusionPipeline) -> SizeLimits:
    """The sizes that a pipeline can make, and its own."""
    accepted, multiple = accepted_arguments(pipeline), size_multiple(pipeline)
    own = {}
    for name in ("width", "height"):
        default = accepted.get(name)
        side = default if isinstance(default, int) else _own_side(pipeline, name) or _USUAL_SIDE
        own[name] = max(multiple, round(side / multiple) * multiple)
    # The smallest models that there are were trained for less.
    least = min(_LEAST, max(multiple, min(own.values()) // 4))
    return SizeLimits(Size(**own), multiple, least, max(_GREATEST, multiple, *own.values()))


def size_multiple(pipeline: DiffusionPipeline) -> int:
    """Width and height have to be divisible by this many pixels."""
    factor = int(getattr(pipeline, "vae_scale_factor", 8))
    if hasattr(pipeline, "movq"):
        # Kandinsky's pipelines count in what its autoencoder makes of a pixel of what it makes of a pixel.
        return factor**2
    patch = int(getattr(pipeline, "patch_size", 1))
    processor = getattr(getattr(pipeline, "image_processor", None), "config", {})
    return math.lcm(factor * patch, int(processor.get("vae_scale_factor", 1)))


def magnification(pipeline: DiffusionPipeline) -> int:
    """By how much what it makes of a picture is larger than that."""
    # Those that enlarge have a scheduler for the noise of the small picture, which is as large as the latents.
    return int(getattr(pipeline, "vae_scale_factor", 4)) if hasattr(pipeline, "low_res_scheduler") else 1


def takes_guidance(pipeline: DiffusionPipeline) -> bool:
    """Whether `guidance_scale` has an effect."""
    accepted = accepted_arguments(pipeline)
    if _guides_truly(accepted):
        return True
    return "guidance_scale" in accepted and not _guidance_is_dead(accepted, pipeline)


def takes_negative_prompt(pipeline: DiffusionPipeline) -> bool:
    """Whether `negative_prompt` has an effect, at some guidance that a request may ask for."""
    accepted = accepted_arguments(pipeline)
    if "negative_prompt" not in accepted:
        return False
    if _says_when_it_guides(pipeline):
        return _guides_at(_HIGH_SCALE, accepted, pipeline)
    return "true_cfg_scale" not in accepted or _guides_truly(accepted)


def require(name: str, accepted: Mapping[str, Any], pipeline: DiffusionPipeline) -> None:
    """Refuse an input that a pipeline has no argument for.

    Raises:
        InputError: it has none.
    """
    if name not in accepted:
        raise InputError(name, f"this model ({type(pipeline).__name__}) has no such setting. Leave it out.")


def _own_side(pipeline: DiffusionPipeline, name: str) -> int | None:
    model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    sample: Any = getattr(pipeline, "default_sample_size", None) or getattr(model, "config", {}).get("sample_size")
    if isinstance(sample, list | tuple):
        sample = sample[name == "width"]
    # Models without an autoencoder work on pixels.
    usual = 8 if any(hasattr(pipeline, name) for name in ("vae", "movq", "vqvae", "vqgan")) else 1
    return sample * int(getattr(pipeline, "vae_scale_factor", usual)) if isinstance(sample, int) else None


def _guides_truly(accepted: Mapping[str, Any]) -> bool:
    own = accepted.get("true_cfg_scale")
    return isinstance(own, int | float) and own > 1


def _guidance_is_dead(accepted: Mapping[str, Any], pipeline: DiffusionPipeline) -> bool:
    transformer = getattr(getattr(pipeline, "transformer", None), "config", {})
    if _says_when_it_guides(pipeline):
        unet = getattr(getattr(pipeline, "unet", None), "config", {})
        is_an_input = transformer.get("guidance_embeds") or unet.get("time_cond_proj_dim")
        return not is_an_input and not _guides_at(_HIGH_SCALE, accepted, pipeline)
    return "true_cfg_scale" in accepted and not transformer.get("guidance_embeds", True)


def _says_when_it_guides(pipeline: DiffusionPipeline) -> bool:
    return hasattr(type(pipeline), "do_classifier_free_guidance")


def _guides_at(scale: float, accepted: Mapping[str, Any], pipeline: DiffusionPipeline) -> bool:
    """Whether a pipeline that says so compares with the negative prompt at this `guidance_scale`."""
    probe: Any = copy.copy(pipeline)
    # It looks at what its call has noted of its arguments, such as the guidance by a picture, too.
    for name, value in {**accepted, "guidance_scale": scale}.items():
        if isinstance(value, int | float):
            setattr(probe, f"_{name}", value)
    return bool(probe.do_classifier_free_guidance)


def _set_guidance(
    scale: float,
    arguments: dict[str, Any],
    accepted: Mapping[str, Any],
    pipeline: DiffusionPipeline,
    warnings: Warnings,
) -> None:
    if _guides_truly(accepted):
        # Pipelines such as Qwen-Image's call it so, and guide only where there is a negative prompt, be it blank.
        arguments["true_cfg_scale"] = scale
        if scale > 1:
            arguments.setdefault("negative_prompt", " ")
        return
    require("guidance_scale", accepted, pipeline)
    arguments["guidance_scale"] = scale
    if _guidance_is_dead(accepted, pipeline):
        message = "it has no effect: this model was not trained to take one. Leave it out."
        warnings.add(WarningCode.IGNORED, "guidance_scale", message)


def _avoids(arguments: Mapping[str, Any], accepted: Mapping[str, Any], pipeline: DiffusionPipeline) -> bool:
    """Whether a negative prompt has an effect."""
    scale = arguments.get("guidance_scale", accepted.get("guidance_scale"))
    if _says_when_it_guides(pipeline) and isinstance(scale, int | float):
        return _guides_at(scale, accepted, pipeline)
    if "true_cfg_scale" in accepted:
        return float(arguments.get("true_cfg_scale", accepted["true_cfg_scale"])) > 1
    return not isinstance(scale, int | float) or scale > 1
