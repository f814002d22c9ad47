"""How far pictures are apart."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from server.comparison import compare
from server.errors import ReproductionError


def _save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def test_difference_and_psnr(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 20, 30, 3))
    comparison = compare(_save(tmp_path / "a.png", first), _save(tmp_path / "b.png", second))
    assert comparison.sizes == ((30, 20), (30, 20))
    assert comparison.formats == ("PNG", "PNG")
    assert comparison.largest == np.abs(first - second).max()
    assert comparison.psnr == pytest.approx(10 * np.log10(255**2 / np.mean((first - second) ** 2)))


def test_no_difference(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3))
    comparison = compare(_save(tmp_path / "a.png", pixels), _save(tmp_path / "b.tiff", pixels))
    assert (comparison.largest, comparison.psnr, comparison.formats) == (0, math.inf, ("PNG", "TIFF"))


def test_transparency_counts(tmp_path: Path) -> None:
    opaque = np.full((4, 4, 3), 100)
    clear = np.dstack([opaque, np.full((4, 4), 250)])
    comparison = compare(_save(tmp_path / "a.png", opaque), _save(tmp_path / "b.png", clear))
    assert comparison.largest == 5


def test_other_sizes_have_no_difference(tmp_path: Path) -> None:
    first, second = _save(tmp_path / "a.png", np.zeros((4, 4, 3))), _save(tmp_path / "b.png", np.zeros((4, 5, 3)))
    comparison = compare(first, second)
    assert (comparison.largest, comparison.psnr) == (None, None)
    assert comparison.sizes == ((4, 4), (5, 4))


def test_what_cannot_be_decoded_is_an_error(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (99, 99, 3)))
    cut = tmp_path / "cut.png"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ReproductionError, match=r"The pixels of .*cut\.png cannot be read"):
        compare(cut, path)
