"""Pixels of any kind as 8-bit sRGB, which is what the models were trained on."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageCms

from server.diffusion.warnings import WarningCode, Warnings

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""The modes of Pillow by the names that profiles have for them."""

# Tags of TIFF 6.0, and what they say.
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
_SAMPLE_FORMAT = 339
_UNSIGNED = 1

_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, ArithmeticError)


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A decoded picture as 8-bit colours and opacity.

    Args:
        image: of any mode.

    Returns:
        The colours, of mode L, RGB, CMYK or LAB; and the opacity of mode L, from 0, transparent, to 255, or `None`
        where all of it is opaque.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.mode in ("CMYK", "LAB"):
        return image, None
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if grey else "RGB"), None
    full = image.convert("LA" if grey else "RGBA")
    alpha = full.getchannel("A")
    least, _ = alpha.getextrema()
    return full.convert("L" if grey else "RGB"), None if least == 255 else alpha


def to_srgb(colours: Image.Image, profile: bytes | None, input_name: str, warnings: Warnings) -> Image.Image:
    """Colours as sRGB, mode RGB.

    Args:
        colours: as `split_alpha` returns them.
        profile: the picture's ICC profile. One that is broken or is for other colours is ignored with a warning.
        input_name: the input that the warnings name.

    Raises:
        InputError: the request is strict, and something was converted or ignored.
    """
    if profile:
        try:
            converted = _by_profile(colours, profile)
        except _PROFILE_ERRORS as error:
            warnings.add(
                WarningCode.IGNORED,
                input_name,
                f"its colour profile cannot be used ({error}), so its colours may differ.",
            )
        else:
            if converted is not None:
                warnings.add(
                    WarningCode.CONVERTED, input_name, "its colours were converted from its colour profile to sRGB."
                )
            return converted or colours.convert("RGB")
    if colours.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _transformed(colours, ImageCms.ImageCmsProfile(lab))
    if colours.mode == "CMYK":
        warnings.add(
            WarningCode.CONVERTED,
            input_name,
            "it has the colours of print (CMYK) and no usable profile of them, so they are only near. Send it as sRGB.",
        )
    return colours.convert("RGB")


def on_white(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    """A picture as it looks on white paper.

    Args:
        colours: mode RGB.
        alpha: mode L, of the same size.
    """
    white = Image.new("RGB", colours.size, "white")
    return Image.composite(colours, white, alpha)


def _by_profile(colours: Image.Image, data: bytes) -> Image.Image | None:
    """Colours that a profile describes as sRGB; `None` where they are sRGB but for their mode."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    space = profile.profile.xcolor_space.strip()
    mode = _SPACES.get(space)
    if mode is None or (mode != colours.mode and (colours.mode, mode) != ("L", "RGB")):
        raise ValueError(f"it is for {space} colours, and the picture has {colours.mode}")
    return None if mode in ("L", "RGB") and _is_srgb(profile, mode) else _transformed(colours.convert(mode), profile)


def _is_srgb(profile: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Whether it changes no colour by more than rounding does, so that pixels can stay as they were sent."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    before = Image.fromarray(grid).convert(mode)
    difference = ImageChops.difference(_transformed(before, profile), before.convert("RGB"))
    return int(np.asarray(difference).max()) <= 1


def _transformed(colours: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    # As browsers do it, and as Pillow does where it is not told how.
    transform = ImageCms.buildTransform(profile, srgb, colours.mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    return transform.apply(colours)


def _from_deep(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Greys of 9 bits or more, or of floating point, as 8 bits. Pillow's own way cuts off what is over 255."""
    tags: Any = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    if image.mode == "I" and tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED:
        values = values.view(np.uint32)
    levels = values / _white(values, tags.get(_BITS_PER_SAMPLE, (None,))[0])
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        levels = 1 - levels
    grey = np.round(np.nan_to_num(levels, nan=0).clip(0, 1) * 255).astype(np.uint8)
    transparent = values == image.info.get("transparency")
    alpha = Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8)) if transparent.any() else None
    return Image.fromarray(grey), alpha


def _white(values: np.ndarray[Any, Any], bits: int | None) -> float:
    """The value that stands for white, in a file that has `bits` for each of its greys, if it says so."""
    if values.dtype == np.uint16:
        return float(2 ** (bits or 16) - 1)
    if bits == 16:
        return float(np.iinfo(np.int16).max)
    # Files of more bits do not say; these are the ranges in use.
    greatest = float(np.max(values, initial=0, where=np.isfinite(values)))
    return next((white for white in (1.0, 255.0, 65535.0) if greatest <= white), greatest)
