"""Pictures as people send them, of any kind, as what the models take."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from server.diffusion.colours import on_white, split_alpha, to_srgb
from server.diffusion.errors import InputError
from server.diffusion.heic import can_read_heic, read_heic
from server.diffusion.signatures import HEAD, READABLE, PictureKind, describe, picture_kind
from server.diffusion.warnings import WarningCode, Warnings

MAX_PIXELS = 100_000_000
"""The most pixels that a picture may have, unless told otherwise."""
MAX_SIDE = 32_768
"""The most pixels that a side of one may have, unless told otherwise."""

_ORIENTATION = 0x0112
"""The tag of EXIF that says which way up a picture is: 2 to 8 where it is not as it is stored."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_CLASSES: Mapping[PictureKind, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    PictureKind.AVIF: AvifImagePlugin.AvifImageFile,
    PictureKind.BMP: BmpImagePlugin.BmpImageFile,
    PictureKind.GIF: GifImagePlugin.GifImageFile,
    PictureKind.JPEG: JpegImagePlugin.JpegImageFile,
    PictureKind.PNG: PngImagePlugin.PngImageFile,
    PictureKind.TIFF: TiffImagePlugin.TiffImageFile,
    PictureKind.WEBP: WebPImagePlugin.WebPImageFile,
}
"""What reads size and mode of such a file, and the pixels later; HEIC files have a reader of their own."""

_PNG_DEPTH = 24
"""Where a PNG file has the number of bits for each colour."""
_BITS_PER_SAMPLE = 258
"""The tag of TIFF that has it."""


@dataclass(frozen=True)
class SentPicture:
    """A picture that came with a request, the right way up.

    Attributes:
        rgb: mode RGB, 8 bits, sRGB; what was transparent shows white.
        alpha: mode L, of the same size, from 0, transparent, to 255; `None` where all of it is opaque.
        turn: how it was turned to be so, by what its file says; `None` where it was not, or that is not known.
    """

    rgb: Image.Image
    alpha: Image.Image | None
    turn: Image.Transpose | None = None


@dataclass(frozen=True)
class DecodedPicture:
    """A picture with the colours that its file has.

    Attributes:
        colours: mode L, RGB, CMYK or LAB, 8 bits.
        alpha, turn: as in `SentPicture`.
        profile: the ICC profile of the colours.
    """

    colours: Image.Image
    alpha: Image.Image | None
    profile: bytes | None
    turn: Image.Transpose | None


def read_picture(
    path: Path,
    input_name: str,
    warnings: Warnings,
    *,
    alpha_is_used: bool = False,
    max_pixels: int = MAX_PIXELS,
    max_side: int = MAX_SIDE,
) -> SentPicture:
    """Read a picture of any kind of `PictureKind`; what kind it is, is told by the file's content.

    Args:
        path: the file.
        input_name: the input that it was sent as, which errors and warnings name.
        alpha_is_used: the caller makes a mask of what is transparent, so that is no loss to warn of.
        max_pixels: how many pixels it may have; it is refused before they are unpacked.
        max_side: how many pixels wide or high it may be.

    Raises:
        InputError: it cannot be read, and the message says what the file is; or it is too large; or the request is
            strict and something was converted or ignored.
    """
    decoded = decode(path, input_name, warnings, max_pixels=max_pixels, max_side=max_side)
    rgb = to_srgb(decoded.colours, decoded.profile, input_name, warnings)
    rgb.info = {}
    if decoded.alpha is None:
        return SentPicture(rgb, None, decoded.turn)
    if not alpha_is_used:
        warnings.add(WarningCode.CONVERTED, input_name, "what is transparent in it was filled with white.")
    return SentPicture(on_white(rgb, decoded.alpha), decoded.alpha, decoded.turn)


def decode(
    path: Path, input_name: str, warnings: Warnings, *, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE
) -> DecodedPicture:
    """The first picture of a file with its own colours, the right way up; the rest is as for `read_picture`."""
    try:
        file = path.open("rb")
        head = file.read(HEAD)
    except OSError as error:
        raise InputError(input_name, f"the file cannot be read: {error.strerror}. Send {READABLE}.") from error
    with file:
        kind = picture_kind(head)
        if kind is None:
            raise InputError(input_name, f"the file is {describe(head)}. Send {READABLE}.")
        if kind is PictureKind.HEIC and not can_read_heic():
            message = "it is an HEIC picture, and this server has no pi-heif to read it. Send it as JPEG, or run "
            raise InputError(input_name, f"{message}`pip install pi-heif` on the server.")
        with _telling(input_name, kind):
            if kind is PictureKind.HEIC:
                opened = _open_heic(path, input_name, max_pixels, max_side)
            else:
                opened = _open(file, kind, head)
            image = opened.image
            _check_size(image.size, input_name, max_pixels, max_side)
            image.load()
            _mend_transparency(image, opened.bits)
            colours, alpha = split_alpha(image)
    if opened.has_more:
        warnings.add(WarningCode.CONVERTED, input_name, "the file holds several pictures; only the first is used.")
    if opened.bits > 8:
        warnings.add(
            WarningCode.CONVERTED, input_name, f"it has {opened.bits} bits for each colour; 8 of them are used."
        )
    turn = _turn(image, input_name, warnings)
    if turn is not None:
        colours = colours.transpose(turn)
        alpha = None if alpha is None else alpha.transpose(turn)
    profile = image.info.get("icc_profile")
    # What the file says of its colours would end up in what is made of them.
    for part in colours, alpha:
        if part is not None:
            part.info = {}
    return DecodedPicture(colours, alpha, profile, turn)


@dataclass(frozen=True)
class _Opened:
    """A picture whose pixels need not be unpacked yet."""

    image: Image.Image
    bits: int
    has_more: bool


def _open(file: IO[bytes], kind: PictureKind, head: bytes) -> _Opened:
    file.seek(0)
    # Not `Image.open`: it tries every format that it knows, and tells of large pictures by way of Python's warnings.
    image = _CLASSES[kind](file)
    # This reads on to the second picture of a GIF and goes back, so it has to come before the pixels.
    has_more = bool(getattr(image, "is_animated", False))
    return _Opened(image, _bits(image, kind, head), has_more)


def _open_heic(path: Path, input_name: str, max_pixels: int, max_side: int) -> _Opened:
    heic = read_heic(path, max_pixels, max_side)
    _check_size(heic.size, input_name, max_pixels, max_side)
    return _Opened(PngImagePlugin.PngImageFile(io.BytesIO(heic.png)), heic.bits, heic.pictures > 1)


@contextmanager
def _telling(input_name: str, kind: PictureKind) -> Iterator[None]:
    """Errors of Pillow as errors of the input."""
    try:
        yield
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(input_name, f"it is too large to be read. {error} Send a smaller picture.") from error
    except MemoryError as error:
        message = "it needs more memory than the server has left. Send a smaller picture."
        raise InputError(input_name, message) from error
    except Exception as error:  # over a damaged file Pillow raises errors of any class
        reason = str(error).strip().rstrip(".") or type(error).__name__
        message = f"the file begins like a {kind} picture, but is damaged or ends too early ({reason}). Send it again."
        raise InputError(input_name, message) from error


def _check_size(size: tuple[int, int], input_name: str, max_pixels: int, max_side: int) -> None:
    width, height = size
    if width * height > max_pixels or max(size) > max_side:
        raise InputError(
            input_name,
            f"it has {width} x {height} pixels. Up to {max_pixels:,} in all, and {max_side:,} a side, are read: "
            "send a smaller picture.",
        )


def _bits(image: Image.Image, kind: PictureKind, head: bytes) -> int:
    """How many bits each colour has in the file, as far as that can be known."""
    match kind:
        case PictureKind.PNG:
            return head[_PNG_DEPTH]
        case PictureKind.TIFF:
            tags: Any = getattr(image, "tag_v2", {})
            return int(max(tags.get(_BITS_PER_SAMPLE, (8,))))
        case _:
            return 8


def _mend_transparency(image: Image.Image, bits: int) -> None:
    """Put the transparent colour of a PNG into the 8 bits that Pillow has made of its colours."""
    transparent = image.info.get("transparency")
    if image.mode == "L" and isinstance(transparent, int) and bits < 8:
        image.info["transparency"] = transparent * 255 // (2**bits - 1)
    if image.mode == "RGB" and isinstance(transparent, tuple) and bits == 16:
        image.info["transparency"] = tuple(value >> 8 for value in transparent)


def _turn(image: Image.Image, input_name: str, warnings: Warnings) -> Image.Transpose | None:
    """How to turn a picture so that it is the right way up. Those in TIFF files are, when they are loaded."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # as of damaged files
        reason = error
    message = f"its EXIF data cannot be read ({reason}), so the picture is used the way up that it is stored."
    warnings.add(WarningCode.IGNORED, input_name, message)
    return None
