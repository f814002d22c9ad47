"""One server with several devices, from its flags to its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.clients import appears, client_of, until_refused
from tests.conftest import PREDICTORS, ROOT, Serve
from tests.gpus import uuid
from tests.worker.conftest import wait_until_empty


async def ask(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    response = await client.put(f"/predictions/{id}", json={"input": {"name": id, "hold": True}})
    body: dict[str, Any] = response.json()
    return body


async def position(client: httpx.AsyncClient, id: str) -> int | None:
    response = await client.get(f"/predictions/{id}")
    place: int | None = response.json().get("queue_position")
    return place


@pytest.mark.parametrize(
    ("devices", "visible", "seen"),
    [
        (None, None, ["unset", "unset"]),
        (None, "1", ["1", "unset"]),
        ("1", None, ["1", "PCI_BUS_ID"]),
        ("all", "1", ["1", "unset"]),
        (uuid(0), None, [uuid(0), "PCI_BUS_ID"]),
    ],
)
def test_one_device_is_one_process_that_sees_it(
    serve: Serve, gpus: dict[str, str], devices: str | None, visible: str | None, seen: list[str]
) -> None:
    given = {} if devices is None else {"devices": devices}
    server = serve(
        "tell_device", env={**gpus, **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})}, **given
    )
    assert server.predict().json()["output"] == seen
    assert server.health().keys() == {"setup", "status", "version"}


async def test_all_devices_work_at_once(serve: Serve, gpus: dict[str, str], yard: Path) -> None:
    server = serve("obey_on_device", env={**gpus, "FOLDER": str(yard), "DARKROOM_DEVICES": "all"})
    server.wait_for_devices("READY", "READY")
    async with client_of(server.url) as client:
        running = [asyncio.create_task(ask(client, id_)) for id_ in ("a", "b")]
        assert {await appears(yard / "a.started"), await appears(yard / "b.started")} == {"0", "1"}
        assert server.health()["status"] == "BUSY"
        for id_ in ("a", "b"):
            (yard / f"{id_}.go").touch()
        assert {(await task)["output"] for task in running} == {"0", "1"}
    for device in ("0", "1"):
        assert any(f"{device} is set up" in line and f"device={device}" in line for line in server.lines)


async def test_what_waits_is_let_in_when_a_lost_device_is_back(serve: Serve, gpus: dict[str, str], yard: Path) -> None:
    server = serve("obey_on_device", devices="0,1", env={**gpus, "FOLDER": str(yard)})
    server.wait_for_devices("READY", "READY")
    async with client_of(server.url) as client:
        a, b = [asyncio.create_task(ask(client, id_)) for id_ in ("a", "b")]
        on = {await appears(yard / f"{id_}.started"): id_ for id_ in ("a", "b")}
        c = asyncio.create_task(ask(client, "c"))
        while await position(client, "c") != 1:
            pass
        lost, others = on["0"], on["1"]
        (yard / "0.hold").touch()
        os.kill(_child_of(server.process.pid, "0"), signal.SIGKILL)
        failed = await (a if lost == "a" else b)
        assert failed["status"] == "failed"
        assert "killed by SIGKILL" in failed["error"]
        # Its slot has gone with the device.
        assert await position(client, "c") == 1
        assert [device["status"] for device in server.health()["devices"]] == ["STARTING", "BUSY"]
        (yard / "0.hold").unlink()
        assert await appears(yard / "c.started") == "0"
        for id_ in ("c", others):
            (yard / f"{id_}.go").touch()
        assert (await c)["output"] == "0"
        assert (await (b if lost == "a" else a))["output"] == "1"
    assert [device["restarts"] for device in server.health()["devices"]] == [1, 0]


async def test_a_stop_lets_what_runs_on_each_device_end_and_leaves_nothing(
    serve: Serve, gpus: dict[str, str], yard: Path
) -> None:
    server = serve("obey_on_device", devices="0,1", env={**gpus, "FOLDER": str(yard)}, shutdown_grace=60)
    server.wait_for_devices("READY", "READY")
    children = [_child_of(server.process.pid, device) for device in ("0", "1")]
    async with client_of(server.url) as client:
        running = [asyncio.create_task(ask(client, id_)) for id_ in ("a", "b")]
        for id_ in ("a", "b"):
            await appears(yard / f"{id_}.started")
        server.process.send_signal(signal.SIGTERM)
        await until_refused(server.url)
        for id_ in ("a", "b"):
            (yard / f"{id_}.go").touch()
        assert {(await task)["output"] for task in running} == {"0", "1"}
    assert await asyncio.to_thread(server.wait) == 0
    for child in children:
        assert await asyncio.to_thread(wait_until_empty, child) == []


async def test_a_server_that_is_killed_leaves_no_child(serve: Serve, gpus: dict[str, str], yard: Path) -> None:
    (yard / "1.hold").touch()
    server = serve("obey_on_device", devices="0,1", env={**gpus, "FOLDER": str(yard)})
    server.wait_for_devices("READY", "STARTING")
    children = [_child_of(server.process.pid, device) for device in ("0", "1")]
    server.process.kill()
    for child in children:
        assert await asyncio.to_thread(wait_until_empty, child) == []


@pytest.mark.parametrize(
    ("devices", "error"),
    [
        ("0,", "--devices: Value error, Input should be `all`, or GPUs by number or UUID with commas between, each of"),
        ("0,0", "each of them once, not '0,0'"),
        ("-1", "not '-1'"),
        ("2", "darkroom: --devices: there is no GPU 2 on this machine; there is 0 (GPU-0"),
    ],
)
def test_devices_that_cannot_be_are_refused_at_once(gpus: dict[str, str], devices: str, error: str) -> None:
    for command in (["serve", "--port", "0"], ["predict"]):
        result = _darkroom(gpus, *command, "--devices", devices)
        assert result.returncode != 0
        assert error in result.stderr
        assert "Traceback" not in result.stderr


def test_a_single_prediction_takes_the_first_device(gpus: dict[str, str]) -> None:
    result = _darkroom(gpus, "predict", "--devices", "1,0")
    assert '"1"' in result.stdout, result.stderr


def test_the_schema_needs_no_device(gpus: dict[str, str]) -> None:
    assert _darkroom(gpus, "schema", "--devices", "7").returncode == 0


def _darkroom(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments, "--predictor", "tell_device.py:Predictor"],
        cwd=PREDICTORS,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _child_of(parent: int, device: str) -> int:
    """The process that a server has started for a device."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, environment = (entry / "stat").read_text(), (entry / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            of_parent = stat.rpartition(")")[2].split()[1] == str(parent)
            if of_parent and re.search(rf"(^|\0)CUDA_VISIBLE_DEVICES={device}\0".encode(), environment):
                return int(entry.name)
    raise AssertionError(f"no child of {parent} has the device {device}")
