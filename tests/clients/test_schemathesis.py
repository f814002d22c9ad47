"""Every check of schemathesis, in all of its phases, against the running server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from tests.conftest import ROOT, Serve, Server
from tests.worker.test_narrowing import write

# What it finds beyond these depends on the number of examples alone, not on the machine: the seed is fixed.
EXAMPLES = "12"


def schemathesis_run(server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it; unless told otherwise, it makes all the checks that it has."""
    program = Path(sys.executable).parent / "schemathesis"
    options = ["--max-examples", EXAMPLES, "--seed", "3", "--generation-database", "none", "--continue-on-failure"]
    return subprocess.run(
        [program, "--config-file", ROOT / "schemathesis.toml", "run", f"{server.url}/openapi.json", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.clients.hooks"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("predictor", ["take_everything", "draw_quickly", "stream_words"])
def test_nothing_is_found(serve: Serve, predictor: str, tmp_path: Path) -> None:
    server = serve(predictor)
    run = schemathesis_run(server, tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅  {phase}" in run.stdout or f"⏭  {phase}" in run.stdout, run.stdout
    assert not [line for line in server.lines if "Traceback" in line]


def test_nothing_is_found_where_the_model_narrows_its_inputs(serve: Serve, tmp_path: Path) -> None:
    changes = {"mask": None, "steps": {"default": 4, "le": 8}, "width": {"multiple_of": 16}}
    run = schemathesis_run(serve("narrow", env=write(tmp_path, changes)), tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


def test_nothing_is_found_where_there_are_trainings(serve: Serve, tmp_path: Path) -> None:
    run = schemathesis_run(serve("train_apart", trainer="train_apart.py:train"), tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_end(serve: Serve) -> None:
    server = serve("greet")
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=SchemathesisConfig())
    operation = schema["/shutdown"]["POST"]
    for method in ("GET", "PUT", "DELETE"):
        response = operation.Case(method=method).call()
        assert (response.status_code, response.headers["allow"]) == (405, ["POST"])
    operation.Case().call_and_validate()
    assert server.wait() == 0
