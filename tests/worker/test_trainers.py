"""Trainers of every kind, in real workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.schema.signature import Mode
from server.worker.backend import WorkerState
from server.worker.messages import Failed, LocalFile, Output, Predict, PredictionEvent
from server.worker.worker import Worker
from tests.worker.conftest import running_worker


async def events(worker: Worker, folder: Path, **input: Any) -> list[PredictionEvent]:
    return [event async for event in worker.run(Predict("t", input, str(folder)))]


async def outputs(worker: Worker, folder: Path, **input: Any) -> list[Any]:
    return [event.value for event in await events(worker, folder, **input) if isinstance(event, Output)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Trainer", ["base trained on x"]),
        ("Both", ["trained on ['x']"]),
        ("train", ["trained on x"]),
        ("train_async", ["trained on x"]),
        ("train_in_steps", ["x 0", "x 1"]),
        ("train_in_steps_async", ["x 0", "x 1"]),
        (None, ["base trained on x"]),
    ],
)
async def test_every_kind(name: str | None, expected: list[Any], tmp_path: Path) -> None:
    reference = f"trainers.py:{name}" if name else "trainers.py"
    async with running_worker(None, trainer=reference, mode=Mode.TRAIN) as worker:
        assert await worker.settled() is WorkerState.READY, worker.setup.logs
        assert await outputs(worker, tmp_path, data="x") == expected
        assert worker.interface is not None
        assert worker.interface.mode is Mode.TRAIN


async def test_a_file_comes_out(tmp_path: Path) -> None:
    async with running_worker(None, trainer="trainers.py:train_to_file", mode=Mode.TRAIN) as worker:
        await worker.settled()
        [file] = await outputs(worker, tmp_path, data="x")
        assert file == LocalFile(str(tmp_path / "weights.bin"))
        assert (tmp_path / "weights.bin").read_text() == "x"


@pytest.mark.parametrize(("name", "noun"), [("train", "Training"), ("train_async", "Async training")])
async def test_a_failure_is_called_a_training(name: str, noun: str, tmp_path: Path) -> None:
    async with running_worker(None, trainer=f"trainers.py:{name}", mode=Mode.TRAIN) as worker:
        await worker.settled()
        *_, end = await events(worker, tmp_path, data="bad")
        assert isinstance(end, Failed)
        assert end.error == f"Prediction failed: {noun} failed: ValueError: bad"


@pytest.mark.parametrize("mode", Mode)
async def test_only_what_runs_is_set_up(mode: Mode) -> None:
    async with running_worker("print_in_setup", trainer="trainers.py:Trainer", mode=mode) as worker:
        await worker.settled()
        assert ("setting up to train" in worker.setup.logs) is (mode is Mode.TRAIN)
        assert worker.interface is not None
        assert worker.interface.signatures.keys() == set(Mode)
        assert worker.signature == worker.interface.signatures[mode]


async def test_one_file_is_imported_once(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "print('imported')\ndef predict(a: str) -> str:\n  return a\ndef train(b: str) -> str:\n  return b\n"
    )
    (tmp_path / "train.py").write_text("import model\ntrain = model.train\n")
    for trainer in ("model.py:train", "train.py:train"):
        async with running_worker("model.py:predict", directory=tmp_path, trainer=trainer) as worker:
            await worker.settled()
            assert worker.setup.logs.count("imported") == 1
            assert worker.interface is not None
            assert [worker.interface.asked(mode).inputs[0].name for mode in Mode] == ["a", "b"]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("trainer", "reason"),
    [
        ("trainers.py:NoTrainer", "NoTrainer: it does not define train. Define train(self, ...)"),
        ("trainers.py:train_bytes", "data: "),
        ("trainers.py:absent", "trainers.py defines no class and no function absent"),
        ("absent.py:train", "absent.py. Write the name of one in `train:` of cog.yaml, as in train.py:train."),
        ("greet.py", "greet.py defines no class and no function Trainer or train"),
    ],
)
async def test_what_cannot_train_is_refused_at_the_start(trainer: str, reason: str, mode: Mode) -> None:
    async with running_worker("greet", trainer=trainer, mode=mode) as worker:
        assert await worker.settled() is WorkerState.SETUP_FAILED
        assert worker.setup.error is not None
        assert reason in worker.setup.error
