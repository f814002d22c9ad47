"""What is kept survives the death of the server, at whatever moment it comes."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from server.prediction import Status
from server.store.store import INTERRUPTED
from tests.conftest import ROOT
from tests.store.predictions import NEWEST, store_in
from tests.store.write_until_killed import output


async def kill_while_it_writes(folder: Path, saved: int, delay: float) -> list[str]:
    """Run a process that writes until it has saved so many predictions, and a moment longer; tell their ids."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.write_until_killed", str(folder), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ids = [(await process.stdout.readline()).decode().strip() for _ in range(saved)]
    await asyncio.sleep(delay)
    process.kill()
    ids += (await process.stdout.read()).decode().split()
    assert await process.wait() == -9
    return ids


def check_integrity(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "test.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("delay", [0, 0.003, 0.01, 0.03])
async def test_kill_9_while_it_writes(tmp_path: Path, delay: float) -> None:
    ids: list[str] = []
    for saved in (1, 4, 2):
        ids += await kill_while_it_writes(tmp_path, saved, delay)
        async with store_in(tmp_path) as store:
            for id_ in ids:
                found = await store.get(id_)
                assert found is not None
                assert found.status is Status.SUCCEEDED
                assert found.output == output(int(id_))
                assert found.input == {"image": "y" * 100_000}
            listed = await store.page(NEWEST, 1000)
            for found in listed:
                whole = await store.get(found.id)
                assert whole is not None
                if whole.status is Status.SUCCEEDED:
                    assert whole.output == output(int(whole.id))
                else:
                    assert (whole.status, whole.error) == (Status.FAILED, INTERRUPTED)
                    assert whole.id not in ids
                    assert (whole.output or []) == output(int(whole.id))[: len(whole.output or [])]
        check_integrity(tmp_path)
