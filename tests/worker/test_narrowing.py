"""What a model takes once it is loaded, from the child to its parent."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from server.schema.openapi import component_schemas
from server.schema.signature import Signature
from server.worker.backend import WorkerState
from server.worker.dispatch import Dispatcher
from server.worker.fleet import Fleet
from server.worker.worker import Worker
from tests.conftest import PREDICTORS
from tests.worker.conftest import Client, Start, ready_again, running_worker

CHANGES = {"mask": "it has no form for inpainting", "steps": {"default": 4, "le": 8}, "sizes": {"default": [2, 3]}}


def write(folder: Path, changes: object, name: str = "narrowed.json") -> dict[str, str]:
    """Say what a model is to narrow; returns the environment that it needs."""
    new = folder / f"{name}.new"
    new.write_text(json.dumps(changes))
    new.rename(folder / name)
    return {"FOLDER": str(folder)}


def inputs(signature: Signature | None) -> dict[str, Any]:
    assert signature is not None
    found: dict[str, Any] = component_schemas(signature)["Input"]["properties"]
    return found


async def test_the_signature_is_that_of_the_source_until_the_model_is_loaded(tmp_path: Path) -> None:
    async with running_worker("narrow", environment={"FOLDER": str(tmp_path)}) as worker:
        loaded = await worker.loaded()
        assert worker.interface == loaded
        assert {"mask", "negative_prompt"} < inputs(worker.signature).keys()
        seen = []
        worker.watch(lambda: seen.append((worker.has_been_ready, worker.interface == loaded)))
        write(tmp_path, CHANGES)
        assert await worker.settled() is WorkerState.READY
        assert "mask" not in inputs(worker.signature)
        assert inputs(worker.signature)["steps"]["default"] == 4
        assert worker.setup.logs == "narrowing\n"
        # Never is it ready and offers something else.
        assert (True, True) not in seen


async def test_predict_gets_the_defaults_of_the_model(start: Start, client: Client, tmp_path: Path) -> None:
    worker = await start("narrow", environment=write(tmp_path, CHANGES))
    output = {
        "prompt": "a",
        "negative_prompt": "none",
        "mask": None,
        "scheduler": None,
        "steps": 4,
        "width": 512,
        "sizes": [2, 3, 0],
    }
    for _ in range(2):
        assert await client.output(worker, prompt="a") == output
    given = {"steps": 7, "sizes": [5], "negative_prompt": "text"}
    assert await client.output(worker, prompt="a", **given) == output | given | {"sizes": [5, 0]}


async def test_a_new_process_narrows_again_and_another_result_is_reported(
    start: Start, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await start("narrow", environment=write(tmp_path, CHANGES))
    interface = worker.interface
    changed = "The inputs or the output of the predictor have changed."
    for restarts, changes, steps in ((1, CHANGES, 4), (2, {**CHANGES, "steps": {"default": 2}}, 2)):
        write(tmp_path, changes)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        await ready_again(worker, restarts)
        assert worker.interface is interface
        assert (changed in caplog.text) is (restarts == 2)
        assert (await client.output(worker, prompt="a"))["steps"] == steps


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"maks": None}, "maks: the signature has no such input"),
        ({"prompt": None}, "prompt: it is required and cannot be removed"),
        ({"steps": {"le": 1000}}, "steps: le=1000 is more than the 500 of the signature"),
        ({"scheduler": {"choices": ["LCM"]}}, "scheduler: the signature does not have the choice 'LCM'"),
        ({"steps": {"description": "half \ud800 a pair"}}, "surrogates not allowed"),
        (None, "narrow_inputs: it returns None, and no mapping"),
    ],
)
async def test_what_cannot_be_used_fails_setup(changes: object, error: str, start: Start, tmp_path: Path) -> None:
    worker = await start("narrow", environment=write(tmp_path, changes))
    assert worker.state is WorkerState.SETUP_FAILED
    assert worker.setup.error is not None
    assert error in worker.setup.error
    assert worker.setup.logs.startswith("narrowing\n")


async def test_what_the_method_raises_fails_setup_with_its_traceback(start: Start, tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text(
        "class Predictor:\n"
        "    def narrow_inputs(self):\n"
        "        return {'text': self.missing}\n"
        "    def predict(self, text: str = '') -> str:\n"
        "        return text\n"
    )
    worker = await start("predict.py:Predictor", directory=tmp_path)
    assert worker.state is WorkerState.SETUP_FAILED
    assert worker.setup.error == "AttributeError: 'Predictor' object has no attribute 'missing'"
    assert "line 3, in narrow_inputs" in worker.setup.logs


async def test_asynchronous_predictors_narrow_too(start: Start, client: Client, tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text(
        "class Predictor:\n"
        "    async def setup(self):\n"
        "        self.default = 'hello'\n"
        "    def narrow_inputs(self):\n"
        "        return {'text': {'default': self.default}}\n"
        "    async def predict(self, text: str = '') -> str:\n"
        "        return text\n"
    )
    worker = await start("predict.py:Predictor", directory=tmp_path)
    assert inputs(worker.signature)["text"]["default"] == "hello"
    assert await client.output(worker) == "hello"


async def test_of_several_devices_the_first_that_is_ready_decides(
    tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def create(device: str, dispatcher: Dispatcher) -> Worker:
        environment = {"CUDA_VISIBLE_DEVICES": device, "FOLDER": str(tmp_path)}
        return Worker("narrow.py:Predictor", PREDICTORS, environment=environment, device=device, dispatcher=dispatcher)

    caplog.set_level(logging.WARNING)
    write(tmp_path, CHANGES, "narrowed-1.json")
    fleet = Fleet(("0", "1"), create)
    news = asyncio.Event()
    fleet.watch(news.set)
    await fleet.start()
    try:
        assert await fleet.settled() is WorkerState.READY
        # The other one is still being set up.
        assert [worker.state for worker in fleet.workers] == [WorkerState.STARTING, WorkerState.READY]
        interface = fleet.interface
        assert inputs(fleet.signature)["steps"]["default"] == 4
        assert "mask" not in inputs(fleet.signature)
        assert (await client.output(fleet, prompt="a"))["steps"] == 4
        write(tmp_path, {"mask": None})
        assert await fleet.workers[0].settled() is WorkerState.READY
        assert fleet.interface is interface
        assert "mask" not in inputs(fleet.workers[0].signature)
        while "takes other inputs" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert "The model takes other inputs on 0 than on the device that was ready first" in caplog.text
    finally:
        await fleet.stop(0)
