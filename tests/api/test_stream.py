from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.clients import client_of
from tests.conftest import Serve, Server

STREAM = {"Accept": "text/event-stream"}

START = 'event: start\ndata: {"id":"s1","status":"processing"}\n\n'
BEFORE = (
    'event: log\ndata: {"data":"first\\n","source":"stdout"}\n\n',
    'event: metric\ndata: {"mode":"replace","name":"temp","value":0.5}\n\n',
    'event: metric\ndata: {"mode":"increment","name":"count","value":1}\n\n',
    'event: output\ndata: {"chunk":"one","index":0}\n\n',
)
AFTER = (
    'event: metric\ndata: {"mode":"increment","name":"count","value":2}\n\n',
    'event: log\ndata: {"data":"last\\n","source":"stdout"}\n\n',
    'event: output\ndata: {"chunk":"two","index":1}\n\n',
)
COMPLETED = {
    "id": "s1",
    "logs": "first\nlast\n",
    "metrics": {"count": 3, "predict_time": 0, "temp": 0.5},
    "output": ["one", "two"],
    "status": "succeeded",
}
CANCELED = {
    "id": "s1",
    "logs": "first\n",
    "metrics": {"count": 1, "predict_time": 0, "temp": 0.5},
    "output": ["one"],
    "status": "canceled",
}


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    return serve_module("stream_on_file")


async def events(response: httpx.Response) -> AsyncIterator[str]:
    rest = ""
    async for text in response.aiter_text():
        *complete, rest = (rest + text).split("\n\n")
        for event in complete:
            yield re.sub(r'"predict_time":[0-9.e-]+', '"predict_time":0', event) + "\n\n"
    assert rest == ""


def completed(event: str) -> dict[str, Any]:
    prefix = "event: completed\ndata: "
    assert event.startswith(prefix)
    state: dict[str, Any] = json.loads(event.removeprefix(prefix))
    return state


async def upto(name: str, stream: AsyncIterator[str]) -> None:
    async for event in stream:
        if event.startswith(f"event: {name}\n"):
            return


async def test_everything_in_order(server: Server) -> None:
    async with (
        client_of(server.url) as client,
        client.stream("POST", "/predictions", json={"id": "s1"}, headers=STREAM) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        told = [event async for event in events(response)]
    assert told[0] == START
    assert completed(told[-1]) == COMPLETED
    # Where the model writes and where it records are two channels.
    assert sorted(told[1:-1]) == sorted([*BEFORE, *AFTER])
    assert [event for event in told if "output" in event.partition("\n")[0]] == [BEFORE[3], AFTER[2]]


async def test_who_comes_later_reads_from_the_first(server: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    body = {"input": {"go": str(go)}}
    async with client_of(server.url) as client:
        await client.put("/predictions/s1", json=body, headers={"Prefer": "respond-async"})
        async with client.stream("PUT", "/predictions/s1", json=body, headers=STREAM) as first:
            await upto("output", events(first))
        # Reading along is no reason for a prediction to end with the reader.
        async with client.stream("PUT", "/predictions/s1", json=body, headers=STREAM) as second:
            stream = events(second)
            assert await anext(stream) == START
            await upto("output", stream)
            go.touch()
            assert completed([event async for event in stream][-1]) == COMPLETED


async def test_the_last_reader_of_a_prediction_made_for_readers_ends_it(server: Server, tmp_path: Path) -> None:
    body = {"input": {"go": str(tmp_path / "never")}}
    async with client_of(server.url) as client:
        async with client.stream("PUT", "/predictions/s1", json=body, headers=STREAM) as first:
            await upto("output", events(first))
            async with client.stream("PUT", "/predictions/s1", json=body, headers=STREAM) as second:
                stream = events(second)
                await upto("output", stream)
                await first.aclose()
                assert (await client.put("/predictions/s1", json=body)).json()["status"] == "processing"
        server.wait_for_health("READY")


async def test_one_that_was_to_run_on_outlives_its_readers(server: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    body = {"id": "s1", "input": {"go": str(go)}}
    async with client_of(server.url) as client:
        headers = {**STREAM, "Prefer": "respond-async"}
        async with client.stream("POST", "/predictions", json=body, headers=headers) as response:
            assert response.status_code == 200
            await upto("output", events(response))
        # Another that leaves changes nothing either.
        async with client.stream("PUT", "/predictions/s1", json=body, headers=STREAM) as response:
            await upto("output", events(response))
        async with client.stream("PUT", "/predictions/s1", json=body, headers=STREAM) as response:
            stream = events(response)
            await upto("output", stream)
            go.touch()
            assert completed([event async for event in stream][-1]) == COMPLETED
        assert (await client.get("/predictions/s1")).json()["output"] == ["one", "two"]


async def test_a_canceled_stream_ends(server: Server, tmp_path: Path) -> None:
    async with client_of(server.url) as client:
        body = {"id": "s1", "input": {"go": str(tmp_path / "never")}}
        async with client.stream("POST", "/predictions", json=body, headers=STREAM) as response:
            stream = events(response)
            await upto("output", stream)
            await client.post("/predictions/s1/cancel")
            assert completed([event async for event in stream][-1]) == CANCELED


@pytest.mark.parametrize("accept", ["*/*", "text/*", "application/json", "text/event-stream;q=0"])
def test_what_does_not_name_the_type_is_answered_in_json(server: Server, accept: str) -> None:
    response = server.client.post("/predictions", json={}, headers={"Accept": accept})
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "accept", ["text/event-stream; charset=utf-8", "application/json, text/event-stream", "TEXT/EVENT-STREAM"]
)
def test_what_names_it_beside_others_is_streamed(server: Server, accept: str) -> None:
    headers = {"Accept": accept, "Prefer": "respond-async"}
    response = server.client.post("/predictions", json={}, headers=headers)
    assert response.headers["content-type"] == "text/event-stream"


def test_an_error_is_no_stream(server: Server) -> None:
    response = server.client.post("/predictions", json={"input": {"go": 1}}, headers=STREAM)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/json"


def test_a_warning_is_in_the_headers(server: Server) -> None:
    response = server.client.post("/predictions", json={"input": {"typo": 1}}, headers=STREAM)
    assert '"typo"' in response.headers["x-darkroom-warning"]


async def test_readers_that_leave_at_any_moment_leave_nothing_behind(server: Server, tmp_path: Path) -> None:
    body = {"input": {"go": str(tmp_path / "never")}}
    async with client_of(server.url) as client:
        for number in range(20):
            request = asyncio.create_task(client.post("/predictions", json=body, headers=STREAM))
            await asyncio.sleep(number / 1000)
            request.cancel()
            await asyncio.wait([request])
        server.wait_for_health("READY")
        assert (await client.post("/predictions", json={})).json()["output"] == ["one", "two"]


def test_told_to_the_server_refuses_as_cog_does_what_is_not_marked(serve: Serve) -> None:
    # The body is Cog's, and it comes before the input is looked at.
    refusal = (
        '{"error":"This model does not support streaming responses. Add @cog.streaming to predict() to enable SSE."}'
    )
    server = serve("repeat_back", stream_any=False)
    for method, path in (("POST", "/predictions"), ("PUT", "/predictions/a")):
        response = server.client.request(method, path, json={"input": 1}, headers=STREAM)
        assert (response.status_code, response.text) == (406, refusal)
    assert server.predict(text="a").json()["output"] == "a:1:0.0"


def test_what_is_marked_is_streamed_even_so(serve: Serve) -> None:
    server = serve("stream_on_file", stream_any=False)
    response = server.client.post("/predictions", json={"id": "s1"}, headers=STREAM)
    assert response.status_code == 200
    assert response.text.startswith(START)


def test_without_a_history_who_comes_late_reads_what_follows(serve: Serve, tmp_path: Path) -> None:
    server = serve("stream_on_file", stream_history=0)
    go = tmp_path / "go"
    server.client.put("/predictions/s1", json={"input": {"go": str(go)}}, headers={"Prefer": "respond-async"})
    while not server.client.put("/predictions/s1", json={}).json().get("output"):
        continue
    with server.client.stream("PUT", "/predictions/s1", json={}, headers=STREAM) as response:
        go.touch()
        text = response.read().decode()
    assert text.startswith(AFTER[0])
    assert "event: completed" in text
