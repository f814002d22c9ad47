from __future__ import annotations

import asyncio
import os
import platform
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server import __version__
from tests.api.clients import appears, client_of
from tests.conftest import Serve, Server

NOT_READY = (
    '{"error":"Setup has not finished yet. Wait until it has finished, or GET /health-check for status.",'
    '"status":"failed"}'
)


@pytest.fixture(scope="module")
def repeat(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


def test_ready(repeat: Server) -> None:
    response = repeat.client.get("/health-check")
    assert response.status_code == 200
    assert response.text.startswith('{"setup":{')
    assert '"status":"READY"' in response.text
    health = response.json()
    assert health.keys() == {"setup", "status", "version"}
    assert health["version"] == {
        "coglet": "0.23.1",
        "darkroom": __version__,
        "python": platform.python_version(),
        "python_sdk": "0.23.1",
    }
    assert health["setup"].keys() == {"started_at", "completed_at", "status", "logs"}
    assert health["setup"]["status"] == "succeeded"
    started, completed = (datetime.fromisoformat(health["setup"][key]) for key in ("started_at", "completed_at"))
    assert started.tzinfo == UTC
    assert started <= completed <= datetime.now(UTC)


def test_before_setup_is_over(serve: Serve, tmp_path: Path) -> None:
    go = tmp_path / "go"
    server = serve("wait_in_setup", ready=False, env={"GO": str(go)})
    health = server.health()
    assert health["status"] == "STARTING"
    assert health["setup"].keys() == {"started_at", "status"}
    assert health["setup"]["status"] == "starting"
    # Cog tells no logs before the end; one who asks for them gets them.
    while "setup waits\n" not in (setup := server.client.get("/health-check?logs=true").json()["setup"])["logs"]:
        assert setup["status"] == "starting"
    assert server.health()["setup"].keys() == {"started_at", "status"}
    refuse_predictions(server)
    go.touch()
    health = server.wait_for_health("READY")
    assert "setup waits\n" in health["setup"]["logs"]
    assert server.predict(text="a").json()["output"] == "a"


def test_after_setup_has_failed(serve: Serve) -> None:
    server = serve("raise_in_setup", ready=False)
    health = server.wait_for_health("SETUP_FAILED")
    assert health["setup"]["status"] == "failed"
    assert health["setup"]["completed_at"]
    assert "Traceback (most recent call last):" in health["setup"]["logs"]
    assert "RuntimeError: the weights are gone" in health["setup"]["logs"]
    refuse_predictions(server)
    assert server.health()["status"] == "SETUP_FAILED"


def refuse_predictions(server: Server) -> None:
    for method, path in (("POST", "/predictions"), ("PUT", "/predictions/a")):
        for headers in ({}, {"Prefer": "respond-async"}):
            response = server.client.request(method, path, json={"input": {"unheard_of": 1}}, headers=headers)
            assert (response.status_code, response.text) == (503, NOT_READY)
    assert (
        server.client.post("/predictions", content=b"{", headers={"Content-Type": "application/json"}).status_code
        == 400
    )
    cancel = server.client.post("/predictions/a/cancel")
    assert (cancel.status_code, cancel.text) == (404, "{}")


def test_a_predictor_that_cannot_be_imported(serve: Serve) -> None:
    server = serve("absent", ready=False)
    health = server.wait_for_health("SETUP_FAILED")
    assert "absent.py" in health["setup"]["logs"]
    response = server.client.get("/openapi.json")
    assert (response.status_code, response.text) == (503, '{"error":"OpenAPI schema not available"}')


async def test_a_model_that_cannot_be_replaced(serve: Serve, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    server = serve("break_on_file", env={"BROKEN": str(broken)})
    first = server.predict().json()["output"]
    broken.touch()
    os.kill(first, signal.SIGKILL)
    health = server.wait_for_health("DEFUNCT")
    assert "RuntimeError: broken" in health["setup"]["logs"]
    async with client_of(server.url) as client:
        waiting = asyncio.create_task(client.put("/predictions/w", json={}))
        while (await client.put("/predictions/w", json={"input": 1})).status_code != 202:
            pass
        broken.unlink()
        assert (await waiting).json()["output"] != first
    assert server.health()["status"] == "READY"


def test_the_models_own_check(serve: Serve, tmp_path: Path) -> None:
    well = tmp_path / "well"
    well.touch()
    server = serve("unwell", env={"WELL": str(well)})
    well.unlink()
    health = server.health()
    assert health["status"] == "UNHEALTHY"
    assert health["user_healthcheck_error"] == "Healthcheck failed: user-defined healthcheck returned False"
    # It is information; predictions are still taken.
    assert server.predict(text="a").json()["output"] == "a"
    well.touch()
    assert server.health().keys() == {"setup", "status", "version"}


async def test_busy_and_unhealthy_is_unhealthy(serve: Serve, tmp_path: Path) -> None:
    server = serve("unwell", env={"WELL": str(tmp_path / "well")}, ready=False)
    server.wait_for_health("UNHEALTHY")
    async with client_of(server.url) as client:
        running = asyncio.create_task(client.post("/predictions", json={"input": {"go": str(tmp_path / "go")}}))
        await appears(tmp_path / "go.started")
        assert (await client.get("/health-check")).json()["status"] == "UNHEALTHY"
        (tmp_path / "go").touch()
        assert (await running).json()["status"] == "succeeded"


@pytest.mark.parametrize("path", ["/health-check", "/", "/openapi.json", "/docs"])
def test_head(repeat: Server, path: str) -> None:
    response = repeat.client.head(path)
    assert response.status_code == 200
    assert response.content == b""


def probes(server: Server) -> tuple[int, int]:
    return server.client.get("/livez").status_code, server.client.get("/readyz").status_code


def test_orchestrators_read_status_codes(serve: Serve, tmp_path: Path) -> None:
    go = tmp_path / "go"
    server = serve("wait_in_setup", ready=False, env={"GO": str(go)})
    assert probes(server) == (200, 503)
    go.touch()
    server.wait_for_health("READY")
    assert probes(server) == (200, 200)


def test_what_is_not_well_is_not_ready(serve: Serve, tmp_path: Path) -> None:
    well = tmp_path / "well"
    well.touch()
    server = serve("unwell", env={"WELL": str(well)})
    assert probes(server) == (200, 200)
    well.unlink()
    assert probes(server) == (200, 503)
    assert server.client.get("/readyz").json() == {"status": "UNHEALTHY"}


OnTwo = Callable[[], Server]


@pytest.fixture
def serve_on_two(serve: Serve, gpus: dict[str, str], yard: Path) -> OnTwo:
    return lambda: serve("obey_on_device", ready=False, devices="all", env={**gpus, "FOLDER": str(yard)})


def test_each_of_several_devices_is_told_of(serve_on_two: OnTwo, yard: Path) -> None:
    (yard / "0.hold").touch()
    server = serve_on_two()
    health = server.wait_for_devices("STARTING", "READY")
    assert (health["status"], health["setup"]["status"]) == ("READY", "succeeded")
    (yard / "0.hold").unlink()
    health = server.wait_for_devices("READY", "READY")
    assert health.keys() == {"setup", "status", "version", "devices"}
    first, second = health["devices"]
    assert first.keys() == {"device", "status", "running", "restarts", "setup"}
    assert [second[key] for key in ("device", "running", "restarts")] == ["1", 0, 0]
    assert first["setup"]["logs"] == "0 is set up\n"
    assert health["setup"]["logs"] == "Device 0:\n0 is set up\nDevice 1:\n1 is set up\n"


async def test_a_busy_device_is_busy_and_the_server_when_all_are(serve_on_two: OnTwo, yard: Path) -> None:
    server = serve_on_two()
    server.wait_for_devices("READY", "READY")
    async with client_of(server.url) as client:
        running = []
        for name, statuses in (("a", ["READY", "BUSY", "READY"]), ("b", ["BUSY", "BUSY", "BUSY"])):
            input = {"name": name, "hold": True}
            running.append(asyncio.create_task(client.post("/predictions", json={"input": input})))
            await appears(yard / f"{name}.started")
            health = server.health()
            assert [health["status"], *(device["status"] for device in health["devices"])] == statuses
        assert [device["running"] for device in health["devices"]] == [1, 1]
        for name in ("a", "b"):
            (yard / f"{name}.go").touch()
        assert [(await task).json()["output"] for task in running] == ["0", "1"]


def test_a_device_that_failed_to_be_set_up_is_left_out_and_told_of(serve_on_two: OnTwo, yard: Path) -> None:
    (yard / "1.broken").touch()
    server = serve_on_two()
    health = server.wait_for_devices("READY", "SETUP_FAILED")
    assert health["status"] == "READY"
    assert "Device 1:\n1 is set up\nTraceback" in health["setup"]["logs"]
    assert health["devices"][1]["setup"]["logs"].endswith("RuntimeError: 1 is broken\n")
    assert probes(server) == (200, 200)
    assert [server.predict(name=name).json()["output"] for name in ("a", "b")] == ["0", "0"]


def test_setup_has_failed_when_it_has_on_all_devices(serve_on_two: OnTwo, yard: Path) -> None:
    for device in ("0", "1"):
        (yard / f"{device}.broken").touch()
    server = serve_on_two()
    health = server.wait_for_health("SETUP_FAILED")
    assert [device["status"] for device in health["devices"]] == ["SETUP_FAILED", "SETUP_FAILED"]
    assert "RuntimeError: 0 is broken" in health["setup"]["logs"]
    assert "RuntimeError: 1 is broken" in health["setup"]["logs"]
    assert probes(server) == (200, 503)
    assert server.predict(name="a").status_code == 503


def test_a_device_that_is_not_well_makes_the_server_unhealthy(serve_on_two: OnTwo, yard: Path) -> None:
    server = serve_on_two()
    server.wait_for_devices("READY", "READY")
    (yard / "1.unwell").touch()
    health = server.health()
    said = "Healthcheck failed: user-defined healthcheck returned False"
    assert (health["status"], health["user_healthcheck_error"]) == ("UNHEALTHY", said)
    assert [device["status"] for device in health["devices"]] == ["READY", "UNHEALTHY"]
    assert "user_healthcheck_error" not in health["devices"][0]
    assert health["devices"][1]["user_healthcheck_error"] == said
    assert server.predict(name="a").json()["output"] == "0"


async def test_a_device_that_dies_over_its_check_is_starting(serve_on_two: OnTwo, yard: Path) -> None:
    server = serve_on_two()
    server.wait_for_devices("READY", "READY")
    (yard / "1.hang").touch()
    async with client_of(server.url) as client:
        asking = asyncio.create_task(client.get("/health-check"))
        child = int(await appears(yard / "hangs"))
        (yard / "1.hold").touch()
        os.kill(child, signal.SIGKILL)
        health = (await asking).json()
    assert [health["status"], *(device["status"] for device in health["devices"])] == ["READY", "READY", "STARTING"]
