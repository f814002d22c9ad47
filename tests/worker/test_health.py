"""The predictor's own `healthcheck()`. The texts are those of Cog 0.23.1."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from server.worker import health, session
from server.worker.messages import HealthResult
from tests.worker.conftest import Client, Start, logs_of

ANSWERS = {
    "True": None,
    "None": None,
    "0": None,
    "''": None,
    "False": "Healthcheck failed: user-defined healthcheck returned False",
    "1/0": "Healthcheck failed: ZeroDivisionError: division by zero",
    "exec('raise SystemExit(3)')": "Healthcheck failed: SystemExit: 3",
    "1": None,
}


@pytest.mark.parametrize("name", ["Predictor", "Async"])
async def test_answers(start: Start, tmp_path: Path, name: str) -> None:
    file = tmp_path / "health"
    worker = await start(f"check_health.py:{name}", environment={"HEALTH": str(file)})
    for answer, error in ANSWERS.items():
        file.write_text(answer)
        result = await worker.healthcheck()
        assert (answer, result.ok, result.error) == (answer, error is None, error)


async def test_without_one_all_is_well(start: Start) -> None:
    worker = await start("greet")
    assert await worker.healthcheck() == HealthResult("", True)


async def test_it_runs_beside_a_prediction(start: Start, client: Client, tmp_path: Path) -> None:
    file, until = tmp_path / "health", tmp_path / "until"
    file.write_text("False")
    worker = await start("check_health", environment={"HEALTH": str(file)})
    prediction = asyncio.create_task(client.predict(worker, until=str(until)))
    assert (await worker.healthcheck()).ok is False
    assert not prediction.done()
    until.touch()
    # What a check prints belongs to no prediction.
    assert logs_of(await prediction) == ""


async def test_one_that_hangs_is_said_to_time_out(start: Start, tmp_path: Path) -> None:
    file, asynchronous, started = tmp_path / "health", tmp_path / "asynchronous", tmp_path / "started"
    file.write_text(f"[Path({str(started)!r}).open('a').write('x'), time.sleep(5.5)]")
    asynchronous.write_text("asyncio.sleep(1000)")
    worker = await start("check_health", environment={"HEALTH": str(file)})
    other = await start("check_health.py:Async", environment={"HEALTH": str(asynchronous)})
    results = await asyncio.gather(worker.healthcheck(), worker.healthcheck(), other.healthcheck())
    assert [result.error for result in results] == [
        "Healthcheck failed: user-defined healthcheck timed out after 5.0 seconds"
    ] * 3
    # The one that cannot be canceled is waited for, and not started again.
    assert (await worker.healthcheck()).ok
    assert started.read_text() == "x"
    asynchronous.write_text("True")
    assert (await other.healthcheck()).ok


async def test_a_child_that_dies_or_is_stuck_is_not_well(
    start: Start, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HEALTHCHECK_SECONDS", 0.3)
    file = tmp_path / "health"
    file.write_text("True")
    worker = await start("check_health", environment={"HEALTH": str(file)})
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    assert (await worker.healthcheck()).error == "Healthcheck error: the model's process does not answer"
    asking = asyncio.create_task(worker.healthcheck())
    await asyncio.sleep(0)
    os.kill(worker.pid, signal.SIGKILL)
    assert (await asking).error == "Healthcheck error: the model's process has ended"


def test_the_parent_waits_longer_than_a_check_may_take() -> None:
    assert session.HEALTHCHECK_SECONDS > health.LIMIT
