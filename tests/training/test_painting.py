from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from training.painting import Painter, pixelate, shift_hue

SIZE = 16


def painter(pictures: list[np.ndarray], **changes: Any) -> Painter:
    """One recipe: nothing on white, but for the changes."""
    recipe: dict[str, Any] = {
        "item": [-1, -1],
        "place": [[1, 0, 0], [1, 0, 0]],
        "paint": [[0, 1], [0, 1]],
        "background": [[255, 255, 255], [255, 255, 255]],
        **changes,
    }
    arrays = {name: np.array([value], np.float32) for name, value in recipe.items() if name not in ("item", "tiles")}
    arrays["item"] = np.array([recipe["item"]], np.int32)
    arrays["tiles"] = np.array(recipe.get("tiles", [1]), np.int64)
    arrays["tokens"] = np.zeros((1, 1, 4), np.int16)
    return Painter(np.stack(pictures), arrays, torch.device("cpu"))


def painted(made: Painter, zoom: Tensor | None = None) -> np.ndarray:
    """The only recipe's picture as RGB of 0 to 255, (SIZE, SIZE, 3)."""
    picture = made.paint(torch.zeros(1, dtype=torch.long), zoom)[0].permute(1, 2, 0).numpy()
    assert picture.min() >= -1
    assert picture.max() <= 1
    return (picture + 1) * 127.5


def filled(*rgba: int) -> np.ndarray:
    return np.broadcast_to(np.array(rgba, np.uint8), (SIZE, SIZE, 4)).copy()


def test_a_background_runs_from_top_to_bottom() -> None:
    picture = painted(painter([filled(0, 0, 0, 0)], background=[[200, 0, 100], [0, 160, 100]]))
    part = (np.arange(SIZE) + 0.5) / SIZE
    expected = np.stack([200 * (1 - part), 160 * part, np.full(SIZE, 100)], -1)
    np.testing.assert_allclose(picture, expected[:, None].repeat(SIZE, 1), atol=0.01)


def test_a_thing_of_scale_one_is_the_picture_itself_over_the_background() -> None:
    random = np.random.default_rng(0)
    thing = random.integers(0, 256, (SIZE, SIZE, 4), np.uint8)
    picture = painted(painter([filled(0, 0, 0, 0), thing], item=[1, -1], background=[[10, 200, 90]] * 2))
    alpha = thing[..., 3:] / 255
    np.testing.assert_allclose(picture, thing[..., :3] * alpha + np.array([10, 200, 90]) * (1 - alpha), atol=0.1)


def test_things_lie_where_they_are_put_the_later_in_front() -> None:
    left, right = [0.5, -0.5, 0.0], [0.5, 0.5, 0.0]
    red, blue = filled(255, 0, 0, 255), filled(0, 0, 255, 255)
    picture = painted(painter([red, blue], item=[0, 1], place=[left, right]))
    middle = SIZE // 2
    assert picture[middle, SIZE // 4].tolist() == pytest.approx([255, 0, 0], abs=0.1)
    assert picture[middle, 3 * SIZE // 4].tolist() == pytest.approx([0, 0, 255], abs=0.1)
    assert picture[1, 1].tolist() == picture[-2, -2].tolist() == pytest.approx([255, 255, 255], abs=0.1)
    covered = painted(painter([red, blue], item=[0, 1]))
    assert covered[middle, middle].tolist() == pytest.approx([0, 0, 255], abs=0.1)


def test_tiles_repeat_the_thing() -> None:
    corner = filled(0, 0, 0, 0)
    corner[: SIZE // 2, : SIZE // 2] = (0, 128, 0, 255)
    picture = painted(painter([corner], item=[0, -1], tiles=[2]))
    half = SIZE // 2
    for other in (picture[:half, half:], picture[half:, :half], picture[half:, half:]):
        np.testing.assert_allclose(other, picture[:half, :half], atol=0.01)
    assert picture[1, 1].tolist() == pytest.approx([0, 128, 0], abs=1)
    assert picture[half - 2, half - 2].tolist() == pytest.approx([255, 255, 255], abs=1)


def test_zoom_moves_and_scales_the_thing_but_not_the_background() -> None:
    made = painter([filled(255, 0, 0, 255)], item=[0, -1], background=[[0, 0, 0], [0, 0, 255]])
    same = painted(made, torch.tensor([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(same, painted(made), atol=0.01)
    picture = painted(made, torch.tensor([[0.5, -0.5, -0.5]]))
    assert picture[SIZE // 4, SIZE // 4].tolist() == pytest.approx([255, 0, 0], abs=0.1)
    assert picture[-1, -1].tolist() == pytest.approx([0, 0, 255 * (SIZE - 0.5) / SIZE], abs=0.1)


def test_repainting_leaves_the_background() -> None:
    thing = filled(255, 0, 0, 255)
    thing[:, SIZE // 2 :] = 0
    third = painter([thing], item=[0, -1], paint=[[1 / 3, 1], [0, 1]], background=[[255, 0, 0]] * 2)
    picture = painted(third)
    assert picture[8, 2].tolist() == pytest.approx([0, 255, 0], abs=0.1)
    assert picture[8, 13].tolist() == pytest.approx([255, 0, 0], abs=0.1)
    gray = painted(painter([thing], item=[0, -1], paint=[[0, 0], [0, 1]]))
    assert gray[8, 2].tolist() == pytest.approx([255, 255, 255], abs=0.1)


def test_shift_of_hue_is_that_of_hsv() -> None:
    random = np.random.default_rng(1)
    colours = random.random((300, 3)).astype(np.float32)
    colours[:3] = [[0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    hues, saturations = random.random(300), random.uniform(0, 1, 300)
    expected = []
    for rgb, hue, saturation in zip(colours.tolist(), hues, saturations, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*rgb)
        expected.append(colorsys.hsv_to_rgb((h + hue) % 1, s * saturation, v))
    made = shift_hue(
        torch.from_numpy(colours)[..., None, None], torch.tensor(hues).float(), torch.tensor(saturations).float()
    )
    np.testing.assert_allclose(made[..., 0, 0].numpy(), np.array(expected), atol=1e-4)


def test_pixels_are_square_and_of_eight_levels() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    large = pixelate(pictures)
    blocks = large.unflatten(2, (4, 8)).unflatten(4, (4, 8))  # type: ignore[no-untyped-call]
    assert torch.equal(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks))
    levels = (large + 1) / 2 * 7
    torch.testing.assert_close(levels, levels.round())
    means = pictures.unflatten(2, (4, 8)).unflatten(4, (4, 8)).mean((3, 5))  # type: ignore[no-untyped-call]
    assert float((blocks[:, :, :, 0, :, 0] - means).abs().max()) <= 1 / 7 + 1e-6
