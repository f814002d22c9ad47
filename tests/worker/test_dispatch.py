"""Which child a prediction goes to, where they can run different numbers at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from server.worker.dispatch import Dispatcher
from server.worker.messages import Failed, Predict, Succeeded
from tests.worker.conftest import Client, running_worker

WAIT = """
import asyncio, pathlib
pathlib.Path({mark!r}).touch()
while not pathlib.Path({go!r}).exists():
    await asyncio.sleep(0.005)
"""


async def test_the_least_busy_is_so_in_relation_to_what_it_can_run(client: Client, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = WAIT.format(mark=str(tmp_path / "mark"), go=str(go))
    dispatcher = Dispatcher()
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(
                running_worker("run_code_async", concurrency=concurrency, dispatcher=dispatcher)
            )
            for concurrency in (1, 4, 2)
        ]
        for worker in workers:
            await worker.settled()
        seen, running = [], []
        for _ in range(7):
            running.append(asyncio.create_task(client.predict(workers[0], code=code)))
            await asyncio.sleep(0)
            seen.append([worker.running for worker in workers])
        assert seen == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 2, 1], [1, 3, 1], [1, 3, 2], [1, 4, 2]]
        waiting = asyncio.create_task(client.predict(workers[0], code=code))
        await asyncio.sleep(0)
        assert [worker.running for worker in workers] == [1, 4, 2]
        go.touch()
        for task in (*running, waiting):
            assert isinstance((await task)[-1], Succeeded)


async def test_what_cannot_be_sent_fails_and_takes_no_place(client: Client) -> None:
    dispatcher = Dispatcher()
    async with running_worker("run_code", dispatcher=dispatcher) as worker:
        await worker.settled()
        unsendable = Predict("x", {"code": "\ud800"}, "/tmp")
        (end,) = await client.events(worker, unsendable)
        assert isinstance(end, Failed)
        assert end.error.startswith("Prediction failed: Input validation error: UnicodeEncodeError")
        assert worker.running == 0
        assert await client.output(worker, code="result = 1") == 1
