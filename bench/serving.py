"""Servers to measure, each a child process on a free port of the loopback: Darkroom, and the real Cog."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from bench.workloads import ROOT

PREDICTORS = Path(__file__).parent / "predictors"
READY_TIMEOUT = 900.0
"""Seconds after which a model that is still not set up is given up."""


class ServerFailed(Exception):
    """A server ended, or could not set up its model; the message holds the end of its log."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: where it listens.
        process: its HTTP process.
        started: `time.perf_counter()` when the process was started.
        log: the file that it logs to.
    """

    url: str
    process: subprocess.Popen[bytes]
    started: float
    log: Path

    def wait_until_ready(self) -> float:
        """Wait until the model is set up; returns the seconds since the process was started.

        Raises:
            ServerFailed: it cannot be set up, or takes too long.
        """
        with httpx.Client(base_url=self.url, timeout=10, trust_env=False) as client:
            while True:
                status = self._health(client)
                seconds = time.perf_counter() - self.started
                if status in ("READY", "BUSY"):
                    return seconds
                if status in ("SETUP_FAILED", "DEFUNCT") or seconds > READY_TIMEOUT:
                    raise ServerFailed(f"not ready after {seconds:.0f} s, but {status}:\n{_end_of(self.log)}")
                time.sleep(0.05)

    def _health(self, client: httpx.Client) -> str:
        if self.process.poll() is not None:
            raise ServerFailed(f"ended with {self.process.returncode}:\n{_end_of(self.log)}")
        try:
            return str(client.get("/health-check").json()["status"])
        except httpx.TransportError:
            return "not listening"


@contextmanager
def running_darkroom(model: Path, options: Sequence[str] = ()) -> Iterator[Server]:
    """Serve our predict.py with the model in a folder, and end the server afterwards. It need not be ready yet.

    Args:
        model: the folder.
        options: further options of `darkroom serve`.
    """
    command = [sys.executable, "-m", "server", "serve", "--port", "0", "--model-id", str(model), *options]
    with _running(command, ROOT, {}) as (process, log, started):
        yield Server(_url_in(log, process), process, started, log)


@contextmanager
def running_cog(predictor: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """Serve a file of `bench/predictors` with the real Cog, and end it afterwards. It need not be ready yet.

    Args:
        predictor: the name of the file, without its ending; it holds a class `Predictor`.
        environment: further variables.
    """
    port = _free_port()
    variables = {
        "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
        "PORT": str(port),
        # It starts its own worker as `python`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        **environment,
    }
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"]
    with tempfile.TemporaryDirectory(prefix="bench-cog-") as name:
        shutil.copyfile(PREDICTORS / f"{predictor}.py", Path(name) / "predict.py")
        with _running(command, Path(name), variables) as (process, log, started):
            yield Server(f"http://127.0.0.1:{port}", process, started, log)


@contextmanager
def _running(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path, float]]:
    log: IO[bytes]
    with tempfile.NamedTemporaryFile(prefix="bench-", suffix=".log") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield process, Path(log.name), started
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    while process.poll() is None:
        if match := re.search(r"serves .* on (http://[\d.]+:\d+)", log.read_text(errors="replace")):
            return match.group(1)
        time.sleep(0.02)
    raise ServerFailed(f"ended with {process.returncode}:\n{_end_of(log)}")


def _free_port() -> int:
    """A port that nothing else will be given before Cog takes it: the system hands out those above 32767."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]
