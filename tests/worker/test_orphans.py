"""A parent that dies takes the child, and all that the child has started, with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import PREDICTORS, ROOT
from tests.worker.conftest import group_members, wait_until_empty

PARENT = """
import asyncio, signal, sys
from pathlib import Path
from server.worker.messages import Log, Predict
from server.worker.worker import Worker

async def main(predictor, code):
    worker = Worker(predictor, Path(sys.argv[3]), environment={"HOW": "hang"})
    await worker.start()
    if "setup" in predictor:
        await worker.loaded()
        print(worker.pid, flush=True)
        await asyncio.Event().wait()
    await worker.settled()
    async for event in worker.run(Predict("a", {"code": code}, "/tmp")):
        if isinstance(event, Log) and "started" in event.text:
            print(worker.pid, flush=True)

# Where the tests are a job in the background of a shell, this is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main(sys.argv[1], sys.argv[2]))
"""

DOING = {
    "sleeping": "time.sleep(1000)",
    "busy": "while True: pass",
    "stuck in C, with the lock": "sum(range(10**12))",
    "swallowing": "while True:\n    try: time.sleep(1000)\n    except BaseException: pass",
    "with children": "subprocess.Popen(['sleep', '1000']); subprocess.run(['sleep', '1000'])",
    "with a forked child": "os.fork(); time.sleep(1000)",
    "deaf": "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 10, 12, 15)]; time.sleep(1000)",
}


@pytest.mark.parametrize(
    ("doing", "number"),
    [
        *((doing, signal.SIGKILL) for doing in DOING),
        ("with children", signal.SIGTERM),
        ("with children", signal.SIGINT),
    ],
)
def test_no_orphan(doing: str, number: signal.Signals) -> None:
    # The lock is held only once the parent has been told.
    code = f"import os, signal, subprocess, time\nprint('started')\ntime.sleep(0.2)\n{DOING[doing]}"
    assert _members_after(["run_code.py:Predictor", code], number) == []


def test_no_orphan_of_a_setup() -> None:
    assert _members_after(["exit_in_setup.py:Predictor", ""], signal.SIGKILL) == []


def _members_after(arguments: list[str], number: signal.Signals) -> list[int]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *arguments, str(PREDICTORS)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        assert group in group_members(group)
        time.sleep(0.3)
        parent.send_signal(number)
        parent.wait()
    return wait_until_empty(group)
