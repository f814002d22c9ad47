"""Every nasty image goes through image-to-image and inpainting: right size, right way up, or a clear error."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from server.diffusion import Engine, InputError, Picture, PictureRequest, Warnings
from tests.diffusion.drawing import draw
from tests.diffusion.markers import Shows, corners_of
from tests.diffusion.nasty_images import Chance, NastyImage, Refused, nasty_images

Loaded = Callable[[str], Engine]

FOLDER = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, FOLDER)
IMAGES = nasty_images(FOLDER)

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow tells of damage by way of Python's warnings.


def _named(image: NastyImage) -> str:
    return image.path.name


def _make(engine: Engine, path: Path, **changes: Any) -> Picture:
    given = {"prompt": "a red apple", "seed": 1, "num_inference_steps": 1, "megapixels": 0.01, "prompt_strength": 1}
    asked = PictureRequest(**{**given, "image": path, **changes})
    [picture] = draw(engine, asked, warnings=Warnings())
    return picture


@pytest.fixture
def loaded(engine: Loaded) -> Engine:
    return engine("stable-diffusion")


@pytest.fixture
def keeps_all(tmp_path: Path) -> Path:
    """A mask of nearly nothing: what comes back shows how the picture was taken."""
    mask = Image.new("L", (64, 48))
    mask.putpixel((32, 24), 255)
    mask.save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


@pytest.mark.parametrize("image", [image for image in IMAGES if isinstance(image.expected, Shows)], ids=_named)
def test_what_can_be_read_is_used(image: NastyImage, loaded: Engine, keeps_all: Path) -> None:
    shows = image.expected
    assert isinstance(shows, Shows)
    made = _make(loaded, image.path).image
    # About 0.01 megapixels in the picture's own shape, as far as the sides that the model can make allow.
    width, height = made.size
    assert (width % 8, height % 8) == (0, 0)
    assert max(width, height) == 2048 or abs(width * height / (0.01 * 2**20) - 1) < 0.15
    ratio = shows.size[0] / shows.size[1]
    assert max(width, height) == 2048 or abs(width / height / ratio - 1) < 0.12
    assert (width > height) == (ratio > 1) or ratio == 1
    kept = _make(loaded, image.path, mask=keeps_all, resize_mode="stretch").image
    assert kept.size == made.size
    difference = np.abs(np.subtract(corners_of(kept), shows.corners)).max()
    if min(shows.size) >= 8:
        # Edges ring where so small a picture is made large.
        assert difference <= max(shows.tolerance, 2 if min(shows.size) > 8 else 16), corners_of(kept)


@pytest.mark.parametrize("image", [image for image in IMAGES if isinstance(image.expected, Refused)], ids=_named)
def test_what_cannot_be_read_is_refused(image: NastyImage, loaded: Engine) -> None:
    assert isinstance(image.expected, Refused)
    good = next(each.path for each in IMAGES if each.path.name == "rgb.jpg")
    for name, given in (("image", {}), ("mask", {"image": good, "mask": image.path})):
        with pytest.raises(InputError) as raised:
            _make(loaded, image.path, **given)
        assert raised.value.input == name
        assert image.expected.says in str(raised.value)


@pytest.mark.parametrize("image", [image for image in IMAGES if isinstance(image.expected, Chance)], ids=_named)
def test_what_is_damaged_by_chance_is_used_or_refused(image: NastyImage, loaded: Engine) -> None:
    outcome: Picture | InputError
    try:
        outcome = _make(loaded, image.path)
    except InputError as error:
        outcome = error
    assert isinstance(outcome, Picture) or outcome.input == "image"


@pytest.mark.parametrize("image", [image for image in IMAGES if isinstance(image.expected, Shows)], ids=_named)
def test_any_picture_can_be_a_mask(image: NastyImage, loaded: Engine) -> None:
    good = next(each.path for each in IMAGES if each.path.name == "rgb.bmp")
    assert _make(loaded, good, mask=image.path).image.size == (120, 88)


def test_the_engine_works_afterwards(loaded: Engine) -> None:
    good = next(each.path for each in IMAGES if each.path.name == "rgb.bmp")
    assert _make(loaded, good).image.size == (120, 88)
