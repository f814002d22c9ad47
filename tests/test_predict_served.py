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

from server.diffusion import SCHEDULERS
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
    bodies = [{"input": each} for each in (given[0], {**given[0], "width": 65, "strict": True}, given[1])]
    async with client_of(server.url) as client:
        first, refused, second = await asyncio.gather(*(client.post("/predictions", json=body) for body in bodies))
        assert refused.status_code == 422
        [violation] = refused.json()["detail"]
        assert violation["loc"] == ["body", "input", "width"]
        assert "65" in violation["msg"]
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


# Inputs, as clients send them, with the model that is quickest.

QUICK = {"prompt": "a red heart", "seed": 1, "num_inference_steps": 2, **SMALL}


@pytest.fixture(scope="module")
def fast(serve_module: Serve) -> Server:
    return serve_module(ROOT, env={"MODEL_ID": str(ROOT / "models" / "emoji-fast")})


def data_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


PAGE = "data:text/html;base64," + base64.b64encode(b"<!DOCTYPE html><html></html>").decode()


def test_a_picture_and_its_mask_come_as_data_urls(fast: Server) -> None:
    photo, mask = Image.new("RGB", (64, 64), (10, 200, 30)), Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    given = {**QUICK, "image": data_url(photo)}
    [made] = pixels(fast.predict(**given, mask=data_url(mask), prompt_strength=1).json())
    assert np.array_equal(made[:, 32:], np.asarray(photo)[:, 32:])
    assert not np.array_equal(made[:, :32], np.asarray(photo)[:, :32])
    [same] = pixels(fast.predict(**given, prompt_strength=0).json())
    assert np.array_equal(same, np.asarray(photo))


@pytest.mark.parametrize("name", ["image", "mask"])
def test_a_file_that_is_no_picture_is_refused_by_name(name: str, fast: Server) -> None:
    given = {**QUICK, "image": data_url(Image.new("RGB", (64, 64))), name: PAGE}
    response = fast.predict(**given)
    assert response.status_code == 422, response.text
    [violation] = response.json()["detail"]
    assert violation["loc"] == ["body", "input", name]
    assert "an HTML page" in violation["msg"]


async def test_a_file_that_is_no_picture_fails_a_prediction_that_nobody_waits_for(fast: Server) -> None:
    async with client_of(fast.url) as client:
        body = {"input": {**QUICK, "image": PAGE}}
        response = await client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
        assert response.status_code == 202
        url = f"/predictions/{response.json()['id']}"
        while (answer := (await client.get(url)).json())["status"] in ("starting", "processing"):
            pass
    assert answer["status"] == "failed"
    assert "image: the file is an HTML page." in answer["error"]


def test_warnings_are_in_the_metrics(fast: Server) -> None:
    answer = fast.predict(**{**QUICK, "width": 71, "prompt_strength": 0.5}).json()
    assert answer["status"] == "succeeded"
    warnings = answer["metrics"]["warnings"]
    assert [(warning["code"], warning["input"]) for warning in warnings] == [
        ("ignored", "prompt_strength"),
        ("rounded", "width"),
    ]
    assert all(warning["message"] in answer["logs"] for warning in warnings)
    assert "warnings" not in fast.predict(**QUICK).json()["metrics"]
    refused = fast.predict(**{**QUICK, "width": 71, "strict": True})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "input", "width"]


@pytest.mark.parametrize(
    ("output_format", "kind"), [("webp", "WEBP"), ("jpg", "JPEG"), ("png", "PNG"), ("avif", "AVIF")]
)
def test_each_format_is_delivered(output_format: str, kind: str, fast: Server) -> None:
    answer = fast.predict(**{**QUICK, "output_format": output_format, "embed_metadata": False}).json()
    [url] = answer["output"]
    image = picture(url, kind.lower())
    assert (image.format, image.size) == (kind, (64, 64))
    assert b"red heart" not in base64.b64decode(url.partition(",")[2])
    told = fast.predict(**{**QUICK, "output_format": output_format}).json()["output"][0]
    assert len(told) > len(url)


async def test_several_prompts_come_one_by_one(fast: Server) -> None:
    given = {**QUICK, "prompt": "a red heart\na car\n\na cat", "prompt_delimiter": "\\n"}
    async with (
        client_of(fast.url) as client,
        client.stream("POST", "/predictions", json={"input": given}, headers=STREAM) as response,
    ):
        told = [event async for event in events(response)]
    outputs = [data for name, data in told if name == "output"]
    assert len(outputs) == 3
    completed = told[-1][1]
    assert len(completed["output"]) == 3
    for index, prompt in enumerate(("a red heart", "a car", "a cat")):
        [alone] = pixels(fast.predict(**{**QUICK, "prompt": prompt, "seed": 1 + index}).json())
        assert np.abs(np.asarray(picture(completed["output"][index], "png"), dtype=int) - alone).max() <= 1


@pytest.mark.parametrize(
    "given",
    [
        {"controlnet_image": PAGE},
        {"controlnet_end": 0.5},
        {"reference_images": [PAGE]},
        {"disable_safety_checker": True},
        {"go_fast": True},
        {"num_outputs": 201},
        {"megapixels": 0},
        {"aspect_ratio": "2:1"},
        {"prompt_strength": 1.1},
        {"aspect_ratio": "match_input_image"},
        {"prompt_delimiter": "heart", "prompt": "heart"},
    ],
)
def test_what_the_model_cannot_do_is_refused(given: dict[str, Any], fast: Server) -> None:
    response = fast.predict(**{**QUICK, **given})
    assert response.status_code == 422, response.text


@pytest.mark.parametrize(
    ("given", "name", "shown"),
    [
        ({"image": "apple.png"}, "image", "'apple.png' is no URL of a picture"),
        ({"image": ""}, "image", "'' is no URL of a picture"),
        ({"image": "file:///etc/passwd"}, "image", "'file:///etc/passwd' is no URL of a picture"),
        # Base64 that nobody has called a data URL.
        ({"mask": "iVBORw0KGgo" * 100}, "mask", "… (1100 characters) is no URL of a picture"),
    ],
)
def test_a_text_that_points_to_no_file_is_refused(given: dict[str, Any], name: str, shown: str, fast: Server) -> None:
    response = fast.predict(**{**QUICK, **given})
    assert response.status_code == 422, response.text
    [error] = response.json()["detail"]
    assert error["loc"] == ["body", "input", name]
    assert shown in error["msg"]
    assert "data:image/png;base64," in error["msg"]


def test_the_schema_is_that_of_the_loaded_model(server: Server, fast: Server) -> None:
    for each, steps, guidance in ((server, 20, 4), (fast, 8, 1)):
        schemas = each.client.get("/openapi.json").json()["components"]["schemas"]
        offered = schemas["Input"]["properties"]
        assert not [name for name in offered if name.startswith("controlnet_")]
        assert not {"reference_images", "disable_safety_checker", "go_fast"} & offered.keys()
        assert {"image", "mask", "lora_weights", "negative_prompt", "keep_unmasked"} <= offered.keys()
        assert offered["num_inference_steps"]["default"] == steps
        assert offered["guidance_scale"]["default"] == guidance
        assert offered["width"]["x-multiple-of"] == 8
        assert set(schemas["scheduler"]["enum"]) <= set(SCHEDULERS)


def test_every_scheduler_offered_draws(fast: Server) -> None:
    schedulers = fast.client.get("/openapi.json").json()["components"]["schemas"]["scheduler"]["enum"]
    for scheduler in schedulers:
        [made] = pixels(fast.predict(**{**QUICK, "num_inference_steps": 4, "scheduler": scheduler}).json())
        assert made.std() > 0, scheduler
