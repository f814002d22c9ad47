"""Previews: what a picture has become so far."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from server.diffusion.defaults import accepted_arguments
from server.diffusion.previews import Previews
from server.diffusion.raster import Raster
from tests.diffusion.tiny_pipelines import BUILDERS

SHOWING = [name for name in BUILDERS if name != "pixart"]
"""PixArt's pipeline does not show its steps."""


class Linear:
    """An autoencoder that writes colours into latents as the real ones nearly do: by a linear map of patches of 8x8."""

    def __init__(self, channels: int, **config: Any) -> None:
        generator = torch.Generator().manual_seed(1)
        self.matrix = torch.randn(3, channels, generator=generator)
        self.bias = torch.randn(channels, generator=generator)
        self.config = Config(config)

    def parameters(self) -> Any:
        return iter([self.matrix])

    def encode(self, pixels: torch.Tensor) -> Any:
        small = interpolate(pixels, scale_factor=1 / 8, mode="area")
        latents = (small.permute(0, 2, 3, 1) @ self.matrix + self.bias).permute(0, 3, 1, 2)
        return SimpleNamespace(latent=latents)


class Config(dict[str, Any]):
    """As the configurations of diffusers: a mapping."""


def colours(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def preview(previews: Previews, pipeline: Any, latents: torch.Tensor, **arguments: Any) -> Image.Image:
    """The preview of these latents."""
    shown: list[Raster] = []
    attached = previews.attach(arguments, {"callback_on_step_end"}, 1, shown.append)
    tensors = {"latents": latents}
    assert attached["callback_on_step_end"](pipeline, 0, None, tensors) is tensors
    [raster] = shown
    return raster[0]


@pytest.mark.parametrize("config", [{"scaling_factor": 0.2}, {"scaling_factor": 1.5, "shift_factor": 0.3}])
def test_colours_are_read_out_of_latents_as_pipelines_have_them(config: dict[str, float]) -> None:
    vae = Linear(8, **config)
    small = colours(3, 6, 8)
    pixels = interpolate(small * 2 - 1, scale_factor=8, mode="nearest")
    # As every pipeline of diffusers prepares the latents of a picture.
    latents = (vae.encode(pixels).latent - config.get("shift_factor", 0.0)) * config["scaling_factor"]
    shown = preview(Previews(), SimpleNamespace(vae=vae, _execution_device=torch.device("cpu")), latents)
    [expected] = Raster(small)
    assert shown.size == (8, 6)
    differences = torch.tensor(list(shown.tobytes())).int() - torch.tensor(list(expected.tobytes())).int()
    assert differences.abs().max() <= 1


def test_only_the_first_picture_of_a_batch_is_shown() -> None:
    vae = Linear(4, scaling_factor=1.0)
    latents = torch.randn(3, 4, 8, 8)
    previews, pipeline = Previews(), SimpleNamespace(vae=vae, _execution_device=torch.device("cpu"))
    one, all_of_them = (preview(previews, pipeline, part) for part in (latents[:1], latents))
    assert one.tobytes() == all_of_them.tobytes()


@pytest.mark.parametrize("name", SHOWING)
def test_every_family_shows_its_pictures_in_their_shape(name: str) -> None:
    pipeline = BUILDERS[name]()
    # The smallest of the sizes that Sana chooses among.
    width, height = (512, 512) if name == "sana" else (64, 48)
    shown: list[Raster] = []
    arguments = Previews().attach(
        {"prompt": "a car", "width": width, "height": height, "num_inference_steps": 4},
        accepted_arguments(pipeline),
        2,
        shown.append,
    )
    pipeline(**arguments)
    assert len(shown) == 2
    for [picture] in shown:
        assert picture.mode == "RGB"
        assert picture.width * height == picture.height * width
        assert 1 < picture.width < width


def test_the_map_is_learnt_once() -> None:
    vae = Linear(4, scaling_factor=1.0)
    previews, pipeline = Previews(), SimpleNamespace(vae=vae, _execution_device=torch.device("cpu"))
    first = preview(previews, pipeline, torch.ones(1, 4, 4, 4))
    pipeline.vae = None
    assert preview(previews, pipeline, torch.ones(1, 4, 4, 4)).tobytes() == first.tobytes()


def test_previews_come_after_every_so_many_steps() -> None:
    shown: list[Raster] = []
    previews, pipeline = (
        Previews(),
        SimpleNamespace(vae=Linear(4, scaling_factor=1.0), _execution_device=torch.device("cpu")),
    )
    attached = previews.attach({}, {"callback_on_step_end"}, 3, shown.append)
    counts = []
    for step in range(7):
        attached["callback_on_step_end"](pipeline, step, None, {"latents": torch.zeros(1, 4, 2, 2)})
        counts.append(len(shown))
    assert counts == [0, 0, 1, 1, 1, 2, 2]


def test_a_pipeline_that_does_not_show_its_steps_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    given = {"prompt": "a car"}
    assert Previews().attach(given, {"prompt"}, 1, lambda _: None) == given
    assert "there are no previews" in capfd.readouterr().err


def test_latents_that_cannot_be_shown_are_told_of_once(capfd: pytest.CaptureFixture[str]) -> None:
    shown: list[Raster] = []
    pipeline = SimpleNamespace(vae=Linear(4, scaling_factor=1.0), _execution_device=torch.device("cpu"))
    attached = Previews().attach({}, {"callback_on_step_end"}, 1, shown.append)
    for step in range(3):
        tensors = {"latents": torch.zeros(1, 7, 2, 2)}
        assert attached["callback_on_step_end"](pipeline, step, None, tensors) is tensors
    assert shown == []
    assert capfd.readouterr().err.count("there are no previews") == 1
