"""Paints recipes on the device, thousands a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate


class Painter:
    """The pictures of a pack and the recipes of a file, on one device.

    `tokens` are the captions, (recipes, captions a recipe, tokens).
    """

    def __init__(self, pictures: np.ndarray, recipes: Mapping[str, np.ndarray], device: torch.device) -> None:
        self.size = pictures.shape[1]
        self.count = len(recipes["tiles"])
        self.device = device
        self.tokens = torch.from_numpy(recipes["tokens"]).to(device)
        self._pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().to(device)
        self._recipes = {
            name: torch.from_numpy(array).to(device) for name, array in recipes.items() if name != "tokens"
        }
        axis = torch.linspace(-1 + 1 / self.size, 1 - 1 / self.size, self.size, device=device)
        self._y, self._x = torch.meshgrid(axis, axis, indexing="ij")

    @torch.no_grad()
    def paint(self, recipes: Tensor, zoom: Tensor | None = None) -> Tensor:
        """The recipes of these numbers, (n,), as RGB of -1 to 1: (n, 3, size, size).

        `zoom` (n, 3) moves and scales the whole canvas: scale, x and y.
        """
        recipe = {name: array[recipes] for name, array in self._recipes.items()}
        x, y = self._x.expand(len(recipes), -1, -1), self._y.expand(len(recipes), -1, -1)
        if zoom is not None:
            x = (x - zoom[:, 1, None, None]) / zoom[:, 0, None, None]
            y = (y - zoom[:, 2, None, None]) / zoom[:, 0, None, None]
        tiles = recipe["tiles"][:, None, None]
        x, y = _repeated(x, tiles), _repeated(y, tiles)
        top, bottom = recipe["background"][..., None, None].div(255).unbind(1)
        canvas = torch.lerp(top, bottom, (self._y + 1) / 2)
        for layer in range(recipe["item"].shape[1]):
            there = (recipe["item"][:, layer] >= 0).nonzero()[:, 0]
            if len(there) == 0:
                continue
            scale, left, top_ = recipe["place"][there, layer, :, None, None].unbind(1)
            picture = self._picture(
                recipe["item"][there, layer],
                recipe["paint"][there, layer],
                (scale[:, 0, 0] < 0.7) | (recipe["tiles"][there] > 1),
            )
            grid = torch.stack([(x[there] - left) / scale, (y[there] - top_) / scale], -1)
            sampled = grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            canvas[there] = canvas[there] * (1 - sampled[:, 3:]) + sampled[:, :3]
        return canvas.clamp(0, 1) * 2 - 1

    def _picture(self, items: Tensor, paint: Tensor, reduced: Tensor) -> Tensor:
        """RGBA with premultiplied alpha, 0 to 1; `reduced` ones softened, as they will be sampled at half the size."""
        picture = self._pictures[items].float() / 255
        painted = ((paint[:, 0] != 0) | (paint[:, 1] != 1)).nonzero()[:, 0]
        if len(painted):
            picture[painted, :3] = shift_hue(picture[painted, :3], paint[painted, 0], paint[painted, 1])
        picture[:, :3] *= picture[:, 3:]
        soft = reduced.nonzero()[:, 0]
        if len(soft):
            half = avg_pool2d(picture[soft], 2)
            picture[soft] = interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
        return picture


def load_recipes(file: Path, count: int | None = None) -> dict[str, np.ndarray]:
    """The first `count` recipes that `recipes.write_recipes` wrote, or all."""
    with np.load(file) as arrays:
        return {name: arrays[name][:count] for name in arrays.files}


def shift_hue(rgb: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """RGB of 0 to 1, (n, 3, h, w), turned by a part of the circle of hues (n,), saturation multiplied (n,)."""
    largest, smallest = rgb.amax(1, keepdim=True), rgb.amin(1, keepdim=True)
    spread = (largest - smallest).clamp(min=1e-5)
    red, green, blue = torch.split(rgb, 1, 1)
    sixth = torch.where(
        largest == red,
        ((green - blue) / spread) % 6,
        torch.where(largest == green, (blue - red) / spread + 2, (red - green) / spread + 4),
    )
    turned = sixth + hue[:, None, None, None] * 6
    chroma = (largest - smallest) * saturation[:, None, None, None]

    def channel(offset: int) -> Tensor:
        place = (offset + turned) % 6
        return largest - chroma * torch.minimum(place, 4 - place).clamp(0, 1)

    return torch.cat([channel(5), channel(3), channel(1)], 1)


def pixelate(pictures: Tensor, block: int = 8) -> Tensor:
    """As drawn in large square pixels, `block` wide, with eight levels of each colour."""
    coarse = avg_pool2d(pictures, block)
    levels = ((coarse + 1) / 2 * 7).round() / 7 * 2 - 1
    return interpolate(levels, scale_factor=block, mode="nearest")


def _repeated(axis: Tensor, tiles: Tensor) -> Tensor:
    """Coordinates of -1 to 1 that run through that range once for every tile."""
    return torch.where(tiles > 1, ((axis + 1) / 2 * tiles) % 1 * 2 - 1, axis)
