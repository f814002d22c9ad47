"""Masks: read from files of many kinds, made of opacity, and applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from server.diffusion.errors import InputError
from server.diffusion.masks import keep_unmasked, mask_from_alpha, read_mask
from server.diffusion.warnings import Warnings
from tests.diffusion.icc_profiles import grey_profile
from tests.diffusion.markers import difference, encoded

_SIZE = (64, 48)


def _disc(feather: bool = False) -> Image.Image:
    """A white disc on black."""
    disc = Image.new("L", (256, 192))
    ImageDraw.Draw(disc).ellipse((64, 32, 192, 160), fill=255)
    return disc.resize(_SIZE, Image.Resampling.BOX) if feather else disc.resize(_SIZE, Image.Resampling.NEAREST)


def _read(folder: Path, content: bytes) -> tuple[Image.Image, list[str | None]]:
    path = folder / "mask"
    path.write_bytes(content)
    warnings = Warnings()
    mask = read_mask(path, "mask", warnings)
    assert all(warning["input"] == "mask" for warning in warnings.to_list())
    return mask, [warning["code"] for warning in warnings.to_list()]


def _layer(colour: str, alpha: Image.Image) -> Image.Image:
    layer = Image.new("RGBA", alpha.size, colour)
    layer.putalpha(alpha)
    # As editors leave what is wholly transparent.
    return Image.composite(layer, Image.new("RGBA", alpha.size), alpha.point(lambda value: 255 if value else 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_white_is_repainted(mode: str, tmp_path: Path) -> None:
    disc = _disc()
    picture = Image.fromarray(np.asarray(disc).astype(np.uint16) * 257) if mode == "I;16" else disc.convert(mode)
    mask, warned = _read(tmp_path, encoded(picture, "PNG"))
    assert difference(mask, disc) == 0
    assert warned == (["converted"] if mode == "I;16" else [])


@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {"quality": 75}), ("WEBP", {"quality": 80}), ("BMP", {}), ("GIF", {}), ("TIFF", {})],
)
def test_blacks_and_whites_are_true_in_any_format(format: str, options: dict[str, Any], tmp_path: Path) -> None:
    mask, warned = _read(tmp_path, encoded(Image.new("L", (64, 64), 3), format, **options))
    assert (mask.getextrema(), warned) == ((0, 0), ["ignored"])
    half = Image.new("L", (64, 64))
    half.paste(255, (32, 0, 64, 64))
    mask, warned = _read(tmp_path, encoded(half, format, **options))
    assert (difference(mask, half), warned) == (0, [])


@pytest.mark.parametrize(("colour", "warned"), [("white", []), ("black", ["converted"]), ("red", ["converted"])])
def test_strokes_on_nothing_are_repainted(colour: str, warned: list[str], tmp_path: Path) -> None:
    disc = _disc(feather=True)
    mask, told = _read(tmp_path, encoded(_layer(colour, disc), "PNG"))
    assert difference(mask, disc) < 16
    assert told == warned


def test_what_is_transparent_in_a_mask_of_many_greys_is_kept(tmp_path: Path) -> None:
    greys = Image.linear_gradient("L").resize(_SIZE)
    greys.putalpha(_disc())
    mask, warned = _read(tmp_path, encoded(greys, "PNG"))
    assert warned == ["converted"]
    outside = np.asarray(_disc()) == 0
    assert not np.asarray(mask)[outside].any()
    assert np.asarray(mask)[~outside].max() > 150


@pytest.mark.parametrize(("grey", "says"), [(0, "it is all black"), (255, "it is all white")])
def test_a_mask_without_effect_is_told(grey: int, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.new("L", _SIZE, grey).save(path)
    with pytest.raises(InputError, match=f"mask: {says}"):
        read_mask(path, "mask", Warnings(strict=True))
    assert _read(tmp_path, path.read_bytes())[1] == ["ignored"]


def test_nothing_painted_on_nothing(tmp_path: Path) -> None:
    mask, warned = _read(tmp_path, encoded(Image.new("RGBA", _SIZE), "PNG"))
    assert (mask.getextrema(), warned) == ((0, 0), ["ignored"])


def test_a_profile_changes_no_mask(tmp_path: Path) -> None:
    ramp = Image.linear_gradient("L")
    mask, warned = _read(tmp_path, encoded(ramp, "PNG", icc_profile=grey_profile(1.0)))
    assert not warned
    assert difference(mask, ramp) < 16


def test_a_mask_is_turned_as_pictures_are(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    disc = _disc()
    disc.paste(255, (0, 0, 8, 8))
    mask, _ = _read(tmp_path, encoded(disc.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif))
    assert difference(mask, disc) == 0


def test_no_mask(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mask: the file is an HTML page"):
        _read(tmp_path, b"<html></html>")


def test_what_is_transparent_is_repainted() -> None:
    alpha = Image.linear_gradient("L")
    assert np.array_equal(np.asarray(mask_from_alpha(alpha)), 255 - np.asarray(alpha))


_ORIGINAL = Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8))
_MADE = Image.fromarray(np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 63), st.integers(0, 47), st.integers(1, 40), st.integers(1, 40)), max_size=6),
    st.integers(0, 16),
)
def test_what_is_black_stays_as_it_was(rectangles: list[tuple[int, int, int, int]], feather: int) -> None:
    mask = Image.new("L", _SIZE)
    for x, y, width, height in rectangles:
        mask.paste(255, (x, y, x + width, y + height))
    kept = np.asarray(keep_unmasked(_ORIGINAL, _MADE, mask, feather))
    outside = np.asarray(mask) == 0
    assert np.array_equal(kept[outside], np.asarray(_ORIGINAL)[outside])
    # Every part, however thin, is new where it is deepest.
    if rectangles:
        assert (kept[~outside] == np.asarray(_MADE)[~outside]).all(axis=-1).any()


def test_what_is_new_fades_in_within_the_mask() -> None:
    black, white = Image.new("RGB", (100, 20)), Image.new("RGB", (100, 20), "white")
    mask = Image.new("L", (100, 20))
    mask.paste(255, (40, 0, 100, 20))
    row = np.asarray(keep_unmasked(black, white, mask, feather=8))[10, :, 0]
    assert not row[:40].any()
    # In nine equal steps: the first pixel behind the edge has one ninth of what is new.
    assert np.array_equal(row[40:49], np.round(255 * np.arange(1, 10) / 9))
    assert (row[49:] == 255).all()


def test_thin_strokes_are_new_in_their_middle() -> None:
    black, white = Image.new("RGB", (60, 60)), Image.new("RGB", (60, 60), "white")
    mask = Image.new("L", (60, 60))
    mask.paste(255, (20, 0, 23, 60))
    row = np.asarray(keep_unmasked(black, white, mask))[30, :, 0]
    assert row[21] == 255
    assert 100 <= row[20] == row[22] <= 155


def test_greys_mix() -> None:
    mask = Image.new("L", _SIZE, 128)
    expected = Image.composite(_MADE, _ORIGINAL, mask)
    assert difference(keep_unmasked(_ORIGINAL, _MADE, mask), expected) == 0


@pytest.mark.parametrize(("grey", "expected"), [(0, _ORIGINAL), (255, _MADE)])
def test_masks_of_one_colour(grey: int, expected: Image.Image) -> None:
    assert difference(keep_unmasked(_ORIGINAL, _MADE, Image.new("L", _SIZE, grey)), expected) == 0


def test_sizes_have_to_agree() -> None:
    with pytest.raises(ValueError, match="have to be of one size"):
        keep_unmasked(_ORIGINAL, _MADE, Image.new("L", (8, 8)))
