"""Real workers for the tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.worker.backend import Backend, WorkerState
from server.worker.messages import Log, Output, Predict, PredictionEvent, Succeeded
from server.worker.worker import Worker
from tests.conftest import PREDICTORS


def group_members(group: int) -> list[int]:
    """The processes of a process group that are alive, in ascending order."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, _, process_group = stat.rpartition(")")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                members.append(int(entry.name))
    return sorted(members)


def wait_until_empty(group: int) -> list[int]:
    """The processes of a group that are still alive when those that were killed have had the time to end."""
    deadline = time.monotonic() + 60
    while (members := group_members(group)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return members


def open_descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@asynccontextmanager
async def running_worker(
    predictor: str | None, *, directory: Path = PREDICTORS, environment: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Worker]:
    """Start a worker, and at the end make sure that it leaves no process behind.

    Args:
        predictor: the name of a file in `tests/predictors` without its ending, or a whole reference; `None` for none.
        directory: the model's folder.
        environment, options: as `Worker` takes them.
    """
    is_name = predictor is not None and ":" not in predictor and "." not in predictor
    reference = f"{predictor}.py:Predictor" if is_name else predictor
    worker = Worker(reference, directory, environment=environment or {}, **options)
    groups = set()
    await worker.start()
    try:
        yield worker
    finally:
        groups.add(worker.pid)
        await worker.stop(0)
    assert worker.state is WorkerState.STOPPED
    for group in groups:
        assert group is None or await asyncio.to_thread(wait_until_empty, group) == []


Start = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start workers that end with the test and wait until they are settled; arguments as of `running_worker`."""
    async with AsyncExitStack() as stack:

        async def start_one(predictor: str, **options: Any) -> Worker:
            worker = await stack.enter_async_context(running_worker(predictor, **options))
            await worker.settled()
            return worker

        yield start_one


class Client:
    """Makes predictions, each with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def command(self, context: dict[str, str] | None = None, /, **values: Any) -> Predict:
        """A prediction that has not been made yet."""
        self._count += 1
        outputs = self._folder / f"outputs-{self._count}"
        outputs.mkdir()
        return Predict(f"p{self._count}", values, str(outputs), context or {})

    async def predict(self, worker: Backend, /, **values: Any) -> list[PredictionEvent]:
        """All events of a prediction."""
        return await self.events(worker, self.command(**values))

    async def events(self, worker: Backend, command: Predict) -> list[PredictionEvent]:
        """All events of a prediction."""
        return [event async for event in worker.run(command)]

    async def output(self, worker: Backend, /, **values: Any) -> Any:
        """The value that a prediction returns, or the list of those that it yields."""
        events = await self.predict(worker, **values)
        assert isinstance(events[-1], Succeeded), events
        return output_of(events)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def logs_of(events: Sequence[PredictionEvent]) -> str:
    """What a prediction has logged."""
    return "".join(event.text for event in events if isinstance(event, Log))


def output_of(events: Sequence[PredictionEvent]) -> Any:
    """What a prediction has put out: one value, or a list of those that were yielded."""
    outputs = [event for event in events if isinstance(event, Output)]
    if len(outputs) == 1 and outputs[0].index is None:
        return outputs[0].value
    assert [output.index for output in outputs] == list(range(len(outputs)))
    return [output.value for output in outputs]


async def until_log(events: AsyncIterator[PredictionEvent], text: str) -> None:
    """Take events until a prediction has logged `text`."""
    async for event in events:
        if isinstance(event, Log) and text in event.text:
            return
    raise AssertionError(f"the prediction ended without logging {text!r}")


async def ready_again(worker: Worker, restarts: int) -> None:
    """Wait until the child has been replaced so many times, and is ready."""
    while worker.restarts < restarts or worker.state is not WorkerState.READY:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
