"""Pictures of an engine, for tests that are not asynchronous."""

import asyncio
from typing import Any

import numpy as np
from PIL import Image

from server.diffusion import Engine, Picture, PictureRequest


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


def same(one: Image.Image, other: Image.Image) -> bool:
    """Whether all pixels are equal."""
    return distance(one, other) == 0


def distance(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of any value of any pixel, from 0 to 255."""
    assert (one.size, one.mode) == (other.size, other.mode)
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())
