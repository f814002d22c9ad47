"""How large a picture is to be: what was asked for, or the nearest to it that the model can make."""

from __future__ import annotations

import math
from dataclasses import dataclass

from server.diffusion.errors import InputError
from server.diffusion.warnings import WarningCode, Warnings

MEGAPIXEL = 1024 * 1024
"""The pixels of a megapixel, as models count them: that of a square is 1024 a side."""

MATCH_INPUT_IMAGE = "match_input_image"
CUSTOM = "custom"

RATIOS = {
    "1:1": 1 / 1,
    "16:9": 16 / 9,
    "21:9": 21 / 9,
    "3:2": 3 / 2,
    "2:3": 2 / 3,
    "4:5": 4 / 5,
    "5:4": 5 / 4,
    "3:4": 3 / 4,
    "4:3": 4 / 3,
    "9:16": 9 / 16,
    "9:21": 9 / 21,
}
"""Width over height, by the names that a request has for them."""

ASPECT_RATIOS = (*RATIOS, MATCH_INPUT_IMAGE, CUSTOM)
"""What a request may say of the aspect."""


@dataclass(frozen=True)
class Size:
    """How large a picture is, in pixels, each side 1 or more."""

    width: int
    height: int

    @property
    def ratio(self) -> float:
        """Width over height."""
        return self.width / self.height

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.width * self.height


@dataclass(frozen=True)
class SizeLimits:
    """The sizes that a model can make.

    Attributes:
        own: the size that it was trained for, which is made where nothing else is asked for.
        multiple: by which each side is divisible.
        least, greatest: the shortest and the longest side.
    """

    own: Size
    multiple: int
    least: int = 64
    greatest: int = 2048

    def __post_init__(self) -> None:
        if not 0 < self.multiple <= self.greatest or self.floor > self.ceiling:
            raise ValueError(f"no multiple of {self.multiple} lies between {self.least} and {self.greatest}")

    @property
    def floor(self) -> int:
        """The shortest side that is such a multiple."""
        return max(math.ceil(self.least / self.multiple), 1) * self.multiple

    @property
    def ceiling(self) -> int:
        """The longest side that is such a multiple."""
        return self.greatest // self.multiple * self.multiple

    @property
    def bounds(self) -> str:
        """The limits in words."""
        return f"this model's pictures have from {self.floor} to {self.ceiling} pixels a side"

    def nearest(self, side: float) -> int:
        """The possible side that is nearest to one of so many pixels; the longer one of two as near."""
        rounded = math.floor(side / self.multiple + 0.5) * self.multiple
        return min(max(rounded, self.floor), self.ceiling)


def choose_size(
    limits: SizeLimits,
    warnings: Warnings,
    *,
    aspect_ratio: str | None = None,
    megapixels: float | None = None,
    width: int | None = None,
    height: int | None = None,
    input_image: Size | None = None,
) -> Size:
    """The size of the pictures of a request.

    Width and height together are the size; but a named aspect ratio is stronger, where they have another. One of them
    alone gets the other from the aspect ratio, else from the area, else from the model's own size. With neither, the
    area is the one asked for, or that of the model's own size. An input image gives the aspect where nothing else does.

    Args:
        limits: what the model can make.
        warnings: where it is told what was rounded, clamped or ignored.
        aspect_ratio: one of `ASPECT_RATIOS`; `custom` is the same as none.
        megapixels: the area, in `MEGAPIXEL`s, over 0.
        width, height: in pixels.
        input_image: the size of the picture that the request starts from, the right way up.

    Raises:
        InputError: the aspect ratio has no such name, or is to match an input image and there is none; or the area is
            not over 0; or the request is strict and something differs from what was asked for.
    """
    named = _named_ratio(aspect_ratio, input_image)
    if megapixels is not None and not (megapixels > 0 and math.isfinite(megapixels)):
        raise InputError("megapixels", f"{megapixels} is no area. Give a number over 0, such as 1.")
    if named is not None and width is not None and height is not None and not _agree(width, height, named, limits):
        for name, side in ("width", width), ("height", height):
            message = f"{side} was not used, as aspect_ratio is {aspect_ratio}. With aspect_ratio custom it is."
            warnings.add(WarningCode.IGNORED, name, message)
        width = height = None
    sides = {"width": width, "height": height}
    given = {name: _side(name, side, limits, warnings) for name, side in sides.items() if side is not None}
    ratio = named or (None if input_image is None else input_image.ratio)
    if not given:
        return _by_area(limits, warnings, ratio, megapixels, "aspect_ratio" if named else "image")
    if megapixels is not None and (ratio or len(given) == 2):
        message = f"{megapixels} was not used: {' and '.join(given)} already set the size. Leave one of them out."
        warnings.add(WarningCode.IGNORED, "megapixels", message)
        megapixels = None
    if len(given) == 2:
        return Size(**given)
    [(name, side)] = given.items()
    if name == "width":
        other = side / ratio if ratio else megapixels * MEGAPIXEL / side if megapixels else limits.own.height
        return Size(side, _derived("height", other, limits, warnings))
    other = side * ratio if ratio else megapixels * MEGAPIXEL / side if megapixels else limits.own.width
    return Size(_derived("width", other, limits, warnings), side)


def _named_ratio(aspect_ratio: str | None, input_image: Size | None) -> float | None:
    """The aspect ratio that the request names, if any, as width over height."""
    if aspect_ratio is None or aspect_ratio == CUSTOM:
        return None
    if aspect_ratio == MATCH_INPUT_IMAGE:
        if input_image is None:
            raise InputError("aspect_ratio", f"{aspect_ratio} needs an image, and none was sent. Send one, or say 1:1.")
        return input_image.ratio
    if aspect_ratio not in RATIOS:
        raise InputError("aspect_ratio", f"{aspect_ratio!r} is none of {', '.join(ASPECT_RATIOS)}. Choose one of them.")
    return RATIOS[aspect_ratio]


def _agree(width: int, height: int, ratio: float, limits: SizeLimits) -> bool:
    """Whether sides have an aspect ratio, but for what rounding each to the multiple may do."""
    return abs(width - height * ratio) <= limits.multiple / 2 * (1 + ratio)


def _side(name: str, side: int, limits: SizeLimits, warnings: Warnings) -> int:
    """The possible side for the one that was asked for."""
    possible = limits.nearest(side)
    if not limits.least <= side <= limits.greatest:
        warnings.add(WarningCode.CLAMPED, name, f"{side} became {possible}: {limits.bounds}.")
    elif possible != side:
        message = f"{side} became {possible}, the nearest: this model needs a multiple of {limits.multiple}."
        warnings.add(WarningCode.ROUNDED, name, message)
    return possible


def _derived(name: str, side: float, limits: SizeLimits, warnings: Warnings) -> int:
    """The possible side for one that follows from others."""
    possible = limits.nearest(side)
    if abs(possible - side) > limits.multiple / 2:
        warnings.add(WarningCode.CLAMPED, name, f"it would be {side:.0f} and became {possible}: {limits.bounds}.")
    return possible


def _by_area(
    limits: SizeLimits, warnings: Warnings, ratio: float | None, megapixels: float | None, shaped_by: str
) -> Size:
    """The size of an aspect ratio and an area, smaller or larger where that would go beyond the limits."""
    if ratio is None and megapixels is None:
        return limits.own
    ratio = ratio or limits.own.ratio
    area = megapixels * MEGAPIXEL if megapixels else limits.own.area
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    slack, scale = limits.multiple / 2, 1.0
    if max(width, height) > limits.ceiling + slack:
        scale = limits.ceiling / max(width, height)
    if min(width, height) * scale < limits.floor - slack:
        scale = limits.floor / min(width, height)
    size = Size(limits.nearest(width * scale), limits.nearest(height * scale))
    is_too_long = max(width, height) * scale > limits.ceiling + slack
    if scale != 1 or is_too_long:
        name = "megapixels" if megapixels and not is_too_long else shaped_by
        message = f"a size of {width:.0f} x {height:.0f} became {size.width} x {size.height}: {limits.bounds}."
        warnings.add(WarningCode.CLAMPED, name, message)
    return size
