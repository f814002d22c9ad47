"""Reading of pictures: what a folder of files does not show. Their kinds are in test_nasty_images.py."""

from __future__ import annotations

import importlib.util
import io
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from server.diffusion import heic
from server.diffusion.errors import InputError
from server.diffusion.reading import read_picture
from server.diffusion.warnings import Warnings
from tests.diffusion.icc_profiles import DISPLAY_P3, SRGB, cmyk_profile, rgb_profile
from tests.diffusion.markers import difference, encoded, marked
from tests.diffusion.odd_pictures import heic as as_heic


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "sent"
    path.write_bytes(content)
    return path


def _holed() -> Image.Image:
    picture = marked()
    alpha = Image.linear_gradient("L").resize(picture.size)
    picture.putalpha(alpha)
    return picture


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF", "HEIC", "TIFF"])
def test_opacity_is_returned(format: str, tmp_path: Path) -> None:
    picture = _holed()
    options = {"lossless": True, "quality": 100, "subsampling": "4:4:4"}
    content = as_heic(picture) if format == "HEIC" else encoded(picture, format, **options)
    read = read_picture(_file(tmp_path, content), "image", Warnings(), alpha_is_used=True)
    assert read.alpha is not None
    assert read.alpha.mode == "L"
    assert difference(read.alpha, picture.getchannel("A")) <= 3
    # As Pillow lays it on white by itself.
    white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    assert difference(read.rgb, white) <= (6 if format in ("AVIF", "HEIC") else 1)


def test_what_is_opaque_has_no_opacity(tmp_path: Path) -> None:
    solid = marked()
    solid.putalpha(255)
    assert read_picture(_file(tmp_path, encoded(solid, "PNG")), "image", Warnings(strict=True)).alpha is None


def test_opacity_that_is_used_is_no_loss(tmp_path: Path) -> None:
    path = _file(tmp_path, encoded(_holed(), "PNG"))
    read_picture(path, "image", Warnings(strict=True), alpha_is_used=True)
    with pytest.raises(InputError, match="image: what is transparent in it was filled with white"):
        read_picture(path, "image", Warnings(strict=True))


def test_opacity_is_turned_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = _holed()
    stored = picture.transpose(Image.Transpose.ROTATE_90)
    read = read_picture(_file(tmp_path, encoded(stored, "PNG", exif=exif)), "image", Warnings(), alpha_is_used=True)
    assert read.alpha is not None
    assert difference(read.alpha, picture.getchannel("A")) == 0


def test_srgb_stays_as_it_was_sent(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = encoded(noise, "PNG", icc_profile=rgb_profile(SRGB, None))
    assert difference(read_picture(_file(tmp_path, content), "image", Warnings(strict=True)).rgb, noise) == 0


def test_p3_is_converted_by_its_primaries(tmp_path: Path) -> None:
    """Apple's Display P3 writes the red of sRGB as 234, 51, 35, and its green as 117, 251, 76."""
    pixels = np.array([[(234, 51, 35), (117, 251, 76)]], np.uint8)
    content = encoded(Image.fromarray(pixels), "PNG", icc_profile=rgb_profile(DISPLAY_P3, None))
    read = np.asarray(read_picture(_file(tmp_path, content), "image", Warnings()).rgb)
    assert np.abs(read.astype(int) - [[(255, 0, 0), (0, 255, 0)]]).max() <= 3


def test_nothing_of_the_file_stays_with_the_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    content = encoded(_holed(), "PNG", exif=exif, icc_profile=rgb_profile(DISPLAY_P3, None))
    read = read_picture(_file(tmp_path, content), "image", Warnings())
    assert read.alpha is not None
    assert (read.rgb.info, read.alpha.info) == ({}, {})
    inks = encoded(Image.new("CMYK", (8, 8)), "JPEG", exif=exif, icc_profile=cmyk_profile())
    assert read_picture(_file(tmp_path, inks), "image", Warnings()).rgb.info == {}


@pytest.mark.parametrize("format", ["PNG", "HEIC"])
def test_limits_are_the_callers(format: str, tmp_path: Path) -> None:
    content = as_heic(marked()) if format == "HEIC" else encoded(marked(), format)
    path = _file(tmp_path, content)
    assert read_picture(path, "image", Warnings(), max_pixels=64 * 48, max_side=64).rgb.size == (64, 48)
    says = r"image: it has 64 x 48 pixels\. Up to .* are read: send a smaller picture"
    with pytest.raises(InputError, match=says):
        read_picture(path, "image", Warnings(), max_pixels=64 * 48 - 1)
    with pytest.raises(InputError, match=says):
        read_picture(path, "image", Warnings(), max_side=63)


def test_more_than_pillow_itself_takes_for_a_bomb_is_read_in_silence(tmp_path: Path) -> None:
    path = _file(tmp_path, encoded(Image.new("1", (9_900, 9_900)), "PNG"))
    assert read_picture(path, "image", Warnings()).rgb.size == (9_900, 9_900)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image: the file cannot be read: No such file or directory"):
        read_picture(tmp_path / "gone.png", "image", Warnings())
    with pytest.raises(InputError, match="image: the file cannot be read: Is a directory"):
        read_picture(tmp_path, "image", Warnings())


def test_heic_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"has no pi-heif to read it\. Send it as JPEG, or run `pip install pi-heif`"):
        read_picture(_file(tmp_path, as_heic(marked())), "image", Warnings())


def test_a_decoder_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heic, "SECONDS", 0)
    with pytest.raises(InputError, match="it takes longer than 0 s"):
        read_picture(_file(tmp_path, as_heic(marked())), "image", Warnings())


def test_a_decoder_that_crashes_is_not_the_servers_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = tmp_path / "crashing.py"
    crashing.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(heic, "__file__", str(crashing))
    with pytest.raises(InputError, match="the decoder crashed"):
        read_picture(_file(tmp_path, as_heic(marked())), "image", Warnings())


def test_many_at_once(tmp_path: Path) -> None:
    path = _file(tmp_path, encoded(marked(), "PNG", icc_profile=rgb_profile(DISPLAY_P3, None)))
    alone = read_picture(path, "image", Warnings()).rgb
    with ThreadPoolExecutor(8) as threads:
        for read in threads.map(lambda _: read_picture(path, "image", Warnings()).rgb, range(64)):
            assert difference(read, alone) == 0


def test_a_file_that_is_damaged_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    """Bytes are changed, left out and put in at random places: there is a picture, or an error of the input."""
    chance, path = random.Random(7), tmp_path / "damaged"
    whole = Image.effect_mandelbrot((96, 64), (-3, -2.5, 2, 2.5), 30).convert("RGB")
    files = []
    for kind in ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"):
        buffer = io.BytesIO()
        whole.save(buffer, kind)
        files.append(buffer.getvalue())
    outcomes: Counter[str] = Counter()
    for _ in range(400):
        content = bytearray(chance.choice(files))
        for _ in range(chance.choice((1, 4, 16))):
            place = chance.randrange(len(content))
            content[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        path.write_bytes(content)
        try:
            picture = read_picture(path, "image", Warnings())
        except InputError as error:
            outcomes[error.input] += 1
        else:
            outcomes[picture.rgb.mode] += 1
    assert outcomes.keys() == {"RGB", "image"}
    assert min(outcomes.values()) > 20
