"""Pictures of an engine, for tests that are not asynchronous."""

import asyncio
import math
from typing import Any

import numpy as np
from PIL import Image

from server.diffusion import Engine, Picture, PictureRequest

TOLERANCE = 1e-5
"""How far a value of a pixel, from 0 to 1, may be from that of the request alone, in float32."""
_DECIBELS = 40
"""What a picture on a GPU, in half precision, has to reach against the same request alone."""


def draw(engine: Engine, asked: PictureRequest, **watching: Any) -> list[Picture]:
    """The pictures of one request."""
    return draw_together(engine, [asked], **watching)[0]


def draw_together(engine: Engine, requests: list[PictureRequest], **watching: Any) -> list[list[Picture]]:
    """The pictures of requests that are made at the same time."""

    async def collect(asked: PictureRequest) -> list[Picture]:
        return [picture async for picture in engine.generate(asked, **watching)]

    async def gather() -> list[list[Picture]]:
        return await asyncio.gather(*map(collect, requests))

    return asyncio.run(gather())


def assert_alike(engine: Engine, one: np.ndarray, other: np.ndarray) -> None:
    """Pixels, from 0 to 1, are the same but for what rounding may change on the engine's device."""
    if engine.placement.device.type == "cuda":
        assert psnr(255 * one, 255 * other) >= _DECIBELS
    else:
        assert np.abs(one - other).max() < TOLERANCE


def psnr(one: Any, other: Any) -> float:
    """How alike two pictures with values up to 255 are, in dB; 30 is hard to tell apart by eye."""
    error = np.mean((np.asarray(one, dtype=float) - np.asarray(other, dtype=float)) ** 2)
    return math.inf if error == 0 else 20 * math.log10(255 / math.sqrt(error))


def same(one: Image.Image, other: Image.Image) -> bool:
    """Whether all pixels are equal."""
    return distance(one, other) == 0


def distance(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of any value of any pixel, from 0 to 255."""
    assert (one.size, one.mode) == (other.size, other.mode)
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())
