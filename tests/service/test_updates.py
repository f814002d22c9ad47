from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.prediction import Prediction
from server.service.updates import Completed, Logged, Reader, Started, Truncated, Update, Updates
from server.worker.messages import Failed, Log, LogSource, Metric, MetricMode, Output, PredictionEvent, Succeeded


class Told:
    """A prediction whose events are told as the service tells them."""

    def __init__(self, history: int = 1024) -> None:
        self.prediction = Prediction("s1")
        self.updates = Updates(history)

    def start(self) -> None:
        self.prediction.start()
        self.updates.start(self.prediction)

    def event(self, event: PredictionEvent) -> None:
        self.prediction.apply(event)
        self.updates.notify(self.prediction, event)

    def log(self, text: str) -> None:
        self.event(Log("s1", LogSource.STDOUT, text))

    def succeed(self) -> None:
        self.event(Succeeded("s1", 0.2))


async def read(reader: Reader) -> list[Update]:
    return [update async for update in reader]


async def read_again(updates: Updates) -> list[Update]:
    with updates.reader() as reader:
        return await read(reader)


def shown(updates: list[Update]) -> list[tuple[str, dict[str, Any]]]:
    return [(update.event, update.data()) for update in updates]


async def test_a_reader_sees_what_cog_shows() -> None:
    told = Told()
    with told.updates.reader() as reader:
        told.start()
        told.event(Metric("s1", "temp", 0.5))
        told.event(Metric("s1", "n", 2, MetricMode.INCREMENT))
        told.event(Metric("s1", "n", 3, MetricMode.INCREMENT))
        told.event(Metric("s1", "all", 1, MetricMode.APPEND))
        told.event(Metric("s1", "n", None, MetricMode.DELETE))
        told.log("log 0\n")
        told.event(Log("s1", LogSource.STDERR, "oh\n"))
        told.event(Output("s1", "c0", 0))
        told.event(Output("s1", "c1", 1))
        told.succeed()
        updates = await read(reader)
    assert shown(updates) == [
        ("start", {"id": "s1", "status": "processing"}),
        ("metric", {"mode": "replace", "name": "temp", "value": 0.5}),
        ("metric", {"mode": "increment", "name": "n", "value": 2}),
        ("metric", {"mode": "increment", "name": "n", "value": 3}),
        ("metric", {"mode": "append", "name": "all", "value": 1}),
        ("metric", {"mode": "replace", "name": "n", "value": None}),
        ("log", {"data": "log 0\n", "source": "stdout"}),
        ("log", {"data": "oh\n", "source": "stderr"}),
        ("output", {"chunk": "c0", "index": 0}),
        ("output", {"chunk": "c1", "index": 1}),
        (
            "completed",
            {
                "id": "s1",
                "logs": "log 0\noh\n",
                "metrics": {"predict_time": 0.2, "temp": 0.5, "all": [1]},
                "output": ["c0", "c1"],
                "status": "succeeded",
            },
        ),
    ]


# As Cog 0.23.1 streams what `predict` returns.
@pytest.mark.parametrize(
    ("returned", "chunks"),
    [
        ("x", ["x"]),
        ({"b": 1}, [{"b": 1}]),
        (["a", "b"], ["a", "b"]),
        (None, []),
        ([], []),
    ],
)
async def test_a_returned_value_is_told_in_pieces_and_completed_whole(returned: Any, chunks: list[Any]) -> None:
    told = Told()
    told.start()
    told.event(Output("s1", returned))
    told.succeed()
    _, *pieces, end = shown(await read_again(told.updates))
    assert pieces == [("output", {"chunk": chunk, "index": index}) for index, chunk in enumerate(chunks)]
    assert end[1]["output"] == returned


async def test_a_failure_is_told_with_what_there_was() -> None:
    told = Told()
    told.start()
    told.log("before\n")
    told.event(Output("s1", "c0", 0))
    told.event(Failed("s1", "ValueError: x", 0.1))
    assert (await read_again(told.updates))[-1] == Completed(
        {
            "id": "s1",
            "logs": "before\n",
            "metrics": {"predict_time": 0.1},
            "output": ["c0"],
            "error": "ValueError: x",
            "status": "failed",
        }
    )


async def test_every_reader_gets_all_whenever_it_comes() -> None:
    told = Told()
    with told.updates.reader() as early:
        early_updates = asyncio.create_task(read(early))
        told.start()
        told.log("1")
        with told.updates.reader() as late:
            late_updates = asyncio.create_task(read(late))
            await asyncio.sleep(0)
            told.log("2")
            await asyncio.sleep(0)
            told.succeed()
            everything = await early_updates
            assert await late_updates == everything
    assert [update.event for update in everything] == ["start", "log", "log", "completed"]
    assert await read_again(told.updates) == everything


async def test_updates_arrive_while_the_prediction_runs() -> None:
    told = Told()
    with told.updates.reader() as reader:
        told.start()
        assert await anext(reader) == Started("s1")
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        assert not waiting.done()
        told.log("1")
        assert await waiting == Logged("1", LogSource.STDOUT)


async def test_a_wait_that_is_given_up_loses_nothing() -> None:
    told = Told()
    with told.updates.reader() as reader:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(reader), 0.01)
        told.start()
        told.succeed()
        assert [update.event for update in await read(reader)] == ["start", "completed"]


async def test_a_reader_who_comes_too_late_for_the_history_is_told_how_much_is_gone() -> None:
    told = Told(history=3)
    told.start()
    told.log("1")
    told.log("2")
    with told.updates.reader() as in_time:
        assert [(await anext(in_time)).event for _ in range(3)] == ["start", "log", "log"]
    for number in range(5):
        told.log(str(number))
    truncated = await read_again(told.updates)
    assert truncated == [Truncated(5)]
    assert shown(truncated) == [("error", {"error": "SSE stream replay truncated; events were dropped", "skipped": 5})]


async def test_a_short_history_does_not_cut_off_who_reads_along() -> None:
    told = Told(history=3)
    with told.updates.reader() as reader:
        told.start()
        for number in range(100):
            told.log(str(number))
        told.succeed()
        assert len(await read(reader)) == 102


async def test_without_a_history_each_reader_gets_what_follows() -> None:
    told = Told(history=0)
    with told.updates.reader() as early:
        told.start()
        with told.updates.reader() as late:
            told.log("1")
            told.succeed()
            assert [update.event for update in await read(late)] == ["log", "completed"]
        assert [update.event for update in await read(early)] == ["start", "log", "completed"]
    assert await read_again(told.updates) == []


async def test_a_slow_reader_loses_its_place_and_holds_nobody_up() -> None:
    told = Told(history=10)
    with told.updates.reader() as slow:
        told.start()
        assert await anext(slow) == Started("s1")
        for number in range(2000):
            told.log(str(number))
        assert await read(slow) == [Truncated(2001 - 1024 - 1)]
        with pytest.raises(StopAsyncIteration):
            await anext(slow)


async def test_readers_are_counted() -> None:
    told = Told()
    assert told.updates.readers == 0
    with told.updates.reader(), told.updates.reader():
        assert told.updates.readers == 2
    assert told.updates.readers == 0
