"""The part of Replicate's API that is served, asked by Replicate's own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput

from tests.conftest import Serve, Server


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module("paint_over")


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    client = Client(api_token="none", base_url=server.url)
    yield client
    client._client.close()


@pytest.mark.parametrize("model", ["darkroom/model", "someone/something:abc"])
def test_run_gives_files(client: Client, model: str) -> None:
    if ":" in model:
        # It asks for the version's schema, which this server does not have.
        output = client.predictions.create(version=model.partition(":")[2], input={"prompt": "a hat"}, wait=True).output
        assert output
        assert output[0].startswith("data:image/png;base64,")
        return
    [file] = client.run(model, input={"prompt": "a hat"})
    assert isinstance(file, FileOutput)
    assert file.read().startswith(b"\x89PNG")


def test_a_failure_is_told(client: Client) -> None:
    with pytest.raises(ModelError, match="the paint is out") as failure:
        client.run("darkroom/model", input={"prompt": "a hat", "fail": True})
    assert failure.value.prediction.logs == "Painting a hat\n"


def test_what_is_refused_is_told(client: Client) -> None:
    with pytest.raises(ReplicateError) as refusal:
        client.run("darkroom/model", input={"prompt": "a hat", "seed": -1})
    assert refusal.value.status == 422
    assert "seed" in (refusal.value.detail or "")


def test_what_only_replicate_has_in_a_body_is_no_cause_for_a_warning(server: Server) -> None:
    body = {"input": {"prompt": "a hat"}, "version": "any", "stream": True}
    assert "x-darkroom-warning" not in server.client.post("/v1/predictions", json=body).headers
    answer = server.client.post("/v1/predictions", json={**body, "webhooks": []})
    assert 'ignored: "webhooks".' in answer.headers["x-darkroom-warning"]


def test_one_that_does_not_wait_polls_and_cancels(client: Client) -> None:
    prediction = client.predictions.create(version="any", input={"prompt": "a hat", "wait": True}, wait=False)
    assert (prediction.status, prediction.output) == ("starting", None)
    assert prediction.urls is not None
    assert prediction.urls["get"].endswith(f"/v1/predictions/{prediction.id}")
    prediction.cancel()
    prediction.wait()
    assert prediction.status == "canceled"


def test_when_the_wait_is_over_it_is_still_starting(server: Server) -> None:
    body = {"input": {"prompt": "a hat", "wait": True}}
    answer = server.client.post("/v1/predictions", json=body, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"], answer.json()["output"]) == (201, "starting", None)
    assert server.client.post(f"/v1/predictions/{answer.json()['id']}/cancel").status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/predictions/nope"), ("POST", "/v1/predictions/nope/cancel")])
def test_an_unknown_prediction(server: Server, method: str, path: str) -> None:
    answer = server.client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (404, 404)
    assert "'nope'" in answer.json()["detail"]


def test_what_its_client_asks_for_and_is_not_here_is_told(client: Client, tmp_path: Path) -> None:
    (tmp_path / "hat.png").write_bytes(b"a hat")
    with (tmp_path / "hat.png").open("rb") as file, pytest.raises(ReplicateError) as refusal:
        client.run("darkroom/model", input={"prompt": "a hat", "image": file})
    assert 'file_encoding_strategy="base64"' in (refusal.value.detail or "")
    with pytest.raises(ReplicateError) as refusal:
        client.run("darkroom/model:abc", input={"prompt": "a hat"})
    assert "Leave the version out" in (refusal.value.detail or "")


def test_files_are_inputs(client: Client, tmp_path: Path) -> None:
    [first] = client.run("darkroom/model", input={"prompt": "a hat"})
    (tmp_path / "first.png").write_bytes(first.read())
    with (tmp_path / "first.png").open("rb") as file:
        [second] = client.run(
            "darkroom/model", input={"prompt": "a hat", "image": file}, file_encoding_strategy="base64"
        )
    assert second.read() == first.read()
