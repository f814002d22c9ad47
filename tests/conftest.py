"""Real servers for the tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests.gpus import machine_with

ROOT = Path(__file__).parent.parent
PREDICTORS = ROOT / "tests" / "predictors"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--gpu",
        action="store_true",
        help="Run the tests that are for an NVIDIA GPU, and no others. They want it for themselves: -n 0.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs an NVIDIA GPU; runs with --gpu.")
    config.addinivalue_line("markers", "gpu_too: runs on the CPU, and with --gpu once more on an NVIDIA GPU.")
    if not config.getoption("--gpu"):
        # What is expected is exact, and only a CPU in float32 computes so: on a machine with a GPU it is not used.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _is_for_a_gpu(item: pytest.Item) -> bool:
    return any(map(item.get_closest_marker, ("gpu", "gpu_too")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--gpu"):
        config.hook.pytest_deselected(items=[item for item in items if not _is_for_a_gpu(item)])
        items[:] = filter(_is_for_a_gpu, items)
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU: script/test --gpu -n 0"))


@dataclass
class Server:
    """A `darkroom serve` process.

    Attributes:
        url: where it listens.
        client: an HTTP client with that base URL; it waits up to a minute.
        process: the HTTP process.
        reading: ends when all that it logs has been read.
        lines: what it has logged so far.
    """

    url: str
    client: httpx.Client
    process: subprocess.Popen[str]
    reading: threading.Thread
    lines: list[str]

    def health(self) -> dict[str, Any]:
        """The body of `/health-check`."""
        body: dict[str, Any] = self.client.get("/health-check").json()
        return body

    def wait_for_health(self, *statuses: str) -> dict[str, Any]:
        """Ask until the health is one of `statuses` (READY unless given)."""
        statuses = statuses or ("READY",)
        while (health := self.health())["status"] not in statuses:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                raise RuntimeError(f"the server has ended:\n{''.join(self.lines)}")
        return health

    def wait_for_devices(self, *statuses: str) -> dict[str, Any]:
        """Ask until each of its devices has the health given in its place."""
        while True:
            health = self.health()
            if tuple(device["status"] for device in health["devices"]) == statuses:
                return health
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                raise RuntimeError(f"the server has ended:\n{''.join(self.lines)}")

    def predict(self, **input: Any) -> httpx.Response:
        """POST a prediction and wait for its end."""
        return self.client.post("/predictions", json={"input": input})

    def stop(self, timeout: float = 30) -> int:
        """Ask it to end by SIGTERM and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 30) -> int:
        """Its exit status, once it has ended and `lines` are complete."""
        status = self.process.wait(timeout)
        self.reading.join()
        return status


def inherited_environment() -> dict[str, str]:
    """The variables of this process for one that it starts, in any thread.

    Without the one that pytest sets and deletes for each test: copying stumbles over it where that happens meanwhile.
    """
    return {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}


@contextmanager
def running_server(
    predictor: str | Path, *, ready: bool = True, stdout: IO[str] | int = subprocess.DEVNULL, **settings: Any
) -> Iterator[Server]:
    """Run `darkroom serve`, and end it afterwards.

    Args:
        predictor: the name of a file in `tests/predictors` without its ending, or a folder that has a cog.yaml.
        ready: whether to wait until the model is set up.
        stdout: where its standard output goes.
        settings: options of `darkroom serve` by name, and `env`, a mapping of further environment variables.
    """
    environment = {
        **inherited_environment(),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **settings.pop("env", {}),
    }
    if isinstance(predictor, str):
        directory = PREDICTORS
        settings.setdefault("predictor", f"{predictor}.py:Predictor")
    else:
        directory = predictor
    flags = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "serve", "--port", "0", *flags],
        cwd=directory,
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    lines: list[str] = []
    url = _url_in(process, lines)
    # What the server logs must be read for as long as it runs, or a full pipe stops it.
    reading = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reading.start()
    try:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            server = Server(url, client, process, reading, lines)
            if ready:
                health = server.wait_for_health("READY", "SETUP_FAILED")
                assert health["status"] == "READY", health["setup"]["logs"]
            yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reading.join()
        if process.stderr:
            process.stderr.close()


def _url_in(process: subprocess.Popen[str], lines: list[str]) -> str:
    for line in process.stderr or ():
        lines.append(line)
        if match := re.search(r"serves .* on (http://[\d.]+:\d+)", line):
            return match.group(1)
    status = process.wait()
    if process.stderr:
        process.stderr.close()
    raise RuntimeError(f"the server ended with {status}:\n{''.join(lines)}")


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that end with the test; the arguments are those of `running_server`."""
    with ExitStack() as stack:
        yield lambda predictor, **settings: stack.enter_context(running_server(predictor, **settings))


@pytest.fixture(scope="module")
def serve_module() -> Iterator[Serve]:
    """Start servers that end with the module."""
    with ExitStack() as stack:
        yield lambda predictor, **settings: stack.enter_context(running_server(predictor, **settings))


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a machine with two GPUs."""
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "DARKROOM_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "machine"
    folder.mkdir()
    return machine_with(2, folder)


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    """The folder in which files tell `obey_on_device` what to do."""
    folder = tmp_path / "yard"
    folder.mkdir()
    return folder
