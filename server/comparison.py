"""How far two pictures are apart, pixel by pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from server.errors import ReproductionError


@dataclass(frozen=True)
class Comparison:
    """What is between two pictures.

    Attributes:
        formats: what kind of file each is, as Pillow calls it.
        sizes: width and height of each in pixels.
        largest: the largest difference of a colour in any pixel, 0 to 255; `None` if the sizes differ.
        psnr: the peak signal-to-noise ratio in dB, infinite if there is no difference; `None` if the sizes differ.
    """

    formats: tuple[str, str]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    largest: int | None
    psnr: float | None


def compare(first: Path, second: Path) -> Comparison:
    """Compare two pictures in the pixels that they decode to.

    Raises:
        ReproductionError: one of them cannot be decoded.
    """
    (format_a, a), (format_b, b) = _decode(first), _decode(second)
    formats, sizes = (format_a, format_b), (a.size, b.size)
    if a.size != b.size:
        return Comparison(formats, sizes, None, None)
    mode = "RGBA" if a.has_transparency_data or b.has_transparency_data else "RGB"
    difference = ImageChops.difference(a.convert(mode), b.convert(mode))
    statistics = ImageStat.Stat(difference)
    largest = int(max(highest for _, highest in statistics.extrema))
    mean_square = sum(statistics.sum2) / sum(statistics.count)
    return Comparison(formats, sizes, largest, 10 * math.log10(255**2 / mean_square) if mean_square else math.inf)


def _decode(path: Path) -> tuple[str, Image.Image]:
    try:
        with Image.open(path) as image:
            image.load()
            return image.format or "?", image.copy()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ReproductionError(
            f"The pixels of {path} cannot be read: {error}. The file is damaged; take it from where it came."
        ) from error
