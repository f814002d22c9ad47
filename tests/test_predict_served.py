"""The predictor at the top, served: several clients at the same time."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.api.clients import client_of
from tests.conftest import ROOT, Serve, Server
from tests.diffusion.tiny_pipelines import build

STREAM = {"Accept": "text/event-stream"}

SMALL = {"width": 64, "height": 64, "output_format": "png"}

INPUTS: tuple[dict[str, Any], ...] = (
    {"prompt": "a red heart", "seed": 1, "num_inference_steps": 12, **SMALL},
    {"prompt": "a car", "seed": 2, "num_inference_steps": 16, **SMALL},
    {"prompt": "a green apple on a blue background", "seed": 3, "num_inference_steps": 12, "num_outputs": 2, **SMALL},
    {"prompt": "a cat", "seed": 4, "num_inference_steps": 12, "scheduler": "K_EULER_ANCESTRAL", **SMALL},
)

LONG: dict[str, Any] = {"prompt": "a dog", "seed": 5, "num_inference_steps": 500, **SMALL}


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module(ROOT)


def picture(url: str, kind: str) -> Image.Image:
    header, _, content = url.partition(",")
    assert header == f"data:image/{kind};base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    image.load()
    return image


def pixels(answer: dict[str, Any]) -> list[Any]:
    assert answer["status"] == "succeeded", answer
    return [np.asarray(picture(url, "png"), dtype=int) for url in answer["output"]]


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """The names of a stream's events, with their data."""
    assert response.status_code == 200
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def until_progress(stream: AsyncIterator[tuple[str, Any]]) -> None:
    """Read until the first step is done."""
    async for name, data in stream:
        if name == "metric" and data["name"] == "progress" and data["value"] > 0:
            return
    raise AssertionError("the stream has ended without progress")


async def test_a_cancel_leaves_the_pixels_of_the_others_as_they_are_alone(server: Server) -> None:
    async with client_of(server.url) as client:

        async def predict(given: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = (await client.post("/predictions", json={"input": given})).json()
            return answer

        alone = [pixels(await predict(given)) for given in INPUTS]
        body = {"id": "long", "input": LONG}
        async with client.stream("POST", "/predictions", json=body, headers=STREAM) as response:
            long = events(response)
            await until_progress(long)
            others = [asyncio.create_task(predict(given)) for given in INPUTS[1:]]
            watched = {"id": "watched", "input": INPUTS[0]}
            async with client.stream("POST", "/predictions", json=watched, headers=STREAM) as followed:
                first = events(followed)
                await until_progress(first)
                assert (await client.post("/predictions/long/cancel")).status_code == 200
                told = [data async for name, data in long if name == "completed"]
                assert [data["status"] for data in told] == ["canceled"]
                [answer] = [data async for name, data in first if name == "completed"]
        together = [pixels(answer), *map(pixels, await asyncio.gather(*others))]
    for expected, got in zip(alone, together, strict=True):
        assert len(got) == len(expected)
        for one, other in zip(expected, got, strict=True):
            assert one.std() > 0
            assert np.abs(one - other).max() <= 1


async def test_a_refused_prediction_leaves_the_others_alone(serve: Serve, tmp_path: Path) -> None:
    server = serve(ROOT, env={"MODEL_ID": str(build("flux", tmp_path / "flux"))})
    given = [{"prompt": "a red apple", "seed": seed, "num_inference_steps": 4, **SMALL} for seed in (1, 2)]
    # Not a matter of the schema: only the loaded model knows.
    bodies = [{"input": each} for each in (given[0], {**given[0], "scheduler": "DDIM"}, given[1])]
    async with client_of(server.url) as client:
        first, refused, second = await asyncio.gather(*(client.post("/predictions", json=body) for body in bodies))
        assert refused.status_code == 422
        [violation] = refused.json()["detail"]
        assert violation["loc"] == ["body", "input", "scheduler"]
        assert "'DDIM' does not work" in violation["msg"]
        for body, together in ((bodies[0], first), (bodies[2], second)):
            [got] = pixels(together.json())
            [expected] = pixels((await client.post("/predictions", json=body)).json())
            assert np.abs(got - expected).max() <= 1


async def test_progress_and_previews_come_while_it_runs(server: Server) -> None:
    given = {**INPUTS[0], "num_outputs": 2, "preview_interval": 4}
    async with (
        client_of(server.url) as client,
        client.stream("POST", "/predictions", json={"input": given}, headers=STREAM) as response,
    ):
        told = [event async for event in events(response)]
    assert told[0][0] == "start"
    assert told[-1][0] == "completed"
    metrics = [(data["name"], data.get("value"), data["mode"]) for name, data in told if name == "metric"]
    assert ("seed", 1, "replace") in metrics
    progress = [value for name, value, _ in metrics if name == "progress"]
    assert progress == sorted(set(progress))
    assert progress[-1] == 1
    # Two pictures, each of twelve steps; each step is told of.
    assert len(progress) >= 24

    *previews, last = [value for name, value, _ in metrics if name == "preview"]
    # They are gone with the picture, which may overtake that of the last step.
    assert last is None
    assert 2 * 2 <= len(previews) <= 2 * 3
    assert {preview["index"] for preview in previews} == {0, 1}
    for preview in previews:
        image = picture(preview["image"], "webp")
        # A pixel for each latent of 8x8.
        assert image.size == (8, 8)
    names = [name for name, _, _ in metrics]
    assert names.index("preview") < len(names) - 1 - names[::-1].index("progress")

    completed = told[-1][1]
    assert completed["metrics"].keys() == {"seed", "progress", "predict_time"}
    assert len(pixels(completed)) == 2
    logs = "".join(data["data"] for name, data in told if name == "log")
    assert logs == completed["logs"]
    # Where Replicate's clients look for progress.
    assert re.match(r"\s*\d+%\s*\|.+?\|\s*\d+/24", logs.splitlines()[-1])
