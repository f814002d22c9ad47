"""`GET /predictions` and `GET /predictions/{id}`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.api.clients import appears
from tests.conftest import PREDICTORS, ROOT, Serve, Server


def ids(page: httpx.Response) -> list[str]:
    assert page.status_code == 200, page.text
    return [state["id"] for state in page.json()["results"]]


def ended(server: Server, id: str) -> None:
    while "completed_at" not in server.client.get(f"/predictions/{id}").json():
        time.sleep(0.01)


def test_a_prediction_is_told_after_its_end(serve: Serve) -> None:
    server = serve("repeat_back")
    server.client.put("/predictions/p", json={"input": {"text": "a"}})
    state = server.client.get("/predictions/p").json()
    assert state["created_at"] <= state["started_at"] <= state["completed_at"]
    assert {name: state[name] for name in ("id", "input", "output", "status", "logs", "urls")} == {
        "id": "p",
        "input": {"text": "a"},
        "output": "a:1:0.0",
        "status": "succeeded",
        "logs": "",
        "urls": {"get": f"{server.url}/predictions/p", "cancel": f"{server.url}/predictions/p/cancel"},
    }


async def test_a_prediction_is_told_while_it_runs(serve: Serve, tmp_path: Path) -> None:
    server = serve("wait_for_file")
    body = {"input": {"folder": str(tmp_path), "name": "a"}}
    for id_ in ("runs", "waits"):
        server.client.put(f"/predictions/{id_}", json=body, headers={"Prefer": "respond-async"})
    await appears(tmp_path / "a.started")
    assert [state["status"] for state in server.client.get("/predictions").json()["results"]] == [
        "starting",
        "processing",
    ]
    (tmp_path / "a.go").touch()
    ended(server, "waits")
    assert "completed_at" in server.client.get("/predictions/runs").json()


def test_pages(serve: Serve) -> None:
    server = serve("repeat_back")
    for number in range(7):
        server.client.put(f"/predictions/{number}", json={})
    first = server.client.get("/predictions", params={"limit": 3})
    assert ids(first) == ["6", "5", "4"]
    assert first.json()["previous"] is None
    server.client.put("/predictions/late", json={})
    second = server.client.get(first.json()["next"])
    assert ids(second) == ["3", "2", "1"]
    third = server.client.get(second.json()["next"])
    assert ids(third) == ["0"]
    assert third.json()["next"] is None
    assert ids(server.client.get(third.json()["previous"])) == ["3", "2", "1"]
    assert ids(server.client.get(server.client.get(second.json()["previous"]).json()["previous"])) == ["late"]


def test_what_is_not_known(serve: Serve) -> None:
    server = serve("repeat_back")
    answer = server.client.get("/predictions/p")
    assert (answer.status_code, answer.json()) == (404, {"error": "There is no prediction with the id 'p'."})
    for query in ("cursor=x", "cursor=", "limit=0", "limit=101", "limit=x", "limit=-1", "limit=1e1"):
        answer = server.client.get(f"/predictions?{query}")
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]
    for path in ("/predictions/%ED%A0%80", "/predictions/%00", "/predictions/" + "a" * 10_000):
        assert server.client.get(path).status_code == 404


async def test_a_server_that_is_killed_leaves_what_it_knew(serve: Serve, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = serve("wait_for_file", data_dir=data)
    for id_ in ("done", "runs"):
        body = {"input": {"folder": str(tmp_path), "name": id_}}
        first.client.put(f"/predictions/{id_}", json=body, headers={"Prefer": "respond-async"})
        await appears(tmp_path / f"{id_}.started")
        if id_ == "done":
            (tmp_path / "done.go").touch()
            ended(first, "done")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second = serve("wait_for_file", data_dir=data)
    assert second.client.get("/predictions/done").json()["output"] == "done"
    state = second.client.get("/predictions/runs").json()
    assert (state["status"], state["error"]) == (
        "failed",
        "The server stopped before this prediction ended. Send it again.",
    )


def test_two_servers_cannot_share_a_database(serve: Serve, tmp_path: Path) -> None:
    first = serve("repeat_back", data_dir=tmp_path)
    second = subprocess.run(
        [sys.executable, "-m", "server", "serve", "--port", "0", "--data-dir", tmp_path],
        cwd=PREDICTORS,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DARKROOM_PREDICTOR": "repeat_back.py:Predictor"},
        capture_output=True,
        text=True,
    )
    assert second.returncode == 1
    assert second.stderr == (
        f"darkroom: {tmp_path}/predictions-0.db is in use by another server (process {first.process.pid}). "
        "Stop that one, or give this one a folder of its own by --data-dir.\n"
    )


def test_with_no_history(serve: Serve, tmp_path: Path) -> None:
    server = serve("repeat_back", data_dir=tmp_path / "data", history_seconds=0)
    server.client.put("/predictions/p", json={})
    assert server.client.get("/predictions/p").status_code == 404
    assert not (tmp_path / "data").exists()


def test_a_secret_is_neither_told_nor_written(serve: Serve, tmp_path: Path) -> None:
    server = serve("take_everything", data_dir=tmp_path)
    body = {"input": {"z_required": "a", "required": 1, "token": "s3cret-in-clear"}}
    assert server.client.put("/predictions/p", json=body).json()["status"] == "succeeded"
    state = server.client.get("/predictions/p").json()
    assert state["input"] == {"z_required": "a", "required": 1}
    assert server.stop() == 0
    files = list(tmp_path.iterdir())
    assert tmp_path / "predictions-0.db" in files
    assert not [file for file in files if b"s3cret" in file.read_bytes()]
