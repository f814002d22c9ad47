from __future__ import annotations

import re

import pytest

from server.api.docs import SWAGGER_UI
from tests.conftest import Serve, Server


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


def test_openapi_describes_the_model(server: Server) -> None:
    response = server.client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert document["openapi"].startswith("3.")
    assert list(document["components"]["schemas"]["Input"]["properties"]) == ["text", "n", "f"]
    assert ": " not in response.text.partition('"description"')[0]


@pytest.mark.parametrize(
    ("predictor", "noun", "settings"),
    [
        ("take_everything", "prediction", {}),
        ("paint_over", "prediction", {}),
        ("train_weights", "training", {"trainer": "train_weights.py:train", "x_mode": "train"}),
    ],
)
def test_each_example_runs(serve: Serve, predictor: str, noun: str, settings: dict[str, str]) -> None:
    server = serve(predictor, **settings)
    operations = server.client.get("/openapi.json").json()["paths"]
    asked = {"post": f"/{noun}s", "put": f"/{noun}s/{{{noun}_id}}"}
    for verb, path in asked.items():
        [id_] = [each["example"] for each in operations[path][verb]["parameters"] if each["in"] == "path"] or [""]
        body = operations[path][verb]["requestBody"]["content"]["application/json"]["example"]
        response = server.client.request(verb, path.format(**{f"{noun}_id": id_}), json=body)
        assert (response.status_code, response.json()["status"]) == (200, "succeeded"), response.text
    assert server.client.get(f"/{noun}s/my-{noun}").json()["status"] == "succeeded"


def test_docs_need_no_other_host(server: Server) -> None:
    page = server.client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert not re.findall(r"https?://[^'\"]*", page.text)
    assert '"validatorUrl": null' in page.text
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "data:," in links
    for link in set(links) - {"data:,"}:
        asset = server.client.get(f"/{link}")
        assert asset.status_code == 200
        assert asset.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "application/javascript")


def test_the_licences_of_what_is_shipped_are_shipped(server: Server) -> None:
    names = {path.name for path in SWAGGER_UI.iterdir()}
    assert {"LICENSE.txt", "NOTICE.txt", "swagger-ui-bundle.js.LICENSE.txt"} < names
    assert server.client.get("/docs/LICENSE.txt").text.strip().startswith("Apache License")
