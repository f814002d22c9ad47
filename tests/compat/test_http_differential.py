"""Cog and Darkroom, side by side: the same requests to both, and the same answers back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.bodies import Body, bodies
from tests.api.test_body import COG_ANSWERS
from tests.compat.real_cog import ask_cog, running_cog
from tests.conftest import Serve, Server


@pytest.fixture(scope="module")
def darkroom(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


@pytest.fixture(scope="module")
def cog(darkroom: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    document = darkroom.client.get("/openapi.json").json()
    with running_cog("repeat_back", document, tmp_path_factory.mktemp("cog")) as client:
        yield client


def masked(response: httpx.Response) -> tuple[int, str | None, Any]:
    """What must be equal: all but what is random, and how a parser words its complaint."""
    media_type = response.headers.get("content-type")
    if media_type == "application/json":
        text = re.sub(r'"predict_time":[0-9.e-]+', '"predict_time":0', response.text)
        return response.status_code, media_type, re.sub(r'"pred_[0-9a-f]+"', '"pred_"', text)
    return response.status_code, media_type, response.text.partition(": ")[0]


@pytest.mark.parametrize("body", [pytest.param(body, id=body.name) for body in bodies()])
def test_every_body(darkroom: Server, cog: httpx.Client, body: Body) -> None:
    theirs = ask_cog(cog, "POST", "/predictions", content=body.content, headers=body.headers)
    assert [theirs.status_code, theirs.headers["content-type"].split(";")[0]] == COG_ANSWERS[body.name]
    ours = darkroom.client.post("/predictions", content=body.content, headers=body.headers)
    if body.differs:
        assert (ours.status_code, theirs.status_code) == (body.differs.status, COG_ANSWERS[body.name][0])
        assert ours.status_code != theirs.status_code
    else:
        assert masked(ours) == masked(theirs)


POLLING = {"/predictions", "/predictions/a", "/predictions/a?query=1", "/trainings", "/trainings/a"}
"""Where predictions can be asked for; in Cog they cannot."""


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?query=1",
        "/nope",
        "/health-check/",
        "/openapi.json/",
        "/predictions",
        "/predictions/",
        "/predictions/a",
        "/predictions/a?query=1",
        "/predictions/a/",
        "/predictions/a/b",
        "/predictions/a/cancel",
        "/predictions/a/cancel/",
        "/trainings",
        "/trainings/",
        "/trainings/a",
        "/trainings/a/cancel",
        "/trainings/nope/nope/nope",
    ],
)
def test_every_path_and_method(darkroom: Server, cog: httpx.Client, method: str, path: str) -> None:
    theirs = ask_cog(cog, method, path)
    ours = darkroom.client.request(method, path)
    if method == "GET" and path in POLLING:
        assert theirs.status_code == 405
        assert ours.status_code in (200, 404)
        return
    assert masked(ours) == masked(theirs)
    polling = {"GET", "HEAD"} if path in POLLING and ours.status_code == 405 else set()
    assert allowed(ours) == allowed(theirs) | polling


def allowed(response: httpx.Response) -> set[str]:
    return set(response.headers.get("allow", "").replace(" ", "").split(","))


@pytest.mark.parametrize("prefer", ["respond-async", "Respond-Async", "wait=5, respond-async", "wait"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_preferences(darkroom: Server, cog: httpx.Client, prefer: str, method: str) -> None:
    id = "-".join([method, *re.findall(r"\w+", prefer)])
    path = f"/predictions/{id}" if method == "PUT" else "/predictions"
    for body in ({"id": id, "input": {"n": 99}}, {"id": id}):
        theirs = ask_cog(cog, method, path, json=body, headers={"Prefer": prefer})
        ours = darkroom.client.request(method, path, json=body, headers={"Prefer": prefer})
        assert masked(ours) == masked(theirs)


def test_streams(serve: Serve, tmp_path: Path) -> None:
    darkroom = serve("stream_on_file")
    document = darkroom.client.get("/openapi.json").json()
    headers = {"Accept": "text/event-stream"}
    with running_cog("stream_on_file", document, tmp_path) as cog:
        for body in ({"id": "s"}, {"id": "s", "input": {"typo": 1}}, {"id": "s", "input": {"go": 1}}, {"id": 1}):
            theirs = ask_cog(cog, "POST", "/predictions", json=body, headers=headers)
            ours = darkroom.client.post("/predictions", json=body, headers=headers)
            assert ours.status_code == theirs.status_code
            assert ours.headers["content-type"] == theirs.headers["content-type"]
            if ours.status_code == 200:
                assert ours.headers["cache-control"] == theirs.headers["cache-control"]
                assert told(ours) == told(theirs)
            else:
                assert masked(ours) == masked(theirs)


def told(stream: httpx.Response) -> tuple[str, list[str], Any]:
    """The first event, those between in alphabetical order (logs and metrics are told apart), and the last one."""
    first, *between, last, end = stream.text.split("\n\n")
    assert end == ""
    state = json.loads(last.removeprefix("event: completed\ndata: "))
    assert state["metrics"].pop("predict_time") >= 0
    return first, sorted(between), state


def test_health_has_the_same_keys(darkroom: Server, cog: httpx.Client) -> None:
    ours, theirs = darkroom.health(), ask_cog(cog, "GET", "/health-check").json()
    assert ours.keys() == theirs.keys()
    assert ours["setup"].keys() == theirs["setup"].keys()
    assert ours["version"].keys() >= {"coglet", "python", "python_sdk"}
    assert ours["version"]["python_sdk"] == theirs["version"]["python_sdk"]


def test_the_document_is_the_one_that_cog_was_given(darkroom: Server, cog: httpx.Client) -> None:
    assert json.loads(darkroom.client.get("/openapi.json").text) == ask_cog(cog, "GET", "/openapi.json").json()
