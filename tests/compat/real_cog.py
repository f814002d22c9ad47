"""The real Cog, from PyPI: what a predictor does under it is what it must do here."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import PREDICTORS, inherited_environment


@contextmanager
def running_cog(predictor: str, document: dict[str, Any], folder: Path) -> Iterator[httpx.Client]:
    """Serve a predictor with the real Cog, and end it afterwards.

    Args:
        predictor: the name of a file in `tests/predictors` without its ending.
        document: its OpenAPI document; Cog checks inputs by it.
        folder: an empty folder to run in.
    """
    shutil.copyfile(PREDICTORS / f"{predictor}.py", folder / "predict.py")
    with starting_cog(folder, "predict.py:Predictor", document) as client:
        assert wait_for_cog(client) == "READY", client.get("/health-check").text
        yield client


@contextmanager
def starting_cog(
    folder: Path,
    reference: str,
    document: dict[str, Any] | None,
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[httpx.Client]:
    """The same for the predictor that lies in `folder`; does not wait until it is set up.

    Args:
        folder: where it is run.
        reference: the predictor, such as `predict.py:Predictor`.
        document: its OpenAPI document; `None` leaves Cog without one.
        environment: further variables.
        options: of its command line.
    """
    if document is not None:
        (folder / ".cog").mkdir()
        (folder / ".cog" / "openapi_schema.json").write_text(json.dumps(document))
    port = _free_port()
    variables = {
        **inherited_environment(),
        "COG_PREDICT_TYPE_STUB": reference,
        "PORT": str(port),
        # It starts its own worker as `python`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        **(environment or {}),
    }
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1", *options]
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
    ):
        try:
            while _health(client) is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
                    raise RuntimeError(f"Cog has ended:\n{(folder / 'log.txt').read_text()}")
            yield client
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_cog(cog: httpx.Client) -> str:
    """Wait until the predictor is set up, or that has failed, and nothing runs; returns the status of the health."""
    while True:
        status = _health(cog)
        if status is not None and status not in ("STARTING", "BUSY"):
            return status
        time.sleep(0.005)


def ask_cog(cog: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    """What Cog answers once it is idle: it frees the slot of a prediction some time after it has answered."""
    wait_for_cog(cog)
    return cog.request(method, path, **request)


def _free_port() -> int:
    """A port that nothing else will be given before Cog takes it: the system hands out those above 32767."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def _health(client: httpx.Client) -> str | None:
    try:
        status: str = client.get("/health-check").json()["status"]
    except httpx.TransportError:
        return None
    return status
