"""The image, built and run by a real engine: script/test-container runs this, script/test does not.

Variables:
    DOCKER: the client (default: docker).
    DOCKER_NETWORK: `host` where the engine has no network of its own. Default: a port of 127.0.0.1 is published.
    DOCKER_BUILD_OPTIONS: more options for `docker build`, such as `--build-arg TORCH=cuda`.
"""

from __future__ import annotations

import base64
import os
import shlex
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.diffusion.hub import serve_hub

ROOT = Path(__file__).parent.parent.parent
DOCKER = os.environ.get("DOCKER", "docker")
NETWORK = [f"--network={name}"] if (name := os.environ.get("DOCKER_NETWORK")) else []
IMAGE = "darkroom-test"

LONGEST_START = 180
LONGEST_STOP = 10
"""Seconds; the second is what Docker grants by default before it kills."""


@dataclass(frozen=True)
class Container:
    name: str
    url: str

    def state(self, field: str) -> str:
        return docker("inspect", "--format", f"{{{{.State.{field}}}}}", self.name)

    def run(self, *command: str) -> str:
        return docker("exec", self.name, *command)

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + LONGEST_START
        while (health := self.state("Health.Status")) != "healthy":
            assert self.state("Running") == "true", "the container has ended"
            assert time.monotonic() < deadline, f"the container is still {health}"
            time.sleep(0.5)

    def stop(self) -> int:
        """Send SIGTERM and return the exit status, if it comes before the engine would kill the container."""
        started = time.monotonic()
        docker("stop", "--time", "30", self.name)
        assert time.monotonic() - started < LONGEST_STOP
        return int(self.state("ExitCode"))


def docker(*arguments: str) -> str:
    process = subprocess.run([DOCKER, *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@contextmanager
def container(*options: str) -> Iterator[Container]:
    name = f"{IMAGE}-{uuid.uuid4().hex[:8]}"
    port = ""
    if NETWORK:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        network = [*NETWORK, "--env=DARKROOM_HOST=127.0.0.1", f"--env=PORT={port}"]
    else:
        network = ["--publish=127.0.0.1::5000"]
    docker("run", "--detach", "--name", name, *network, *options, IMAGE)
    try:
        port = port or docker("port", name, "5000/tcp").rsplit(":", 1)[1]
        yield Container(name, f"http://127.0.0.1:{port}")
    finally:
        # pytest shows it where a test fails.
        subprocess.run([DOCKER, "logs", name], check=False)
        docker("rm", "--force", name)


def build(tag: str, *options: str) -> None:
    options = (*shlex.split(os.environ.get("DOCKER_BUILD_OPTIONS", "")), *options)
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    subprocess.run([DOCKER, "build", *NETWORK, "--tag", tag, *options, str(ROOT)], env=environment, check=True)


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    build(IMAGE)


@pytest.fixture(scope="module")
def healthy() -> Iterator[Container]:
    with container("--read-only", "--tmpfs=/tmp") as running:
        running.wait_until_healthy()
        yield running


def test_it_makes_a_picture_with_a_read_only_root(healthy: Container) -> None:
    body = {"input": {"prompt": "a red apple", "seed": 7}}
    prediction = httpx.post(f"{healthy.url}/predictions", json=body, timeout=LONGEST_START, trust_env=False).json()
    assert prediction["status"] == "succeeded", prediction
    header, _, data = prediction["output"][0].partition(",")
    assert header == "data:image/webp;base64"
    assert base64.b64decode(data)[8:12] == b"WEBP"


def test_it_does_not_run_as_root(healthy: Container) -> None:
    assert healthy.run("id", "-u") == "10001"


def test_it_reaps_what_other_processes_leave(healthy: Container) -> None:
    # A shell that does not wait for its child: when it is gone, the child is process 1's to reap.
    healthy.run("sh", "-c", "sh -c 'sleep 0.1' & exit 0")
    deadline = time.monotonic() + LONGEST_STOP
    while "sleep" in (names := healthy.run("sh", "-c", "grep -hs ^Name: /proc/[0-9]*/status || true")):
        assert time.monotonic() < deadline, names
        time.sleep(0.1)


def test_it_ends_in_order() -> None:
    with container() as running:
        running.wait_until_healthy()
        assert running.stop() == 0


def test_it_ends_in_the_middle_of_a_prediction() -> None:
    body = {"input": {"prompt": "a red apple", "num_inference_steps": 500}}
    with container() as running, httpx.Client(base_url=running.url, trust_env=False) as client:
        running.wait_until_healthy()
        response = client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
        assert response.status_code == httpx.codes.ACCEPTED
        assert client.get("/health-check").json()["status"] == "BUSY"
        assert running.stop() == 0


def test_it_ends_while_it_starts() -> None:
    with container() as running:
        running.stop()


def test_it_runs_a_model_once() -> None:
    docker("run", "--rm", *NETWORK, IMAGE, "predict", "-i", "prompt=a red apple", "-o", "/tmp/apple.webp")


@pytest.fixture
def baked(tmp_path: Path) -> Iterator[str]:
    """The tag of an image with the weights of a model that only those with a token may fetch."""
    token = tmp_path / "token"
    token.write_text("hf_open")
    tag = f"{IMAGE}-baked"
    with serve_hub() as hub:
        hub.push_folder("somebody/emoji", ROOT / "models" / "emoji")
        hub.repositories["somebody/emoji"].gated = True
        arguments = {"WEIGHTS": "bake", "MODEL_ID": "somebody/emoji", "HF_ENDPOINT": hub.url}
        flags = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        # The stand-in for the Hub is on this machine.
        build(tag, *flags, f"--secret=id=HF_TOKEN,src={token}", "--network=host")
    yield tag
    docker("rmi", tag)


def test_baked_weights_need_no_network(baked: str) -> None:
    command = ["predict", "-i", "prompt=a red apple", "-i", "num_inference_steps=1", "-o", "/tmp/apple.webp"]
    docker("run", "--rm", "--read-only", "--tmpfs=/tmp", "--network=none", baked, *command)


def test_baking_leaves_no_token(baked: str) -> None:
    docker("run", "--rm", "--entrypoint=sh", baked, "-c", "! grep -rs hf_open /weights /home /tmp")
    assert "hf_open" not in docker("history", "--no-trunc", baked)
