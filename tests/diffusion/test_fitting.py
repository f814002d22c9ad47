"""Pictures, their opacity and their masks, fitted to a size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from server.diffusion.errors import InputError
from server.diffusion.fitting import ResizeMode, fit_mask, fit_picture, plan_fitting
from server.diffusion.reading import SentPicture
from server.diffusion.sizing import Size
from server.diffusion.warnings import Warnings
from tests.diffusion.markers import COLOURS, Corners, corners_of, difference, marked

_RED, _GREEN, _BLUE, _YELLOW = COLOURS


def _striped(size: tuple[int, int], where: tuple[int, int, int, int]) -> Image.Image:
    """Black, with a white rectangle."""
    picture = Image.new("L", size)
    picture.paste(255, where)
    return picture


def _fit(picture: Image.Image, size: Size, mode: ResizeMode | None) -> tuple[Image.Image, list[str | None]]:
    warnings = Warnings()
    fitted = fit_picture(SentPicture(picture, None), size, mode, "image", warnings)
    return fitted.rgb, [warning["code"] for warning in warnings.to_list()]


@pytest.mark.parametrize("mode", ResizeMode)
def test_what_has_the_size_stays_as_it_is(mode: ResizeMode) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    fitted, warned = _fit(noise, Size(64, 48), mode)
    assert (difference(fitted, noise), warned) == (0, [])


@pytest.mark.parametrize("mode", ResizeMode)
def test_what_has_the_aspect_is_scaled_as_pillow_does_it(mode: ResizeMode) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
    expected = picture.resize((64, 48), Image.Resampling.LANCZOS)
    assert difference(_fit(picture, Size(64, 48), mode)[0], expected) == 0


def test_cover_cuts_off_as_much_on_either_side() -> None:
    # Of 400 columns the middle 100 are left: the outer colours go, and the border between the quarters stays central.
    picture = marked((400, 100))
    picture.paste((0, 0, 0), (0, 0, 160, 100))
    picture.paste((0, 0, 0), (240, 0, 400, 100))
    fitted, _ = _fit(picture, Size(50, 50), ResizeMode.COVER)
    assert fitted.getpixel((0, 0)) == (0, 0, 0)
    assert np.array_equal(np.asarray(fitted)[0, 8:22], [_RED] * 14)
    assert np.array_equal(np.asarray(fitted)[49, 28:42], [_YELLOW] * 14)
    assert fitted.getpixel((49, 49)) == (0, 0, 0)


def test_fit_keeps_all_and_draws_out_the_edges() -> None:
    fitted, warned = _fit(marked((100, 50)), Size(100, 100), ResizeMode.FIT)
    assert not warned
    assert difference(fitted.crop((0, 25, 100, 75)), marked((100, 50))) == 0
    assert corners_of(fitted) == COLOURS
    assert np.array_equal(np.asarray(fitted)[0], [_RED] * 50 + [_GREEN] * 50)
    assert np.array_equal(np.asarray(fitted)[99], [_BLUE] * 50 + [_YELLOW] * 50)


def test_fit_rather_stretches_than_gives_a_thin_border() -> None:
    fitting = plan_fitting(Size(1000, 750), Size(1024, 776), ResizeMode.FIT)
    assert not fitting.is_padded
    assert fitting.box == (0, 0, 1000, 750)
    assert plan_fitting(Size(1000, 750), Size(1024, 832), ResizeMode.FIT).is_padded


def test_stretch_uses_all() -> None:
    fitted, warned = _fit(marked((400, 100)), Size(64, 64), ResizeMode.STRETCH)
    assert (corners_of(fitted), warned) == (COLOURS, [])


def test_what_is_cut_off_unasked_is_told() -> None:
    assert _fit(marked((400, 100)), Size(64, 64), None)[1] == ["truncated"]
    assert _fit(marked((400, 100)), Size(64, 64), ResizeMode.COVER)[1] == []
    # Of 1000 x 750 at 1024 x 768 nothing is lost, and at 1024 x 776 one part in a hundred.
    assert _fit(marked((1000, 750)), Size(1024, 776), None)[1] == []
    strict = Warnings(strict=True)
    with pytest.raises(InputError, match="image: 75% of it was cut off, to fill 64 x 64"):
        fit_picture(SentPicture(marked((400, 100)), None), Size(64, 64), None, "image", strict)


@pytest.mark.parametrize("mode", ResizeMode)
@pytest.mark.parametrize("scale", [1, 3, 0.5])
def test_masks_cover_what_they_covered(mode: ResizeMode, scale: float) -> None:
    """A mask of the black part of a picture, of whatever size, is one of the black part of the fitted picture."""
    where = (120, 40, 200, 100)
    picture = Image.new("RGB", (400, 200), "white")
    picture.paste((0, 0, 0), where)
    left, top, right, bottom = (round(side * scale) for side in where)
    mask = _striped((round(400 * scale), round(200 * scale)), (left, top, right, bottom))
    size, warnings = Size(128, 128), Warnings()
    fitted = fit_picture(SentPicture(picture, mask.resize(picture.size)), size, mode, "image", warnings)
    fitted_mask = fit_mask(mask, Size(400, 200), size, mode, "mask", warnings)
    assert not warnings.to_list()
    assert fitted.alpha is not None
    black = np.asarray(fitted.rgb.convert("L")) < 128
    assert black.sum() > 200
    for covered in np.asarray(fitted_mask) >= 128, np.asarray(fitted.alpha) >= 128:
        # But for the pixels along the edge.
        assert np.logical_xor(black, covered).sum() <= 4 * 128 * 0.5


def test_padding_is_not_repainted() -> None:
    mask = fit_mask(Image.new("L", (100, 50), 255), Size(100, 50), Size(100, 100), ResizeMode.FIT, "mask", Warnings())
    assert difference(mask, _striped((100, 100), (0, 25, 100, 75))) == 0


def test_a_mask_of_another_shape_is_told() -> None:
    warnings = Warnings()
    mask = _striped((100, 100), (0, 0, 50, 100))
    fitted = fit_mask(mask, Size(400, 200), Size(400, 200), None, "mask", warnings)
    assert [(warning["code"], warning["input"]) for warning in warnings.to_list()] == [("converted", "mask")]
    assert np.array_equal(np.asarray(fitted)[:, [0, 150, 250, 399]], [[255, 255, 0, 0]] * 200)


def test_a_mask_of_which_nothing_is_left_is_told() -> None:
    warnings = Warnings()
    fit_mask(_striped((400, 100), (0, 0, 50, 100)), Size(400, 100), Size(64, 64), None, "mask", warnings)
    [warning] = warnings.to_list()
    assert (warning["code"], warning["input"]) == ("ignored", "mask")


sides = st.integers(1, 5000)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(1, 300), st.integers(1, 300), st.sampled_from(ResizeMode))
def test_any_picture_is_fitted(width: int, height: int, to_width: int, to_height: int, mode: ResizeMode) -> None:
    size = Size(to_width, to_height)
    fitting = plan_fitting(Size(width, height), size, mode)
    fitted = fitting.apply(Image.new("L", (width, height), 77))
    assert fitted.size == (to_width, to_height)
    assert fitted.getextrema() == (77, 77)
    assert fitting.apply_to_mask(Image.new("L", (3, 3), 255)).size == (to_width, to_height)
    assert 0 <= fitting.lost < 1


def test_corners_stay_where_they_are() -> None:
    expected: Corners = COLOURS
    for mode in ResizeMode:
        for size in Size(96, 64), Size(64, 96), Size(512, 512):
            assert np.abs(np.subtract(corners_of(_fit(marked((640, 480)), size, mode)[0]), expected)).max() <= 1
