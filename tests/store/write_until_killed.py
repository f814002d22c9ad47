"""A process that writes predictions to the folder it is given, and prints the number of each whose end it has saved."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from server.store.file import DatabaseFile
from server.store.sqlite import SqliteStore
from server.worker.messages import Output, Succeeded
from tests.store.predictions import PLENTY, apply, record, running


def output(number: int) -> list[str]:
    """What the prediction of this number puts out: up to a few MB."""
    return [f"{number} {piece} ".ljust(number % 5 * 300_000, "x") for piece in range(3)]


async def write(folder: Path) -> None:
    store = SqliteStore(DatabaseFile(folder, "test.db"), PLENTY)
    while True:
        number = time.time_ns() // 1000
        prediction = running(f"{number}", image="y" * 100_000)
        await store.save([record(prediction, number)])
        for piece, value in enumerate(output(number)):
            await store.save([record(apply(prediction, Output("p", value, piece)), number)])
        await store.save([record(apply(prediction, Succeeded("p", 1)), number)])
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
