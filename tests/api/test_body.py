"""No body is answered with a 500, none ends the server, and each is answered with the status that Cog gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.bodies import Body, bodies
from tests.api.clients import connection_to
from tests.conftest import Serve, Server

COG_ANSWERS = json.loads((Path(__file__).parent / "cog_answers.json").read_text())
"""What Cog 0.23.1 answers, checked by `tests/compat/test_http_differential.py`: name -> status and media type."""

TOO_LARGE = b"Failed to buffer the request body: length limit exceeded"


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


@pytest.mark.parametrize("body", [pytest.param(body, id=body.name) for body in bodies()])
def test_every_body(server: Server, body: Body) -> None:
    response = server.client.post("/predictions", content=body.content, headers=body.headers)
    status, media_type = COG_ANSWERS[body.name]
    if body.differs:
        assert response.status_code == body.differs.status
    else:
        assert response.status_code == status
        assert response.headers["content-type"].split(";")[0] == media_type
    alive = server.predict(text="alive")
    assert (alive.status_code, alive.json()["output"]) == (200, "alive:1:0.0")


@pytest.mark.parametrize(
    "content",
    [
        b'{"input":{"text":"\\ud83d"}}',
        b'{"input":{"\\uDBFF":1}}',
        b'{"input":{"text":["a\\ud800"]}}',
        b'{"id":"a\\ud800"}',
        b'{"context":{"a":"\\ud83d"}}',
    ],
)
def test_half_a_surrogate_pair_is_named(server: Server, content: bytes) -> None:
    response = server.client.post("/predictions", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.text.endswith(" is half of a surrogate pair, and no text")


@pytest.mark.parametrize("id", ["a\0b", "x" * 201, "x" * 10_000])
def test_an_id_that_cog_does_not_survive(server: Server, id: str) -> None:
    response = server.client.post("/predictions", json={"id": id})
    assert response.status_code == 422
    (violation,) = response.json()["detail"]
    assert violation["loc"] == ["body", "id"]
    assert len(violation["msg"]) < 300


@pytest.mark.parametrize(
    ("content", "prefix"),
    [
        (b"{", "Failed to parse the request body as JSON: "),
        (b"[]", "Failed to deserialize the JSON body into the target type: "),
        (b'{"id":1}', "Failed to deserialize the JSON body into the target type: "),
    ],
)
def test_what_is_wrong_is_told_as_text(server: Server, content: bytes, prefix: str) -> None:
    response = server.client.post("/predictions", content=content, headers={"Content-Type": "application/json"})
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.startswith(prefix)
    assert len(response.text) > len(prefix) + 10


def test_a_body_in_pieces(server: Server) -> None:
    response = server.client.post(
        "/predictions",
        content=iter([b'{"input":{"te', b'xt":"in pieces"}}']),
        headers={"Content-Type": "application/json"},
    )
    assert response.json()["output"] == "in pieces:1:0.0"


def test_a_client_that_asks_before_it_sends(server: Server) -> None:
    headers = {"Content-Type": "application/json", "Expect": "100-continue"}
    assert server.client.post("/predictions", content=b"{}", headers=headers).status_code == 200


async def test_a_body_declared_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    async with connection_to(server.url) as connection:
        await connection.send(
            b"POST /predictions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000000000000\r\n\r\n"
        )
        assert await connection.response() == (413, TOO_LARGE)


def test_a_body_that_grows_too_large_is_refused(serve: Serve) -> None:
    server = serve("repeat_back", max_request_bytes=1000)
    headers = {"Content-Type": "application/json"}

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b" " * 100_000

    for content in (b" " * 1001, endless()):
        response = server.client.post("/predictions", content=content, headers=headers)
        assert (response.status_code, response.content) == (413, TOO_LARGE)
    accepted = server.client.post("/predictions", content=b"{}".ljust(1000), headers=headers)
    assert accepted.status_code == 200
