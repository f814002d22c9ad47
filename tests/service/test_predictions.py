"""A prediction that was accepted ends in a terminal state, whatever goes wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.errors import (
    AtCapacity,
    InvalidRequest,
    NotReady,
    OutputError,
    PredictionExists,
    QueueFull,
    ShuttingDown,
)
from server.metrics import Metrics
from server.prediction import Prediction, Status
from server.service.client import http_client
from server.service.outputs import DataUrls, Outputs
from server.service.predictions import PredictionService
from server.service.slots import Slots
from server.service.webhooks import Webhooks
from server.store.history import History
from server.worker.backend import WorkerState
from server.worker.worker import Worker
from tests.api.clients import appears
from tests.conftest import PREDICTORS, ROOT
from tests.service.peer import answering, running_peer


@dataclass
class Parts:
    """A service on a worker of its own, and its parts."""

    worker: Worker
    slots: Slots
    service: PredictionService
    webhooks: Webhooks

    def create(self, id: str = "p", context: dict[str, str] | None = None, **input: Any) -> Prediction:
        return self.service.create(id, self.service.validate(input), context or {}, self.webhooks.open(None))

    async def run(self, id: str = "p", **input: Any) -> Prediction:
        prediction = self.create(id, **input)
        await self.service.wait(id)
        return prediction


Start = Callable[..., Awaitable[Parts]]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start services; they end with the test, and must then have left nothing behind."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    started: list[Worker] = []
    async with http_client() as client:

        async def start(
            predictor: str, outputs: Outputs | None = None, queue_size: int = 10, wait: bool = True
        ) -> Parts:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            worker = Worker(f"{predictor}.py:Predictor", PREDICTORS, environment=environment)
            started.append(worker)
            await worker.start()
            if wait:
                assert await worker.settled() is WorkerState.READY, worker.setup.logs
            slots = Slots(lambda: worker.concurrency, queue_size)
            service = PredictionService(
                worker,
                slots,
                outputs or DataUrls(),
                client,
                History(None, 0),
                Metrics(),
                max_file_bytes=1 << 20,
                stream_history=1024,
            )
            return Parts(worker, slots, service, Webhooks(client))

        yield start
        for worker in started:
            await worker.stop(0)
    assert list(scratch.iterdir()) == []


class Publishing:
    """Outputs that do what a test wants."""

    def __init__(self, publish: Callable[[Any], Awaitable[Any]]) -> None:
        self._publish = publish

    async def publish(self, value: Any, prediction_id: str) -> Any:
        return await self._publish(value)


async def test_success(start: Start) -> None:
    parts = await start("repeat_back")
    prediction = await parts.run(text="a")
    assert prediction.status is Status.SUCCEEDED
    assert prediction.output == "a:1:0.0"
    assert prediction.started_at is not None
    assert prediction.completed_at is not None
    assert parts.service.get("p") is None
    assert not parts.slots.busy


async def test_an_input_that_cannot_be_fetched_fails_before_predict_runs(start: Start) -> None:
    parts = await start("copy_files")
    async with running_peer(answering("404 Not Found")) as peer:
        prediction = await parts.run(files=[f"{peer.url}/a.png"])
    assert prediction.status is Status.FAILED
    assert prediction.error == f"Input validation error: 404 Client Error: Not Found for url: {peer.url}/a.png"
    assert prediction.started_at is not None
    assert not parts.slots.busy


async def test_an_output_that_cannot_be_published_fails_the_prediction(start: Start) -> None:
    async def refuse(value: Any) -> Any:
        raise OutputError("Failed to upload output: the disk is full")

    parts = await start("write_file", Publishing(refuse))
    prediction = await parts.run()
    assert prediction.status is Status.FAILED
    assert prediction.error == "Failed to upload output: the disk is full"
    assert not prediction.has_output
    assert not parts.slots.busy


async def test_a_prediction_whose_output_is_refused_is_stopped(start: Start, tmp_path: Path) -> None:
    async def refuse(value: Any) -> Any:
        raise OutputError("Failed to upload output: no")

    parts = await start("yield_file_first", Publishing(refuse))
    prediction = await parts.run(folder=str(tmp_path))
    assert (prediction.status, prediction.error) == (Status.FAILED, "Failed to upload output: no")


async def test_an_error_of_our_own_fails_the_prediction_and_is_logged(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async def err(value: Any) -> Any:
        raise ZeroDivisionError

    parts = await start("write_file", Publishing(err))
    prediction = await parts.run()
    assert prediction.status is Status.FAILED
    assert prediction.error == "The server could not take in what the model put out; its log says why."
    assert "ZeroDivisionError" in caplog.text
    assert (await parts.run()).status is Status.FAILED


async def test_no_room_for_temporary_files_fails_the_prediction(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = await start("repeat_back")
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", "/nowhere")
        prediction = await parts.run()
    assert prediction.status is Status.FAILED
    assert prediction.error == "The server failed to run this prediction; its log says why."
    assert (await parts.run()).status is Status.SUCCEEDED


async def test_the_slot_is_free_while_the_output_is_still_published(start: Start) -> None:
    publishing, go_on = asyncio.Event(), asyncio.Event()

    async def wait(value: Any) -> Any:
        text = await asyncio.to_thread(Path(value.path).read_text)
        if text == "slow":
            publishing.set()
            await go_on.wait()
        return text

    parts = await start("write_file", Publishing(wait))
    slow = parts.create("slow", text="slow")
    await publishing.wait()
    assert (await parts.run("fast", text="fast")).output == "fast"
    assert slow.completed_at is None
    go_on.set()
    await parts.service.wait("slow")
    assert slow.status is Status.SUCCEEDED


async def test_cancel_while_the_output_is_published(start: Start) -> None:
    publishing = asyncio.Event()

    async def hang(value: Any) -> Any:
        publishing.set()
        await asyncio.Event().wait()

    parts = await start("write_file", Publishing(hang))
    prediction = parts.create()
    await publishing.wait()
    assert parts.service.cancel("p")
    await parts.service.wait("p")
    assert prediction.status is Status.CANCELED
    assert not prediction.has_output


async def test_cancel_at_once(start: Start) -> None:
    parts = await start("repeat_back")
    for number in range(20):
        prediction = parts.create(f"{number}")
        for _ in range(number):
            await asyncio.sleep(0)
        canceled = parts.service.cancel(f"{number}")
        await parts.service.wait(f"{number}")
        assert prediction.status is (Status.CANCELED if canceled else Status.SUCCEEDED)
        assert (await parts.run("next", text="next")).output == "next:1:0.0"


async def test_only_the_latest_canceled_ids_are_remembered(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.service.predictions._MOST_REMEMBERED", 2)
    parts = await start("repeat_back")
    for name in "abc":
        parts.create(name)
        assert parts.service.cancel(name)
        await parts.service.wait(name)
    assert [parts.service.cancel(name) for name in "abc"] == [False, True, True]


async def test_what_was_put_out_before_a_cancel_is_kept(start: Start, tmp_path: Path) -> None:
    parts = await start("yield_on_file")
    prediction = parts.create(go=str(tmp_path / "never"))
    while prediction.output != ["one", "two"]:  # noqa: ASYNC110
        await asyncio.sleep(0)
    parts.service.cancel("p")
    await parts.service.wait("p")
    assert prediction.status is Status.CANCELED
    assert prediction.output == ["one", "two"]
    assert prediction.to_response().keys() == {"id", "logs", "metrics", "status"}


async def test_what_the_model_yielded_before_a_cancel_is_taken_in_after_it(start: Start, tmp_path: Path) -> None:
    publishing = asyncio.Event()

    async def hang(value: Any) -> Any:
        publishing.set()
        await asyncio.Event().wait()

    parts = await start("yield_file_first", Publishing(hang))
    prediction = parts.create(folder=str(tmp_path))
    await publishing.wait()
    await appears(tmp_path / "yielded")
    assert not prediction.has_output
    parts.service.cancel("p")
    await parts.service.wait("p")
    assert prediction.status is Status.CANCELED
    assert prediction.output == ["two", "three"]


async def test_a_worker_that_dies_fails_what_it_ran_and_gets_what_waited(start: Start, tmp_path: Path) -> None:
    parts = await start("wait_for_file")
    running = parts.create("a", folder=str(tmp_path), name="a")
    waiting = parts.create("b", folder=str(tmp_path), name="b")
    (tmp_path / "b.go").touch()
    os.kill(int(await appears(tmp_path / "a.started")), signal.SIGKILL)
    await parts.service.wait("a")
    assert running.status is Status.FAILED
    assert running.error is not None
    assert "SIGKILL" in running.error
    late = parts.create("c", folder=str(tmp_path), name="b")
    await parts.service.wait("b")
    await parts.service.wait("c")
    assert [waiting.output, late.output] == ["b", "b"]


async def test_a_worker_that_is_stopped_fails_what_it_ran_and_what_waited(start: Start, tmp_path: Path) -> None:
    parts = await start("wait_for_file")
    predictions = [parts.create(name, folder=str(tmp_path), name=name) for name in "ab"]
    await appears(tmp_path / "a.started")
    await parts.worker.stop(0)
    for name in "ab":
        await parts.service.wait(name)
    assert [prediction.status for prediction in predictions] == [Status.FAILED, Status.FAILED]


async def test_shutdown_lets_end_what_can(start: Start, tmp_path: Path) -> None:
    parts = await start("wait_for_file")
    predictions = [parts.create(name, folder=str(tmp_path), name=name) for name in "ab"]
    await appears(tmp_path / "a.started")
    finish = asyncio.create_task(parts.service.finish(60))
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        parts.create("c", folder=str(tmp_path), name="c")
    for name in "ab":
        (tmp_path / f"{name}.go").touch()
    await finish
    assert [prediction.output for prediction in predictions] == ["a", "b"]


async def test_shutdown_cancels_what_cannot(start: Start, tmp_path: Path) -> None:
    parts = await start("wait_for_file")
    predictions = [parts.create(name, folder=str(tmp_path), name=name) for name in "ab"]
    await appears(tmp_path / "a.started")
    await parts.service.abort(60)
    assert [prediction.status for prediction in predictions] == [Status.CANCELED, Status.CANCELED]


async def test_nothing_is_accepted_before_the_model_is_set_up(start: Start) -> None:
    parts = await start("raise_in_setup", wait=False)
    with pytest.raises(NotReady):
        parts.create()
    assert await parts.worker.settled() is WorkerState.SETUP_FAILED
    with pytest.raises(NotReady):
        parts.create()


async def test_what_is_refused_leaves_no_trace(start: Start, tmp_path: Path) -> None:
    parts = await start("wait_for_file", queue_size=1)
    running = [parts.create(name, folder=str(tmp_path), name=name) for name in "ab"]
    with pytest.raises(InvalidRequest):
        parts.create("c", folder=1)
    with pytest.raises(PredictionExists):
        parts.create("a", folder=str(tmp_path), name="c")
    with pytest.raises(QueueFull):
        parts.create("c", folder=str(tmp_path), name="c")
    assert parts.service.get("c") is None
    assert not parts.service.cancel("c")
    for name in "ab":
        (tmp_path / f"{name}.go").touch()
        await parts.service.wait(name)
    assert [prediction.status for prediction in running] == [Status.SUCCEEDED, Status.SUCCEEDED]


async def test_without_a_queue(start: Start, tmp_path: Path) -> None:
    parts = await start("wait_for_file", queue_size=0)
    parts.create("a", folder=str(tmp_path), name="a")
    with pytest.raises(AtCapacity):
        parts.create("b", folder=str(tmp_path), name="b")
    (tmp_path / "a.go").touch()
    await parts.service.wait("a")


async def test_the_model_reads_the_context(start: Start) -> None:
    parts = await start("read_context")
    prediction = parts.create(context={"user": "ada"})
    await parts.service.wait("p")
    assert prediction.output == {"user": "ada"}
