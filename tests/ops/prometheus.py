"""A real Prometheus on this machine, and its tool."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="Prometheus is not installed. On Debian or Ubuntu: apt install prometheus",
)


@dataclass
class Prometheus:
    """A Prometheus that scrapes every second."""

    client: httpx.Client

    def get(self, path: str, **parameters: str) -> Any:
        """What its API answers, which must be a success."""
        answer = self.client.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expression: str) -> list[Any]:
        """The result of a query now."""
        result: list[Any] = self.get("query", query=expression)["result"]
        return result

    def wait_for(self, expression: str, seconds: float = 60) -> list[Any]:
        """The result of a query, once it has one."""
        deadline = time.monotonic() + seconds
        while not (result := self.query(expression)):
            assert time.monotonic() < deadline, f"nothing came of {expression}"
            time.sleep(0.1)
        return result


def promtool(*arguments: str, text: str | None = None) -> tuple[int, str]:
    """The exit status of promtool and what it said."""
    process = subprocess.run(
        ["promtool", *arguments], input=text, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    return process.returncode, process.stdout + process.stderr


@contextmanager
def running_prometheus(target: str, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with deploy/prometheus.yml, and end it afterwards.

    Args:
        target: the host and port to scrape, instead of those of compose.yaml.
        folder: an empty one.
    """
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["prometheus", *flags, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=60, trust_env=False) as client:
            _wait_until_ready(client, process, folder / "log")
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        try:
            if client.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
