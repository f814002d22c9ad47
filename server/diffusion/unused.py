"""Inputs that have no effect on what is asked for: each that was set is told of, and none is passed over in silence.

Some are told of where they are taken: sizes in `sizing`, guidance and the negative prompt in `arguments`, LoRAs of
scale 0 in `adapters`. An input left at its default is never told of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from server.diffusion.forms import Task
from server.diffusion.sizing import CUSTOM
from server.diffusion.warnings import WarningCode, Warnings

if TYPE_CHECKING:
    from server.diffusion.planning import Plan
    from server.diffusion.request import PictureRequest

DEFAULTS: Mapping[str, Any] = {"lora_scale": 1.0, "extra_lora_scale": 1.0, "output_quality": 90}
"""Those of `predict.py`, of inputs that a request has a value for in any case."""

_Unused = Iterator[tuple[str, str]]
"""Names of inputs, each with the reason why it has no effect."""


def check_inputs(inputs: Mapping[str, Any], warnings: Warnings) -> None:
    """Tell of inputs of `predict.py` that mean nothing beside the others.

    Raises:
        InputError: the request is strict, and there is one.
    """
    _tell(_beside_the_others(inputs), warnings)


def check_company(request: PictureRequest, warnings: Warnings) -> None:
    """Tell of what a request asks for that means nothing without something else.

    Raises:
        InputError: as `check_inputs`.
    """
    _tell(_without_company(request), warnings)


def check_use(plan: Plan, request: PictureRequest, own: Mapping[str, Any], warnings: Warnings) -> None:
    """Tell of what a request asks for that means nothing for what is done.

    Args:
        plan, request: what is done.
        own: the model's own settings, which are no wish of the request.
        warnings: told of it.

    Raises:
        InputError: as `check_inputs`.
    """
    _tell(_for_what_is_done(plan, request), warnings)
    if plan.untouched is not None:
        _tell(_where_nothing_changes(request, own), warnings)


def check_previews(plan: Plan, request: PictureRequest, interval: int, warnings: Warnings) -> None:
    """Tell of an interval of previews at which there is none.

    Args:
        plan, request: what is done.
        interval: after how many steps each there should be a preview; 0 is none.
        warnings: told of it.

    Raises:
        InputError: as `check_inputs`.
    """
    if not interval:
        return
    if plan.untouched is not None:
        _tell(iter([("preview_interval", _NOTHING_CHANGES)]), warnings)
        return
    steps, strength = plan.settings.get("num_inference_steps"), plan.settings.get("strength")
    if not isinstance(steps, int):
        return
    if plan.task in (Task.IMAGE_TO_IMAGE, Task.INPAINTING) and isinstance(strength, int | float):
        steps = max(1, int(steps * strength))
    # Heun's method asks the model twice a step, and is seen to.
    seen = 2 * steps - 1 if request.scheduler == "HeunDiscrete" else steps
    if interval > seen:
        reason = f"the picture is done after {seen} steps. Ask for a smaller one"
        _tell(iter([("preview_interval", reason)]), warnings)


_NOTHING_CHANGES = "with prompt_strength 0 nothing of image is changed. Leave it out"


def _tell(unused: _Unused, warnings: Warnings) -> None:
    for name, reason in unused:
        warnings.add(WarningCode.IGNORED, name, f"it has no effect: {reason}.")


def _beside_the_others(inputs: Mapping[str, Any]) -> _Unused:
    for scale, lora in (("lora_scale", "lora_weights"), ("extra_lora_scale", "extra_lora")):
        if _is_set(inputs, scale) and not inputs.get(lora):
            yield scale, f"there is no {lora}. Send one, or leave it out"
    if _is_set(inputs, "output_quality") and inputs.get("output_format") == "png":
        yield "output_quality", "png keeps everything. Choose webp, jpg or avif, or leave it out"


def _is_set(inputs: Mapping[str, Any], name: str) -> bool:
    return inputs.get(name) not in (None, DEFAULTS[name])


def _without_company(request: PictureRequest) -> _Unused:
    pictures = request.image or request.reference_images or request.controlnet_image
    for name, needed, there in (
        ("prompt_strength", "image", request.image),
        ("resize_mode", "image", pictures),
        ("controlnet_conditioning_scale", "controlnet_image", request.controlnet_image),
        ("controlnet_start", "controlnet_image", request.controlnet_image),
        ("controlnet_end", "controlnet_image", request.controlnet_image),
    ):
        if getattr(request, name) is not None and not there:
            yield name, f"there is no {needed}. Send one, or leave it out"
    if request.controlnet_image and request.controlnet_conditioning_scale == 0:
        yield "controlnet_image", "controlnet_conditioning_scale is 0. Raise that, or leave both out"
    if request.aspect_ratio == CUSTOM and request.width is None and request.height is None:
        yield "aspect_ratio", f"{CUSTOM} stands for width and height. Send them, or leave it out"
    if request.prompt_delimiter and request.prompt_delimiter.replace("\\n", "\n") not in request.prompt:
        yield "prompt_delimiter", "it is not in prompt, which is taken as one. Check it, or leave it out"


def _for_what_is_done(plan: Plan, request: PictureRequest) -> _Unused:
    if not request.keep_unmasked and plan.task is not Task.INPAINTING:
        yield "keep_unmasked", "no part of a picture is painted anew. Leave it out"
    if request.reference_images and plan.task is not Task.EDITING and "image_reference" not in plan.arguments:
        yield "reference_images", "with a mask this model takes image alone. Leave it out"
    if plan.task is Task.EDITING and request.prompt_strength is not None:
        yield "prompt_strength", "this model edits as the prompt says. Leave it out"
    if request.go_fast and plan.settings.get("num_inference_steps") == 1:
        yield "go_fast", "a single step has none before it. Leave it out"
    if plan.task is Task.INPAINTING and request.prompt_strength and "strength" not in plan.settings:
        yield "prompt_strength", "with a mask this model has none. Leave it out"
    if request.disable_safety_checker and getattr(plan.pipeline, "safety_checker", None) is None:
        yield "disable_safety_checker", "this model has no safety checker. Leave it out"


def _where_nothing_changes(request: PictureRequest, own: Mapping[str, Any]) -> _Unused:
    for name in ("negative_prompt", "mask", "controlnet_image", "scheduler", "go_fast"):
        if getattr(request, name):
            yield name, _NOTHING_CHANGES
    if request.num_inference_steps not in (None, own.get("num_inference_steps")):
        yield "num_inference_steps", _NOTHING_CHANGES
    if request.guidance_scale not in (None, own.get("guidance_scale"), own.get("true_cfg_scale")):
        yield "guidance_scale", _NOTHING_CHANGES
    for lora in request.loras:
        yield lora.input, _NOTHING_CHANGES
