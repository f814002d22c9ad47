"""From a request to calls of a pipeline: which form of the model, of what size, from which pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image

from server.diffusion.arguments import call_arguments, magnification, size_limits
from server.diffusion.controlnet import CONTROLS
from server.diffusion.defaults import accepted_arguments
from server.diffusion.errors import InputError
from server.diffusion.fitting import ResizeMode, fit_mask, fit_picture
from server.diffusion.forms import Forms, Task
from server.diffusion.masks import keep_unmasked
from server.diffusion.prompts import split_prompts
from server.diffusion.reading import SentPicture, read_picture
from server.diffusion.request import PictureRequest
from server.diffusion.schedulers import make_scheduler
from server.diffusion.sent import SentPictures, read_sent
from server.diffusion.sizing import Size, choose_size
from server.diffusion.step_cache import why_not
from server.diffusion.unused import check_company, check_use
from server.diffusion.warnings import WarningCode, Warnings

_MOST_STEPS_OF_LCM = 50

MOST_PICTURES = 200
"""How many pictures a request may ask for, all prompts together."""


@dataclass(frozen=True)
class Plan:
    """How the pictures of a request are made.

    Attributes:
        task: what is done.
        pipeline: the stock pipeline that does it.
        arguments: what it is called with for each picture, but for the prompt and the generator.
        prompts: one for each picture.
        size: of the pictures; `None` leaves it to the model.
        finish: what is done to a picture when it is made.
        untouched: the picture that comes out where nothing of it is to be changed.
    """

    task: Task
    pipeline: DiffusionPipeline
    arguments: Mapping[str, Any]
    prompts: tuple[str, ...]
    size: Size | None = None
    finish: Callable[[Image.Image], Image.Image] = field(default=lambda image: image)
    untouched: Image.Image | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What the pipeline goes by: the arguments, and its own defaults where there is none."""
        return {**accepted_arguments(self.pipeline), **self.arguments}

    def arguments_of(self, index: int) -> dict[str, Any]:
        """What the pipeline is called with for the picture of this number."""
        return {**self.arguments, "prompt": self.prompts[index]}


def make_plan(
    forms: Forms, recommended: Mapping[str, int | float], request: PictureRequest, warnings: Warnings
) -> Plan:
    """How a request is to be done. It reads the request's pictures, which takes its time.

    Args:
        forms: what the model can do.
        recommended: the model card's numbers.
        request: what is asked for.
        warnings: told of what is not done quite as asked.

    Raises:
        InputError: the model cannot do it, or a picture cannot be read; or the request is strict and there is
            something to warn of.
    """
    prompts = split_prompts(request.prompt, request.prompt_delimiter)
    if len(prompts) * request.num_outputs > MOST_PICTURES:
        raise InputError(
            "num_outputs",
            f"{request.num_outputs} pictures of each of {len(prompts)} prompts are more than {MOST_PICTURES}, the most "
            "that a request may ask for. Ask for fewer, or in several requests.",
        )
    if request.mask and not request.image:
        raise InputError("mask", "there is no image that it belongs to. Send image, too, or leave it out.")
    check_company(request, warnings)
    sent = read_sent(forms, request, warnings)
    task = _choose_task(forms, sent)
    pipeline = _choose_form(forms, task, request)
    # Each picture makes its own; this one is to refuse a name now, before any work is done.
    make_scheduler(request.scheduler, getattr(pipeline, "scheduler", None))
    plan = Plan(
        task,
        pipeline,
        call_arguments(pipeline, recommended, request, warnings),
        tuple(prompt for prompt in prompts for _ in range(request.num_outputs)),
    )
    _check_steps(plan, request)
    _check_cache(plan, request)
    plan = _with_size(plan, request, sent, warnings)
    plan = _with_pictures(plan, request, sent, warnings)
    plan = _with_control(plan, request, warnings)
    if plan.task in _FROM_A_PICTURE:
        plan = _with_strength(plan, request, warnings)
    check_use(plan, request, {**accepted_arguments(forms.main), **recommended}, warnings)
    return plan


_FROM_A_PICTURE = (Task.IMAGE_TO_IMAGE, Task.INPAINTING)


def _check_steps(plan: Plan, request: PictureRequest) -> None:
    # diffusers would fail: LCM leaves out steps of a schedule that has so many.
    steps = plan.settings.get("num_inference_steps")
    if request.scheduler == "LCM" and isinstance(steps, int) and steps > _MOST_STEPS_OF_LCM:
        rule = f"{steps} are more than the scheduler LCM takes, which is {_MOST_STEPS_OF_LCM}. 4 to 8 are usual."
        raise InputError("num_inference_steps", rule)


def _check_cache(plan: Plan, request: PictureRequest) -> None:
    if not request.go_fast:
        return
    if reason := why_not(plan.pipeline):
        raise InputError("go_fast", f"{reason}. Leave it out.")
    if request.controlnet_image:
        # Where blocks are left out, diffusers would add what the ControlNet says a second time.
        raise InputError("go_fast", "steps cannot be worked out in part with a ControlNet. Leave one out.")


def _choose_task(forms: Forms, sent: SentPictures) -> Task:
    if sent.mask:
        return Task.INPAINTING
    if sent.image or sent.references:
        for task in (Task.EDITING, Task.IMAGE_TO_IMAGE):
            if task in forms.tasks:
                return task
        raise InputError("mask", "this model paints a part of a picture anew. Send a mask that is white there.")
    if Task.TEXT_TO_IMAGE not in forms.tasks:
        raise InputError("image", "this model works on a picture. Send one.")
    return Task.TEXT_TO_IMAGE


def _choose_form(forms: Forms, task: Task, request: PictureRequest) -> DiffusionPipeline:
    controlled = request.controlnet_image is not None
    if forms.needs_control and not controlled:
        raise InputError("controlnet_image", "this model draws after a picture of lines, depths or the like. Send one.")
    if controlled and not forms.controlled_tasks:
        raise InputError("controlnet_image", "no ControlNet is loaded. Leave it out, or have one loaded.")
    form = forms.get(task, controlled)
    if form is None:
        raise InputError("controlnet_image", f"this model has no form for {task} with a ControlNet. Leave one out.")
    return form


def _with_size(plan: Plan, request: PictureRequest, sent: SentPictures, warnings: Warnings) -> Plan:
    asked = (request.aspect_ratio, request.megapixels, request.width, request.height)
    if sent.size is None and all(one is None for one in asked):
        return plan
    size = choose_size(
        size_limits(plan.pipeline),
        warnings,
        aspect_ratio=request.aspect_ratio,
        megapixels=request.megapixels,
        width=request.width,
        height=request.height,
        input_image=sent.size,
    )
    accepted = accepted_arguments(plan.pipeline)
    if accepted.keys() >= {"width", "height"}:
        sides = {"width": size.width, "height": size.height}
        # Flux Kontext keeps of them the aspect alone, and makes pictures of this area.
        area = {"max_area": size.area} if "max_area" in accepted else {}
        return replace(plan, size=size, arguments={**plan.arguments, **sides, **area})
    if sent.size is None:
        name = next(name for name in ("aspect_ratio", "megapixels", "width", "height") if getattr(request, name))
        raise InputError(name, f"this model ({type(plan.pipeline).__name__}) makes one size alone. Leave it out.")
    return replace(plan, size=size)


def _with_pictures(plan: Plan, request: PictureRequest, sent: SentPictures, warnings: Warnings) -> Plan:
    size = plan.size
    if size is None or plan.task is Task.TEXT_TO_IMAGE:
        return plan
    mode = _resize_mode(request)
    if plan.task is Task.EDITING:
        pictures = [picture for picture in (sent.image, *sent.references) if picture]
        if not accepted_arguments(plan.pipeline).keys() >= {"width", "height"}:
            # What comes out is as large as what goes in, or so many times as large. To others it goes as it is: they
            # bring it to the sizes that they were trained with.
            factor = magnification(plan.pipeline)
            inner = Size(max(1, size.width // factor), max(1, size.height // factor))
            pictures = [fit_picture(picture, inner, mode, "image", warnings) for picture in pictures]
        elif mode:
            message = "it has no effect: this model takes the whole of what it edits. Leave it out."
            warnings.add(WarningCode.IGNORED, "resize_mode", message)
        return replace(plan, arguments={**plan.arguments, "image": _one_or_list(pictures)})
    assert sent.image
    image = fit_picture(sent.image, size, mode, "image", warnings).rgb
    plan = replace(plan, arguments={**plan.arguments, "image": image})
    if plan.task is Task.IMAGE_TO_IMAGE:
        return plan
    assert sent.mask
    mask = fit_mask(sent.mask, Size(*sent.image.rgb.size), size, mode, sent.mask_input, warnings)
    accepted = accepted_arguments(plan.pipeline)
    more: dict[str, Any] = {}
    if sent.references and "image_reference" in accepted:
        more["image_reference"] = _one_or_list(sent.references)
    if "_auto_resize" in accepted:
        # Flux Kontext would make it a megapixel, whatever the size.
        more["_auto_resize"] = False
    plan = replace(plan, arguments={**plan.arguments, "mask_image": mask, **more})
    return replace(plan, finish=partial(_keep, image, mask)) if request.keep_unmasked else plan


def _resize_mode(request: PictureRequest) -> ResizeMode | None:
    return ResizeMode(request.resize_mode) if request.resize_mode else None


def _one_or_list(pictures: Sequence[SentPicture]) -> Image.Image | list[Image.Image]:
    """As pipelines take them: to some a list of one is not one."""
    return pictures[0].rgb if len(pictures) == 1 else [picture.rgb for picture in pictures]


def _with_control(plan: Plan, request: PictureRequest, warnings: Warnings) -> Plan:
    if request.controlnet_image is None:
        return plan
    accepted = accepted_arguments(plan.pipeline)
    sent = read_picture(request.controlnet_image, "controlnet_image", warnings)
    size = plan.size or size_limits(plan.pipeline).own
    mode = _resize_mode(request)
    control: dict[str, Any] = {
        "control_image" if "control_image" in accepted else "image": fit_picture(
            sent, size, mode, "controlnet_image", warnings
        ).rgb
    }
    for name, argument in CONTROLS.items():
        if name != "controlnet_image" and (value := getattr(request, name)) is not None:
            if argument not in accepted:
                raise InputError(
                    name, f"the ControlNet of this model ({type(plan.pipeline).__name__}) has no such setting."
                )
            control[argument] = value
    start, end = control.get("control_guidance_start", 0.0), control.get("control_guidance_end", 1.0)
    if start >= end:
        raise InputError("controlnet_start", f"{start} is not before controlnet_end, {end}. Choose an earlier one.")
    return replace(plan, arguments={**plan.arguments, **control})


def _with_strength(plan: Plan, request: PictureRequest, warnings: Warnings) -> Plan:
    settings, asked = plan.settings, request.prompt_strength
    if asked == 0:
        return replace(plan, untouched=plan.arguments["image"], arguments={**plan.arguments, "strength": 0.0})
    if "strength" not in settings:
        return plan
    strength = asked if asked is not None else settings.get("strength")
    if not isinstance(strength, int | float):
        return plan
    steps = settings.get("num_inference_steps")
    if isinstance(steps, int) and int(steps * strength) < 1:
        # Pipelines leave out so many of the first steps, rounded down, and fail where none is left.
        least = min((1 + 1e-6) / steps, 1.0)
        if asked is None:
            message = f"{steps} with this model's own prompt_strength, {strength}, is less than one step of the picture"
            warnings.add(
                WarningCode.CLAMPED, "num_inference_steps", f"{message}; that was taken as {least:.4g}. Ask for more."
            )
        else:
            message = f"{strength} is less than one step of {steps}; it was taken as {least:.4g}. Ask for more steps."
            warnings.add(WarningCode.CLAMPED, "prompt_strength", message)
        strength = least
    return replace(plan, arguments={**plan.arguments, "strength": strength})


def _keep(image: Image.Image, mask: Image.Image, made: Image.Image) -> Image.Image:
    return keep_unmasked(image, made.convert("RGB"), mask)
