"""The routes under `/trainings`."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.clients import appears
from tests.conftest import Serve, Server
from tests.scrape import scrape
from tests.service.peer import answering, running_peer

DATA = "data:text/plain;base64," + base64.b64encode(b"cats").decode()
TRAINED = "data:text/plain;base64," + base64.b64encode(b"catscats").decode()


@pytest.fixture(scope="module")
def trains(serve_module: Serve) -> Server:
    return serve_module("train_weights", trainer="train_weights.py:train", x_mode="train")


@pytest.fixture(scope="module")
def predicts(serve_module: Serve) -> Server:
    return serve_module("train_weights", trainer="train_weights.py:train")


@pytest.fixture(scope="module")
def knows_no_training(serve_module: Serve) -> Server:
    return serve_module("greet")


def train(server: Server, path: str = "/trainings", **body: Any) -> httpx.Response:
    body.setdefault("input", {"data": DATA})
    return server.client.request("PUT" if path.count("/") > 1 else "POST", path, json=body)


def end(server: Server, path: str) -> dict[str, Any]:
    """Wait for the end of one that runs, and return its state."""
    while True:
        state: dict[str, Any] = server.client.get(path).json()
        if "completed_at" in state:
            return state
        time.sleep(0.01)


def test_a_training(trains: Server) -> None:
    response = train(trains)
    body = response.json()
    assert body.pop("id").startswith("pred_")
    assert body["metrics"].pop("predict_time") >= 0
    assert body == {
        "logs": "learning from cats\n",
        "metrics": {"loss": 0.5},
        "output": {"weights": TRAINED, "steps": 2},
        "status": "succeeded",
    }
    assert "x-darkroom-warning" not in response.headers


def test_trainings_are_counted_apart(trains: Server) -> None:
    before = scrape(trains)
    train(trains)
    after = scrape(trains)
    for kind, count in (("training", 1), ("prediction", 0)):
        for name in ("darkroom_predictions_total", "darkroom_prediction_duration_seconds_count"):
            labels = {"kind": kind, "state": "succeeded"}
            assert after.value(name, **labels) - before.value(name, **labels) == count


def test_inputs_are_those_of_train(trains: Server) -> None:
    response = train(trains, input={"steps": 9})
    assert response.status_code == 422
    assert [violation["msg"] for violation in response.json()["detail"]] == [
        "9 is greater than the maximum of 5",
        "Field required",
    ]
    unknown = train(trains, input={"data": DATA, "sterps": 2})
    assert 'unknown and were ignored: "sterps"' in unknown.headers["x-darkroom-warning"]


def test_a_training_under_an_id_is_told_after_its_end(trains: Server) -> None:
    assert train(trains, "/trainings/kept").json()["id"] == "kept"
    url = f"{trains.url}/trainings/kept"
    state = trains.client.get("/trainings/kept").json()
    assert (state["status"], state["output"]["steps"]) == ("succeeded", 2)
    assert state["urls"] == {"get": url, "cancel": f"{url}/cancel"}
    page = trains.client.get("/trainings?limit=1").json()
    assert page["results"][0]["urls"]["get"] == url
    assert "/trainings?" in page["next"]
    elsewhere = trains.client.get("/predictions/kept")
    reason = "'kept' is no prediction but a training: GET /trainings/kept"
    assert (elsewhere.status_code, elsewhere.json()) == (404, {"error": reason})
    assert trains.client.post("/predictions", json={"id": "other", "input": {"prompt": "a"}}).status_code == 200
    trainings, predictions = (trains.client.get(path).json()["results"] for path in ("/trainings", "/predictions"))
    assert "kept" in [one["id"] for one in trainings]
    assert "other" not in [one["id"] for one in trainings]
    assert [one["id"] for one in predictions] == ["other"]
    missing = trains.client.get("/trainings/nope")
    assert (missing.status_code, missing.json()) == (404, {"error": "There is no training with the id 'nope'."})


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_not_allowed(method: str, trains: Server) -> None:
    assert trains.client.request(method, "/trainings").status_code == 405


@pytest.mark.parametrize("path", ["/trainings", "/trainings/a"])
def test_trainings_are_not_streamed(path: str, trains: Server) -> None:
    method = "PUT" if path.count("/") > 1 else "POST"
    headers = {"Accept": "text/event-stream"}
    response = trains.client.request(method, path, json={"input": {}}, headers=headers)
    assert response.status_code == 406
    assert response.text == '{"error":"Training endpoints do not support streaming responses."}'


def test_an_id_that_contradicts_the_url(trains: Server) -> None:
    [violation] = train(trains, "/trainings/a", id="b").json()["detail"]
    assert violation["msg"] == "training ID must match the ID supplied in the URL"


@pytest.mark.parametrize(("content", "status"), [(b"{", 400), (b"[]", 422), (b'{"id": 1}', 422)])
def test_bodies_are_checked(content: bytes, status: int, trains: Server) -> None:
    headers = {"Content-Type": "application/json"}
    assert trains.client.post("/trainings", content=content, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/trainings", "/predictions"])
async def test_a_training_that_runs_is_one_under_either_name(path: str, trains: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    body = {"input": {"data": DATA, "go": str(go)}}
    headers = {"Prefer": "respond-async"}
    started = trains.client.put("/trainings/runs", json=body, headers=headers)
    assert (started.status_code, started.json()) == (202, {"id": "runs", "status": "starting"})
    await appears(Path(f"{go}.begun"))
    again = trains.client.put(f"{path}/runs", json={})
    assert again.status_code == 202
    assert (again.json()["status"], again.json()["input"]) == ("processing", body["input"])
    assert trains.health()["status"] == "BUSY"
    assert trains.client.post(f"{path}/runs/cancel").status_code == 200
    state = end(trains, "/trainings/runs")
    assert (state["status"], state["logs"]) == ("canceled", "learning from cats\n")
    assert trains.client.post(f"{path}/runs/cancel").status_code == 200


async def test_weights_are_uploaded(serve: Serve) -> None:
    async with running_peer(answering("201 Created")) as peer:
        server = serve(
            "train_weights", trainer="trainers.py:train_to_file", x_mode="train", upload_url=f"{peer.url}/weights"
        )
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            response = await client.post("/trainings", json={"input": {"data": "x"}})
        assert response.json()["output"] == f"{peer.url}/weights/weights.bin"


def test_a_server_that_trains_makes_no_predictions(trains: Server) -> None:
    response = trains.client.post("/predictions", json={"input": {"prompt": "a"}})
    assert response.status_code == 200
    assert response.json()["status"] == "failed"
    assert response.json()["error"] == (
        "The inputs do not fit train: body.input.data: Field required. "
        "This server runs every request as a training; start one with --x-mode predict instead."
    )
    too_long = trains.client.post("/predictions", json={"input": {"data": DATA}})
    assert too_long.status_code == 422


@pytest.mark.parametrize(
    ("input", "reason"),
    [
        ({"data": DATA}, "predict: body.input.data: "),
        ({"data": "http://a/b", "steps": 2}, "predict, which has no steps. "),
    ],
)
def test_a_server_that_predicts_makes_no_trainings(input: dict[str, Any], reason: str, predicts: Server) -> None:
    response = train(predicts, input=input)
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "failed"
    assert body["error"].startswith(f"The inputs do not fit {reason}")
    assert body["error"].endswith(
        "This server runs every request as a prediction; start one with --x-mode train instead."
    )


def test_a_training_whose_inputs_fit_is_a_prediction_and_said_to_be(predicts: Server) -> None:
    response = train(predicts, input={"data": "http://a/b"})
    assert response.json()["output"] == "predicted a from http://a/b"
    warning = "This is a prediction, as every request is made one: the server runs with --x-mode predict."
    assert response.headers["x-darkroom-warning"] == warning
    assert train(predicts, input={"steps": 9}).status_code == 422


def test_without_a_trainer_a_training_is_a_prediction(knows_no_training: Server) -> None:
    response = train(knows_no_training, input={"name": "you"})
    assert response.json()["output"] == "hello you"
    assert response.headers["x-darkroom-warning"].startswith("This is a prediction")
    assert "trainings_url" not in knows_no_training.client.get("/").json()
    assert "/trainings" not in knows_no_training.client.get("/openapi.json").json()["paths"]


def test_a_model_may_do_nothing_but_train(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("def train(data: str) -> str:\n    return data * 2\n")
    (tmp_path / "cog.yaml").write_text("train: train.py:train\n")
    server = serve(tmp_path, x_mode="train")
    assert train(server, input={"data": "a"}).json()["output"] == "aa"
    assert server.client.post("/predictions", json={"input": {}}).status_code == 422
    assert server.client.post("/predictions", json={"input": {"data": "b"}}).json()["output"] == "bb"
    schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
    assert "TrainingInput" in schemas
    assert "Input" not in schemas


def test_both_modes_describe_both(trains: Server, predicts: Server) -> None:
    document = predicts.client.get("/openapi.json").json()
    told = trains.client.get("/openapi.json").json()
    # All that differs is which of the two runs.
    assert told["info"].pop("x-darkroom-mode") == "train"
    assert told == document
    assert {"/predictions", "/trainings", "/trainings/{training_id}/cancel"} <= document["paths"].keys()
    for server in (trains, predicts):
        discovery = server.client.get("/").json()
        assert discovery["trainings_url"] == "/trainings"
        assert discovery["trainings_idempotent_url"] == "/trainings/{training_id}"
        assert discovery["trainings_cancel_url"] == "/trainings/{training_id}/cancel"
