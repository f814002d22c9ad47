"""Canceling, at any moment, code of any kind."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from server.worker.messages import Canceled, Failed, Output, PredictionEvent, Succeeded
from server.worker.worker import Worker
from tests.worker.conftest import Client, Start, logs_of, output_of, ready_again, until_log


async def canceled_at(worker: Worker, client: Client, mark: str, code: str) -> list[PredictionEvent]:
    """The events of a prediction that is canceled as soon as it has logged `mark`; the others that run are not hit."""
    command = client.command(code=code)
    events = []
    async for event in worker.run(command):
        events.append(event)
        if mark in logs_of(events):
            worker.cancel(command.id)
            worker.cancel(command.id)
    return events


BUSY = "while True: pass"
SLEEPING = "__import__('time').sleep(1000)"
LOCKED = "__import__('threading').Event().wait()"
WAITING = "__import__('subprocess').run(['sleep', '1000'])"
PRINTING = "while True: print('x' * 50)"
RECORDING = "while True: self.record_metric('n', 1, 'incr')"
LOOPING = "__import__('asyncio').run(__import__('asyncio').sleep(1000))"


async def test_synchronous_code_gets_the_exception_and_cleans_up(start: Start, client: Client) -> None:
    worker = await start("run_code")
    for doing in (BUSY, SLEEPING, LOCKED, WAITING, PRINTING, RECORDING, LOOPING):
        code = f"""
try:
    print("started")
    {doing}
except BaseException as error:
    seen = type(error).__name__
    raise
finally:
    print("cleaned up after", seen)
"""
        events = await canceled_at(worker, client, "started", code)
        assert isinstance(events[-1], Canceled)
        assert "cleaned up after CancelationException\n" in logs_of(events)
        assert await client.output(worker, code="result = 'next'") == "next"
        assert worker.restarts == 0


async def test_asynchronous_code_gets_cancelled_error_and_cleans_up(start: Start, client: Client) -> None:
    worker = await start("run_code_async")
    code = """
import asyncio
try:
    print("started")
    await asyncio.sleep(1000)
except BaseException as error:
    seen = type(error).__name__
    raise
finally:
    await asyncio.sleep(0)
    print("cleaned up after", seen)
"""
    events = await canceled_at(worker, client, "started", code)
    assert isinstance(events[-1], Canceled)
    assert logs_of(events) == "started\ncleaned up after CancelledError\n"
    assert await client.output(worker, code="result = 'next'") == "next"


UNMOVED = {
    "run_code": [
        "try: print('started'); __import__('time').sleep(1000)\nexcept BaseException: result = 'swallowed'",
        "try: print('started'); __import__('time').sleep(1000)\nfinally: raise ValueError('instead')",
        "try: print('started'); __import__('time').sleep(1000)\nfinally: raise SystemExit",
    ],
    "run_code_async": [
        "import asyncio\ntry: print('started'); await asyncio.sleep(1000)\nexcept BaseException: result = 1",
        "import asyncio\ntry: print('started'); await asyncio.sleep(1000)\nfinally: raise ValueError",
    ],
}


@pytest.mark.parametrize("predictor", UNMOVED)
async def test_whatever_the_code_makes_of_it_it_is_canceled(start: Start, client: Client, predictor: str) -> None:
    worker = await start(predictor)
    for code in UNMOVED[predictor]:
        events = await canceled_at(worker, client, "started", code)
        assert isinstance(events[-1], Canceled)
        assert output_of(events) == []
        assert await client.output(worker, code="result = 'next'") == "next"
        assert worker.restarts == 0


@pytest.mark.parametrize(
    ("predictor", "define", "sleep"),
    [("yield_code", "def", "time.sleep(1000)"), ("yield_code_async", "async def", "await asyncio.sleep(1000)")],
)
async def test_a_generator_keeps_what_it_has_yielded(
    start: Start, client: Client, predictor: str, define: str, sleep: str
) -> None:
    worker = await start(predictor)
    code = f"""
import asyncio, time
{define} items():
    try:
        yield "one"
        print("started")
        {sleep}
        yield "two"
    finally:
        print("cleaned up")
"""
    events = await canceled_at(worker, client, "started", code)
    assert isinstance(events[-1], Canceled)
    assert output_of(events) == ["one"]
    assert logs_of(events) == "started\ncleaned up\n"
    assert worker.restarts == 0


@pytest.mark.parametrize(
    ("predictor", "code"),
    [
        ("yield_code", "def items():\n  while True:\n    try: yield 1\n    except BaseException: pass"),
        (
            "yield_code_async",
            "import asyncio\nasync def items():\n  while 1:\n   try: await asyncio.sleep(0); yield 1\n   except: pass",
        ),
    ],
)
async def test_a_generator_that_swallows_it_is_not_asked_for_more(
    start: Start, client: Client, predictor: str, code: str
) -> None:
    worker = await start(predictor)
    command = client.command(code=code)
    events = []
    async for event in worker.run(command):
        events.append(event)
        if len(events) == 10:
            worker.cancel(command.id)
    assert isinstance(events[-1], Canceled)
    assert worker.restarts == 0


async def test_between_two_items_the_generator_sees_it_at_its_yield(start: Start, client: Client) -> None:
    worker = await start("yield_code")
    # The file that is yielded is a slow one, so that the cancel comes while it is copied.
    code = """
import io, time
class Slow(io.RawIOBase):
    def seekable(self): return False
    def read(self, size=-1):
        print("copying")
        time.sleep(0.2)
        return b""
def items():
    try:
        yield Slow()
    except BaseException as error:
        print("saw", type(error).__name__)
        raise
"""
    events = await canceled_at(worker, client, "copying", code)
    assert isinstance(events[-1], Canceled)
    assert logs_of(events) == "copying\nsaw CancelationException\n"


async def test_one_of_many_is_hit(start: Start, client: Client) -> None:
    worker = await start("run_code_async")
    code = "import asyncio; print('started'); await asyncio.sleep(0.3); result = 'done'"
    others = [asyncio.create_task(client.predict(worker, code=code)) for _ in range(3)]
    events = await canceled_at(worker, client, "started", "import asyncio; print('started'); await asyncio.sleep(1000)")
    assert isinstance(events[-1], Canceled)
    assert [output_of(await other) for other in others] == ["done"] * 3


@pytest.mark.parametrize("predictor", ["run_code", "run_code_async"])
async def test_a_cancel_before_the_code_begins_counts(start: Start, client: Client, predictor: str) -> None:
    worker = await start(predictor)
    for _ in range(50):
        command = client.command(code="print('ran'); result = 1")
        events = worker.run(command)
        first = asyncio.ensure_future(anext(events))
        # One step of the task: the command is sent, and nothing more.
        await asyncio.sleep(0)
        worker.cancel(command.id)
        received = [await first, *[event async for event in events]]
        assert isinstance(received[-1], Canceled)
        assert sum(isinstance(event, Canceled) for event in received) == 1


async def test_one_that_waits_for_a_place_is_canceled_at_once(start: Start, client: Client) -> None:
    worker = await start("run_code")
    first, second = client.command(code="print('started'); " + SLEEPING), client.command(code="print('never')")
    async with aclosing(worker.run(first)) as running:
        await until_log(running, "started")
        waiting = asyncio.create_task(client.events(worker, second))
        await asyncio.sleep(0)
        worker.cancel(second.id)
        (only,) = await waiting
        assert isinstance(only, Canceled)


async def test_to_cancel_what_is_unknown_or_has_ended_does_nothing(start: Start, client: Client) -> None:
    worker = await start("run_code")
    worker.cancel("never heard of")
    command = client.command(code="result = 1")
    assert isinstance((await client.events(worker, command))[-1], Succeeded)
    worker.cancel(command.id)
    assert await client.output(worker, code="result = 2") == 2


async def test_closing_the_iterator_cancels_and_waits_for_the_end(start: Start, client: Client) -> None:
    worker = await start("run_code")
    code = """
import pathlib, time
try:
    print("started")
    time.sleep(1000)
finally:
    time.sleep(0.1)
    pathlib.Path("{mark}").write_text("ended")
"""
    command = client.command(code="")
    mark = f"{command.output_dir}/mark"
    async with aclosing(worker.run(client.command(code=code.format(mark=mark)))) as events:
        await until_log(events, "started")
    # What the code did last has been done when `aclose` returns.
    assert await client.output(worker, code=f"result = open({mark!r}).read()") == "ended"


@pytest.mark.parametrize(
    "stuck",
    [
        "while True:\n    try: time.sleep(1000)\n    except BaseException: pass",
        "try: time.sleep(1000)\nexcept BaseException: sum(range(10**12))",
    ],
)
async def test_code_that_does_not_end_is_killed(start: Start, client: Client, stuck: str) -> None:
    worker = await start("run_code", cancel_grace=0.2)
    pid = worker.pid
    events = await canceled_at(worker, client, "started", f"import time\nprint('started')\n{stuck}")
    assert isinstance(events[-1], Canceled)
    await ready_again(worker, 1)
    assert worker.pid != pid
    assert await client.output(worker, code="result = 'next'") == "next"


async def test_who_shares_the_process_with_code_that_does_not_end_is_told(start: Start, client: Client) -> None:
    worker = await start("run_code_async", cancel_grace=0.2)
    other = asyncio.create_task(client.predict(worker, code="import asyncio; await asyncio.sleep(1000)"))
    await asyncio.sleep(0)
    events = await canceled_at(worker, client, "started", "print('started'); " + SLEEPING)
    assert isinstance(events[-1], Canceled)
    failed = (await other)[-1]
    assert isinstance(failed, Failed)
    assert failed.error == (
        f"Worker crashed: the prediction {events[-1].id} did not end within 0.2 s of being canceled, so the process "
        "that runs it, and ran this one, was killed. Try again."
    )
    await ready_again(worker, 1)


CODES = {
    "run_code": """
for step in range({steps}):
    print("step", step)
    self.record_metric("step", step)
    sum(range(2000))
result = {number}
""",
    "run_code_async": """
import asyncio
for step in range({steps}):
    print("step", step)
    await asyncio.sleep(0)
result = {number}
""",
    "yield_code": """
def items():
    for step in range({steps}):
        print("step", step)
        yield step
    yield {number}
""",
}


@pytest.mark.parametrize("predictor", CODES)
async def test_200_cancels_at_random_moments_never_reach_the_next_prediction(
    start: Start, client: Client, predictor: str
) -> None:
    worker = await start(predictor)
    chance = random.Random(predictor)
    for number in range(200):
        command = client.command(code=CODES[predictor].format(steps=chance.choice([1, 20, 200]), number=number))
        run = asyncio.create_task(client.events(worker, command))
        await asyncio.sleep(chance.random() * 0.006)
        worker.cancel(command.id)
        events = await run
        assert "".join(f"step {step}\n" for step in range(200)).startswith(logs_of(events))
        assert isinstance(events[-1], Canceled | Succeeded)

        expected = CODES[predictor].format(steps=3, number=number)
        following = await client.predict(worker, code=expected)
        assert isinstance(following[-1], Succeeded)
        assert logs_of(following) == "step 0\nstep 1\nstep 2\n"
        assert [event.value for event in following if isinstance(event, Output)][-1] == number
    assert worker.restarts == 0
