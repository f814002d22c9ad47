"""Masks: which part of a picture is to be painted anew. White is repainted, black is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageChops
from scipy import ndimage

from server.diffusion.reading import MAX_PIXELS, MAX_SIDE, SentPicture, decode
from server.diffusion.warnings import WarningCode, Warnings

_NEARLY = 16
"""How far from black and white a grey still counts as such: JPEG makes such greys along edges."""

_QUARTERS = {
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
}
"""The turns after which width is height."""

FEATHER = 8
"""Over how many pixels, by default, what was painted anew fades in: as many as a latent pixel covers."""


def read_mask(
    path: Path, input_name: str, warnings: Warnings, *, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE
) -> Image.Image:
    """Read a mask from a picture of any kind, by how light it is.

    A mask of one colour with a transparent part, as brushes draw it on an empty layer, is taken by its opacity: what is
    opaque is repainted. In any other the transparent part counts as black. Nearly black is black, and nearly white is
    white. A colour profile is left out of account: these are not colours to be seen.

    Args:
        path, input_name, max_pixels, max_side: as for `read_picture`.
        warnings: where it is told of a mask that has no effect, and of how a transparent part was taken.

    Returns:
        Mode L, from 0, kept, to 255, repainted.

    Raises:
        InputError: as `read_picture`.
    """
    decoded = decode(path, input_name, warnings, max_pixels=max_pixels, max_side=max_side)
    mask = _lightness(decoded.colours)
    if decoded.alpha is not None:
        mask = _with_alpha(mask, decoded.alpha, input_name, warnings)
    mask = mask.point([_to_ends(grey) for grey in range(256)])
    warn_of_blank(mask, input_name, warnings)
    return mask


def turn_with(mask: Image.Image, picture: SentPicture, input_name: str, warnings: Warnings) -> Image.Image:
    """A mask the way up that its picture is: one that fits the picture only as that is stored was drawn on it so.

    Args:
        mask: mode L.
        picture: what it belongs to.
        input_name, warnings: as for `read_mask`.
    """
    across, down = picture.rgb.size
    if picture.turn not in _QUARTERS or across == down or mask.size != (down, across):
        return mask
    message = (
        f"it is {down} x {across}, as image is stored, and was turned with it, to {across} x {down}. Send it the way "
        "up that image is seen."
    )
    warnings.add(WarningCode.CONVERTED, input_name, message)
    return mask.transpose(picture.turn)


def mask_from_alpha(alpha: Image.Image) -> Image.Image:
    """The mask that has the transparent part of a picture painted anew.

    Args:
        alpha: mode L, from 0, transparent, to 255, opaque.
    """
    return ImageChops.invert(alpha)


def warn_of_blank(mask: Image.Image, input_name: str, warnings: Warnings) -> None:
    """Tell of a mask, mode L, that is all black or all white."""
    match mask.getextrema():
        case (_, 0):
            message = "it is all black where the picture is, so nothing is painted anew. Make white what is to change."
            warnings.add(WarningCode.IGNORED, input_name, message)
        case (255, _):
            message = "it is all white where the picture is, so all is painted anew. Make black what is to stay."
            warnings.add(WarningCode.IGNORED, input_name, message)


def keep_unmasked(original: Image.Image, made: Image.Image, mask: Image.Image, feather: int = FEATHER) -> Image.Image:
    """A picture that is new where the mask says so, and has the very pixels of the original where the mask is black.

    What is new fades in within the masked part, from its edge inwards; a part too thin for that is new in its middle.

    Args:
        original, made: mode RGB, of one size.
        mask: mode L, of that size; a grey mixes both.
        feather: over how many pixels it fades in, 0 or more.

    Raises:
        ValueError: the sizes differ.
    """
    if not original.size == made.size == mask.size:
        raise ValueError(
            f"pictures of {original.size} and {made.size} and a mask of {mask.size} have to be of one size"
        )
    return Image.composite(made, original, _feathered(mask, feather))


def _lightness(colours: Image.Image) -> Image.Image:
    match colours.mode:
        case "LAB":
            return colours.getchannel("L")
        case "CMYK":
            return colours.convert("RGB").convert("L")
        case _:
            return colours.convert("L")


def _with_alpha(grey: Image.Image, alpha: Image.Image, input_name: str, warnings: Warnings) -> Image.Image:
    visible = np.asarray(grey)[np.asarray(alpha) > 0]
    if not visible.size or visible.min() >= 256 - _NEARLY:
        # White on nothing is the same either way.
        return alpha
    if np.ptp(visible) < _NEARLY:
        message = "it has one colour and is partly transparent, so what is opaque in it is painted anew."
        warnings.add(WarningCode.CONVERTED, input_name, message)
        return alpha
    warnings.add(WarningCode.CONVERTED, input_name, "what is transparent in it counts as black, which is kept.")
    return ImageChops.multiply(grey, alpha)


def _to_ends(grey: int) -> int:
    if grey < _NEARLY:
        return 0
    return 255 if grey >= 256 - _NEARLY else grey


def _feathered(mask: Image.Image, feather: int) -> Image.Image:
    """A mask that grows from its edge inwards to what it was, and is black where it was."""
    greys = np.asarray(mask)
    masked = greys > 0
    if not feather or masked.all() or not masked.any():
        return mask
    # 1 in the outermost masked pixels. Near the middle of a thin part it never comes to the full width.
    depth = ndimage.distance_transform_edt(masked)
    thickness = ndimage.maximum_filter(depth, size=2 * feather + 1)
    weight = np.minimum(depth / np.clip(thickness, 1, feather + 1), 1)
    return Image.fromarray(np.round(greys * weight).astype(np.uint8))
