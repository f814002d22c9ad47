"""PNG pictures that can be read, each odd in its way, with what they show."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from server.diffusion.warnings import WarningCode
from tests.diffusion.markers import BLACK_AND_WHITE, COLOURS, GREYS, Corners, Shows, encoded, marked, png, with_chunk

_WHITE = (255, 255, 255)
_CONVERTED = frozenset({WarningCode.CONVERTED})


def odd_pngs() -> Iterator[tuple[str, bytes, Shows]]:
    """The name, the content and the sight of each."""
    yield from _shallow_pngs()
    yield from _deep_pngs()


def _shallow_pngs() -> Iterator[tuple[str, bytes, Shows]]:
    picture, grey = marked(), marked(corners=GREYS).convert("L")
    hole = Image.fromarray(np.where(np.asarray(picture)[..., 0] == COLOURS[0][0], 0, 255).astype(np.uint8))
    rest: Corners = (_WHITE, *COLOURS[1:])
    clear = picture.copy()
    clear.putalpha(hole)
    yield "rgb.png", encoded(picture, "PNG"), Shows()
    yield "rgba.png", encoded(clear, "PNG"), Shows(corners=rest, warns=_CONVERTED)
    half = picture.copy()
    half.putalpha(128)
    mixed: Corners = tuple(tuple(round(v * 128 / 255 + 127) for v in c) for c in COLOURS)  # type: ignore[assignment]
    yield "half-clear.png", encoded(half, "PNG"), Shows(corners=mixed, tolerance=1, warns=_CONVERTED)
    solid = picture.copy()
    solid.putalpha(255)
    yield "solid-rgba.png", encoded(solid, "PNG"), Shows()
    yield "grey.png", encoded(grey, "PNG"), Shows(corners=GREYS)
    dim = grey.copy()
    dim.putalpha(hole)
    yield "grey-alpha.png", encoded(dim, "PNG"), Shows(corners=(_WHITE, *GREYS[1:]), warns=_CONVERTED)
    yield (
        "bilevel.png",
        encoded(marked(corners=BLACK_AND_WHITE).convert("1"), "PNG"),
        Shows(corners=BLACK_AND_WHITE),
    )
    yield "palette.png", encoded(picture.quantize(4), "PNG"), Shows()
    yield "palette-alpha.png", encoded(clear.quantize(8), "PNG"), Shows(corners=rest, tolerance=2, warns=_CONVERTED)
    yield (
        "rgb-key.png",
        encoded(picture, "PNG", transparency=COLOURS[0]),
        Shows(corners=rest, warns=_CONVERTED),
    )
    yield (
        "grey-key.png",
        encoded(grey, "PNG", transparency=GREYS[0][0]),
        Shows(corners=(_WHITE, *GREYS[1:]), warns=_CONVERTED),
    )
    frames = [marked(corners=GREYS), marked(corners=BLACK_AND_WHITE)]
    yield (
        "animated.png",
        encoded(picture, "PNG", save_all=True, append_images=frames),
        Shows(warns=_CONVERTED),
    )
    comment = b"Comment\0\0" + zlib.compress(b"x" * 900_000)
    yield "long-comment.png", with_chunk(encoded(picture, "PNG"), b"zTXt", comment), Shows()
    yield "no-end.png", encoded(picture, "PNG")[:-12], Shows()


def _deep_pngs() -> Iterator[tuple[str, bytes, Shows]]:
    width, height = 8, 8
    steps: Corners = ((0,) * 3, (85,) * 3, (170,) * 3, (255,) * 3)
    size = (width, height)
    two_bits = [bytes([0b00000000, 0b01010101])] * 4 + [bytes([0b10101010, 0b11111111])] * 4
    yield "2-bit.png", png(size, 2, 0, two_bits), Shows(size, steps)
    clear: Corners = (steps[0], _WHITE, *steps[2:])
    yield (
        "2-bit-key.png",
        png(size, 2, 0, two_bits, (b"tRNS", struct.pack(">H", 1))),
        Shows(size, clear, warns=_CONVERTED),
    )

    def rows(*corners: tuple[int, ...]) -> list[bytes]:
        pixel = [b"".join(struct.pack(">H", value * 257) for value in corner) for corner in corners]
        return [pixel[0] * 4 + pixel[1] * 4] * 4 + [pixel[2] * 4 + pixel[3] * 4] * 4

    greys = rows(*((grey[0],) for grey in GREYS))
    yield "grey16.png", png(size, 16, 0, greys), Shows(size, GREYS, warns=_CONVERTED)
    key = struct.pack(">H", GREYS[0][0] * 257)
    yield (
        "grey16-key.png",
        png(size, 16, 0, greys, (b"tRNS", key)),
        Shows(size, (_WHITE, *GREYS[1:]), warns=_CONVERTED),
    )
    yield "rgb16.png", png(size, 16, 2, rows(*COLOURS)), Shows(size, warns=_CONVERTED)
    key = struct.pack(">HHH", *(value * 257 for value in COLOURS[0]))
    yield (
        "rgb16-key.png",
        png(size, 16, 2, rows(*COLOURS), (b"tRNS", key)),
        Shows(size, (_WHITE, *COLOURS[1:]), warns=_CONVERTED),
    )
    holed = rows((*COLOURS[0], 0), *((*colour, 255) for colour in COLOURS[1:]))
    yield "rgba16.png", png(size, 16, 6, holed), Shows(size, (_WHITE, *COLOURS[1:]), warns=_CONVERTED)
    holed = rows((GREYS[0][0], 0), *((grey[0], 255) for grey in GREYS[1:]))
    yield "grey-alpha16.png", png(size, 16, 4, holed), Shows(size, (_WHITE, *GREYS[1:]), warns=_CONVERTED)
