"""What of the inputs of predict.py a loaded model can honour, with its own defaults and choices."""

from __future__ import annotations

from collections.abc import Mapping

from server.diffusion.arguments import size_limits, takes_guidance, takes_negative_prompt
from server.diffusion.controlnet import CONTROLS
from server.diffusion.defaults import accepted_arguments
from server.diffusion.forms import Forms, Task
from server.diffusion.schedulers import usable_schedulers
from server.diffusion.sizing import ASPECT_RATIOS, MATCH_INPUT_IMAGE
from server.diffusion.step_cache import why_not

Narrowing = dict[str, dict[str, object] | str]
"""By name: what changes of an input, or why the model cannot take it."""


def narrow_inputs(forms: Forms, recommended: Mapping[str, int | float], safety_checker_is_required: bool) -> Narrowing:
    """What becomes of the inputs; one that is not in it stays as it is.

    Args:
        forms: what the model can do.
        recommended: the model card's numbers.
        safety_checker_is_required: whether requests must not turn it off.
    """
    main = forms.main
    accepted = accepted_arguments(main)
    name = type(main).__name__
    changes: Narrowing = {}
    if not takes_negative_prompt(main):
        changes["negative_prompt"] = f"this model ({name}) makes nothing of it"
    if takes_guidance(main):
        own = "true_cfg_scale" if "true_cfg_scale" in accepted and accepted.get("guidance_scale") is None else None
        _set_default(changes, "guidance_scale", recommended, accepted, own)
    else:
        changes["guidance_scale"] = f"this model ({name}) was not trained to take one"
    if "num_inference_steps" in accepted:
        _set_default(changes, "num_inference_steps", recommended, accepted)
    else:
        changes["num_inference_steps"] = f"this model ({name}) has its own number"
    if schedulers := usable_schedulers(getattr(main, "scheduler", None)):
        changes["scheduler"] = {"choices": list(schedulers)}
    else:
        changes["scheduler"] = "this model works with its own alone"
    if not hasattr(main, "load_lora_weights"):
        for lora in ("lora_weights", "lora_scale", "extra_lora", "extra_lora_scale"):
            changes[lora] = f"this model ({name}) takes no LoRA in diffusers"
    if getattr(main, "safety_checker", None) is None:
        changes["disable_safety_checker"] = "this model has no safety checker"
    elif safety_checker_is_required:
        changes["disable_safety_checker"] = "who runs this server does not allow it"
    if reason := why_not(main):
        changes["go_fast"] = reason
    if "callback_on_step_end" not in accepted:
        changes["preview_interval"] = f"this model ({name}) does not show its steps"
    return changes | _pictures(forms) | _sizes(forms)


def _set_default(
    changes: Narrowing,
    name: str,
    recommended: Mapping[str, int | float],
    accepted: Mapping[str, object],
    argument: str | None = None,
) -> None:
    default = recommended.get(argument or name, accepted.get(argument or name))
    if isinstance(default, int | float):
        changes[name] = {"default": default}


def _pictures(forms: Forms) -> Narrowing:
    changes: Narrowing = {}
    from_a_picture = forms.tasks & {Task.IMAGE_TO_IMAGE, Task.INPAINTING}
    if not forms.tasks - {Task.TEXT_TO_IMAGE}:
        changes["image"] = "this model makes pictures from text alone"
    if Task.INPAINTING not in forms.tasks:
        for name in ("mask", "keep_unmasked"):
            changes[name] = "this model cannot paint a part of a picture anew"
    if not from_a_picture:
        changes["prompt_strength"] = "this model does not begin with a picture"
    if forms.most_references < 2:
        changes["reference_images"] = "this model takes one picture at most"
    for name, argument in CONTROLS.items():
        if not forms.controlled_tasks:
            changes[name] = "no ControlNet is loaded"
        elif forms.needs_control and argument not in accepted_arguments(forms.main):
            changes[name] = "this model follows the picture as it was trained to"
    if not (forms.tasks - {Task.TEXT_TO_IMAGE} or forms.controlled_tasks):
        changes["resize_mode"] = "this model makes pictures from text alone"
    return changes


def _sizes(forms: Forms) -> Narrowing:
    changes: Narrowing = {}
    has_size = accepted_arguments(forms.main).keys() >= {"width", "height"}
    takes_pictures = bool(forms.tasks - {Task.TEXT_TO_IMAGE})
    if not has_size and not takes_pictures:
        return dict.fromkeys(("aspect_ratio", "megapixels", "width", "height"), "this model makes one size alone")
    limits = size_limits(forms.main)
    for name in ("width", "height"):
        changes[name] = {"multiple_of": limits.multiple}
    if not takes_pictures:
        changes["aspect_ratio"] = {"choices": [name for name in ASPECT_RATIOS if name != MATCH_INPUT_IMAGE]}
    return changes
