"""Pictures with a colour of its own in each quarter, which show when one is turned, mirrored or cut."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from server.diffusion.warnings import WarningCode

Colour = tuple[int, int, int]
Corners = tuple[Colour, Colour, Colour, Colour]
"""The colours of the quarters: upper left, upper right, lower left, lower right."""

COLOURS: Corners = ((220, 30, 40), (40, 180, 60), (30, 50, 200), (240, 220, 50))
GREYS: Corners = ((30,) * 3, (100,) * 3, (170,) * 3, (240,) * 3)
BLACK_AND_WHITE: Corners = ((0,) * 3, (255,) * 3, (255,) * 3, (0,) * 3)

_TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""How pixels that are the right way up have to be stored, by the orientation that EXIF then has (EXIF 2.32, 4.6.4)."""


SIZE = (64, 48)
"""How large they are, unless told otherwise."""


@dataclass(frozen=True)
class Shows:
    """A picture that can be read.

    Attributes:
        size: its width and height, the right way up.
        corners: the colours in the middle of its quarters, the right way up, in sRGB.
        tolerance: by how much a channel may differ, as the file's kind is not exact.
        warns: of what the reader is told.
    """

    size: tuple[int, int] = SIZE
    corners: Corners = COLOURS
    tolerance: int = 0
    warns: frozenset[WarningCode] = frozenset()


def marked(size: tuple[int, int] = SIZE, corners: Corners = COLOURS) -> Image.Image:
    """Such a picture, mode RGB. One that is a pixel wide or high has the colours of its right or lower quarters."""
    width, height = size
    pixels = np.empty((height, width, 3), np.uint8)
    x, y = width // 2, height // 2
    pixels[:y, :x], pixels[:y, x:], pixels[y:, :x], pixels[y:, x:] = corners
    return Image.fromarray(pixels)


def stored(picture: Image.Image, orientation: int) -> Image.Image:
    """A picture as a camera stores it that was held so."""
    return Image.fromarray(np.ascontiguousarray(_TURNS[orientation](np.asarray(picture))))


def corners_of(picture: Image.Image) -> Corners:
    """The colours in the middle of the quarters of a picture of mode RGB."""
    width, height = picture.size
    xs, ys = (width // 4, width - 1 - width // 4), (height // 4, height - 1 - height // 4)
    found: list[Any] = [picture.getpixel((x, y)) for y in ys for x in xs]
    return found[0], found[1], found[2], found[3]


def difference(one: Image.Image, other: Image.Image) -> int:
    """By how much two pictures of one mode and size differ where they differ most."""
    assert (one.mode, one.size) == (other.mode, other.size)
    return int(np.asarray(ImageChops.difference(one, other)).max())


def narrow(corners: Corners, size: tuple[int, int]) -> Corners:
    """The corners that `marked` has with that size."""
    upper, lower = corners[:2], corners[2:]
    if size[1] == 1:
        upper = lower
    if size[0] == 1:
        upper, lower = (upper[1], upper[1]), (lower[1], lower[1])
    return (*upper, *lower)


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    """A picture as a file that Pillow writes."""
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def png(size: tuple[int, int], depth: int, colour_type: int, rows: list[bytes], *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG file of rows of packed samples, which may be of kinds that Pillow does not write (W3C PNG, 11.2).

    Args:
        size: width and height, as the file states them.
        depth, colour_type: as in its header.
        rows: without filter bytes.
        extra: further chunks, as name and content, which go before the pixels.
    """
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def with_chunk(file: bytes, name: bytes, content: bytes) -> bytes:
    """A PNG file with one more chunk behind its header."""
    return file[:33] + _chunk(name, content) + file[33:]


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
