from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.pack import Concept, Hue, Item, Style, read_pack, write_pack


def webp(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True, exact=True)
    return buffer.getvalue()


def test_reads_what_was_written(tmp_path: Path) -> None:
    concepts = [Concept("piñata", "activities", "event", ("party",), ("candy", "fun")), Concept("key", "objects", "")]
    items = [
        (Item(0, Style.SOLID, Hue(0.5, 0.4, 0.3, 0.2, 0.1)), webp(Image.new("RGBA", (256, 256), (9, 8, 7, 255)))),
        (Item(1, Style.FLAT, Hue()), webp(Image.new("RGBA", (256, 256), (100, 150, 200, 255)))),
        (Item(0, Style.CARTOON, Hue()), webp(Image.new("RGBA", (256, 256)))),
    ]
    write_pack(tmp_path / "new" / "pack", concepts, items)
    pack = read_pack(tmp_path / "new" / "pack")
    assert pack.concepts == tuple(concepts)
    assert pack.items == tuple(item for item, _ in items)
    assert pack.files == tuple(file for _, file in items)
    pictures = pack.pictures(32)
    assert pictures.shape == (3, 32, 32, 4)
    assert pictures.dtype == np.uint8
    assert pictures[0, 16, 16].tolist() == [9, 8, 7, 255]
    assert pictures[1, 16, 16].tolist() == [100, 150, 200, 255]
    assert not pictures[2, ..., 3].any()


def test_the_colour_under_transparent_pixels_does_not_bleed(tmp_path: Path) -> None:
    """Half the picture is opaque red, the other half transparent over green."""
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[:, :128] = (255, 0, 0, 255)
    pixels[:, 128:] = (0, 255, 0, 0)
    write_pack(tmp_path, [Concept("a", "", "")], [(Item(0, Style.SOLID, Hue()), webp(Image.fromarray(pixels)))])
    scaled = read_pack(tmp_path).pictures(51)[0]
    seen = scaled[scaled[..., 3] > 8]
    assert seen[:, 0].min() > 200
    assert seen[:, 1].max() < 40


def test_needs_a_pack(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_pack(tmp_path)
