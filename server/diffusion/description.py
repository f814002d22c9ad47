"""What a picture's file tells of how it was made, put together from the request and its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from server.diffusion.adapters import Lora
from server.diffusion.forms import Task
from server.diffusion.metadata import Metadata, Provenance, UsedLora
from server.diffusion.planning import Plan
from server.diffusion.request import PictureRequest


def describe(
    request: PictureRequest,
    plan: Plan,
    provenance: Provenance,
    digests: Mapping[Lora, str],
    inputs: Mapping[str, Any],
    index: int,
    image: Image.Image,
) -> Metadata:
    """How the picture of a number was made.

    Args:
        request: what was asked for.
        plan: how it was done.
        provenance: what made it.
        digests: the SHA-256 of each LoRA's file.
        inputs: those of the request, as `record_inputs` gives them.
        index: the picture's number, counted from 0.
        image: the picture.
    """
    settings = plan.settings
    guidance = settings.get("true_cfg_scale" if "true_cfg_scale" in plan.arguments else "guidance_scale")
    steps = settings.get("num_inference_steps")
    scheduler = getattr(plan.pipeline, "scheduler", None)
    changed = plan.task in (Task.IMAGE_TO_IMAGE, Task.INPAINTING)
    strength = settings.get("strength")
    return Metadata(
        prompt=plan.prompts[index],
        negative_prompt=request.negative_prompt,
        seed=request.seed_of(index),
        width=image.width,
        height=image.height,
        provenance=provenance,
        inputs=dict(inputs),
        index=index,
        num_inference_steps=steps if isinstance(steps, int) else None,
        guidance_scale=float(guidance) if isinstance(guidance, int | float) else None,
        scheduler=request.scheduler or (type(scheduler).__name__ if scheduler is not None else None),
        strength=float(strength) if changed and isinstance(strength, int | float) else None,
        loras=tuple(UsedLora(lora.weights, lora.scale, digests.get(lora)) for lora in request.loras if lora.scale),
        edited=plan.task is not Task.TEXT_TO_IMAGE,
    )
