"""The file that says that the model is ready."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.readiness import ready_path
from tests.api.clients import appears
from tests.conftest import Serve


def test_in_kubernetes_it_is_where_cog_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert ready_path(None) is None
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert ready_path(None) == Path("/var/run/cog/ready")
    assert ready_path("ready") == Path("ready")


async def test_it_is_there_from_the_end_of_setup_to_that_of_the_server(serve: Serve, tmp_path: Path) -> None:
    go, ready = tmp_path / "go", tmp_path / "new" / "ready"
    ready.parent.mkdir()
    ready.write_text("left over")
    server = serve("wait_in_setup", ready=False, env={"GO": str(go), "DARKROOM_READY_FILE": str(ready)})
    server.wait_for_health("STARTING")
    assert not ready.exists()
    go.touch()
    assert await appears(ready) == ""
    assert server.health()["status"] == "READY"
    server.process.terminate()
    assert server.wait() == 0
    assert not ready.exists()


def test_a_setup_that_failed_makes_none(serve: Serve, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    server = serve("raise_in_setup", ready=False, env={"DARKROOM_READY_FILE": str(ready)})
    server.wait_for_health("SETUP_FAILED")
    server.process.terminate()
    assert server.wait() == 0
    assert not ready.exists()


def test_one_that_cannot_be_made_is_reported_and_nothing_else(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = serve("greet", env={"DARKROOM_READY_FILE": str(tmp_path / "file" / "ready")})
    assert server.client.post("/predictions", json={"input": {"name": "you"}}).json()["status"] == "succeeded"
    server.process.terminate()
    assert server.wait() == 0
    assert "the model is ready cannot be made" in "".join(server.lines)
