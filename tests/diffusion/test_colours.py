"""Pixels of the modes that Pillow knows, as 8-bit colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from server.diffusion.colours import on_white, split_alpha, to_srgb
from server.diffusion.warnings import Warnings
from tests.diffusion.icc_profiles import from_light, grey_profile
from tests.diffusion.markers import difference, marked


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 257, 32896, 65535]], np.uint16), [0, 1, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0, 128, 255]], np.float32), [0, 128, 255]),
        (np.array([[0, 32768, 65535]], np.float32), [0, 128, 255]),
        (np.array([[-1.0, np.nan, np.inf, -np.inf, 1.0]], np.float32), [0, 0, 255, 0, 255]),
        (np.array([[0.0, 0.0]], np.float32), [0, 0]),
        (np.array([[np.nan]], np.float32), [0]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 1]], np.int32), [0, 255]),
        (np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
    ],
)
def test_deep_greys_are_scaled(values: np.ndarray, expected: list[int]) -> None:
    grey, alpha = split_alpha(Image.fromarray(values))
    assert alpha is None
    assert np.asarray(grey).tolist() == [expected]


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La"])
def test_opacity_of_any_mode(mode: str) -> None:
    picture = Image.new("RGBA", (2, 1), (100, 100, 100, 255))
    picture.putpixel((1, 0), (100, 100, 100, 128))
    given = picture.convert("LA") if mode in ("LA", "La") else picture
    colours, alpha = split_alpha(given.convert(mode))
    assert alpha is not None
    assert np.asarray(alpha).tolist() == [[255, 128]]
    assert difference(colours.convert("RGB"), Image.new("RGB", (2, 1), (100,) * 3)) <= 1


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "P", "1", "L"])
def test_modes_without_opacity(mode: str) -> None:
    grey = Image.new("L", (2, 2), 255)
    colours, alpha = split_alpha(grey.convert("RGB").convert(mode))
    assert alpha is None
    assert difference(colours.convert("RGB"), grey.convert("RGB")) <= 1


def test_greys_go_by_their_light() -> None:
    ramp = Image.linear_gradient("L")
    seen = np.asarray(to_srgb(ramp, grey_profile(1.8), "image", Warnings()))[:, 0, 0]
    expected = [from_light((value / 255) ** 1.8) * 255 for value in range(256)]
    assert np.abs(seen - np.array(expected)).max() < 2


def test_white_paper() -> None:
    alpha = Image.new("L", (64, 48), 64)
    expected = np.round(255 + (np.asarray(marked()).astype(float) - 255) * 64 / 255)
    assert np.abs(np.asarray(on_white(marked(), alpha)) - expected).max() <= 1
