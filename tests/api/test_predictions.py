from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.clients import appears, client_of, connection_to, post
from tests.conftest import Serve, Server
from tests.service.peer import Request, answering, running_peer

AT_CAPACITY = b'{"error":"At capacity - all prediction slots busy","status":"failed"}'
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def repeat(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


@pytest.fixture(scope="module")
def waiting(serve_module: Serve) -> Server:
    return serve_module("wait_for_file", queue_size=3)


@pytest.fixture(autouse=True)
def _nothing_is_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "waiting" in request.fixturenames:
        server: Server = request.getfixturevalue("waiting")
        server.wait_for_health("READY")


def masked(response: httpx.Response) -> str:
    return re.sub(r'"predict_time":[0-9.e-]+', '"predict_time":0', response.text)


# Creating


def test_success(repeat: Server) -> None:
    response = repeat.client.post("/predictions", json={"id": "my-id", "input": {"text": "a", "n": 2}})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert masked(response) == (
        '{"id":"my-id","logs":"","metrics":{"predict_time":0},"output":"a:2:0.0","status":"succeeded"}'
    )


def test_an_id_is_made_up_where_none_is_given(repeat: Server) -> None:
    ids = {repeat.predict().json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"pred_[0-9a-f]+", id) for id in ids)


def test_a_prediction_that_fails_is_answered_with_200(serve: Serve) -> None:
    response = serve("raise_error").predict(message="bad thing")
    assert response.status_code == 200
    assert response.json().keys() == {"error", "id", "logs", "metrics", "status"}
    assert response.json()["status"] == "failed"
    assert response.json()["error"] == "Prediction failed: Prediction failed: ValueError: bad thing"
    assert response.json()["logs"] == ""


def test_unknown_inputs_are_dropped_with_a_warning(repeat: Server) -> None:
    response = repeat.predict(text="a", typo=1, other=2)
    assert response.json()["output"] == "a:1:0.0"
    warning = response.headers["x-darkroom-warning"]
    assert warning == 'These inputs are unknown and were ignored: "typo", "other". The model has: "text", "n", "f".'
    assert any("Parts of a request are ignored" in line and "['inputs']" in line for line in repeat.lines)


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: b=c", "é\u2028\x1b[31m", '"', "x" * 100_000, ""])
def test_the_name_of_an_unknown_input_cannot_break_out_of_the_warning(repeat: Server, name: str) -> None:
    response = repeat.predict(**{name: 1})
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    warning = response.headers["x-darkroom-warning"]
    assert re.fullmatch(r"[ -~]{1,500}", warning)


def test_unknown_keys_of_the_body_are_named(repeat: Server) -> None:
    body = {"input": {"text": "a"}, "webhook_event_filter": ["start"], "text": "b", "unknown": 1}
    response = repeat.client.post("/predictions", json=body)
    assert response.json()["status"] == "succeeded"
    assert response.headers["x-darkroom-warning"] == (
        'These keys of the body are unknown and were ignored: "webhook_event_filter", "text", "unknown". '
        'There are: "id", "input", "context", "webhook", "webhook_events_filter". Inputs belong into "input".'
    )


def test_many_unknown_inputs_make_a_short_warning(repeat: Server) -> None:
    response = repeat.predict(**{f"{number:0100}": 1 for number in range(10_000)})
    assert "and 9980 more" in response.headers["x-darkroom-warning"]
    assert len(response.headers["x-darkroom-warning"]) < 2000


def test_an_unusable_webhook_is_left_out_with_a_warning(repeat: Server) -> None:
    response = repeat.client.post("/predictions", json={"webhook": "ftp://a/\r\nb"})
    assert response.status_code == 200
    assert response.headers["x-darkroom-warning"].startswith(r'The webhook is ignored: "ftp://a/\r\nb" is not')


def test_no_warning_without_a_reason(repeat: Server) -> None:
    assert "x-darkroom-warning" not in repeat.predict(text="a").headers


async def test_webhooks(repeat: Server) -> None:
    async with running_peer(answering()) as peer, client_of(repeat.url) as client:
        body = {"id": "w1", "webhook": peer.url, "webhook_events_filter": ["completed", "start"]}
        await client.post("/predictions", json=body, headers={"traceparent": "00-a-b-01"})
        start, completed = await peer.wait_for(2)
    assert json.loads(start.body) == {"id": "w1", "logs": "", "metrics": {}, "status": "processing"}
    assert json.loads(completed.body)["output"] == "x:1:0.0"
    assert completed.headers["traceparent"] == "00-a-b-01"


# Asynchronous


def test_respond_async(repeat: Server) -> None:
    response = repeat.client.post("/predictions", json={"id": "a1"}, headers=ASYNC)
    assert response.status_code == 202
    assert response.text == '{"id":"a1","status":"starting"}'


@pytest.mark.parametrize("prefer", ["Respond-Async", "wait=5, respond-async", "respond-async, wait=5", "wait", ""])
def test_any_other_preference_waits(repeat: Server, prefer: str) -> None:
    response = repeat.client.post("/predictions", json={}, headers={"Prefer": prefer})
    assert response.status_code == 200


def test_an_asynchronous_prediction_outlives_its_connection(waiting: Server, tmp_path: Path) -> None:
    with httpx.Client(base_url=waiting.url, trust_env=False) as client:
        client.post("/predictions", json={"input": {"folder": str(tmp_path), "name": "a"}}, headers=ASYNC)
    while not (tmp_path / "a.started").exists():
        assert waiting.health()["status"] in ("BUSY", "READY")
    (tmp_path / "a.go").touch()
    waiting.wait_for_health("READY")
    assert not (tmp_path / "a.stopped").exists()


# PUT


async def test_put_runs_once_and_tells_how_far_it_is(serve: Serve, tmp_path: Path) -> None:
    server = serve("yield_on_file")
    go = tmp_path / "go"
    body = {"id": "r1", "input": {"go": str(go)}}
    async with client_of(server.url) as client:
        first = asyncio.create_task(client.put("/predictions/r1", json=body))
        while (
            not (again := await client.put("/predictions/r1", json={"input": {"n": "not looked at"}}))
            .json()
            .get("output")
        ):
            pass
        assert again.status_code == 202
        assert again.text == (
            f'{{"id":"r1","input":{{"go":{json.dumps(str(go))}}},"logs":"","metrics":{{"pieces":3}},'
            '"output":["one","two"],"status":"processing"}'
        )
        asynchronous = await client.put("/predictions/r1", json=body, headers=ASYNC)
        assert (asynchronous.status_code, asynchronous.json()["status"]) == (202, "processing")
        go.touch()
        assert (await first).json()["output"] == ["one", "two", "three"]
        # What has ended is forgotten, and the same request runs again.
        assert (await client.put("/predictions/r1", json=body)).json()["output"] == ["one", "two", "three"]


async def test_put_on_a_prediction_that_runs_tells_no_secret(serve: Serve) -> None:
    server = serve("take_everything")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
        told = {"z_required": "a", "required": 1, "image": image}
        body = {"input": {**told, "token": "s3cret"}}
        async with client_of(server.url) as client:
            assert (await client.put("/predictions/p", json=body, headers=ASYNC)).status_code == 202
            again = await client.put("/predictions/p", json=body)
            assert (again.status_code, again.json()["input"]) == (202, told)
            assert (await client.post("/predictions/p/cancel")).status_code == 200


async def test_put_on_a_prediction_that_waits_does_not_queue_it_twice(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        first = asyncio.create_task(client.post("/predictions", json=job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        await client.put("/predictions/b", json=job(tmp_path, "b"), headers=ASYNC)
        again = await client.put("/predictions/b", json=job(tmp_path, "b"))
        assert again.status_code == 202
        assert again.json() == {
            "id": "b",
            "input": {"folder": str(tmp_path), "name": "b"},
            "logs": "",
            "metrics": {},
            "status": "starting",
        }
        (tmp_path / "a.go").touch()
        (tmp_path / "b.go").touch()
        await first
        await appears(tmp_path / "b.started")


def test_put_with_another_id_in_the_body(repeat: Server) -> None:
    response = repeat.client.put("/predictions/a", json={"id": "b", "input": {"n": 99}})
    assert response.status_code == 422
    assert response.text == (
        '{"detail":[{"loc":["body","id"],"msg":"prediction ID must match the ID supplied in the URL",'
        '"type":"value_error"}]}'
    )


@pytest.mark.parametrize("id", [None, "a"])
def test_put_with_the_same_or_no_id_in_the_body(repeat: Server, id: str | None) -> None:
    assert repeat.client.put("/predictions/a", json={"id": id}).json()["id"] == "a"


@pytest.mark.parametrize("id", ["%20", "%C3%A9", "%FF", "a%0a", "a%00b", "%2e%2e%5c", "x" * 10_000, "a%25"])
def test_put_with_an_id_that_is_not_safe(repeat: Server, id: str) -> None:
    response = repeat.client.put(f"/predictions/{id}", json={})
    assert response.status_code == 404
    error = response.json()["error"]
    assert "must be 1 to 200 of the characters" in error
    assert len(error) < 300


@pytest.mark.parametrize("path", ["/predictions/a%2Fb", "/predictions/..%2Fhealth-check", "/predictions/a/b"])
def test_put_with_a_slash_in_the_id_is_no_path(repeat: Server, path: str) -> None:
    assert repeat.client.put(path, json={}).status_code == 404


# Cancelling


async def test_cancel_of_a_running_prediction(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        running = asyncio.create_task(client.post("/predictions", json={"id": "c1", **job(tmp_path, "a")}))
        await appears(tmp_path / "a.started")
        cancel = await client.post("/predictions/c1/cancel")
        assert (cancel.status_code, cancel.text) == (200, "{}")
        response = await running
        assert response.status_code == 200
        assert masked(response) == '{"id":"c1","logs":"","metrics":{"predict_time":0},"status":"canceled"}'
        assert (tmp_path / "a.stopped").read_text() == "CancelationException"
        again = await client.post("/predictions/c1/cancel")
        assert (again.status_code, again.text) == (200, "{}")


async def test_cancels_in_quick_succession_are_all_heeded(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        running = asyncio.create_task(client.put("/predictions/c3", json=job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        cancels = [await client.post("/predictions/c3/cancel") for _ in range(20)]
        assert {cancel.status_code for cancel in cancels} == {200}
        assert (await running).json()["status"] == "canceled"


async def test_a_cancel_of_an_id_that_was_canceled_and_used_again(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        running = asyncio.create_task(client.put("/predictions/c4", json=job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        await client.post("/predictions/c4/cancel")
        await running
        (tmp_path / "a.go").touch()
        assert (await client.put("/predictions/c4", json=job(tmp_path, "a"))).json()["output"] == "a"
        assert (await client.post("/predictions/c4/cancel")).status_code == 404


async def test_cancel_of_a_waiting_prediction_answers_it_at_once(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        running = asyncio.create_task(client.post("/predictions", json=job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        await client.put("/predictions/c2", json=job(tmp_path, "b"), headers=ASYNC)
        assert (await client.post("/predictions/c2/cancel")).status_code == 200
        while (await client.get("/predictions/c2")).json()["status"] != "canceled":
            pass
        (tmp_path / "a.go").touch()
        assert (await running).json()["output"] == "a"
        assert not (tmp_path / "b.started").exists()


@pytest.mark.parametrize("id", ["nope", "%FF", "%00", "x" * 10_000, ".."])
def test_cancel_of_what_does_not_run(repeat: Server, id: str) -> None:
    # As raw bytes, because a client resolves dots.
    response = repeat.client.send(
        repeat.client.build_request("POST", repeat.url, extensions={"target": f"/predictions/{id}/cancel".encode()})
    )
    assert (response.status_code, response.text) == (404, "{}")


async def test_cancel_at_any_moment_is_not_lost(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        for number in range(30):
            id = f"moment-{number}"
            running = asyncio.create_task(client.put(f"/predictions/{id}", json=job(tmp_path, id)))
            while (await client.post(f"/predictions/{id}/cancel")).status_code == 404:
                pass
            assert (await running).json()["status"] == "canceled"


# The queue


async def test_the_queue_is_first_in_first_out(waiting: Server, tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    async with client_of(waiting.url) as client:
        for name in names:
            response = await client.put(f"/predictions/{name}", json=job(tmp_path, name), headers=ASYNC)
            assert response.status_code == 202
        for number, name in enumerate(names):
            await appears(tmp_path / f"{name}.started")
            assert not [later for later in names[number + 1 :] if (tmp_path / f"{later}.started").exists()]
            (tmp_path / f"{name}.go").touch()


async def test_a_full_queue_answers_429(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        for name in "abcd":
            await client.put(f"/predictions/{name}", json=job(tmp_path, name), headers=ASYNC)
        refused = await client.post("/predictions", json=job(tmp_path, "e"))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["status"] == "failed"
        assert refused.json()["error"].startswith("The queue is full: 3 predictions are waiting.")
        # Input is looked at first.
        assert (await client.post("/predictions", json={"input": {}})).status_code == 422
        for name in "dcba":
            await client.post(f"/predictions/{name}/cancel")


async def test_without_a_queue_a_busy_server_answers_409_as_cog_does(serve: Serve, tmp_path: Path) -> None:
    server = serve("wait_for_file", queue_size=0)
    async with client_of(server.url) as client:
        running = asyncio.create_task(client.post("/predictions", json=job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        assert (await client.get("/health-check")).json()["status"] == "BUSY"
        for headers in ({}, ASYNC):
            refused = await client.post("/predictions", json=job(tmp_path, "b"), headers=headers)
            assert (refused.status_code, refused.content) == (409, AT_CAPACITY)
        assert (await client.post("/predictions", json={"input": {}})).status_code == 422
        (tmp_path / "a.go").touch()
        await running
        # The slot is free before the answer is sent.
        for number in range(50):
            (tmp_path / f"{number}.go").touch()
            assert (await client.post("/predictions", json=job(tmp_path, str(number)))).status_code == 200


async def test_a_running_id_cannot_be_posted_again(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        running = asyncio.create_task(client.post("/predictions", json={"id": "twice", **job(tmp_path, "a")}))
        await appears(tmp_path / "a.started")
        refused = await client.post("/predictions", json={"id": "twice", **job(tmp_path, "b")})
        assert refused.status_code == 409
        assert refused.json()["error"].startswith("A prediction with the id 'twice' has not ended yet.")
        (tmp_path / "a.go").touch()
        assert (await running).json()["output"] == "a"


async def test_as_many_run_at_once_as_the_model_says(serve: Serve, tmp_path: Path) -> None:
    server = serve("wait_for_file_together")
    async with client_of(server.url) as client:
        running = [asyncio.create_task(client.post("/predictions", json=job(tmp_path, name))) for name in "ab"]
        for name in "ab":
            await appears(tmp_path / f"{name}.started")
        assert (await client.get("/health-check")).json()["status"] == "BUSY"
        (tmp_path / "b.go").touch()
        assert (await running[1]).json()["output"] == "b"
        assert (await client.get("/health-check")).json()["status"] == "READY"
        (tmp_path / "a.go").touch()
        assert (await running[0]).json()["output"] == "a"


# A client that leaves


async def test_a_client_that_leaves_stops_its_prediction(waiting: Server, tmp_path: Path) -> None:
    async with connection_to(waiting.url) as connection:
        await connection.send(post("/predictions", job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        connection.writer.close()
        assert await appears(tmp_path / "a.stopped") == "CancelationException"


async def test_a_client_that_is_killed_stops_its_prediction(waiting: Server, tmp_path: Path) -> None:
    async with connection_to(waiting.url) as connection:
        await connection.send(post("/predictions", job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        connection.reset()
        await appears(tmp_path / "a.stopped")


async def test_a_client_that_leaves_the_queue_gives_up_its_place(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client, connection_to(waiting.url) as connection:
        running = asyncio.create_task(client.post("/predictions", json=job(tmp_path, "a")))
        await appears(tmp_path / "a.started")
        await connection.send(post("/predictions", {"id": "left", **job(tmp_path, "b")}))
        while (await client.put("/predictions/left", json={"input": 1})).status_code != 202:
            pass
        connection.reset()
        while (await client.put("/predictions/left", json={"input": 1})).status_code == 202:
            pass
        (tmp_path / "a.go").touch()
        assert (await running).json()["output"] == "a"
        assert not (tmp_path / "b.started").exists()


async def test_a_client_that_leaves_while_its_file_is_fetched(serve: Serve) -> None:
    left = asyncio.Event()

    async def never_end(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            left.set()

    server = serve("copy_files")
    async with running_peer(never_end) as peer, connection_to(server.url) as connection:
        await connection.send(post("/predictions", {"input": {"files": [f"{peer.url}/a.png"]}}))
        await peer.wait_for(1)
        connection.reset()
        await left.wait()
    server.wait_for_health("READY")


async def test_a_client_that_leaves_after_a_large_body(waiting: Server, tmp_path: Path) -> None:
    async with connection_to(waiting.url) as connection:
        await connection.send(post("/predictions", {**job(tmp_path, "a"), "unheard_of": "x" * 1_000_000}))
        await appears(tmp_path / "a.started")
        connection.writer.close()
        await appears(tmp_path / "a.stopped")


async def test_a_client_that_has_sent_its_next_request_and_leaves(waiting: Server, tmp_path: Path) -> None:
    async with connection_to(waiting.url) as connection:
        for name in "ab":
            await connection.send(post("/predictions", job(tmp_path, name)))
        await appears(tmp_path / "a.started")
        connection.writer.close()
        await appears(tmp_path / "a.stopped")
    assert not (tmp_path / "b.started").exists()


async def test_a_client_that_leaves_on_a_connection_used_before(waiting: Server, tmp_path: Path) -> None:
    async with connection_to(waiting.url) as connection:
        for name in "ab":
            (tmp_path / f"{name}.go").touch()
            await connection.send(post("/predictions", job(tmp_path, name)))
            status, _ = await connection.response()
            assert status == 200
        await connection.send(post("/predictions", job(tmp_path, "c")))
        await appears(tmp_path / "c.started")
        connection.writer.close()
        await appears(tmp_path / "c.stopped")


async def test_a_client_that_leaves_in_the_middle_of_its_body(repeat: Server) -> None:
    for _ in range(20):
        async with connection_to(repeat.url) as connection:
            await connection.send(post("/predictions", {"input": {}}, content_length="1000000"))
            connection.reset()
    assert repeat.predict(text="alive").status_code == 200
    assert not any("Traceback" in line for line in repeat.lines)


# The child


async def test_a_killed_child_is_a_clear_error_and_the_next_prediction_works(waiting: Server, tmp_path: Path) -> None:
    async with client_of(waiting.url) as client:
        running = asyncio.create_task(client.post("/predictions", json=job(tmp_path, "a")))
        pid = int(await appears(tmp_path / "a.started"))
        queued = asyncio.create_task(client.put("/predictions/next", json=job(tmp_path, "b")))
        while (await client.put("/predictions/next", json={"input": 1})).status_code != 202:
            pass
        os.kill(pid, signal.SIGKILL)
        response = await running
        assert response.status_code == 200
        assert response.json()["status"] == "failed"
        assert "SIGKILL" in response.json()["error"]
        # Neither what waited nor what comes while the child is replaced is turned away.
        (tmp_path / "b.go").touch()
        (tmp_path / "c.go").touch()
        late = await client.post("/predictions", json=job(tmp_path, "c"))
        assert late.json()["output"] == "c"
        assert (await queued).json()["output"] == "b"
    assert waiting.health()["status"] == "READY"


def job(folder: Path, name: str) -> dict[str, dict[str, str]]:
    return {"input": {"folder": str(folder), "name": name}}
