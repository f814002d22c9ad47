"""Pictures to files, and the folders that they are put into."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from server.diffusion import FORMATS, OutputFolders, data_url, save


@pytest.fixture
def gradient() -> Image.Image:
    """Smooth, so that codecs come near it."""
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    pixels = np.stack([np.tile(ramp, (48, 1)), np.tile(255 - ramp, (48, 1)), np.full((48, 64), 128, np.uint8)], axis=-1)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("ending", "kind"), [("webp", "WEBP"), ("jpg", "JPEG"), ("png", "PNG"), ("avif", "AVIF")])
def test_formats(ending: str, kind: str, gradient: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{ending}"
    save(gradient, path, quality=90)
    with Image.open(path) as read:
        assert (read.format, read.mode, read.size) == (kind, "RGB", (64, 48))
        difference = np.abs(np.asarray(read, dtype=int) - np.asarray(gradient, dtype=int)).max()
    assert difference == 0 if ending == "png" else difference < 24


def test_all_formats_are_tested() -> None:
    assert set(FORMATS) == {"webp", "jpg", "png", "avif"}


@pytest.mark.parametrize("ending", ["webp", "jpg", "avif"])
def test_quality_costs_space(ending: str, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    sizes = []
    for quality in (0, 50, 100):
        save(noise, tmp_path / f"{quality}.{ending}", quality)
        sizes.append((tmp_path / f"{quality}.{ending}").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 2


@pytest.mark.parametrize("ending", ["webp", "png", "avif"])
def test_transparency_is_kept(ending: str, tmp_path: Path) -> None:
    save(Image.new("RGBA", (8, 8), (255, 0, 0, 128)), tmp_path / f"picture.{ending}", quality=90)
    with Image.open(tmp_path / f"picture.{ending}") as read:
        assert read.mode == "RGBA"
        assert read.getpixel((4, 4))[3] == 128  # type: ignore[index]


def test_jpeg_is_laid_on_white(tmp_path: Path) -> None:
    save(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), tmp_path / "picture.jpg", quality=90)
    with Image.open(tmp_path / "picture.jpg") as read:
        assert read.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("ending", ["jpg", "avif"])
def test_high_quality_keeps_the_colour_of_every_pixel(ending: str, tmp_path: Path) -> None:
    columns = np.zeros((32, 32, 3), np.uint8)
    # Equally bright, so that only the colour tells the columns apart.
    columns[:, ::2], columns[:, 1::2] = (200, 60, 60), (60, 128, 60)
    differences = []
    for quality in (89, 90):
        save(Image.fromarray(columns), tmp_path / f"{quality}.{ending}", quality)
        with Image.open(tmp_path / f"{quality}.{ending}") as read:
            differences.append(np.abs(np.asarray(read, dtype=int) - columns).mean())
    assert differences[0] > 25
    assert differences[1] < 10


def test_a_format_that_loses_something_does_so_at_any_quality(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    for ending in ("webp", "jpg", "avif"):
        save(noise, tmp_path / f"a.{ending}", 100)
        with Image.open(tmp_path / f"a.{ending}") as read:
            assert np.asarray(read).shape == (64, 64, 3)
            assert not np.array_equal(np.asarray(read), np.asarray(noise))


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_picture_makes_the_same_file(ending: str, gradient: Image.Image, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(gradient, tmp_path / f"{name}.{ending}", 80)
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("quality", [0, 50, 100])
def test_the_smallest_picture(ending: str, quality: int, tmp_path: Path) -> None:
    save(Image.new("RGB", (1, 1), (200, 30, 30)), tmp_path / f"dot.{ending}", quality)
    with Image.open(tmp_path / f"dot.{ending}") as read:
        assert (read.size, read.convert("RGB").size) == ((1, 1), (1, 1))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_any_mode_can_be_written(mode: str, tmp_path: Path) -> None:
    for ending in FORMATS:
        save(Image.new(mode, (8, 8)), tmp_path / f"picture.{ending}", quality=90)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'\.gif' is not the ending of a format that can be written: webp, jpg, png, avif"
    ):
        save(Image.new("RGB", (8, 8)), tmp_path / "picture.gif", quality=90)


def test_folders_of_earlier_requests_are_removed() -> None:
    folders = OutputFolders(kept=1)
    with folders.new() as first:
        (first / "picture.png").touch()
    assert first.is_dir()
    with folders.new() as second:
        assert first.is_dir()
    assert not first.exists()
    assert second.is_dir()
    del folders
    assert not second.exists()


def test_folders_of_requests_that_go_on_are_kept() -> None:
    folders = OutputFolders(kept=1)
    with folders.new() as long:
        for _ in range(3):
            with folders.new():
                pass
        assert long.is_dir()
    assert long.is_dir()


def test_a_preview_is_a_picture_in_a_data_url(gradient: Image.Image) -> None:
    kind, _, content = data_url(gradient).partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as read:
        assert (read.format, read.size) == ("WEBP", gradient.size)
