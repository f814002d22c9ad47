"""Pictures that were sent in, fitted to the size of those to be made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from server.diffusion.masks import warn_of_blank
from server.diffusion.reading import SentPicture
from server.diffusion.sizing import Size
from server.diffusion.warnings import WarningCode, Warnings

_SLIGHT = 1 / 32
"""The part of a side by which two aspects may differ and be treated as one: rounding to a multiple does no more."""


class ResizeMode(StrEnum):
    """What becomes of a picture whose aspect is not that of the pictures to be made."""

    COVER = "cover"
    """Keep its shape and fill the size; what does not fit is cut off, as much on either side."""
    FIT = "fit"
    """Keep its shape and all of it; what stays empty takes the colours of its edges."""
    STRETCH = "stretch"
    """Fill the size with all of it; its shape changes."""


@dataclass(frozen=True)
class Fitting:
    """How pictures of one size are fitted to another: the same for a picture, its opacity and its mask.

    Attributes:
        source: the size of the pictures.
        size: the size to be had.
        box: left, top, right and bottom of the part of a picture that is used, in its pixels.
        inner: the size that this part is scaled to, which lies in the middle of `size`.
    """

    source: Size
    size: Size
    box: tuple[float, float, float, float]
    inner: Size

    @property
    def lost(self) -> float:
        """The part of a picture's pixels that is cut off, from 0 to 1."""
        left, top, right, bottom = self.box
        return 1 - (right - left) * (bottom - top) / self.source.area

    @property
    def is_padded(self) -> bool:
        """Whether pictures leave a part of the size empty."""
        return self.inner != self.size

    def apply(self, image: Image.Image, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
        """A picture, fitted, with its edges drawn out where it leaves a part empty.

        Args:
            image: mode L or RGB; of another size than `source` it is taken to be a picture of that, scaled.
            resample: how pixels are made of those around them.
        """
        across, down = image.width / self.source.width, image.height / self.source.height
        left, top, right, bottom = self.box
        box = (left * across, top * down, min(right * across, image.width), min(bottom * down, image.height))
        inner = (self.inner.width, self.inner.height)
        scaled = image.resize(inner, resample, box)
        if not self.is_padded:
            return scaled
        before, after = self._margins()
        pixels = np.asarray(scaled)
        margins = [(before[1], after[1]), (before[0], after[0]), (0, 0)]
        return Image.fromarray(np.pad(pixels, margins[: pixels.ndim], mode="edge"))

    def apply_to_mask(self, mask: Image.Image) -> Image.Image:
        """A mask of such a picture, fitted; nothing is to be repainted where the picture leaves a part empty.

        Args:
            mask: mode L; see `apply` for the size.
        """
        # Lanczos would draw a dark and a bright line along every edge.
        fitted = self.apply(mask, Image.Resampling.BILINEAR)
        if not self.is_padded:
            return fitted
        (left, top), _ = self._margins()
        inside = (left, top, left + self.inner.width, top + self.inner.height)
        framed = Image.new("L", fitted.size)
        framed.paste(fitted.crop(inside), inside)
        return framed

    def _margins(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What is empty on the left and top, and on the right and bottom."""
        across, down = self.size.width - self.inner.width, self.size.height - self.inner.height
        return (across // 2, down // 2), (across - across // 2, down - down // 2)


def plan_fitting(source: Size, size: Size, mode: ResizeMode) -> Fitting:
    """How pictures of the size `source` are fitted to `size`.

    With `FIT`, a picture that nearly has the aspect is stretched by up to 3 %, rather than given a thin border.
    """
    whole = (0.0, 0.0, float(source.width), float(source.height))
    scales = size.width / source.width, size.height / source.height
    match mode:
        case ResizeMode.STRETCH:
            return Fitting(source, size, whole, size)
        case ResizeMode.FIT:
            if min(scales) > max(scales) * (1 - _SLIGHT):
                return Fitting(source, size, whole, size)
            inner = Size(*(max(1, round(side * min(scales))) for side in (source.width, source.height)))
            return Fitting(source, size, whole, inner)
        case ResizeMode.COVER:
            # Rounding may exceed the picture by a hair.
            width = min(size.width / max(scales), source.width)
            height = min(size.height / max(scales), source.height)
            left, top = (source.width - width) / 2, (source.height - height) / 2
            return Fitting(source, size, (left, top, left + width, top + height), size)


def fit_picture(
    picture: SentPicture, size: Size, mode: ResizeMode | None, input_name: str, warnings: Warnings
) -> SentPicture:
    """A picture and its opacity, fitted to a size.

    Args:
        picture: what was sent.
        size: the size to be had.
        mode: `None` where the request does not say: that is `COVER`, and a warning of what is cut off.
        input_name: the input that warnings name.
        warnings: where they go.

    Raises:
        InputError: the request is strict, and something was cut off that it did not ask for.
    """
    fitting = plan_fitting(Size(*picture.rgb.size), size, mode or ResizeMode.COVER)
    if mode is None and fitting.lost > _SLIGHT:
        warnings.add(
            WarningCode.TRUNCATED,
            input_name,
            f"{fitting.lost:.0%} of it was cut off, to fill {size.width} x {size.height}. "
            "With resize_mode fit all of it is used, and with aspect_ratio match_input_image it keeps its shape.",
        )
    alpha = None if picture.alpha is None else fitting.apply(picture.alpha)
    return SentPicture(fitting.apply(picture.rgb), alpha)


def fit_mask(
    mask: Image.Image, picture: Size, size: Size, mode: ResizeMode | None, input_name: str, warnings: Warnings
) -> Image.Image:
    """A mask fitted to a size as its picture is, so that it covers the same things.

    Args:
        mask: mode L, of any size: it is scaled to the picture, with a warning where their shapes differ.
        picture: the size of the picture, as it was sent.
        size, mode, input_name, warnings: as for `fit_picture`.

    Raises:
        InputError: the request is strict, and the shapes differ or nothing or all of the picture is left to repaint.
    """
    own = Size(*mask.size)
    if not 1 - _SLIGHT < own.ratio / picture.ratio < 1 + _SLIGHT:
        warnings.add(
            WarningCode.CONVERTED,
            input_name,
            f"its {own.width} x {own.height} pixels were stretched over the picture of {picture.width} x "
            f"{picture.height}, which has another shape. Send one of the same shape.",
        )
    fitted = plan_fitting(picture, size, mode or ResizeMode.COVER).apply_to_mask(mask)
    warn_of_blank(fitted, input_name, warnings)
    return fitted
