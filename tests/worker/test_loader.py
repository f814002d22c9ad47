"""Loading predictors, in real workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import WorkerError
from server.worker.backend import WorkerState
from tests.conftest import PREDICTORS
from tests.worker.conftest import Client, Start


async def test_the_models_own_modules_are_found_and_ours_stay_ours(start: Start, client: Client) -> None:
    worker = await start("predict.py:Predictor", directory=PREDICTORS / "own_server")
    assert await client.output(worker) == "sibling predict"
    assert "server.py cannot be imported: the name `server` is Darkroom's own" in worker.setup.logs


async def test_a_file_in_a_folder_below(start: Start, client: Client) -> None:
    worker = await start("own_server/predict.py:Predictor")
    assert await client.output(worker) == "sibling predict"


async def test_a_file_with_the_name_of_another_module(start: Start, client: Client, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text((PREDICTORS / "functions.py").read_text())
    worker = await start("json.py:double", directory=tmp_path)
    assert await client.output(worker, number=2) == 4


MISSING_NAME = "defines no class and no function {}. It defines double, double_async, double_each: write {}:double."


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("missing.py:Predictor", "missing.py. Write the name of one in `predict:` of cog.yaml"),
        ("functions.py:Nope", "functions.py " + MISSING_NAME.format("Nope", "functions.py")),
        ("functions.py:LIMIT", "functions.py " + MISSING_NAME.format("LIMIT", "functions.py")),
        ("functions.py", "functions.py " + MISSING_NAME.format("Runner or Predictor", "functions.py")),
        ("README.txt:Predictor", "README.txt is no Python file. Rename it so that its name ends in .py."),
        ("empty.py:Predictor", "empty.py defines no class and no function Predictor. It defines none at all."),
        ("broken.py:Predictor", "SyntaxError: invalid syntax (broken.py, line 2)"),
        ("importing.py:Predictor", "ModuleNotFoundError: No module named 'nonexistent'"),
        ("exiting.py:Predictor", "SystemExit: 3"),
        ("making.py:Predictor", "RuntimeError: not made"),
        ("both.py:Predictor", "it defines both run and predict"),
        ("untyped.py:Predictor", "untyped.py:2: x: it has no type annotation. Write x: str, or its type."),
    ],
)
async def test_what_cannot_be_loaded_is_explained(start: Start, tmp_path: Path, reference: str, reason: str) -> None:
    files = {
        "functions.py": (PREDICTORS / "functions.py").read_text(),
        "README.txt": "",
        "empty.py": "",
        "broken.py": "x = 1\nif",
        "importing.py": "import nonexistent",
        "exiting.py": "raise SystemExit(3)",
        "making.py": "class Predictor:\n  def __init__(self): raise RuntimeError('not made')",
        "both.py": "class Predictor:\n  def run(self) -> str: ...\n  def predict(self) -> str: ...",
        "untyped.py": "class Predictor:\n  def run(self, x) -> str: ...",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    worker = await start(reference, directory=tmp_path)
    assert worker.state is WorkerState.SETUP_FAILED
    assert worker.setup.status == "failed"
    assert worker.setup.error is not None
    assert reason in worker.setup.error
    assert reason in worker.setup.logs
    with pytest.raises(WorkerError) as caught:
        await worker.loaded()
    assert str(caught.value) == worker.setup.error


async def test_a_traceback_begins_in_the_models_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text("def load():\n    raise ValueError('no')\nload()\n")
    worker = await start("predict.py:Predictor", directory=tmp_path)
    first = worker.setup.logs.splitlines()[:2]
    assert first == ["Traceback (most recent call last):", f'  File "{tmp_path}/predict.py", line 3, in <module>']
