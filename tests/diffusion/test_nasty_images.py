"""Every nasty image goes through reading and fitting: as it should look, or with a clear error."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from server.diffusion.errors import InputError
from server.diffusion.fitting import ResizeMode, fit_picture
from server.diffusion.reading import read_picture
from server.diffusion.sizing import Size
from server.diffusion.warnings import Warnings
from tests.diffusion.markers import Shows, corners_of
from tests.diffusion.nasty_images import Chance, NastyImage, Refused, nasty_images

FOLDER = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, FOLDER)
IMAGES = nasty_images(FOLDER)


def _named(image: NastyImage) -> str:
    return image.path.name


def test_there_are_enough_of_them() -> None:
    assert len(IMAGES) >= 80


@pytest.mark.parametrize("image", [image for image in IMAGES if isinstance(image.expected, Shows)], ids=_named)
def test_what_can_be_read_is_read(image: NastyImage) -> None:
    shows = image.expected
    assert isinstance(shows, Shows)
    warnings = Warnings()
    picture = read_picture(image.path, "image", warnings)
    assert (picture.rgb.mode, picture.rgb.size) == ("RGB", shows.size)
    difference = np.abs(np.subtract(corners_of(picture.rgb), shows.corners)).max()
    assert difference <= shows.tolerance, f"{corners_of(picture.rgb)}, expected {shows.corners}"
    assert {warning["code"] for warning in warnings.to_list()} == shows.warns
    for mode in ResizeMode:
        fitted = fit_picture(picture, Size(64, 96), mode, "image", warnings)
        assert fitted.rgb.size == (64, 96)
        assert fitted.alpha is None or fitted.alpha.size == (64, 96)


@pytest.mark.parametrize("image", [image for image in IMAGES if isinstance(image.expected, Refused)], ids=_named)
def test_what_cannot_be_read_is_refused(image: NastyImage) -> None:
    assert isinstance(image.expected, Refused)
    with pytest.raises(InputError) as raised:
        read_picture(image.path, "image", Warnings())
    assert raised.value.input == "image"
    assert image.expected.says in str(raised.value)


@pytest.mark.filterwarnings("ignore")  # Pillow tells of damage by way of Python's warnings.
@pytest.mark.parametrize("image", [image for image in IMAGES if isinstance(image.expected, Chance)], ids=_named)
def test_what_is_damaged_by_chance_is_read_or_refused(image: NastyImage) -> None:
    try:
        picture = read_picture(image.path, "image", Warnings())
    except InputError:
        return
    assert fit_picture(picture, Size(64, 96), None, "image", Warnings()).rgb.size == (64, 96)


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    before = {image.path.name: image.path.read_bytes() for image in IMAGES}
    again = {image.path.name: image.path.read_bytes() for image in nasty_images(tmp_path, seed=0)}
    assert before.keys() == again.keys()
    # The writer of AVIF puts the time into it.
    assert {name for name in before if before[name] != again[name]} <= {"animated.avif"}
