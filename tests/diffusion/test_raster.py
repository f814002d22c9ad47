"""Pictures on their way from the device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.image_processor import PixArtImageProcessor, VaeImageProcessor
from PIL import Image

from server.diffusion.raster import Raster, deliver_as_raster
from tests.diffusion.drawing import same
from tests.diffusion.tiny_pipelines import stable_diffusion

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


class Delivering(SimpleNamespace):
    """What `deliver_as_raster` looks at of a pipeline."""

    image_processor: Any


@pytest.mark.parametrize("device", DEVICES)
def test_pictures_are_those_that_diffusers_makes(device: str) -> None:
    # Every byte, each value between two bytes on its own side of the middle, and what is out of range.
    values = torch.cat([torch.arange(256) / 255, (torch.arange(255) + 0.49) / 255, (torch.arange(255) + 0.51) / 255])
    values = torch.cat([values, torch.tensor([-3.0, 3.0])])
    latents = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))].view(1, 1, 16, 48)
    pixels = torch.cat([latents, latents.flip(2), latents.flip(3)], dim=1).repeat(2, 1, 1, 1) * 2 - 1
    pixels[1] *= 0.5
    stock = VaeImageProcessor()
    pipeline: Any = Delivering(image_processor=stock)
    deliver_as_raster(pipeline)
    found = pipeline.image_processor.postprocess(pixels.to(device), output_type="pil", do_denormalize=[True, True])
    expected = stock.postprocess(pixels, output_type="pil", do_denormalize=[True, True])
    assert isinstance(found, Raster)
    assert len(found) == 2
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    assert [picture.size for picture in found[0:1]] == [(48, 16)]


def test_one_channel_is_a_grey_picture() -> None:
    [picture] = Raster(torch.tensor([[[[0.0, 1.0]]]]))
    assert picture.mode == "L"
    assert list(np.asarray(picture).flat) == [0, 255]


def test_pictures_do_not_follow_what_becomes_of_the_pixels() -> None:
    """The memory on the device is used for the next ones while these are still being unpacked."""
    pixels = torch.ones(1, 3, 2, 2)
    raster = Raster(pixels)
    pixels.zero_()
    assert raster[0].getextrema() == ((255, 255),) * 3


def test_the_loaded_pipeline_keeps_its_own_processor() -> None:
    shared = VaeImageProcessor()
    pipeline: Any = Delivering(image_processor=shared)
    deliver_as_raster(pipeline)
    assert isinstance(shared.postprocess(torch.zeros(1, 3, 8, 8))[0], Image.Image)


@pytest.mark.parametrize("output_type", ["np", "pt", "latent"])
def test_other_kinds_of_output_are_as_they_were(output_type: str) -> None:
    pipeline = stable_diffusion()
    stock = pipeline.image_processor
    deliver_as_raster(pipeline)
    pixels = torch.rand(1, 3, 8, 8) * 2 - 1
    found = pipeline.image_processor.postprocess(pixels, output_type=output_type)
    assert np.array_equal(found, stock.postprocess(pixels, output_type=output_type))
    assert type(found) is not Raster


def test_pipelines_that_look_at_their_pictures_go_on_as_they_are() -> None:
    class Own(VaeImageProcessor):
        def postprocess(self, *args: Any, **kwargs: Any) -> Any:
            return super().postprocess(*args, **kwargs)

    for pipeline in (
        Delivering(image_processor=VaeImageProcessor(), safety_checker=object()),
        Delivering(image_processor=Own()),
        Delivering(image_processor=None),
    ):
        before = dict(vars(pipeline))
        deliver_as_raster(pipeline)  # type: ignore[arg-type]
        assert vars(pipeline) == before


def test_a_processor_that_only_prepares_otherwise_delivers_so_too() -> None:
    pipeline: Any = Delivering(image_processor=PixArtImageProcessor())
    deliver_as_raster(pipeline)
    assert isinstance(pipeline.image_processor.postprocess(torch.zeros(1, 3, 8, 8)), Raster)
