from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.errors import StoreError
from server.prediction import Prediction, Status
from server.schema.signature import Mode
from server.store import schema
from server.store.store import INTERRUPTED, Cursor
from server.worker.messages import Canceled, Failed, Log, LogSource, Output
from tests.store.predictions import NEWEST, apply, before, ended, full_disk, log, record, running, store_in

MIB = 1 << 20


def read(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What another program sees in the database."""
    connection = sqlite3.connect(folder / "test.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction("p", {"prompt": "a cat", "seed": 0}),
        running("p", files=["data:text/plain,a"]),
        ended("p", output={"a": [1, 2.5, None, True], "b": "ü"}),
        ended("p", output=None),
        apply(running(), Failed("p", "ValueError: half \ud800 a pair", 0.1)),
        apply(running(), log("a\r\0\n"), Output("p", "half \udfff a pair", 0), Canceled("p", 0.1)),
        ended("p", output=[2**70, 1e300]),
    ],
    ids=["starting", "processing", "succeeded", "null", "failed", "canceled", "large numbers"],
)
async def test_what_is_saved_comes_back(prediction: Prediction) -> None:
    saved = record(prediction)
    async with store_in() as store:
        await store.save([saved])
        assert await store.get("p") == saved
        assert await store.page(NEWEST, 10) == [saved]


async def test_what_has_ended_comes_back_from_the_disk(tmp_path: Path) -> None:
    saved = [record(ended(f"{number}")) for number in range(3)]
    async with store_in(tmp_path) as store:
        await store.save(saved)
        assert store.newest == 0
    assert names_in(tmp_path) == ["test.db", "test.db.lock"]
    async with store_in(tmp_path) as store:
        assert store.newest == saved[-1].number
        assert await store.page(NEWEST, 10) == saved[::-1]


async def test_what_had_not_ended_has_failed_once_its_server_is_gone(tmp_path: Path) -> None:
    started = apply(running("started", prompt="a"), log("hello\n"), Output("started", "piece", 0))
    async with store_in(tmp_path) as store:
        await store.save([record(Prediction("waiting")), record(started), record(ended("ended"))])
    since = datetime.now(UTC)
    async with store_in(tmp_path) as store:
        succeeded, *failed = await store.page(NEWEST, 10)
        assert succeeded.status is Status.SUCCEEDED
        assert [found.id for found in failed] == ["started", "waiting"]
        for found in failed:
            assert (found.status, found.error) == (Status.FAILED, INTERRUPTED)
            assert found.completed_at is not None
            assert since <= found.completed_at <= datetime.now(UTC)
        assert (failed[0].input, failed[0].logs, failed[0].output) == ({"prompt": "a"}, "hello\n", ["piece"])


async def test_a_record_takes_the_place_of_its_former_self() -> None:
    prediction = Prediction("p", {"prompt": "a"})
    async with store_in() as store:
        await store.save([record(prediction, 1)])
        prediction.start()
        await store.save([record(apply(prediction, log("a\n")), 1)])
        await store.save([record(apply(prediction, log("b\n"), Output("p", "x", 0)), 1)])
        last = record(apply(prediction, Canceled("p", 1)), 1)
        await store.save([last])
        assert await store.page(NEWEST, 10) == [last]


async def test_of_one_id_the_newest_is_got_and_all_are_listed() -> None:
    first, second = record(ended("p", "first")), record(ended("p", "second"))
    async with store_in() as store:
        await store.save([second, first])
        assert await store.get("p") == second
        assert await store.page(NEWEST, 10) == [second, first]


@pytest.mark.parametrize("id_", ["other", "", "P", "p ", "half \ud800 a pair", "a\0b"])
async def test_an_unknown_id(id_: str) -> None:
    async with store_in() as store:
        await store.save([record(ended("p"))])
        assert await store.get(id_) is None


async def test_pages_to_both_sides() -> None:
    records = {number: record(ended(f"{number}"), number) for number in range(1, 8)}

    def numbers(page: list[Any]) -> list[int]:
        return [found.number for found in page]

    async with store_in() as store:
        await store.save(list(records.values()))
        assert numbers(await store.page(Cursor(6), 3)) == [5, 4, 3]
        assert numbers(await store.page(Cursor(3), 3)) == [2, 1]
        assert numbers(await store.page(Cursor(1), 3)) == []
        assert numbers(await store.page(Cursor(2, newer=True), 3)) == [5, 4, 3]
        assert numbers(await store.page(Cursor(5, newer=True), 3)) == [7, 6]
        assert numbers(await store.page(Cursor(7, newer=True), 3)) == []


async def test_trainings_and_predictions_have_pages_of_their_own() -> None:
    predictions = [record(ended(f"{number}"), number) for number in (1, 3, 5)]
    trainings = [replace(record(ended(f"{number}"), number), asked=Mode.TRAIN) for number in (2, 4)]
    async with store_in() as store:
        await store.save([*predictions, *trainings])
        assert await store.page(NEWEST, 10) == predictions[::-1]
        assert await store.page(NEWEST, 10, Mode.TRAIN) == trainings[::-1]
        assert await store.page(Cursor(1, newer=True), 1, Mode.TRAIN) == trainings[:1]
        assert await store.get("4") == trainings[1]


async def test_pages_leave_large_values_out(tmp_path: Path) -> None:
    first = record(ended("p", ["x" * MIB], image="y" * MIB))
    whole = record(apply(running("q"), log("z" * MIB), Failed("q", "e" * MIB, 0.1)))
    async with store_in() as store:
        await store.save([first, whole])
        assert await store.get("q") == whole
        failed, succeeded = await store.page(NEWEST, 10)
        assert failed.omitted == {"logs", "error"}
        assert (failed.logs, failed.error, failed.has_output) == ("", None, False)
        assert succeeded.omitted == {"input", "output"}
        assert (succeeded.input, succeeded.output, succeeded.has_output) == ({}, None, True)
        assert succeeded.logs == "one\n"


async def test_ten_thousand_records_are_found_by_their_indexes(tmp_path: Path) -> None:
    saved = [record(ended(f"{number % 5000}")) for number in range(10_000)]
    async with store_in(tmp_path) as store:
        for start in range(0, len(saved), 1000):
            await store.save(saved[start : start + 1000])
        listed = await store.page(NEWEST, 100)
        while page := await store.page(Cursor(listed[-1].number), 100):
            listed += page
        assert listed == saved[::-1]
        assert await store.get("17") == saved[5017]
    for query in (schema.GET, schema.OLDER, schema.NEWER):
        plan = read(tmp_path, "EXPLAIN QUERY PLAN " + query.replace("?", "1"))
        assert not [step for *_, step in plan if step.startswith(("SCAN", "USE TEMP B-TREE"))], plan


async def test_data_urls_of_a_hundred_megabytes() -> None:
    saved = record(ended("p", ["data:image/png;base64," + "A" * 100_000_000]))
    async with store_in() as store:
        await store.save([saved])
        found = await store.get("p")
        assert found == saved


async def test_a_value_that_no_row_could_hold_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.store.rows._MOST_BYTES", 1000)
    prediction = running("p", image="x" * 2000)
    async with store_in() as store:
        await store.save([record(prediction, 1)])
        await store.save([record(apply(prediction, log("y" * 2000), Output("p", "small", 0)), 1)])
        found = await store.get("p")
        assert found is not None
        assert found.omitted == {"input", "logs"}
        assert (found.input, found.output, found.logs) == ({}, ["small"], "")
    assert "The input of prediction p is not kept: it takes 2012 bytes." in caplog.text


async def test_what_is_no_json_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    prediction = ended()
    prediction.metrics["object"] = object()
    async with store_in() as store:
        await store.save([record(prediction)])
        found = await store.get("p")
        assert found is not None
        assert found.omitted == {"metrics"}
    assert "The metrics of prediction p is not kept, because it is no JSON" in caplog.text


async def test_many_at_once() -> None:
    saved = [record(ended(f"{number}", "x" * 1000)) for number in range(300)]
    async with store_in() as store:

        async def use(number: int) -> None:
            await store.save([saved[number]])
            assert await store.get(f"{number}") == saved[number]
            assert saved[number] in await store.page(NEWEST, 300)

        await asyncio.gather(*(use(number) for number in range(300)))


async def test_a_caller_that_stops_waiting_leaves_the_store_whole() -> None:
    saved = [record(ended(f"{number}")) for number in range(50)]
    async with store_in() as store:
        tasks = [asyncio.create_task(store.save([one])) for one in saved]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        last = record(ended("last"))
        await store.save([last])
        assert (await store.page(NEWEST, 100))[0] == last


async def test_records_go_some_time_after_their_end() -> None:
    old = [record(ended(f"old {number}"), ago=100) for number in range(250)]
    new, endless = record(ended("new"), ago=50), record(running("endless"), ago=1000)
    async with store_in() as store:
        await store.save([*old, new, endless])
        await store.purge(before(75))
        assert await store.page(NEWEST, 1000) == [endless, new]


async def test_what_ended_first_goes_first_when_there_is_too_much() -> None:
    async with store_in(max_bytes=10 * MIB) as store:
        kept = record(running("runs", image="x" * MIB))
        await store.save([kept])
        records = [record(ended(f"{number}", "x" * MIB), ago=100 - number) for number in range(20)]
        # The first to be made is the last to end.
        records[0] = record(ended("0", "x" * MIB), number=0)
        for one in records:
            await store.save([one])
        ids = [found.id for found in await store.page(NEWEST, 100)]
        assert ids == ["19", "18", "17", "16", "15", "14", "13", "runs", "0"]


async def test_the_limit_counts_what_is_there_already_and_what_grows(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await store.save([record(ended(f"{number}", "x" * MIB), ago=9 - number) for number in range(9)])
    async with store_in(tmp_path, max_bytes=10 * MIB) as store:
        prediction = running("grows")
        for _ in range(4):
            await store.save([record(apply(prediction, log("x" * MIB)), 1 << 40)])
        found = [found.id for found in await store.page(NEWEST, 100)]
        assert found == ["grows", "8", "7", "6", "5", "4"]


async def test_purging_gives_the_space_back(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await store.save([record(ended(f"{number}", "x" * MIB)) for number in range(64)])
        await store.purge(datetime.now(UTC))
        await store.save([record(ended("after"))])
        assert await store.page(Cursor(0), 10) == []
    assert (tmp_path / "test.db").stat().st_size < MIB


async def test_all_are_saved_or_none() -> None:
    async with store_in() as store:
        with pytest.raises(UnicodeEncodeError):
            await store.save([record(ended("good")), record(ended("half \ud800 a pair"))])
        assert await store.page(NEWEST, 10) == []
        await store.save([record(ended("good"))])


async def test_a_full_disk_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    saved, lost = record(ended("saved")), record(ended("lost", "x" * MIB))
    async with store_in(tmp_path) as store:
        await store.save([saved])
        with full_disk():
            for _ in range(3):
                with pytest.raises(StoreError, match=r"test\.db: "):
                    await store.save([lost])
            assert await store.page(NEWEST, 10) == [saved]
        await store.save([lost])
        assert await store.page(NEWEST, 10) == [lost.brief(), saved]
    assert read(tmp_path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_disk_that_is_full_until_something_is_removed() -> None:
    async with store_in() as store:
        await store.save([record(ended(f"{number}", "x" * MIB), ago=100) for number in range(8)])
        await store._call(store._connection.execute, "PRAGMA max_page_count = 2200")
        late = record(ended("late", "x" * MIB))
        with pytest.raises(StoreError, match="full"):
            await store.save([late])
        await store.purge(before(50))
        await store.save([late])
        assert await store.page(NEWEST, 10) == [late.brief()]


async def test_a_database_that_another_program_locks(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await store._call(store._connection.execute, "PRAGMA busy_timeout = 0")
        other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.save([record(ended())])
        other.close()
        await store.save([record(ended())])


async def test_once_closed_it_answers_nothing() -> None:
    async with store_in() as store:
        await store.close()
        with pytest.raises(StoreError, match="has been closed"):
            await store.get("p")


@pytest.mark.parametrize("content", [b"rubbish" * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "test.db").write_bytes(content)
    (tmp_path / "test.db-wal").write_bytes(content)
    async with store_in(tmp_path) as store:
        await store.save([record(ended())])
        assert await store.get("p") is not None
    assert (tmp_path / "test.db.damaged").read_bytes() == content
    assert "test.db is damaged" in caplog.text


async def test_nothing_is_logged_while_all_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "server")
    async with store_in(tmp_path) as store:
        await store.save([record(apply(running(), Log("p", LogSource.STDOUT, "a")))])
        await store.purge(before())
    assert caplog.text == ""
