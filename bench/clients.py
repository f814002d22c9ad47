"""Asking a server for pictures, and looking at what comes back."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy
from PIL import Image

from bench.closed_loop import Ask
from bench.workloads import Workload

_PNG = "data:image/png;base64,"


_TRIES = 100
"""Real Cog may answer one request a moment before it takes the next, which it refuses with 409 until then."""


class WrongAnswer(Exception):
    """A prediction did not succeed, or its picture is none."""


@asynccontextmanager
async def connecting(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client for any number of requests at once, each of which may take ten minutes."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits, trust_env=False) as client:
        yield client


def asking(client: httpx.AsyncClient, workload: Workload, *, mixed: bool = False) -> Ask:
    """For a closed loop: make the requests of a workload over HTTP, as PNG. Each picture has to have its size."""

    async def ask(number: int) -> int:
        inputs = workload.request(number, mixed=mixed)
        [data] = await predict(client, inputs)
        # Only as far as its size is decoded, which takes no time from what is measured.
        with Image.open(io.BytesIO(data)) as image:
            if image.size != (workload.size, workload.size):
                raise WrongAnswer(f"asked for {workload.size}x{workload.size}, the picture is {image.size}")
        return int(inputs["num_inference_steps"])

    return ask


async def predict(client: httpx.AsyncClient, inputs: dict[str, Any]) -> list[bytes]:
    """Make a prediction and return its PNG files.

    Raises:
        WrongAnswer: it did not succeed.
    """
    for _ in range(_TRIES):
        response = await client.post("/predictions", json={"input": {**inputs, "output_format": "png"}})
        if response.status_code != httpx.codes.CONFLICT:
            break
    body = response.json()
    if body.get("status") != "succeeded":
        raise WrongAnswer(f"{response.status_code}: {str(body.get('error') or body)[:500]}")
    return pictures(body)


def pictures(prediction: dict[str, Any]) -> list[bytes]:
    """The PNG files of a prediction that has succeeded."""
    if any(not url.startswith(_PNG) for url in prediction["output"]):
        raise WrongAnswer(f"not PNG: {str(prediction['output'])[:100]}")
    return [base64.b64decode(url.removeprefix(_PNG)) for url in prediction["output"]]


def pixels(png: bytes) -> numpy.typing.NDArray[numpy.uint8]:
    """The decoded picture: height, width, 3."""
    with Image.open(io.BytesIO(png)) as image:
        return numpy.asarray(image.convert("RGB"))


def check_drawn(png: bytes) -> None:
    """Make sure that something was drawn: numbers that overflow end as one flat colour, and are quickly drawn.

    Raises:
        WrongAnswer: the picture is flat.
    """
    if pixels(png).std() < 1:
        raise WrongAnswer("the picture is of one colour: the model's numbers have overflowed")
