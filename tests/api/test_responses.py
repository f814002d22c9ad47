from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect

from server.api.responses import install_error_responses, json_response
from server.errors import (
    AtCapacity,
    BodyTooLarge,
    InvalidRequest,
    MalformedBody,
    NotReady,
    PredictionExists,
    QueueFull,
    ShuttingDown,
    UnexpectedBody,
    UnsupportedContentType,
    Violation,
)


async def answer(error: Exception) -> httpx.Response:
    app = FastAPI()
    install_error_responses(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get("/")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (MalformedBody("a {brace}"), 400, "Failed to parse the request body as JSON: a {brace}"),
        (AtCapacity("busy"), 409, '{"error":"busy","status":"failed"}'),
        (PredictionExists("there"), 409, '{"error":"there","status":"failed"}'),
        (BodyTooLarge("big"), 413, "Failed to buffer the request body: length limit exceeded"),
        (UnsupportedContentType("xml"), 415, "Expected request with `Content-Type: application/json`"),
        (UnexpectedBody("odd"), 422, "Failed to deserialize the JSON body into the target type: odd"),
        (
            InvalidRequest([Violation(("body", "input", "n"), "é"), Violation(("a",), "b", "value_error.missing")]),
            422,
            (
                '{"detail":[{"loc":["body","input","n"],"msg":"é","type":"value_error"},'
                '{"loc":["a"],"msg":"b","type":"value_error.missing"}]}'
            ),
        ),
        (NotReady("not yet"), 503, '{"error":"not yet","status":"failed"}'),
        (ShuttingDown("no more"), 503, '{"error":"no more","status":"failed"}'),
    ],
)
async def test_every_error_has_its_answer(error: Exception, status: int, text: str) -> None:
    response = await answer(error)
    assert (response.status_code, response.text) == (status, text)
    media_type = "application/json" if text.startswith("{") else "text/plain; charset=utf-8"
    assert response.headers["content-type"] == media_type


async def test_a_full_queue_says_when_to_come_back() -> None:
    response = await answer(QueueFull(7, retry_after=3))
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")


async def test_who_has_left_is_no_error() -> None:
    assert (await answer(ClientDisconnect())).status_code == 499


async def test_an_error_of_our_own_is_told_without_its_details() -> None:
    response = await answer(ZeroDivisionError("a secret"))
    assert response.status_code == 500
    assert response.text == '{"error":"Internal server error; the server\'s log says why.","status":"failed"}'


def test_json_has_no_spaces_and_its_keys_in_order() -> None:
    assert (
        json_response({"b": [1, {"z": None, "a": "é"}], "a": True}).body
        == '{"a":true,"b":[1,{"z":null,"a":"é"}]}'.encode()
    )


def test_half_a_surrogate_pair_can_be_told() -> None:
    response = json_response({"b": ["\ud800"], "a": "é"})
    assert response.body == b'{"a":"\\u00e9","b":["\\ud800"]}'
