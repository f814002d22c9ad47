"""The image, built and run by a real engine: script/test-container runs this, script/test does not.

Variables:
    DOCKER: the client (default: docker).
    DOCKER_NETWORK: `host` where the engine has no network of its own. Default: a port of 127.0.0.1 is published.
    DOCKER_BUILD_OPTIONS: more options for `docker build`, such as `--build-arg TORCH=cuda`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

SIGTERM_STATUS = 143
READ_ONLY = ("--read-only", "--tmpfs=/tmp")
APPLE = {"prompt": "a red apple", "num_inference_steps": 1}


@dataclass(frozen=True)
class Container:
    name: str
    url: str

    def state(self, field: str) -> str:
        return docker("inspect", "--format", f"{{{{.State.{field}}}}}", self.name)

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=LONGEST_START, trust_env=False)

    def run(self, *command: str) -> str:
        return docker("exec", self.name, *command)

    def logs(self) -> str:
        process = subprocess.run(
            [DOCKER, "logs", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        return process.stdout

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
        docker("rm", "--force", "--volumes", name)


def build(tag: str, *options: str, context: Path = ROOT) -> None:
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    subprocess.run([DOCKER, "build", *NETWORK, "--tag", tag, *options, str(context)], env=environment, check=True)


def build_ours(tag: str, *options: str) -> None:
    build(tag, *shlex.split(os.environ.get("DOCKER_BUILD_OPTIONS", "")), *options)


def predict_once(image: str, *options: str, **inputs: object) -> None:
    flags = [f"--input={name}={value}" for name, value in (APPLE | inputs).items()]
    docker("run", "--rm", *options, image, "predict", *flags, "--output=/tmp/apple.webp")


@contextmanager
def volume() -> Iterator[str]:
    name = f"{IMAGE}-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", name)


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    build_ours(IMAGE)


@pytest.fixture(scope="module")
def healthy() -> Iterator[Container]:
    without = ("--cap-drop=ALL", "--security-opt=no-new-privileges")
    with container(*READ_ONLY, *without, "--env=DARKROOM_LOG_FORMAT=json") as running:
        running.wait_until_healthy()
        yield running


@pytest.fixture(scope="module")
def prediction(healthy: Container) -> dict[str, Any]:
    with healthy.client as client:
        answer: dict[str, Any] = client.post("/predictions", json={"input": {"prompt": "a red apple"}}).json()
    return answer


def test_it_makes_a_picture_with_a_read_only_root_and_no_capability(prediction: dict[str, Any]) -> None:
    assert prediction["status"] == "succeeded", prediction
    header, _, data = prediction["output"][0].partition(",")
    assert header == "data:image/webp;base64"
    assert base64.b64decode(data)[8:12] == b"WEBP"


def test_it_tells_its_metrics(healthy: Container, prediction: dict[str, Any]) -> None:
    with healthy.client as client:
        told = client.get("/metrics").text
    assert '\ndarkroom_engine_images_total{device="0"} 1.0\n' in told
    assert '\ndarkroom_worker_state{device="0",state="ready"} 1.0\n' in told


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_it_brings_its_pages_with_all_that_they_load(healthy: Container, path: str) -> None:
    with healthy.client as client:
        page = client.get(path, headers={"Accept": "text/html"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        loaded = re.findall(r'(?:<link [^>]*href|<script [^>]*src)="([^"]+)"', page.text)
        assert len(loaded) > 1
        for file in loaded:
            assert file.startswith("data:") or client.get(page.url.join(file)).status_code == httpx.codes.OK


def test_it_logs_as_it_is_told_and_has_nothing_to_warn_of(healthy: Container, prediction: dict[str, Any]) -> None:
    events = [json.loads(line) for line in healthy.logs().splitlines()]
    assert [event for event in events if event["level"] not in ("debug", "info")] == []
    ended = next(event for event in events if event["message"] == "Prediction ended")
    assert (ended["prediction"], ended["state"]) == (prediction["id"], "succeeded")


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
    with container("--env=OTEL_TRACES_EXPORTER=console") as running:
        running.wait_until_healthy()
        assert running.stop() == 0
        assert '"name": "cog.setup"' in running.logs()


def test_it_ends_in_the_middle_of_a_prediction() -> None:
    body = {"input": {"prompt": "a red apple", "num_inference_steps": 500}}
    with container() as running, running.client as client:
        running.wait_until_healthy()
        response = client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
        assert response.status_code == httpx.codes.ACCEPTED
        while client.get(f"/predictions/{response.json()['id']}").json()["status"] == "starting":
            time.sleep(0.1)
        assert running.stop() == 0
        assert "state=canceled" in running.logs()


def test_it_ends_in_time_whatever_does_not(tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text(
        "import subprocess\n"
        "import time\n\n"
        "def predict() -> str:\n"
        "    subprocess.Popen(['sh', '-c', 'trap \"\" TERM INT; sleep 600; sleep 600'])\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(600)\n"
        "        except BaseException:\n"
        "            pass\n"
    )
    tmp_path.chmod(0o755)
    # Nobody answers at an address that is for documentation only.
    nobody = "http://192.0.2.1"
    options = (*READ_ONLY, f"--volume={tmp_path}:/app:ro", f"--env=OTEL_EXPORTER_OTLP_ENDPOINT={nobody}")
    with container(*options) as running, running.client as client:
        running.wait_until_healthy()
        body = {"input": {}, "webhook": nobody}
        for _ in range(2):
            response = client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
            assert response.status_code == httpx.codes.ACCEPTED
        assert running.stop() == 0


def test_it_ends_while_it_starts() -> None:
    with container() as running:
        assert running.stop() in (0, SIGTERM_STATUS)


def test_it_runs_a_model_once() -> None:
    predict_once(IMAGE, *NETWORK)


def test_it_runs_as_any_user(tmp_path: Path) -> None:
    predict_once(IMAGE, *NETWORK, "--user=12345:12345", *READ_ONLY)


def test_what_is_fetched_stays_in_the_volume() -> None:
    with volume() as weights, serve_hub() as hub:
        hub.push_folder("somebody/emoji", ROOT / "models" / "emoji")
        options = (*READ_ONLY, f"--volume={weights}:/weights", "--env=MODEL_ID=somebody/emoji")
        predict_once(IMAGE, *options, "--network=host", f"--env=HF_ENDPOINT={hub.url}")
        predict_once(IMAGE, *options, "--network=none")


def test_an_image_of_ones_own_adds_what_a_model_needs(tmp_path: Path) -> None:
    (dockerfile,) = re.findall(r"```dockerfile\n(.+?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    assert dockerfile.startswith("FROM darkroom\n")
    (tmp_path / "Dockerfile").write_text(dockerfile.replace("darkroom", IMAGE, 1))
    build(tag := f"{IMAGE}-own", context=tmp_path)
    try:
        predict_once(tag, "--network=none", *READ_ONLY, "--env=QUANTIZE=int8")
        assert docker("run", "--rm", "--network=none", "--entrypoint=id", tag, "-u") == "10001"
    finally:
        docker("rmi", tag)


def test_compose_serves(tmp_path: Path) -> None:
    if subprocess.run([DOCKER, "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("Docker Compose 2 is not installed. On Debian: https://docs.docker.com/compose/install/linux/")
    (override := tmp_path / "override.yaml").write_text(f"services: {{server: {{image: {IMAGE}}}}}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    files = (f"--file={ROOT}/compose.yaml", f"--file={override}", f"--project-directory={ROOT}")

    def compose(*arguments: str) -> None:
        command = [DOCKER, "compose", f"--project-name={IMAGE}", *files, *arguments]
        subprocess.run(command, env={**os.environ, "DARKROOM_PORT": str(port)}, check=True)

    try:
        compose("up", "--detach", "--no-build", f"--wait-timeout={LONGEST_START}", "--wait", "server")
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=LONGEST_START, trust_env=False) as client:
            id_ = client.post("/predictions", json={"input": APPLE}).json()["id"]
            compose("up", "--detach", "--no-build", "--force-recreate", "--wait", "server")
            assert client.get(f"/predictions/{id_}").json()["status"] == "succeeded"
    finally:
        compose("down", "--volumes")


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
        build_ours(tag, *flags, f"--secret=id=HF_TOKEN,src={token}", "--network=host")
    yield tag
    docker("rmi", tag)


def test_baked_weights_need_no_network(baked: str) -> None:
    predict_once(baked, *READ_ONLY, "--network=none")


def test_baking_leaves_no_token(baked: str) -> None:
    docker("run", "--rm", "--entrypoint=sh", baked, "-c", "! grep -rs hf_open /weights /home /tmp")
    assert "hf_open" not in docker("history", "--no-trunc", baked)
