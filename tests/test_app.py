"""The start and the end of a whole server."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.api.clients import appears, client_of, until_refused
from tests.conftest import Serve, Server


def job(folder: Path, name: str) -> dict[str, dict[str, str]]:
    return {"input": {"folder": str(folder), "name": name}}


async def ended(server: Server) -> int:
    return await asyncio.to_thread(server.wait)


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_health_is_told_while_the_predictor_is_imported(serve: Serve, tmp_path: Path) -> None:
    go = tmp_path / "go"
    server = serve("wait_in_import", ready=False, env={"GO": str(go)})
    assert server.health()["status"] == "STARTING"
    openapi = server.client.get("/openapi.json")
    assert (openapi.status_code, openapi.text) == (503, '{"error":"OpenAPI schema not available"}')
    assert server.predict(text="a").status_code == 503
    go.touch()
    server.wait_for_health("READY")
    assert server.predict(text="a").json()["output"] == "a"


async def test_post_shutdown(serve: Serve) -> None:
    server = serve("repeat_back")
    response = server.client.post("/shutdown")
    assert (response.status_code, response.text) == (200, "{}")
    assert await ended(server) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_what_runs_end_and_be_answered(
    serve: Serve, tmp_path: Path, number: signal.Signals
) -> None:
    server = serve("wait_for_file")
    async with client_of(server.url) as client:
        running = [asyncio.create_task(client.post("/predictions", json=job(tmp_path, name))) for name in "a"]
        pid = int(await appears(tmp_path / "a.started"))
        await client.put("/predictions/b", json=job(tmp_path, "b"), headers={"Prefer": "respond-async"})
        server.process.send_signal(number)
        await until_refused(server.url)
        (tmp_path / "a.go").touch()
        (tmp_path / "b.go").touch()
        assert [(await response).json()["output"] for response in running] == ["a"]
    assert await ended(server) == 0
    assert (tmp_path / "b.started").exists()
    assert not is_alive(pid)
    assert not any("Traceback" in line for line in server.lines)


async def test_what_does_not_end_in_time_is_canceled_and_answered(serve: Serve, tmp_path: Path) -> None:
    server = serve("wait_for_file", shutdown_grace=1)
    async with client_of(server.url) as client:
        running = [asyncio.create_task(client.post("/predictions", json=job(tmp_path, "a")))]
        pid = int(await appears(tmp_path / "a.started"))
        running.append(asyncio.create_task(client.put("/predictions/b", json=job(tmp_path, "b"))))
        while (await client.put("/predictions/b", json={"input": 1})).status_code != 202:
            pass
        server.process.send_signal(signal.SIGTERM)
        assert [(await response).json()["status"] for response in running] == ["canceled", "canceled"]
    assert await ended(server) == 0
    assert not is_alive(pid)
    assert not (tmp_path / "b.started").exists()


async def test_a_model_that_will_not_be_canceled_does_not_hold_up_the_end(serve: Serve, tmp_path: Path) -> None:
    server = serve("ignore_cancel", shutdown_grace=1)
    async with client_of(server.url) as client:
        running = asyncio.create_task(
            client.post("/predictions", json={"input": {"started": str(tmp_path / "started")}})
        )
        pid = int(await appears(tmp_path / "started"))
        server.process.send_signal(signal.SIGTERM)
        assert (await running).json()["status"] == "canceled"
    assert await ended(server) == 0
    assert not is_alive(pid)


async def test_a_second_signal_ends_what_runs_at_once(serve: Serve, tmp_path: Path) -> None:
    server = serve("ignore_cancel", shutdown_grace=3600)
    async with client_of(server.url) as client:
        running = asyncio.create_task(
            client.post("/predictions", json={"input": {"started": str(tmp_path / "started")}})
        )
        pid = int(await appears(tmp_path / "started"))
        for _ in range(2):
            server.process.send_signal(signal.SIGINT)
            await until_refused(server.url)
        assert await ended(server) == 0
        await asyncio.wait([running])
    assert not is_alive(pid)


async def test_a_signal_during_setup(serve: Serve, tmp_path: Path) -> None:
    server = serve("wait_in_setup", ready=False, env={"GO": str(tmp_path / "go")})
    assert server.health()["status"] == "STARTING"
    server.process.send_signal(signal.SIGTERM)
    assert await ended(server) == 0
    assert not any("Traceback" in line for line in server.lines)


def test_no_temporary_file_is_left(serve: Serve, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    server = serve("copy_files", env={"TMPDIR": str(scratch)})
    response = server.predict(files=["data:text/plain;base64,QQ==", "data:text/plain,B"])
    assert response.json()["output"] == ["data:text/plain;base64,QQ==", "data:text/plain;base64,Qg=="]
    assert server.predict(files=["data:text/plain,C", "http://127.0.0.1:1/"]).json()["status"] == "failed"
    assert server.stop() == 0
    assert [path.name for path in scratch.rglob("*") if path.name.startswith("darkroom")] == []


async def test_told_so_the_server_outlives_sigterm_until_it_is_asked(serve: Serve) -> None:
    server = serve("repeat_back", await_explicit_shutdown=True)
    server.process.send_signal(signal.SIGTERM)
    assert server.predict(text="a").json()["output"] == "a:1:0.0"
    assert server.client.post("/shutdown").status_code == 200
    assert await ended(server) == 0
    assert any("SIGTERM is ignored" in line for line in server.lines)


def test_cogs_flag_that_has_no_effect_is_accepted_and_said_so(serve: Serve) -> None:
    server = serve("repeat_back", threads=4)
    assert any("--threads 4 has no effect" in line for line in server.lines)


def test_requests_are_logged_but_for_probes(serve: Serve) -> None:
    server = serve("repeat_back")
    for path in ("/health-check", "/health-check?logs=true", "/livez", "/metrics", "/readyz", "/openapi.json"):
        server.client.get(path)
    assert server.stop() == 0
    logged = [line for line in server.lines if "uvicorn.access" in line]
    assert ["/openapi.json" in line for line in logged] == [True]
