"""The size of the pictures of a request."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.diffusion.errors import InputError
from server.diffusion.sizing import ASPECT_RATIOS, CUSTOM, MATCH_INPUT_IMAGE, Size, SizeLimits, choose_size
from server.diffusion.warnings import WarningCode, Warnings

SDXL = SizeLimits(own=Size(1024, 1024), multiple=8)
FLUX = SizeLimits(own=Size(1024, 1024), multiple=16)
NAMED = [name for name in ASPECT_RATIOS if name not in (MATCH_INPUT_IMAGE, CUSTOM)]


def _choose(limits: SizeLimits, **asked: Any) -> tuple[tuple[int, int], list[tuple[str | None, str | None]]]:
    warnings = Warnings()
    size = choose_size(limits, warnings, **asked)
    return (size.width, size.height), [(warning["code"], warning["input"]) for warning in warnings.to_list()]


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (1024, 1024)),
        ({"aspect_ratio": CUSTOM}, (1024, 1024)),
        ({"aspect_ratio": "1:1"}, (1024, 1024)),
        # 1024 * sqrt(16 / 9) is 1365.3, and 1024 * sqrt(9 / 16) is 768.
        ({"aspect_ratio": "16:9"}, (1360, 768)),
        ({"aspect_ratio": "9:16"}, (768, 1360)),
        ({"aspect_ratio": "1:1", "megapixels": 0.25}, (512, 512)),
        ({"megapixels": 0.25}, (512, 512)),
        ({"width": 640, "height": 480}, (640, 480)),
        ({"aspect_ratio": CUSTOM, "width": 640, "height": 480}, (640, 480)),
        ({"width": 640}, (640, 1024)),
        ({"height": 640}, (1024, 640)),
        ({"width": 1280, "aspect_ratio": "16:9"}, (1280, 720)),
        ({"height": 720, "aspect_ratio": "16:9"}, (1280, 720)),
        ({"width": 1280, "height": 720, "aspect_ratio": "16:9"}, (1280, 720)),
        ({"width": 512, "megapixels": 0.5}, (512, 1024)),
        ({"input_image": Size(3000, 3000)}, (1024, 1024)),
        ({"input_image": Size(400, 100)}, (2048, 512)),
        ({"input_image": Size(400, 100), "aspect_ratio": MATCH_INPUT_IMAGE, "megapixels": 0.25}, (1024, 256)),
        ({"input_image": Size(400, 100), "aspect_ratio": "1:1"}, (1024, 1024)),
        ({"input_image": Size(400, 100), "width": 640, "height": 480}, (640, 480)),
        ({"input_image": Size(400, 100), "width": 1024}, (1024, 256)),
    ],
)
def test_what_is_made_as_it_was_asked_for(asked: dict[str, Any], size: tuple[int, int]) -> None:
    assert _choose(FLUX, **asked) == (size, [])


@pytest.mark.parametrize(
    ("asked", "size", "warned"),
    [
        ({"width": 1001, "height": 1016}, (1008, 1024), [("rounded", "width"), ("rounded", "height")]),
        ({"width": 1000, "height": 999}, (1008, 992), [("rounded", "width"), ("rounded", "height")]),
        ({"width": 4000, "height": 8}, (2048, 64), [("clamped", "width"), ("clamped", "height")]),
        (
            {"width": 768, "height": 512, "aspect_ratio": "1:1"},
            (1024, 1024),
            [("ignored", "width"), ("ignored", "height")],
        ),
        ({"width": 512, "height": 512, "megapixels": 1}, (512, 512), [("ignored", "megapixels")]),
        ({"width": 512, "aspect_ratio": "1:1", "megapixels": 1}, (512, 512), [("ignored", "megapixels")]),
        ({"width": 2048, "aspect_ratio": "9:21"}, (2048, 2048), [("clamped", "height")]),
        ({"megapixels": 100, "aspect_ratio": "1:1"}, (2048, 2048), [("clamped", "megapixels")]),
        ({"megapixels": 100, "aspect_ratio": "16:9"}, (2048, 1152), [("clamped", "megapixels")]),
        ({"megapixels": 0.0001}, (64, 64), [("clamped", "megapixels")]),
        ({"input_image": Size(1, 4000)}, (64, 2048), [("clamped", "image")]),
        ({"input_image": Size(4000, 1), "aspect_ratio": MATCH_INPUT_IMAGE}, (2048, 64), [("clamped", "aspect_ratio")]),
    ],
)
def test_what_is_made_otherwise_is_told(
    asked: dict[str, Any], size: tuple[int, int], warned: list[tuple[str, str]]
) -> None:
    assert _choose(FLUX, **asked) == (size, warned)


@pytest.mark.parametrize(
    ("asked", "input", "says"),
    [
        ({"aspect_ratio": MATCH_INPUT_IMAGE}, "aspect_ratio", "needs an image"),
        ({"aspect_ratio": "7:5"}, "aspect_ratio", "'7:5' is none of 1:1, 16:9"),
        ({"megapixels": 0}, "megapixels", "0 is no area"),
        ({"megapixels": math.nan}, "megapixels", "nan is no area"),
        ({"megapixels": math.inf}, "megapixels", "inf is no area"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], input: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as raised:
        _choose(FLUX, **asked)
    assert raised.value.input == input


def test_a_strict_request_is_not_rounded() -> None:
    with pytest.raises(InputError, match="1001 became 1008, the nearest: this model needs a multiple of 16"):
        choose_size(FLUX, Warnings(strict=True), width=1001)


def test_limits_between_which_there_is_no_size() -> None:
    with pytest.raises(ValueError, match="no multiple of 100 lies between 110 and 190"):
        SizeLimits(own=Size(100, 100), multiple=100, least=110, greatest=190)


multiples = st.sampled_from([1, 2, 8, 16, 32, 64])


@given(multiples, st.sampled_from(NAMED), st.floats(0.1, 1.5))
def test_an_area_and_a_ratio_are_met_but_for_rounding(multiple: int, name: str, megapixels: float) -> None:
    limits = SizeLimits(own=Size(1024, 1024), multiple=multiple)
    (width, height), warned = _choose(limits, aspect_ratio=name, megapixels=megapixels)
    assert not warned
    assert width % multiple == height % multiple == 0
    across, down = map(int, name.split(":"))
    exact_width = math.sqrt(megapixels * 1024 * 1024 * across / down)
    exact_height = exact_width * down / across
    # Each side is the nearest; so the area and the ratio are as near as two such roundings let them be.
    assert abs(width - exact_width) <= multiple / 2 + 1e-6
    assert abs(height - exact_height) <= multiple / 2 + 1e-6
    part = multiple / 2 / exact_width + multiple / 2 / exact_height
    assert abs(width * height / (exact_width * exact_height) - 1) <= part * 1.2
    assert abs((width / height) / (across / down) - 1) <= part * 1.5


sides = st.none() | st.integers(-10, 10_000)


@given(
    multiple=multiples,
    own=st.sampled_from([Size(512, 512), Size(768, 1280)]),
    aspect_ratio=st.none() | st.sampled_from(ASPECT_RATIOS),
    megapixels=st.none() | st.floats(0.001, 200),
    width=sides,
    height=sides,
    image=st.builds(Size, st.integers(1, 30_000), st.integers(1, 30_000)),
)
def test_any_size_can_be_made(
    multiple: int,
    own: Size,
    aspect_ratio: str | None,
    megapixels: float | None,
    width: int | None,
    height: int | None,
    image: Size,
) -> None:
    limits = SizeLimits(own=own, multiple=multiple)
    size = choose_size(
        limits,
        Warnings(),
        aspect_ratio=aspect_ratio,
        megapixels=megapixels,
        width=width,
        height=height,
        input_image=image,
    )
    for side in size.width, size.height:
        assert side % multiple == 0
        assert 64 <= side <= 2048


@given(st.integers(64, 2048), st.integers(64, 2048), multiples)
def test_sides_become_the_nearest_multiples(width: int, height: int, multiple: int) -> None:
    warnings = Warnings()
    size = choose_size(SizeLimits(own=Size(512, 512), multiple=multiple), warnings, width=width, height=height)
    assert abs(size.width - width) <= multiple / 2
    assert abs(size.height - height) <= multiple / 2
    codes = [WarningCode.ROUNDED for side in (width, height) if side % multiple]
    assert [warning["code"] for warning in warnings.to_list()] == codes
