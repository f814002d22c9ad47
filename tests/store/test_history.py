from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import StoreError
from server.prediction import Prediction, Status
from server.schema.signature import Mode
from server.store.history import LOST, Entry, History
from server.store.store import Cursor, Record
from server.worker.messages import Canceled, Output, PredictionEvent, Succeeded
from tests.store.predictions import NEWEST, WatchedStore, full_disk, log, store_in

DAY = 86_400.0
NEVER = 1e9


class Runs:
    """A prediction that tells its history what the service would."""

    def __init__(self, history: History, id: str = "p", **input: Any) -> None:
        self.prediction = Prediction(id, input)
        self.entry: Entry = history.open(self.prediction, self.prediction.input)

    def start(self) -> Runs:
        self.prediction.start()
        self.entry.changed()
        return self

    def apply(self, *events: PredictionEvent) -> Runs:
        for event in events:
            self.prediction.apply(event)
            self.entry.changed()
        return self

    def end(self, output: Any = "out") -> Runs:
        return self.start().apply(Output("p", output), Succeeded("p", 0.5))

    def record(self) -> Record:
        return self.entry.record()


@asynccontextmanager
async def watched(
    folder: Path | None = None, interval: float = NEVER, retry: float = 0
) -> AsyncIterator[tuple[History, WatchedStore]]:
    async with store_in(folder) as store:
        watching = WatchedStore(store)
        async with History(watching, DAY, interval, retry) as history:
            try:
                yield history, watching
            finally:
                watching.let.set()


async def written(store: WatchedStore, entry: Entry, status: Status | None = None) -> None:
    """Wait until a prediction has been written, in a state if one is given."""
    await store.until(lambda saved: saved.number == entry.number and status in (None, saved.status))


async def test_what_runs_is_told_as_it_is_now() -> None:
    async with watched() as (history, _):
        runs = Runs(history, prompt="a")
        found = await history.get("p")
        assert found is not None
        assert (found.status, found.input) == (Status.STARTING, {"prompt": "a"})
        runs.start().apply(log("a\n"), Output("p", "x", 0))
        found = await history.get("p")
        assert found is not None
        assert (found.status, found.logs, found.output) == (Status.PROCESSING, "a\n", ["x"])
        assert (await history.page(None, 10)).records == [found]


async def test_what_has_ended_is_told_from_the_store() -> None:
    async with watched() as (history, store):
        runs = Runs(history).end()
        await written(store, runs.entry, Status.SUCCEEDED)
        assert history._entries == {}
        assert await history.get("p") == runs.record()
        assert (await history.page(None, 10)).records == [runs.record()]
        assert await history.get("other") is None


async def test_what_has_ended_is_told_before_it_is_written() -> None:
    async with watched() as (history, store):
        store.let.clear()
        runs = Runs(history).end()
        assert await history.get("p") == runs.record()
        assert (await history.page(None, 10)).records == [runs.record()]
        store.let.set()


async def test_everything_is_written_when_the_server_stops(tmp_path: Path) -> None:
    async with watched(tmp_path) as (history, _):
        done, runs = Runs(history, "done").end(), Runs(history, "runs").start().apply(log("a"))
    async with store_in(tmp_path) as store:
        assert await store.get("done") == done.record()
        found = await store.get("runs")
        assert found is not None
        assert (found.status, found.logs) == (Status.FAILED, "a")
        assert store.newest == runs.entry.number


async def test_what_is_kept_outlives_this_server() -> None:
    async with watched() as (history, store):
        store.let.clear()
        runs = Runs(history)
        kept = asyncio.create_task(runs.entry.kept())
        await asyncio.sleep(0)
        assert not kept.done()
        store.let.set()
        await kept
        assert store.saved == [runs.record()]


async def test_the_input_that_is_given_is_told_and_kept_not_that_of_the_prediction(tmp_path: Path) -> None:
    async with watched(tmp_path) as (history, store):
        prediction = Prediction("p", {"token": "s3cret-in-clear"})
        entry = history.open(prediction, {"token": "**********"})
        found = await history.get("p")
        assert found is not None
        assert found.input == {"token": "**********"}
        await written(store, entry)
        assert not [name for name, content in contents(tmp_path).items() if b"s3cret" in content]
        prediction.apply(Canceled("p", 0))
        entry.changed()
    assert not [name for name, content in contents(tmp_path).items() if b"s3cret" in content]
    assert b"**********" in contents(tmp_path)["test.db"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_many_changes_are_few_writes() -> None:
    async with watched() as (history, store):
        runs = Runs(history).start()
        await written(store, runs.entry, Status.PROCESSING)
        for number in range(1000):
            runs.apply(log(f"{number}\n"))
            await asyncio.sleep(0)
        assert store.saved[-1].logs == ""
        runs.apply(Succeeded("p", 1))
        await written(store, runs.entry, Status.SUCCEEDED)
        assert len(store.saved) <= 3
        assert store.saved[-1].logs.count("\n") == 1000


async def test_what_happens_in_between_is_written_too() -> None:
    async with watched(interval=0.001) as (history, store):
        runs = Runs(history).start()
        await written(store, runs.entry, Status.PROCESSING)
        runs.apply(log("a\n"))
        await store.until(lambda saved: saved.logs == "a\n")
        runs.apply(Output("p", "x", 0))
        await store.until(lambda saved: saved.output == ["x"])


async def test_what_changes_while_it_is_written_is_written_again() -> None:
    async with watched() as (history, store):
        store.let.clear()
        runs = Runs(history)
        await asyncio.sleep(0.01)
        runs.end()
        store.let.set()
        await written(store, runs.entry, Status.SUCCEEDED)
        assert [saved.status for saved in store.saved] == [Status.STARTING, Status.SUCCEEDED]
        assert history._entries == {}


async def test_what_happens_at_the_same_time_is_written_at_once() -> None:
    async with watched() as (history, store):
        everything = [Runs(history, f"{number}").end() for number in range(200)]
        await store.next_write()
        assert store.saved == [runs.record() for runs in everything]


async def test_an_id_that_comes_again() -> None:
    async with watched() as (history, store):
        first = Runs(history).end("first")
        await written(store, first.entry, Status.SUCCEEDED)
        second = Runs(history)
        assert await history.get("p") == second.record()
        second.end("second")
        await written(store, second.entry, Status.SUCCEEDED)
        assert await history.get("p") == second.record()
        assert (await history.page(None, 10)).records == [second.record(), first.record()]


async def test_numbers_grow_even_if_the_clock_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path) as (history, _):
        first = Runs(history, "1").end()
    monkeypatch.setattr("time.time_ns", lambda: 0)
    async with watched(tmp_path) as (history, _):
        second, third = Runs(history, "2"), Runs(history, "3")
        assert first.entry.number < second.entry.number < third.entry.number
        assert [found.id for found in (await history.page(None, 10)).records] == ["3", "2", "1"]


async def test_what_is_old_is_removed(tmp_path: Path) -> None:
    async with watched(tmp_path) as (history, _):
        Runs(history).end()
    async with store_in(tmp_path) as store:
        watching = WatchedStore(store)
        async with History(watching, max_age=0) as history:
            # Old ones are removed before the first is written.
            await written(watching, Runs(history, "new").entry)
            assert await history.get("p") is None


async def test_without_a_store_what_runs_is_known_and_what_has_ended_is_not() -> None:
    async with History(None, DAY) as history:
        runs = Runs(history).start()
        assert await history.get("p") == runs.record()
        assert (await history.page(None, 10)).records == [runs.record()]
        runs.apply(Succeeded("p", 1))
        assert await history.get("p") is None
        assert (await history.page(None, 10)).records == []


class TestWhenTheDiskFails:
    async def test_a_full_disk_is_logged_once_and_what_waits_is_written_later(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with watched() as (history, store):
            with full_disk():
                runs, done = Runs(history, "runs").start(), Runs(history, "done").end()
                for _ in range(5):
                    await store.next_write()
                assert await history.get("runs") == runs.record()
                assert await history.get("done") == done.record()
                assert (await history.page(None, 10)).records == [done.record(), runs.record()]
            await written(store, runs.entry)
            await written(store, done.entry)
            assert await history.get("done") == done.record()
        assert [entry.message for entry in caplog.records if entry.name == "server.store.history"] == [
            next(message for message in caplog.messages if message.startswith("Predictions cannot be stored: ")),
        ]

    async def test_it_is_logged_that_it_works_again(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        async with watched() as (history, store):
            for _ in range(2):
                store.broken = StoreError("test.db: the disk is on fire")
                runs = Runs(history)
                await store.next_write()
                store.broken = None
                await written(store, runs.entry)
                runs.end()
        assert [message.partition(".")[0] for message in caplog.messages] == [
            "Predictions cannot be stored: test",
            "Predictions are stored again",
        ] * 2

    async def test_what_runs_is_told_though_nothing_can_be_read(self) -> None:
        async with watched() as (history, store):
            store.broken = StoreError("test.db: the disk is gone")
            runs = Runs(history, "runs").start()
            done = Runs(history, "done").end()
            assert await history.get("runs") == runs.record()
            assert await history.get("done") == done.record()
            with pytest.raises(StoreError, match="gone"):
                await history.get("other")
            with pytest.raises(StoreError, match="gone"):
                await history.page(None, 10)
            store.broken = None

    async def test_nobody_waits_for_a_disk_that_fails_or_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.store.history._PATIENCE", 0.01)
        async with watched(retry=NEVER) as (history, store):
            store.let.clear()
            await Runs(history, "hangs").entry.kept()
            store.broken = StoreError("test.db: the disk is gone")
            store.let.set()
            monkeypatch.setattr("server.store.history._PATIENCE", NEVER)
            await Runs(history, "tried").entry.kept()
            await Runs(history, "not even tried").entry.kept()
        async with History(None, DAY) as history:
            await Runs(history).entry.kept()

    async def test_an_error_nobody_thought_of_ends_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        async with watched() as (history, store):
            store.broken = ZeroDivisionError()
            runs = Runs(history)
            await store.next_write()
            store.broken = None
            await written(store, runs.entry)
        assert "ZeroDivisionError" in caplog.text

    async def test_what_ends_waits_in_memory_as_far_as_there_is_room(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("server.store.history._MOST_UNWRITTEN", 10_000)
        async with watched() as (history, store):
            everything = [Runs(history, f"{number}").start() for number in range(10)]
            await written(store, everything[-1].entry, Status.PROCESSING)
            store.let.clear()
            runs, *rest = everything
            for done in rest:
                done.apply(Output("p", "x" * 3000), Succeeded("p", 1))
            told = (await history.page(None, 20)).records
            assert [found.id for found in told] == ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
            assert told[0] == rest[-1].record()
            assert {found.error for found in told[3:-1]} == {LOST}
            assert {found.status for found in told[3:-1]} == {Status.FAILED}
            assert await history.get("0") == runs.record()
            lost = await history.get("1")
            assert lost is not None
            assert lost.error == LOST
            store.let.set()
        assert caplog.text.count("faster than the disk") == 1

    async def test_the_last_that_ended_waits_however_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.store.history._MOST_UNWRITTEN", 1000)
        async with watched() as (history, store):
            large = Runs(history).end("x" * 3000)
            await written(store, large.entry, Status.SUCCEEDED)
            assert await history.get("p") == large.record()

    async def test_a_stop_while_the_disk_fails_is_no_error(self, caplog: pytest.LogCaptureFixture) -> None:
        async with watched() as (history, store):
            store.broken = StoreError("test.db: gone")
            Runs(history).end()
        assert "The server stops before all predictions that have ended could be stored." in caplog.text


class TestPages:
    async def test_one_page(self) -> None:
        async with watched() as (history, _):
            assert (await history.page(None, 3)).records == []
            for number in range(3):
                Runs(history, f"{number}")
            page = await history.page(None, 3)
            assert [found.id for found in page.records] == ["2", "1", "0"]
            assert (page.next, page.previous) == (None, None)

    async def test_a_cursor_to_nowhere(self) -> None:
        async with watched() as (history, _):
            runs = Runs(history)
            for cursor in (Cursor(0), Cursor(runs.entry.number), Cursor(runs.entry.number, newer=True), NEWEST):
                page = await history.page(cursor, 3)
                assert page.next is None or page.records

    @pytest.mark.parametrize("newer", [False, True])
    async def test_what_is_made_while_a_page_is_read_takes_up_no_room(
        self, monkeypatch: pytest.MonkeyPatch, newer: bool
    ) -> None:
        async with watched() as (history, store):
            old = [Runs(history, f"{number}").end() for number in range(3)]
            read = store.page

            async def page(cursor: Cursor, limit: int, asked: Mode) -> list[Record]:
                late = [Runs(history, "late").end() for _ in range(9)]
                await written(store, late[-1].entry)
                return await read(cursor, limit, asked)

            await written(store, old[-1].entry)
            monkeypatch.setattr(store, "page", page)
            first = await history.page(Cursor(1, newer=True) if newer else None, 2)
            assert [found.id for found in first.records] == (["1", "0"] if newer else ["2", "1"])
            assert first.next is not None
            assert (first.previous is not None) == newer

    @settings(max_examples=40, deadline=None)
    @given(data=st.data(), limit=st.integers(1, 5), count=st.integers(0, 12))
    async def test_none_comes_twice_and_none_is_missed_while_others_are_made(
        self, data: st.DataObject, limit: int, count: int
    ) -> None:
        async with store_in() as store, History(store, DAY) as history:
            live: list[Runs] = []

            async def happen() -> None:
                """Some are made, some end, and some of both are written."""
                for _ in range(data.draw(st.integers(0, 3))):
                    live.append(Runs(history, f"p{data.draw(st.integers(0, 3))}{len(live)}"))
                for runs in live:
                    if runs.prediction.status is Status.STARTING and data.draw(st.booleans()):
                        runs.end()
                if data.draw(st.booleans()):
                    await store.page(NEWEST, 1)

            for _ in range(count):
                await happen()
            at_first = [runs.entry.number for runs in live]

            down: list[int] = []
            cursor: Cursor | None = None
            while True:
                page = await history.page(cursor, limit)
                down += [found.number for found in page.records]
                assert len(page.records) <= limit
                await happen()
                if page.next is None:
                    break
                cursor = Cursor.parse(str(page.next))
            assert down == at_first[::-1]

            up: list[int] = [found.number for found in page.records][::-1]
            while page.previous:
                page = await history.page(page.previous, limit)
                up += [found.number for found in page.records][::-1]
            assert up == [runs.entry.number for runs in live if runs.entry.number <= up[-1]] if up else not at_first
            if cursor:
                assert up == [runs.entry.number for runs in live]


async def test_a_hundred_at_once_from_memory_and_disk() -> None:
    async with store_in() as store, History(store, DAY, interval=0.001) as history:

        async def run(number: int) -> None:
            runs = Runs(history, f"{number}").start()
            for line in range(20):
                runs.apply(log(f"{line}\n"))
                await asyncio.sleep(0)
                found = await history.get(f"{number}")
                assert found == runs.record()
            runs.apply(Succeeded("p", 1))
            assert await history.get(f"{number}") == runs.record()

        await asyncio.gather(*(run(number) for number in range(100)))
        assert len((await history.page(None, 100)).records) == 100
