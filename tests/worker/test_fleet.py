"""Several workers that share the work: who gets a prediction, and what becomes of it where one of them is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.errors import WorkerError, WorkerNotReady
from server.worker.backend import WorkerState
from server.worker.dispatch import Dispatcher
from server.worker.fleet import Fleet
from server.worker.messages import Canceled, Failed, PredictionEvent, Succeeded
from server.worker.worker import Worker
from tests.api.clients import appears
from tests.conftest import PREDICTORS
from tests.worker.conftest import Client, output_of, ready_again, wait_until_empty

Running = asyncio.Task[list[PredictionEvent]]


class Yard:
    """A folder in which files tell the devices what to do."""

    def __init__(self, folder: Path, client: Client) -> None:
        self.folder = folder
        self._client = client

    def touch(self, name: str) -> None:
        (self.folder / name).touch()

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    async def begin(self, fleet: Fleet, name: str) -> tuple[Running, str]:
        """A prediction that goes on until `NAME.go` is there, and the device that it runs on."""
        running = self.ask(fleet, name)
        return running, await appears(self.folder / f"{name}.started")

    def ask(self, fleet: Fleet, name: str) -> Running:
        return asyncio.create_task(self._client.events(fleet, self._client.command(name=name, hold=True)))

    async def end(self, running: Running, name: str) -> Any:
        """What it puts out once it may go on."""
        self.touch(f"{name}.go")
        events = await running
        assert isinstance(events[-1], Succeeded), events
        return output_of(events)

    def has_started(self, name: str) -> bool:
        return (self.folder / f"{name}.started").exists()


@pytest.fixture
def yard(tmp_path: Path, client: Client) -> Yard:
    folder = tmp_path / "yard"
    folder.mkdir()
    return Yard(folder, client)


@asynccontextmanager
async def running_fleet(
    yard: Yard, predictor: str = "obey_on_device", devices: tuple[str, ...] = ("0", "1")
) -> AsyncIterator[Fleet]:
    """Start a fleet, and at the end make sure that it leaves no process behind."""

    def create(device: str, dispatcher: Dispatcher) -> Worker:
        environment = {"CUDA_VISIBLE_DEVICES": device, "FOLDER": str(yard.folder)}
        reference = f"{predictor}.py:Predictor"
        return Worker(reference, PREDICTORS, environment=environment, device=device, dispatcher=dispatcher)

    fleet = Fleet(devices, create)
    await fleet.start()
    try:
        yield fleet
    finally:
        groups = {worker.pid for worker in fleet.workers}
        await fleet.stop(0)
    assert fleet.state is WorkerState.STOPPED
    for group in groups:
        assert group is None or await asyncio.to_thread(wait_until_empty, group) == []


async def all_settled(fleet: Fleet) -> list[WorkerState]:
    return [await worker.settled() for worker in fleet.workers]


def kill(worker: Worker) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)


async def test_each_prediction_goes_to_the_least_busy_and_of_equals_to_the_first(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        assert (fleet.state, fleet.concurrency, fleet.has_been_ready) == (WorkerState.READY, 2, True)
        a, on = await yard.begin(fleet, "a")
        assert on == "0"
        b, on = await yard.begin(fleet, "b")
        assert on == "1"
        assert [worker.running for worker in fleet.workers] == [1, 1]
        assert await yard.end(a, "a") == "0"
        c, on = await yard.begin(fleet, "c")
        assert on == "0"
        assert await yard.end(b, "b") == "1"
        assert await yard.end(c, "c") == "0"
        d, on = await yard.begin(fleet, "d")
        assert on == "0"
        assert await yard.end(d, "d") == "0"


async def test_what_waits_goes_in_its_order_to_whoever_is_free_first(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        (a, _), (b, _) = [await yard.begin(fleet, name) for name in "ab"]
        c, d = yard.ask(fleet, "c"), yard.ask(fleet, "d")
        assert await yard.end(b, "b") == "1"
        assert await appears(yard.folder / "c.started") == "1"
        assert not yard.has_started("d")
        assert await yard.end(a, "a") == "0"
        assert await yard.end(d, "d") == "0"
        assert await yard.end(c, "c") == "1"


async def test_an_id_is_unique_among_all(yard: Yard, client: Client) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        a, _ = await yard.begin(fleet, "a")
        with pytest.raises(WorkerError, match="the id p1 has not ended"):
            await anext(fleet.run(msgspec.structs.replace(client.command(name="x"), id="p1")))
        await yard.end(a, "a")


async def test_cancel_reaches_what_runs_and_what_waits(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        (a, _), (b, _) = [await yard.begin(fleet, name) for name in "ab"]
        c = yard.ask(fleet, "c")
        await asyncio.sleep(0)
        for id_ in ("p3", "p2", "p2", "unknown"):
            fleet.cancel(id_)
        assert [type((await running)[-1]) for running in (c, b)] == [Canceled, Canceled]
        assert not yard.has_started("c")
        assert await yard.end(a, "a") == "0"


async def test_a_device_that_is_lost_takes_only_its_own_predictions_along(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        first, second = fleet.workers
        (a, _), (b, _) = [await yard.begin(fleet, name) for name in "ab"]
        yard.touch("0.hold")
        kill(first)
        end = (await a)[-1]
        assert isinstance(end, Failed)
        assert end.error.startswith("Worker crashed: its process was killed by SIGKILL.")
        assert (fleet.state, fleet.setup.status, fleet.concurrency) == (WorkerState.READY, "succeeded", 1)
        c = yard.ask(fleet, "c")
        assert await yard.end(b, "b") == "1"
        assert await yard.end(c, "c") == "1"
        yard.remove("0.hold")
        await ready_again(first, 1)
        assert (fleet.concurrency, second.restarts) == (2, 0)
        d, on = await yard.begin(fleet, "d")
        assert on == "0"
        assert await yard.end(d, "d") == "0"


async def test_where_all_are_lost_what_waits_goes_to_the_first_to_be_back(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        (a, _), (b, _) = [await yard.begin(fleet, name) for name in "ab"]
        for worker in fleet.workers:
            yard.touch(f"{worker.device}.hold")
            kill(worker)
        for running in (a, b):
            assert isinstance((await running)[-1], Failed)
        assert (fleet.state, fleet.concurrency) == (WorkerState.STARTING, 0)
        c = yard.ask(fleet, "c")
        yard.remove("1.hold")
        assert await fleet.settled() is WorkerState.READY
        assert await yard.end(c, "c") == "1"
        yard.remove("0.hold")


async def test_all_are_set_up_at_once_and_the_first_to_be_ready_serves(yard: Yard) -> None:
    for device in ("0", "1"):
        yard.touch(f"{device}.hold")
    async with running_fleet(yard) as fleet:
        for worker in fleet.workers:
            interface = await worker.loaded()
            assert worker.state is WorkerState.STARTING
        assert fleet.interface is fleet.workers[0].interface
        assert fleet.signature == interface.served
        assert (fleet.state, fleet.setup.status, fleet.concurrency) == (WorkerState.STARTING, "starting", 0)
        yard.remove("1.hold")
        assert await fleet.settled() is WorkerState.READY
        assert (fleet.workers[0].state, fleet.concurrency) == (WorkerState.STARTING, 1)
        running, on = await yard.begin(fleet, "a")
        assert on == "1"
        yard.remove("0.hold")
        assert await fleet.workers[0].settled() is WorkerState.READY
        assert fleet.concurrency == 2
        await yard.end(running, "a")


async def test_predictions_are_refused_until_one_is_ready(yard: Yard, client: Client) -> None:
    for device in ("0", "1"):
        yard.touch(f"{device}.hold")
    async with running_fleet(yard) as fleet:
        with pytest.raises(WorkerNotReady, match="is being set up"):
            await anext(fleet.run(client.command(name="a")))


async def test_a_device_whose_setup_fails_stays_out(
    yard: Yard, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    yard.touch("0.broken")
    caplog.set_level("INFO")
    async with running_fleet(yard) as fleet:
        assert await all_settled(fleet) == [WorkerState.SETUP_FAILED, WorkerState.READY]
        assert (fleet.state, fleet.concurrency, fleet.setup.status) == (WorkerState.READY, 1, "succeeded")
        assert fleet.setup.logs.startswith("Device 0:\n0 is set up\nTraceback (most recent call last):\n")
        assert fleet.setup.logs.endswith("RuntimeError: 0 is broken\nDevice 1:\n1 is set up\n")
        assert await client.output(fleet, name="a") == "1"
    messages = [record.getMessage() for record in caplog.records]
    told = {(record.getMessage(), getattr(record, "device", None)) for record in caplog.records}
    assert {("0 is set up", "0"), ("1 is set up", "1")} <= told
    assert {("Setup started", "0"), ("Setup failed", "0"), ("Setup finished", "1")} <= told
    assert "RuntimeError: 0 is broken" in {getattr(record, "reason", None) for record in caplog.records}
    assert (
        "The model runs on 1 of 2 devices: it could not be set up on 0, which no prediction goes to until the server "
        "is started again." in messages
    )


async def test_where_every_setup_fails_nothing_is_served(
    yard: Yard, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for device in ("0", "1"):
        yard.touch(f"{device}.broken")
    async with running_fleet(yard) as fleet:
        assert await fleet.settled() is WorkerState.SETUP_FAILED
        assert (fleet.setup.status, fleet.has_been_ready, fleet.concurrency) == ("failed", False, 0)
        assert fleet.setup.completed_at == max(worker.setup.completed_at or 0 for worker in fleet.workers)
        assert fleet.setup.error == "RuntimeError: 0 is broken; RuntimeError: 1 is broken"
        with pytest.raises(WorkerNotReady, match="could not be set up: RuntimeError: 0 is broken"):
            await anext(fleet.run(client.command(name="a")))
    assert "of 2 devices" not in caplog.text


async def test_code_that_cannot_be_imported_is_tried_on_one_device_at_a_time(yard: Yard) -> None:
    async with running_fleet(yard, "absent") as fleet:
        assert await fleet.settled() is WorkerState.SETUP_FAILED
        first, second = (worker.setup for worker in fleet.workers)
        assert first.completed_at is not None
        assert second.started_at >= first.completed_at
        # Said once, where it is the same.
        assert fleet.setup.error == first.error
        assert fleet.interface is None


async def test_stop_lets_what_runs_on_each_device_end(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        (a, _), (b, _) = [await yard.begin(fleet, name) for name in "ab"]
        stopping = asyncio.create_task(fleet.stop(60))
        while fleet.state is not WorkerState.STOPPED:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert await yard.end(b, "b") == "1"
        assert await yard.end(a, "a") == "0"
        await stopping
        assert [worker.pid for worker in fleet.workers] == [None, None]


async def test_stop_ends_what_takes_longer_on_each_device(yard: Yard, client: Client) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        running = [(await yard.begin(fleet, name))[0] for name in "ab"]
        waiting = yard.ask(fleet, "c")
        await asyncio.sleep(0)
        await fleet.stop(0.1)
        ends = [(await task)[-1] for task in (*running, waiting)]
        assert [end.error for end in ends if isinstance(end, Failed)] == [
            "The server was stopped before the prediction had ended.",
            "The server was stopped before the prediction had ended.",
            "The server was stopped before the prediction had begun.",
        ]
        with pytest.raises(WorkerNotReady, match="has been stopped"):
            await anext(fleet.run(client.command(name="d")))


async def test_stop_at_once(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        settling = asyncio.create_task(fleet.settled())
        await fleet.stop(60)
        assert await settling is WorkerState.STOPPED
    assert fleet.workers[1].setup.status == "starting"


async def test_a_stop_that_is_hurried_leaves_nothing(yard: Yard) -> None:
    async with running_fleet(yard) as fleet:
        await all_settled(fleet)
        running, _ = await yard.begin(fleet, "a")
        stopping = asyncio.create_task(fleet.stop(3600))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        await fleet.stop(0)
        assert isinstance((await running)[-1], Failed)
