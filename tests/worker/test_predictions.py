"""Predictors of every shape. Texts of errors are those of Cog 0.23.1, run with the same code."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from server.errors import WorkerError
from server.worker.messages import (
    Canceled,
    Failed,
    InputFault,
    LocalFile,
    Metric,
    MetricMode,
    Output,
    Predict,
    Succeeded,
)
from tests.worker.conftest import Client, Start, logs_of, output_of, until_log

SHAPES: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "greet": [({"name": "you", "times": 2}, "hello you hello you")],
    "run_code": [
        ({"code": "result = {'a': [1]}"}, {"a": [1]}),
        ({"code": ""}, None),
        ({"code": "result = (n for n in 'ab')"}, ["a", "b"]),
        ({"code": "import asyncio; result = asyncio.run(asyncio.sleep(0, 'ran'))"}, "ran"),
    ],
    "run_code_async": [({"code": "import asyncio; await asyncio.sleep(0); result = 3"}, 3)],
    "yield_code": [
        ({"code": "def items(): yield 1; yield 2"}, [1, 2]),
        ({"code": "def items(): yield from ()"}, []),
    ],
    "yield_code_async": [
        ({"code": "async def items(): yield 1; yield 2"}, [1, 2]),
        ({"code": "async def items():\n for n in (): yield n"}, []),
    ],
    "setup_async": [({"number": 4}, 8)],
    "setup_async.py:Synchronous": [({"number": 4}, 8)],
    "setup_weights": [({}, "None")],
    "functions.py:double": [({"number": 4}, 8)],
    "functions.py:double_async": [({"number": 4}, 8)],
    "functions.py:double_each": [({"numbers": [1, 2]}, [2, 4])],
    "runner_first.py": [({}, "Runner")],
    "runner_first.py:Predictor": [({}, "Predictor")],
    "decorated": [({"number": 4}, 8)],
    "decorated.py:Yielding": [({"number": 3}, [0, 1, 2])],
    "use_processes": [
        ({"how": "fork"}, "[0, 1, 4, 9] server.cog.types x"),
        ({"how": "spawn"}, "[0, 1, 4, 9] server.cog.types x"),
        ({"how": "forkserver"}, "[0, 1, 4, 9] server.cog.types x"),
        ({"how": "os.fork"}, "the child ended with 5"),
        ({"how": "program"}, "0.23.1\n"),
    ],
}


@pytest.mark.parametrize("predictor", SHAPES)
async def test_shapes(start: Start, client: Client, predictor: str) -> None:
    worker = await start(predictor)
    for inputs, output in SHAPES[predictor]:
        command = client.command(**inputs)
        events = await client.events(worker, command)
        assert isinstance(events[-1], Succeeded), events
        assert output_of(events) == output
        assert events[-1].predict_time > 0
        assert {event.id for event in events} == {command.id}


async def test_weights_come_from_the_environment(start: Start, client: Client) -> None:
    worker = await start("setup_weights", environment={"COG_WEIGHTS": "/some/weights"})
    assert await client.output(worker) == "'/some/weights'"


SYNC = "Prediction failed: Prediction failed: "
ASYNC = "Prediction failed: Async prediction failed: "
GENERATOR = "Prediction failed: Generator iteration error: "
OUTPUT = "Prediction failed: Failed to serialize output: "
ITEM = "Prediction failed: Failed to serialize output item: "
BYTES = "TypeError: Object of type bytes is not JSON serializable"
MISSING = (
    "Prediction failed: Failed to process output: FileNotFoundError: [Errno 2] No such file or directory: '/missing'"
)


ERRORS = {
    "raise ValueError('bad thing')": "ValueError: bad thing",
    "raise KeyError('k')": "KeyError: 'k'",
    "raise SystemExit(3)": "SystemExit: 3",
    "import sys; sys.exit()": "SystemExit: ",
    "raise KeyboardInterrupt": "KeyboardInterrupt: ",
    "raise BaseException('x')": "BaseException: x",
    "raise GeneratorExit": "GeneratorExit: ",
    "class Odd(Exception): __str__ = None\n    raise Odd": "Odd: <exception str() failed>",
}


@pytest.mark.parametrize(
    ("predictor", "before", "prefix", "outputs"),
    [
        ("run_code", "if True:", SYNC, []),
        ("run_code_async", "if True:", ASYNC, []),
        ("run_code_async", "import asyncio\nawait asyncio.sleep(0)\nif True:", ASYNC, []),
        ("yield_code", "def items():\n    yield 'one'", GENERATOR, ["one"]),
        ("yield_code_async", "async def items():\n    yield 'one'", ASYNC, ["one"]),
    ],
)
async def test_what_predict_raises_is_told_in_cogs_words(
    start: Start, client: Client, predictor: str, before: str, prefix: str, outputs: list[str]
) -> None:
    worker = await start(predictor)
    for code, error in ERRORS.items():
        events = await client.predict(worker, code=f"{before}\n    {code}")
        assert isinstance(events[-1], Failed)
        assert events[-1].error.replace("items.<locals>.", "") == prefix + error
        assert output_of(events) == outputs
    # These were the ends of predictions, and not of the worker.
    assert worker.restarts == 0


KEYS = "TypeError: keys must be str, int, float, bool or None, not tuple"

UNFIT = {
    "run_code": {
        "result = b'x'": OUTPUT + BYTES,
        "result = {(1, 2): 3}": OUTPUT + KEYS,
        "import pathlib; result = pathlib.Path('/missing')": MISSING,
        "import pathlib; result = {'deep': [pathlib.Path('/missing')]}": MISSING,
    },
    "run_code_async": {"result = b'x'": OUTPUT + BYTES},
    "yield_code": {
        "def items(): yield b'x'": ITEM + BYTES,
        "import pathlib\ndef items(): yield pathlib.Path('/missing')": MISSING,
    },
    "yield_code_async": {"async def items(): yield b'x'": ITEM + BYTES},
}


@pytest.mark.parametrize("predictor", UNFIT)
async def test_what_cannot_be_put_out(start: Start, client: Client, predictor: str) -> None:
    worker = await start(predictor)
    for code, error in UNFIT[predictor].items():
        last = (await client.predict(worker, code=code))[-1]
        assert isinstance(last, Failed)
        assert last.error == error


async def test_an_output_too_large_for_a_message(start: Start, client: Client) -> None:
    worker = await start("run_code")
    last = (await client.predict(worker, code="result = 'x' * (1 << 28)"))[-1]
    assert isinstance(last, Failed)
    assert last.error.startswith("Prediction failed: Failed to serialize output: ValueError: 268435")
    assert last.error.endswith("more than the 268435456 that one message may have; pass a file instead")
    assert await client.output(worker, code="result = len('x' * (1 << 20))") == 1 << 20


async def test_an_input_that_cannot_be_sent(start: Start, client: Client) -> None:
    worker = await start("run_code")
    for text in ("\ud800", "x" * (1 << 28)):
        last = (await client.predict(worker, code=text))[-1]
        assert isinstance(last, Failed)
        assert last.error.startswith("Prediction failed: Input validation error: ")
    assert await client.output(worker, code="result = 1") == 1


@pytest.mark.parametrize("predictor", ["run_code", "run_code_async"])
async def test_code_may_cancel_itself(start: Start, client: Client, predictor: str) -> None:
    worker = await start(predictor)
    for error in ("asyncio.CancelledError", "cog.CancelationException"):
        events = await client.predict(worker, code=f"import asyncio, cog; raise {error}")
        assert isinstance(events[-1], Canceled)


async def test_the_traceback_comes_with_the_end_and_is_not_in_the_logs(start: Start, client: Client) -> None:
    worker = await start("raise_error")
    events = await client.predict(worker)
    assert logs_of(events) == "about to fail\n"
    end = events[-1]
    assert isinstance(end, Failed)
    ((place, what),) = end.trace
    assert what == "ValueError: boom\n"
    assert "raise_error.py" in place
    assert "runner.py" not in place


async def test_no_event_loop_runs_around_synchronous_code(start: Start, client: Client) -> None:
    code = "import asyncio; result = asyncio._get_running_loop()"
    assert await client.output(await start("run_code"), code=code) is None


async def test_inputs_arrive_as_their_kinds(start: Start, client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content a")
    (tmp_path / "b.txt").write_text("content b")
    a, b = LocalFile(str(tmp_path / "a.txt")), LocalFile(str(tmp_path / "b.txt"))
    worker = await start("take_kinds")
    given = await client.output(
        worker,
        path=a,
        plain=2**70,
        described="d",
        paths=[a, b],
        file=b,
        secret="s3",
        numbers=[],
        optional="o",
        either=4,
    )
    assert given == {
        "path": "Path content a",
        "plain": "1180591620717411303424",
        "described": "'d'",
        "paths": "['content a', 'content b']",
        "file": "b'content b'",
        "secret": "********** s3",
        "numbers": "[2]",
        "optional": "'o'",
        "either": "4",
    }


async def test_inputs_left_out_are_as_in_the_source(start: Start, client: Client) -> None:
    worker = await start("take_kinds")
    first = await client.output(worker, path="no file")
    assert first == {
        "path": "str no file",
        "plain": "7",
        "described": "'described'",
        "paths": "None",
        "file": "None",
        "secret": "None None",
        "numbers": "[1, 2]",
        "optional": "None",
        "either": "'either'",
    }
    # A default that a prediction has changed is itself again in the next.
    assert await client.output(worker, path="no file") == first


async def test_files_are_copied_when_they_are_yielded(start: Start, client: Client) -> None:
    worker = await start("yield_code")
    code = """
import pathlib, tempfile
def items():
    path = pathlib.Path(tempfile.mkdtemp()) / "frame.png"
    for number in range(3):
        path.write_text(str(number))
        yield path
    path.unlink()
"""
    command = client.command(code=code)
    *outputs, last = await client.events(worker, command)
    assert isinstance(last, Succeeded)
    frames = [Path(event.value.path) for event in outputs if isinstance(event, Output)]
    assert [(frame.name, frame.read_text()) for frame in frames] == [
        ("frame.png", "0"),
        ("frame-1.png", "1"),
        ("frame-2.png", "2"),
    ]
    assert {frame.parent for frame in frames} == {Path(command.output_dir)}


async def test_metrics_and_context(start: Start, client: Client) -> None:
    worker = await start("run_code")
    code = """
import cog, threading
self.record_metric("temp", 0.5)
cog.current_scope().record_metric("count", 2, mode="incr")
def record(): cog.current_scope().metrics.record("list", [1], "append")
thread = threading.Thread(target=record)
thread.start()
thread.join()
del cog.current_scope().metrics["temp"]
result = cog.current_scope().context
"""
    events = await client.events(worker, client.command({"user": "u1"}, code=code))
    assert [(e.name, e.value, e.mode) for e in events if isinstance(e, Metric)] == [
        ("temp", 0.5, MetricMode.REPLACE),
        ("count", 2, MetricMode.INCREMENT),
        ("list", [1], MetricMode.APPEND),
        ("temp", None, MetricMode.DELETE),
    ]
    assert output_of(events) == {"user": "u1"}
    # Kept apart from the next.
    assert await client.output(worker, code="import cog; result = cog.current_scope().context") == {}


async def test_predictions_of_an_asynchronous_predictor_run_at_once(start: Start, client: Client) -> None:
    worker = await start("run_code_async")
    assert worker.concurrency == 4
    # Each waits for the other three.
    code = """
import asyncio, builtins
if not hasattr(builtins, "barrier"):
    builtins.barrier = asyncio.Barrier(4)
print("waits")
result = await builtins.barrier.wait()
print("ran")
"""
    commands = [client.command(code=code) for _ in range(4)]
    results = await asyncio.gather(*(client.events(worker, command) for command in commands))
    assert sorted(output_of(events) for events in results) == [0, 1, 2, 3]
    assert [logs_of(events) for events in results] == ["waits\nran\n"] * 4


async def test_more_than_the_concurrency_wait_for_their_turn(start: Start, client: Client) -> None:
    worker = await start("run_code")
    results = await asyncio.gather(*(client.output(worker, code=f"result = {number}") for number in range(20)))
    assert results == list(range(20))


async def test_an_id_must_be_new_while_it_runs(start: Start, client: Client) -> None:
    worker = await start("run_code")
    command = client.command(code="print('started', flush=True); import time; time.sleep(1000)")
    async with aclosing(worker.run(command)) as events:
        await until_log(events, "started")
        with pytest.raises(WorkerError, match="id p1 has not ended"):
            await anext(worker.run(command))
    again = Predict(command.id, {"code": "result = undefined"}, command.output_dir)
    assert isinstance((await client.events(worker, again))[-1], Failed)


_RAISE = "class InputError(ValueError):\n input = 'code'\nraise InputError('code: too long')"


@pytest.mark.parametrize(
    ("predictor", "code", "kind"),
    [
        ("run_code", _RAISE, "Prediction failed: InputError"),
        ("run_code_async", _RAISE, "Async prediction failed: InputError"),
        ("yield_code", f"def items():\n yield 1\n exec({_RAISE!r})", "Generator iteration error: InputError"),
    ],
    ids=["synchronous", "asynchronous", "generator"],
)
async def test_an_input_that_the_model_refuses_is_told_without_a_traceback(
    start: Start, client: Client, caplog: pytest.LogCaptureFixture, predictor: str, code: str, kind: str
) -> None:
    caplog.set_level(logging.INFO, "server.model")
    worker = await start(predictor)
    events = await client.predict(worker, code=code)
    end = events[-1]
    assert isinstance(end, Failed)
    assert end.error == f"Prediction failed: {kind}: code: too long"
    assert end.fault == InputFault("code", "too long")
    assert end.trace == ()
    assert logs_of(events) == ""
    await worker.stop(1)
    assert [record for record in caplog.records if record.name == "server.model"] == []


async def test_an_exception_that_names_no_input_of_the_model_is_told_as_ever(start: Start, client: Client) -> None:
    worker = await start("run_code")
    events = await client.predict(worker, code=_RAISE.replace("input = 'code'", "input = 'width'"))
    assert isinstance(events[-1], Failed)
    assert events[-1].fault is None
    assert events[-1].trace[0][0].startswith("Traceback (most recent call last):")
