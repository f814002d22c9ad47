from __future__ import annotations

import pytest

from server.api.accept import quality
from tests.conftest import Serve, Server

DOCUMENT = (
    '{"cog_version":"0.23.1","docs_url":"/docs","healthcheck_url":"/health-check","openapi_url":"/openapi.json",'
    '"predictions_cancel_url":"/predictions/{prediction_id}/cancel",'
    '"predictions_idempotent_url":"/predictions/{prediction_id}","predictions_url":"/predictions",'
    '"shutdown_url":"/shutdown"}'
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "application/json, text/html", "text/plain"])
def test_programs_get_the_document_that_cog_gives(server: Server, accept: str) -> None:
    response = server.client.get("/", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == DOCUMENT


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "application/json;q=0.5, text/html"])
def test_people_get_a_page(server: Server, accept: str) -> None:
    response = server.client.get("/", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.content == server.client.get("/playground").content
    for path in ("docs", "openapi.json", "health-check"):
        assert f'href="{path}"' in response.text
        assert server.client.get(f"/{path}").status_code == 200
    assert "//" not in response.text.replace("http://HOST:PORT", "")


def test_caches_keep_the_two_apart(server: Server) -> None:
    assert server.client.get("/").headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/predictions", "GET,HEAD,POST"),
        ("OPTIONS", "/predictions", "GET,HEAD,POST"),
        ("DELETE", "/predictions/a", "GET,HEAD,PUT"),
        ("POST", "/predictions/a", "GET,HEAD,PUT"),
        ("GET", "/predictions/a/cancel", "POST"),
        ("PUT", "/predictions/a/cancel", "POST"),
        ("GET", "/shutdown", "POST"),
        ("POST", "/", "GET,HEAD"),
        ("OPTIONS", "/", "GET,HEAD"),
        ("POST", "/health-check", "GET,HEAD"),
        ("POST", "/openapi.json", "GET,HEAD"),
    ],
)
def test_another_method_is_405_and_empty(server: Server, method: str, path: str, allow: str) -> None:
    response = server.client.request(method, path)
    assert (response.status_code, response.content) == (405, b"")
    assert sorted(response.headers["allow"].replace(" ", "").split(",")) == allow.split(",")
    assert "content-type" not in response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("POST", "/nope"),
        ("GET", "/redoc"),
        ("GET", "/health-check/"),
        ("GET", "/openapi.json/"),
        ("POST", "/predictions/"),
        ("PUT", "/predictions/"),
        ("PUT", "/predictions/a/b"),
        ("POST", "/predictions/a/cancel/"),
        ("GET", "/docs/nope"),
        ("GET", "/docs/%2e%2e/docs.py"),
        ("GET", "/docs/..%2f..%2f..%2fpyproject.toml"),
        ("GET", "/docs/%00"),
    ],
)
def test_another_path_is_404_and_empty(server: Server, method: str, path: str) -> None:
    response = server.client.request(method, path)
    assert (response.status_code, response.content) == (404, b"")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", 0.0),
        ("text/html", 1.0),
        ("TEXT/HTML", 1.0),
        ("text/html;q=0.3", 0.3),
        ("text/html; q = 0.3", 0.3),
        ("*/*;q=0.8, text/html;q=0.2", 0.2),
        ("text/*;q=0.5, */*", 0.5),
        ("application/json, text/plain", 0.0),
        ("text/html;level=1;q=0.4", 0.4),
        ("text/html;q=nonsense", 0.0),
        ("text/html;q=nan", 0.0),
        ("text/html;q=5", 1.0),
        ("text/html;q=-1", 0.0),
        (",;,=;q", 0.0),
    ],
)
def test_quality(accept: str, expected: float) -> None:
    assert quality(accept, "text/html") == expected
