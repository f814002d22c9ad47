"""What somebody asks for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.diffusion.adapters import Lora
from server.diffusion.errors import InputError
from server.diffusion.unused import check_inputs
from server.diffusion.warnings import Warnings

SEEDS = 2**32
"""Seeds are the integers from 0 to one less."""

_PICTURES = ("image", "mask", "reference_images", "controlnet_image")
_INTEGERS = ("seed", "width", "height", "num_outputs", "num_inference_steps")
_FLOATS = (
    "prompt_strength",
    "controlnet_conditioning_scale",
    "controlnet_start",
    "controlnet_end",
    "megapixels",
    "guidance_scale",
)

_SHOWN = 60
"""So much of what was sent is quoted: base64 that nobody has called a data URL has millions of characters."""


@dataclass(frozen=True, kw_only=True)
class PictureRequest:
    """A request for pictures; `None` leaves a choice to the model.

    Attributes:
        prompt: what the pictures should show.
        seed: from 0 to `SEEDS` - 1. Picture i, counted from 0, is the one that `seed + i` makes alone; after the
            greatest seed comes 0.
        negative_prompt: what they should not show.
        prompt_delimiter: what stands between several prompts; `None` takes `prompt` as one.
        image: a picture to begin with, or to edit.
        mask: what of it is to be painted anew, which is white.
        prompt_strength: how much of it is to be changed, from 0 (nothing) to 1 (all).
        keep_unmasked: whether what the mask leaves out stays to the pixel.
        reference_images: further pictures to edit from.
        controlnet_image: what the loaded ControlNet takes.
        controlnet_conditioning_scale: how strictly to follow it, 0 or more.
        controlnet_start, controlnet_end: from which to which part of the steps, 0 to 1.
        aspect_ratio, megapixels, width, height: as `server.diffusion.sizing.choose_size` takes them.
        resize_mode: what becomes of pictures of another aspect; one of `ResizeMode`.
        num_outputs: how many pictures of each prompt, 1 or more.
        num_inference_steps: denoising steps for each, 1 or more.
        guidance_scale: how closely to follow the prompt, 0 or more.
        scheduler: one of `SCHEDULERS`.
        loras: adapters for this request alone.
        go_fast: whether steps that change little may be worked out in part (`server.diffusion.step_cache`).
        disable_safety_checker: whether the model's own check of its pictures is left out.
        inputs: what `predict` was called with, which the pictures' files tell; `None` is nothing.
    """

    prompt: str
    seed: int
    negative_prompt: str | None = None
    prompt_delimiter: str | None = None
    image: Path | None = None
    mask: Path | None = None
    prompt_strength: float | None = None
    keep_unmasked: bool = True
    reference_images: tuple[Path, ...] = ()
    controlnet_image: Path | None = None
    controlnet_conditioning_scale: float | None = None
    controlnet_start: float | None = None
    controlnet_end: float | None = None
    aspect_ratio: str | None = None
    megapixels: float | None = None
    width: int | None = None
    height: int | None = None
    resize_mode: str | None = None
    num_outputs: int = 1
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    loras: tuple[Lora, ...] = ()
    go_fast: bool = False
    disable_safety_checker: bool = False
    inputs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        # JSON makes no difference between 20 and 20.0, and pipelines do.
        for kind, names in (int, _INTEGERS), (float, _FLOATS):
            for name in names:
                value = getattr(self, name)
                if value is not None:
                    object.__setattr__(self, name, kind(value))

    @classmethod
    def from_inputs(
        cls, inputs: Mapping[str, Any], warnings: Warnings | None = None, *, tell: bool = True
    ) -> PictureRequest:
        """The request of somebody who calls `predict.py`.

        Args:
            inputs: of `predict`, by name; `None` stands for what was left out.
            warnings: told of inputs that have no effect beside the others; `None` leaves it to the log.
            tell: whether the pictures' files tell them.

        Raises:
            InputError: a picture was sent as a text that points to none; or the request is strict, and an input has no
                effect.
        """
        for name in _PICTURES:
            _check_picture(name, inputs[name])
        check_inputs(inputs, warnings or Warnings())
        given = {name: inputs[name] for name in cls.__dataclass_fields__.keys() & inputs.keys()}
        loras = (("lora_weights", "lora_scale"), ("extra_lora", "extra_lora_scale"))
        return cls(
            **given
            | {
                "seed": secrets.randbelow(SEEDS) if inputs["seed"] is None else inputs["seed"],
                "reference_images": tuple(inputs["reference_images"]),
                "loras": tuple(Lora(inputs[name], inputs[scale], name) for name, scale in loras if inputs[name]),
                "inputs": inputs if tell else None,
            }
        )

    def seed_of(self, index: int) -> int:
        """The seed of the picture at `index`, counted from 0."""
        return (self.seed + index) % SEEDS


def _check_picture(name: str, value: Any) -> None:
    """Refuse a text in place of a file: as Cog, the server leaves what is no URL as it is."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            shown = f"{text!r}" if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}… ({len(text)} characters)"
            raise InputError(
                name,
                f"{shown} is no URL of a picture. Send one that begins with http:// or https://, or the file itself as "
                "a data URL: data:image/png;base64, and the base64 of its bytes.",
            )
