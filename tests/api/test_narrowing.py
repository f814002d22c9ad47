"""Inputs that only the loaded model can judge, as clients meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Serve, Server
from tests.service.peer import answering, running_peer
from tests.worker.test_narrowing import write

CHANGES = {
    "negative_prompt": "it is guided without one",
    "mask": None,
    "steps": {"default": 4, "le": 8},
    "width": {"default": 1024, "multiple_of": 16},
    "scheduler": {"choices": ["DDIM"]},
}
TOO_WIDE = {
    "detail": [
        {
            "loc": ["body", "input", "width"],
            "msg": "70 is no multiple of 8. The nearest is 64.",
            "type": "value_error",
        }
    ]
}


@pytest.fixture(scope="module")
def narrowed(serve_module: Serve, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return serve_module("narrow", env=write(tmp_path_factory.mktemp("model"), CHANGES))


@pytest.fixture(scope="module")
def refusing(serve_module: Serve) -> Server:
    return serve_module("refuse_input")


def schemas(server: Server) -> Any:
    return server.client.get("/openapi.json").json()["components"]["schemas"]


def detail(response: httpx.Response) -> list[tuple[str, str]]:
    assert response.status_code == 422, response.text
    return [("/".join(one["loc"]), one["msg"]) for one in response.json()["detail"]]


# What the loaded model takes


def test_the_document_is_that_of_the_loaded_model(serve: Serve, tmp_path: Path) -> None:
    server = serve("narrow", ready=False, env={"FOLDER": str(tmp_path)})
    while server.client.get("/openapi.json").status_code == 503:
        pass
    assert {"mask", "negative_prompt"} < schemas(server)["Input"]["properties"].keys()
    write(tmp_path, CHANGES)
    server.wait_for_health("READY")
    properties = schemas(server)["Input"]["properties"]
    assert list(properties) == ["prompt", "scheduler", "steps", "width", "sizes"]
    assert (properties["steps"]["default"], properties["steps"]["maximum"]) == (4, 8)
    assert properties["width"]["x-multiple-of"] == 16
    assert schemas(server)["scheduler"]["enum"] == ["DDIM"]


def test_what_is_left_out_is_as_the_document_says(narrowed: Server) -> None:
    output = narrowed.predict(prompt="a").json()["output"]
    assert (output["steps"], output["width"], output["negative_prompt"], output["mask"]) == (4, 1024, "none", None)


@pytest.mark.parametrize(
    "given", [{"mask": None}, {"negative_prompt": None}, {"negative_prompt": "none"}, {"mask": None, "width": 100}]
)
def test_clients_that_send_every_default_of_the_source_are_served(narrowed: Server, given: dict[str, Any]) -> None:
    response = narrowed.predict(prompt="a", **given)
    assert response.status_code == 200
    assert "X-Darkroom-Warning" not in response.headers
    output = response.json()["output"]
    assert (output["negative_prompt"], output["mask"]) == ("none", None)
    record = narrowed.client.get(f"/predictions/{response.json()['id']}").json()
    assert not {"mask", "negative_prompt"} & record["input"].keys()


@pytest.mark.parametrize(
    ("given", "violations"),
    [
        (
            {"negative_prompt": "text"},
            [("negative_prompt", "the loaded model cannot take it: it is guided without one. Leave it out.")],
        ),
        ({"mask": "data:,a"}, [("mask", "the loaded model cannot take it. Leave it out.")]),
        ({"mask": False}, [("mask", "the loaded model cannot take it. Leave it out.")]),
        ({"steps": 9}, [("steps", "9 is greater than the maximum of 8")]),
        ({"scheduler": "PNDM"}, [("scheduler", '"PNDM" is not one of ["DDIM"]')]),
    ],
)
def test_what_the_loaded_model_cannot_take_is_refused(
    narrowed: Server, given: dict[str, Any], violations: list[tuple[str, str]]
) -> None:
    expected = [(f"body/input/{name}", message) for name, message in violations]
    assert detail(narrowed.predict(prompt="a", **given)) == expected
    response = narrowed.client.put("/predictions/x", json={"input": given}, headers={"Prefer": "respond-async"})
    assert detail(response) == [*expected, ("body/input/prompt", "Field required")]


def test_what_is_asked_for_as_a_training_is_checked_against_the_loaded_model_too(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text(
        "class Predictor:\n"
        "    def narrow_inputs(self):\n"
        "        return {'extra': 'it is too small'}\n"
        "    def predict(self, text: str, extra: str = 'x') -> str:\n"
        "        return text + extra\n"
        "def train(text: str, extra: str = 'z') -> str:\n"
        "    return text\n"
    )
    (tmp_path / "cog.yaml").write_text("predict: predict.py:Predictor\ntrain: predict.py:train\n")
    server = serve(tmp_path)
    answers = [
        server.client.post("/trainings", json={"input": {"text": "a", **extra}}).json()
        for extra in ({}, {"extra": "x"}, {"extra": "y"})
    ]
    assert [answer["status"] for answer in answers] == ["succeeded", "succeeded", "failed"]
    assert [answer.get("output") for answer in answers] == ["ax", "ax", None]
    assert "extra: the loaded model cannot take it: it is too small. Leave it out." in answers[2]["error"]


def test_what_the_source_does_not_have_either_is_ignored_as_ever(narrowed: Server) -> None:
    response = narrowed.predict(prompt="a", maks="x")
    assert response.status_code == 200
    assert response.headers["X-Darkroom-Warning"] == (
        'These inputs are unknown and were ignored: "maks". '
        'The model has: "prompt", "scheduler", "steps", "width", "sizes".'
    )


# What `predict` refuses


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_input_that_predict_refuses_is_422_for_who_waits(refusing: Server, method: str) -> None:
    path = "/predictions" if method == "POST" else "/predictions/put"
    body = {"input": {"width": 70, "typo": 1}}
    response = refusing.client.request(method, path, json=body)
    assert (response.status_code, response.json()) == (422, TOO_WIDE)
    assert "typo" in response.headers["X-Darkroom-Warning"]
    assert refusing.predict(width=72).json()["output"] == "72 wide"


def test_the_prediction_is_a_failed_one_for_all_others(refusing: Server) -> None:
    error = "Prediction failed: Prediction failed: InputError: width: 70 is no multiple of 8. The nearest is 64."
    body = {"id": "told", "input": {"width": 70}}
    stream = refusing.client.post("/predictions", json=body, headers={"Accept": "text/event-stream"})
    last = json.loads(stream.text.strip().rpartition("data: ")[2])
    assert (stream.status_code, last["status"], last["error"]) == (200, "failed", error)
    record = refusing.client.get("/predictions/told").json()
    assert (record["status"], record["error"], record["logs"]) == ("failed", error, "looks at it\n")
    response = refusing.client.post("/predictions", json={**body, "id": "a"}, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    while (record := refusing.client.get("/predictions/a").json())["status"] not in ("succeeded", "failed"):
        pass
    assert record["error"] == error


async def test_webhooks_tell_of_a_failed_prediction(refusing: Server) -> None:
    async with running_peer(answering()) as peer, httpx.AsyncClient(trust_env=False) as client:
        body = {"input": {"width": 70}, "webhook": peer.url, "webhook_events_filter": ["completed"]}
        response = await client.post(f"{refusing.url}/predictions", json=body)
        assert response.status_code == 422
        [request] = await peer.wait_for(1)
    state = json.loads(request.body)
    assert (state["status"], state["error"].rpartition(": ")[2]) == (
        "failed",
        "70 is no multiple of 8. The nearest is 64.",
    )


def test_an_exception_that_names_no_input_is_a_failed_prediction(refusing: Server) -> None:
    response = refusing.predict(width=70, blame="depth")
    assert (response.status_code, response.json()["status"]) == (200, "failed")
    assert response.json()["error"].endswith("InputError: depth: 70 is no multiple of 8. The nearest is 64.")


def test_the_log_of_the_server_has_no_traceback_of_it(serve: Serve) -> None:
    server = serve("refuse_input")
    assert server.predict(width=70).status_code == 422
    server.stop()
    log = "".join(server.lines)
    assert "refused=width" in log
    assert "70 is no multiple of 8" not in log
    assert "Traceback" not in log
