"""The predictor at the top under the real Cog."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from tests.compat.real_cog import ask_cog, starting_cog, wait_for_cog
from tests.conftest import ROOT
from tests.test_predict import load


@pytest.fixture(scope="module")
def cog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A checkout of this project, served by Cog."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("predict.py", "server", "models"):
        (checkout / name).symlink_to(ROOT / name)
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as monkeypatch:
        document = openapi_document(inspect_predictor(load(monkeypatch).Predictor()))
    environment = {"MODEL_ID": "", "TMPDIR": str(temporary)}
    with starting_cog(checkout, "predict.py:Predictor", document, environment) as client:
        assert wait_for_cog(client) == "READY", client.get("/health-check").text
        yield client
    assert not [path for path in temporary.iterdir() if path.name.startswith("darkroom-")]


def predict(cog: httpx.Client, **given: Any) -> Any:
    response = ask_cog(cog, "POST", "/predictions", json={"input": given})
    assert response.status_code == 200, response.text
    return response.json()


def picture(url: str) -> Image.Image:
    head, _, body = url.partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    assert head == f"data:{Image.MIME[str(image.format)]};base64"
    return image


def test_a_prompt_gives_a_picture(cog: httpx.Client) -> None:
    body = predict(cog, prompt="a red heart", seed=1, num_inference_steps=8)
    assert body["status"] == "succeeded"
    assert body["metrics"]["seed"] == 1
    [url] = body["output"]
    image = picture(url)
    assert (image.format, image.size) == ("WEBP", (192, 192))
    red, green, blue = np.asarray(image.convert("RGB"), dtype=int)[96, 96]
    assert red > max(green, blue) + 60
    assert body["logs"].rstrip().splitlines()[-1].lstrip().startswith("100%|")


def test_several_pictures_in_another_format(cog: httpx.Client) -> None:
    body = predict(cog, prompt="a car", num_outputs=2, width=64, height=72, num_inference_steps=2, output_format="png")
    assert [(picture(url).format, picture(url).size) for url in body["output"]] == [("PNG", (64, 72))] * 2


def test_words_past_the_limit_are_in_the_logs(cog: httpx.Client) -> None:
    body = predict(cog, prompt="a red apple " * 40 + "and a zebra", num_inference_steps=1, width=64, height=64)
    assert "zebra" in body["logs"]
    [warning] = body["metrics"]["warnings"]
    assert (warning["code"], warning["input"]) == ("truncated", "prompt")
    assert "zebra" in warning["message"]


def test_a_picture_can_be_sent(cog: httpx.Client) -> None:
    sent = Image.new("RGB", (64, 64), "red")
    buffer = io.BytesIO()
    sent.save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    given = {"width": 64, "height": 64, "prompt_strength": 0, "output_format": "png"}
    body = predict(cog, prompt="a car", image=url, **given)
    assert body["status"] == "succeeded", body
    assert np.array_equal(np.asarray(picture(body["output"][0])), np.asarray(sent))


def test_what_the_model_cannot_do_fails_with_the_reason(cog: httpx.Client) -> None:
    body = predict(cog, prompt="a car", width=100, strict=True)
    assert body["status"] == "failed"
    assert "width: 100 became 104, the nearest: this model needs a multiple of 8." in body["error"]


@pytest.mark.parametrize("given", [{"num_outputs": 201}, {"scheduler": "none"}, {"seed": 2**32}, {"seed": -1}, {}])
def test_what_no_model_can_do_is_refused(given: dict[str, Any], cog: httpx.Client) -> None:
    given = given and {"prompt": "a car", **given}
    assert ask_cog(cog, "POST", "/predictions", json={"input": given}).status_code == 422
